#!/bin/sh
# Fetches the packages of servers that test/benign runs in guests into bin/debs. Nothing is
# installed and nothing is started on this machine: the guest unpacks them. Where they
# cannot be had, a notice says so, and the tests that need them are skipped.
set -u

packages="openssh-server redis-server nginx-light fcgiwrap cron runc"
dir=$PWD/bin/debs

[ -e "$dir/fetched" ] && exit 0
command -v apt-get >/dev/null || exit 0
mkdir -p "$dir/partial"
fetch() {
	# without a lock, so that it needs no root and keeps nobody from installing
	apt-get -qq -o Acquire::Retries=3 -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Dir::Cache::archives="$dir" \
		install -y --download-only --no-install-recommends $packages </dev/null >"$dir/log" 2>&1
}
update() {
	root=
	[ "$(id -u)" = 0 ] || root=sudo
	$root apt-get -qq -o Acquire::Retries=3 update </dev/null >"$dir/log" 2>&1
}
# old package lists often do: try them before fetching new ones
if fetch || { update && fetch; }; then
	touch "$dir/fetched"
else
	echo "tools/deps/servers.sh: servers for the tests cannot be fetched, so their tests are skipped: $(tail -n 1 "$dir/log")" >&2
fi
exit 0
