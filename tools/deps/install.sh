#!/bin/sh
# Installs the Debian packages that the full test needs and this machine lacks.
# Says nothing when all are there. Building and running Bearcat needs only Go.
set -eu

packages="qemu-system-x86 qemu-system-common kmod xz-utils zstd util-linux
 debian-archive-keyring clang-16 llvm-16 libbpf-dev python3 busybox-static
 make gcc libc6-dev git iproute2 procps
 openssl strace gdb util-linux netcat-traditional ncat socat telnet lua5.4 lua-socket php-cli logrotate"
# newer systems carry the file server in a package of its own
if ! [ -x /usr/lib/qemu/virtiofsd ] && apt-cache show virtiofsd >/dev/null 2>&1; then
	packages="$packages virtiofsd"
fi

fail() {
	echo "tools/deps/install.sh: $*" >&2
	exit 1
}

command -v go >/dev/null || fail "no go command: install the Go release that go.mod names"
command -v dpkg-query >/dev/null || fail "no dpkg here: install by hand what stands for $(echo $packages)"

missing=
for p in $packages; do
	case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || :) in
	installed) ;;
	# busybox-static and busybox cannot both be installed; either will do
	*) { [ "$p" = busybox-static ] && [ -x /bin/busybox ]; } || missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || fail "installing needs root: run as root apt-get install$missing"
	root=sudo
fi
echo "installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=5 \
		install -y --no-install-recommends $missing </dev/null >"$log" 2>&1
}
# old package lists often do: try them before fetching new ones
install || { $root apt-get -qq -o Acquire::Retries=5 update </dev/null >"$log" 2>&1 && install; } || {
	tail -n 5 "$log" >&2
	fail "apt-get could not install$missing: see above, or install them by hand"
}
