#!/bin/sh
# Measures what Bearcat costs. docs/benchmarks.md says what the figures mean.
#
#   run.sh exec    the load without and with Bearcat, in a guest that counts instructions
#   run.sh falco   the load with Falco's rules, with and without filters in the kernel
#   run.sh peers   the same with other tools, those that are installed
#   run.sh idle    processor and memory when nothing happens, time to start
#   run.sh flood   opens as fast as two processors make them, and execs among them
#   run.sh storm   memory of the agent while everything happens at once, for a minute:
#                  here, and in a guest where it watches all and writes every event
#   run.sh fw      what a packet costs in the firewall, beside xdp-filter
#   run.sh observe  what observers cost the work that they look at
#   run.sh show    how long it takes to look at many processes, files and sockets
#   run.sh micro   the packages' own benchmarks
#   run.sh all     all of these (the default)
#   run.sh docs    put the results into docs/benchmarks.md
#
# BENCH_PAIRS   pairs of runs for each agent (5)
# BENCH_KERNEL  the guest's kernel (6.12)
# BENCH_LONG=1  watch the idle agent, and the storm, for ten minutes and not for one
# BENCH_AGENTS  agents of the exec section, by name and with commas between
# BENCH_FALCO   a copy of falco_rules.yaml, for the falco section
# BENCH_ARGS    more arguments for bearcat run, such as "--rules DIR"
# BEARCAT       the binary to measure; without it bin/bearcat is built
set -eu
cd "$(dirname "$0")/../.."

pairs=${BENCH_PAIRS:-5}
kernel=${BENCH_KERNEL:-6.12}
out=bin/bench
idle_time=60s
storm_time=60s
if [ -n "${BENCH_LONG:-}" ]; then idle_time=10m storm_time=10m; fi

say() { echo "== $*" >&2; }

build() {
	say "building"
	mkdir -p $out
	export CGO_ENABLED=0
	go build -buildvcs=false -o bin/vmrun ./test/kernel/cmd/vmrun
	go build -buildvcs=false -o $out/bench ./test/bench/cmd/bench
	gcc -O2 -Wall -Wextra -static -o $out/load test/bench/load/load.c
	gcc -O2 -Wall -Wextra -static -o $out/talk test/bench/load/talk.c
	gcc -O2 -Wall -Wextra -static -s -nostdlib -o $out/nothing test/bench/load/nothing.c
	cp test/bench/load/*.sh test/bench/rules/*.yaml $out/
	rm -f $out/falco.yaml
	if [ -n "${BENCH_FALCO:-}" ]; then cp "$BENCH_FALCO" $out/falco.yaml; fi
	if [ -z "${BEARCAT:-}" ]; then
		make -s --no-print-directory build
		BEARCAT=bin/bearcat
	fi
	# a place that the guest sees too
	cp -f "$BEARCAT" $out/bearcat
}

# in_guest TIME FLAGS COMMAND ARGS...: results reach this machine through -w.
# FLAGS are more flags of vmrun, in one word. It replaces the shell, so that a
# signal to that shell ends the guest: call it in a subshell.
in_guest() {
	limit=$1 flags=$2 command=$3
	shift 3
	# shellcheck disable=SC2086 # the flags are words
	exec bin/vmrun -t "$limit" -w "$PWD/$out" $flags "$kernel" -- \
		"$PWD/$out/bench" "$command" -bearcat "$PWD/$out/bearcat" -args "${BENCH_ARGS:-}" -tools "$PWD/$out" "$@"
}

# in this mode the guest's time passes with its instructions: ratios repeat
counted="-counted -e BEARCAT_COUNTED=1"

section_exec() {
	say "exec: without and with Bearcat"
	in_guest 60m "$counted" cost -agents "${BENCH_AGENTS:-none,alerts,secrets,anyopen,events}" -pairs "$pairs" -out "$PWD/$out/exec"
}

section_falco() {
	if [ ! -e $out/falco.yaml ]; then
		say "falco: left out, as BENCH_FALCO names no copy of falco_rules.yaml"
		return 0
	fi
	say "falco: Falco's rules, with and without filters"
	in_guest 60m "$counted" cost -agents none,falco,falco-all -pairs "$pairs" -out "$PWD/$out/falco"
}

section_peers() {
	say "peers: other tools"
	in_guest 60m "$counted" cost -agents three,events,libbpf-tools,bpftrace,auditd -pairs "$pairs" -out "$PWD/$out/peers"
}

# Each part runs even when one before it failed.
section_idle() {
	bad=0
	say "idle: the agent with nothing to do, for $idle_time"
	(in_guest 20m "" idle -time "$idle_time" -out "$PWD/$out/idle") || bad=1
	say "idle: the same for ten minutes of counted time"
	(in_guest 20m "$counted" idle -time 10m -out "$PWD/$out/idle-counted") || bad=1
	say "idle: starting in a guest"
	(in_guest 10m "" start -out "$PWD/$out/start-guest") || bad=1
	say "idle: starting on this kernel, watching nothing but this benchmark"
	$out/bench start -scoped -bearcat $out/bearcat -args "${BENCH_ARGS:-}" -tools $out -out $out/start-native || bad=1
	return $bad
}

section_flood() {
	say "flood: on this kernel, watching nothing but this benchmark"
	$out/bench flood -bearcat $out/bearcat -tools $out -out $out/flood
}

section_storm() {
	say "storm: everything for $storm_time, on this kernel, watching nothing but this benchmark"
	bad=0
	$out/bench storm -time "$storm_time" -bearcat $out/bearcat -tools $out -out $out/storm || bad=1
	say "storm: the same in a guest, watching all of it and writing every event"
	(in_guest 30m "" storm -host -events -time "$storm_time" -out "$PWD/$out/storm-guest") || bad=1
	return $bad
}

section_fw() {
	say "fw: packets through the firewall's program, as root on this machine"
	peers=$out/fw-peers
	if ! ls /usr/lib/*/bpf/xdpfilt_alw_all.o $peers/usr/lib/*/bpf/xdpfilt_alw_all.o >/dev/null 2>&1; then
		# unpacked, not installed; without it the table says that it is not there
		mkdir -p $peers
		(cd $peers && apt-get -qq download libxdp1 && dpkg -x libxdp1_*.deb .) >/dev/null 2>&1 || say "xdp-filter cannot be fetched"
	fi
	$out/bench fw -peers $peers -out $out/fw
}

section_observe() {
	say "observe: hist, top, trace and flame"
	in_guest 30m "$counted" observe -pairs "$pairs" -out "$PWD/$out/observe"
}

section_show() {
	say "show: 10,000 processes, then 100,000 open files, then 50,000 sockets, on this kernel, as root"
	# its sockets are in a network namespace of their own
	unshare -n sh -ec 'ip link set lo up; exec "$@"' sh \
		$out/bench show -rounds "$pairs" -bearcat $out/bearcat -tools $out -out $out/show
}

section_micro() {
	say "micro: the packages' own benchmarks"
	$out/bench micro -out $out/micro
}

section=${1:-all}
case $section in
exec | falco | peers | idle | flood | storm | fw | observe | show | micro)
	build
	("section_$section")
	;;
all)
	build
	# A failed section must not keep the others from running.
	failed=
	if [ "$(nproc)" -gt 1 ]; then
		# what counts instructions is not disturbed by another guest
		say "peers: beside the next section; its output follows"
		section_peers >$out/peers.log 2>&1 &
		peers=$!
		trap 'kill $peers 2>/dev/null; exit 130' INT TERM
		(section_exec) || failed="$failed exec"
		wait $peers || failed="$failed peers"
		trap - INT TERM
		cat $out/peers.log
		rest="falco idle flood storm fw observe show micro"
	else
		rest="exec falco peers idle flood storm fw observe show micro"
	fi
	for s in $rest; do
		("section_$s") || failed="$failed $s"
	done
	if [ -n "$failed" ]; then
		echo "failed:$failed" >&2
		exit 1
	fi
	say "results: $out/*.txt and *.json"
	;;
docs)
	if [ ! -x $out/bench ]; then build; fi
	$out/bench docs -results $out
	;;
*)
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
