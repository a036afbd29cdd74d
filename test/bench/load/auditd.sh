#!/bin/sh
# Becomes auditd, which writes to DIR/audit.log, with rules for execve, openat and
# connect. The rules come when the daemon has told the kernel who it is.
set -eu
dir=$1
cat >"$dir/auditd.conf" <<EOF
log_file = $dir/audit.log
log_format = RAW
log_group = root
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 1000
max_log_file_action = IGNORE
space_left_action = IGNORE
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
EOF
chmod 600 "$dir/auditd.conf"
me=$$
(
	until auditctl -s 2>/dev/null | grep -qx "pid $me"; do sleep 0.05; done
	auditctl -b 8192 >/dev/null
	auditctl -r 0 >/dev/null
	auditctl -a always,exit -F arch=b64 -S execve -k exec
	auditctl -a always,exit -F arch=b64 -S openat -k open
	auditctl -a always,exit -F arch=b64 -S connect -k connect
	auditctl --reset-lost >/dev/null 2>&1 || :
	echo "ready" >&2
) &
exec auditd -f -n -c "$dir"
