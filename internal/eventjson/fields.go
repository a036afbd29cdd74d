package eventjson

// Field describes one member of a line, for the generated documentation.
type Field struct {
	// Path names it from the line's object down, with dots, and with [] for
	// the elements of a list: "process.exe.path", "ancestors[].pid".
	Path string
	// Type is "text", "integer", "flag" (only ever true), "time" (text in RFC
	// 3339), "hex" (text such as "0x1f"), "device" (text such as "8:1"),
	// "octal" (text such as "0100755"), "object" or "list".
	Type string
	// In says which lines have it: "all", "events", "calls" (events of system
	// calls), "alert", or the name of an event type.
	In string
	// Optional is true where it is left out when absent, empty or false.
	Optional bool
	// Doc is one sentence.
	Doc string
}

// Fields lists every member that an event's, alert's or loss notice's line can
// have, in the order in which they are written. Alerts hold the event's
// members within "event".
func Fields() []Field {
	out := append(lineFields(), ownEventFields()...)
	out = append(out, callFields()...)
	out = append(out, shellFields()...)
	out = append(out, processFields("process.")...)
	out = append(out, containerFields("process.container.")...)
	out = append(out, credFields("process.")...)
	out = append(out, imageFields("process.")...)
	out = append(out, ancestorFields("ancestors[].")...)
	return out
}

// ownEventFields are those of what the agent's own parts tell.
func ownEventFields() []Field {
	return []Field{
		{"finding", "object", "finding", true, "What a check of the host found."},
		{"finding.check", "text", "finding", false, "The check, as bearcat scan --list names it."},
		{"finding.what", "text", "finding", true, "What was found."},
		{"finding.evidence", "text", "finding", true, "By what it was found."},
		{"finding.sure", "text", "finding", true, "certain, likely or possible."},
		{"finding.do", "text", "finding", true, "What to do about it."},
		{"finding.path", "text", "finding", true, "File, function or table of the kernel that it is about."},
		{"finding.after", "text", "finding", true, "Call after which the check was made at once."},
	}
}

func lineFields() []Field {
	out := []Field{
		{"time", "time", "all", true, "Wall-clock time of the event, in UTC with nine digits of fraction."},
		{"type", "text", "all", false, "What happened: exec, fork, exit, comm, gap, limit, creds, firewall, finding or the type of a call, such as open; alert for a rule's finding, output_loss for a notice of lost lines."},
		{"id", "text", "alert", true, "Name of the alert: the same event and rule have the same one. bearcat alerts show finds it."},
		{"host", "text", "all", true, "Name of the host."},
		{"priority", "text", "alert", false, "Severity of the rule, such as Warning."},
		{"rule", "text", "alert", false, "Name of the rule."},
		{"source", "text", "alert", true, "Event source that the rule is about."},
		{"tags", "list", "alert", true, "Tags of the rule."},
		{"summary", "text", "alert", true, "Who did what to what, and from where."},
		{"why", "text", "alert", true, "Why that is suspicious: the first sentence of the rule's description."},
		{"next", "text", "alert", true, "What to do: the sentences of the description that begin with Check and the like."},
		{"repeats", "integer", "alert", true, "How many alerts of the rule about the same subject were left out since the last one that was written. Where there is no event, the line tells of nothing else, and id is that of the last one."},
		{"since", "time", "alert", true, "When the first of these came."},
		{"trail", "list", "alert", true, "For a rule that counts the matches of others: the last of these, in the order of time."},
		{"trail[].time", "time", "alert", true, "When it was."},
		{"trail[].rule", "text", "alert", true, "Which rule matched."},
		{"trail[].output", "text", "alert", true, "Its output."},
		{"trail[].num", "integer", "alert", true, "Number of its event."},
		{"trail[].pid", "integer", "alert", true, "Process of its event."},
		{"trail_left_out", "integer", "alert", true, "How many matches were counted that the trail does not list."},
		{"output", "text", "alert", false, "The rule's output with its fields filled in."},
		{"output_fields", "object", "alert", false, "The fields that the output names, with their values; null where the event has none."},
		{"from", "text", "alert", true, "Address that the process's ssh session came from: of the socket of the sshd that it descends from, or else by SSH_CONNECTION."},
		{"event", "object", "alert", true, "The event, with the members that its own line would have."},
		{"lost", "integer", "output_loss", false, "How many lines could not be written at this place of the stream."},
		{"boot_ns", "integer", "events", false, "Time on the boot-time clock (CLOCK_BOOTTIME), in nanoseconds; events are ordered by it."},
		{"num", "integer", "events", false, "Number of the event since the agent started, from 1."},
		{"cpu", "integer", "events", false, "Processor that sent the record."},
		{"seq", "integer", "events", false, "Number of the record in its stream; each processor numbers each type of record on its own."},
		{"tid", "integer", "events", true, "Thread that caused the event, in the initial pid namespace."},
		{"exec", "object", "exec", true, "What is known of an exec beyond the process that it made."},
		{"exec.syscall", "text", "exec", false, "execve or execveat."},
		{"exec.at", "flag", "exec", true, "The program was named by a descriptor, as fexecve does."},
		{"exec.old_tid", "integer", "exec", true, "Thread that called exec, where that was not the leader of its group."},
		{"exec.old_exe", "text", "exec", true, "Path of the program that ran in the process before."},
		{"exec.old_cred", "object", "exec", true, "Credentials before the exec, where they were others than process has."},
		{"exit", "object", "exit", true, "How the process ended."},
		{"exit.code", "integer", "exit", false, "Exit status, 0 to 255; 0 when a signal ended the process."},
		{"exit.signal", "integer", "exit", false, "Number of the signal that ended the process, or 0."},
		{"exit.core_dumped", "flag", "exit", true, "The kernel wrote a core."},
		{"exit.duration_ns", "integer", "exit", false, "From the start of the process to its end, in nanoseconds."},
		{"exit.cpu_ns", "integer", "exit", false, "What all its threads ran together, in nanoseconds."},
		{"exit.user_ns", "integer", "exit", false, "The part of it in user mode, by the kernel's ticks."},
		{"exit.system_ns", "integer", "exit", false, "The part of it in the kernel, by the kernel's ticks."},
		{"exit.max_rss", "integer", "exit", false, "Largest resident set, in bytes."},
		{"old_comm", "text", "comm", true, "The process's name before; the new one is process.comm."},
		{"creds", "object", "creds", true, "The process has become root without a way to."},
		{"creds.seen", "text", "creds", false, "Type of the event at which it was noticed."},
		{"creds.old", "object", "creds", false, "Credentials before, as in `process`."},
		{"limit", "object", "limit", true, "A step by which the agent keeps to its processor time."},
		{"limit.level", "integer", "limit", false, "How far it has gone: 0 where nothing is left out."},
		{"limit.left_out", "text", "limit", false, "What is not collected."},
		{"limit.used_permille", "integer", "limit", false, "Processor time of the agent and its programs since the last look, in thousandths of one processor."},
		{"limit.allowed_permille", "integer", "limit", false, "What they may use."},
		{"gap", "object", "gap", true, "Records that were lost between the kernel and the agent."},
		{"gap.class", "text", "gap", false, "Class of the stream: critical or bulk."},
		{"gap.lost", "text", "gap", true, "Type of the events that are missing, where the stream has only one."},
		{"gap.cpu", "integer", "gap", false, "Processor of the stream."},
		{"gap.n", "integer", "gap", false, "How many records are missing."},
		{"gap.from", "integer", "gap", false, "Number of the first one."},
		{"gap.to", "integer", "gap", false, "Number of the last one."},
	}
	out = append(out, firewallFields()...)
	for _, old := range [][2]string{{"exec.old_cred.", "exec"}, {"creds.old.", "creds"}} {
		for _, f := range credFields(old[0]) {
			f.In = old[1]
			out = append(out, f)
		}
	}
	return out
}

func firewallFields() []Field {
	return []Field{
		{"firewall", "object", "firewall", true, "What the firewall did."},
		{"firewall.kind", "text", "firewall", false, "ban, flood or scan."},
		{"firewall.rule", "text", "firewall", true, "The rule or guard that banned, that drops most of a flood, or the last try of a scan."},
		{"firewall.source", "text", "firewall", true, "Address or prefix that was banned, or that scans."},
		{"firewall.for_ns", "integer", "firewall", true, "How long the ban lasts, in nanoseconds."},
		{"firewall.strikes", "integer", "firewall", true, "How many bans of the source went before, one after the other."},
		{"firewall.reason", "text", "firewall", true, "For which reason most of a flood, or the last try of a scan, is dropped; refused where no socket waited."},
		{"firewall.rate", "integer", "firewall", true, "Packets a second that are dropped in a flood, for all reasons."},
		{"firewall.ports", "integer", "firewall", true, "Ports that a scan tried, at least."},
		{"firewall.addresses", "integer", "firewall", true, "Addresses that a scan tried, at least."},
	}
}

func processFields(at string) []Field {
	return under(at, []Field{
		{"", "object", "events", true, "The process that the event is about: the one that ran the program, the child of a fork, the one that ended."},
		{"pid", "integer", "events", false, "Process id in the initial pid namespace."},
		{"start", "integer", "events", false, "Start of the process on the boot-time clock, in nanoseconds; with pid it names the process for as long as the host is up."},
		{"key", "text", "events", false, "Name of the process among all hosts and boots: boot id, pid and start, joined by colons."},
		{"ppid", "integer", "events", false, "The kernel's parent pid: 1 or a subreaper once the real parent has ended."},
		{"ns_pid", "integer", "events", false, "Process id in the process's own pid namespace."},
		{"ns_ppid", "integer", "events", false, "Parent's pid there; 0 where the parent is outside of it."},
		{"sid", "integer", "events", false, "Session id in the initial pid namespace."},
		{"pgid", "integer", "events", false, "Process group id in the initial pid namespace."},
		{"ns_sid", "integer", "events", false, "Session id in the process's own pid namespace."},
		{"ns_pgid", "integer", "events", false, "Process group id in the process's own pid namespace."},
		{"parent", "object", "events", true, "The process that made this one by fork, whether or not it still lives."},
		{"parent.pid", "integer", "events", false, "Its pid."},
		{"parent.start", "integer", "events", false, "Its start."},
		{"parent.comm", "text", "events", true, "Its name, where it is known."},
		{"parent.exe", "text", "events", true, "Path of its program, where it is known."},
		{"user", "text", "events", true, "Name of uid on the host."},
		{"group", "text", "events", true, "Name of gid on the host."},
		{"login_user", "text", "events", true, "Name of login_uid on the host."},
		{"comm", "text", "events", false, "Name of the process, as the kernel has it."},
		{"tty", "object", "events", true, "Controlling terminal."},
		{"tty.name", "text", "events", false, "Its name, such as pts3."},
		{"tty.dev", "device", "events", false, "Its device number."},
		{"cgroup", "object", "events", true, "Control group."},
		{"cgroup.id", "integer", "events", false, "Its id."},
		{"cgroup.path", "text", "events", false, "Its path."},
		{"ns", "object", "events", true, "Inode numbers of the namespaces."},
		{"ns.pid", "integer", "events", false, "Pid namespace."},
		{"ns.mnt", "integer", "events", false, "Mount namespace."},
		{"ns.net", "integer", "events", false, "Network namespace."},
		{"ns.uts", "integer", "events", false, "UTS (host name) namespace."},
		{"ns.user", "integer", "events", false, "User namespace."},
		{"ns.cgroup", "integer", "events", false, "Cgroup namespace."},
		{"ns.ipc", "integer", "events", false, "IPC namespace."},
		{"node", "text", "events", true, "Host name inside the process's UTS namespace."},
		{"kthread", "flag", "events", true, "It is a kernel thread."},
		{"seeded", "flag", "events", true, "It was there before the agent looked."},
		{"start_time", "time", "events", true, "Wall-clock time of its start."},
		{"exec_ns", "integer", "events", true, "When its program was started, on the boot-time clock."},
		{"exit_ns", "integer", "events", true, "When it ended, on the boot-time clock."},
	})
}

func credFields(at string) []Field {
	return under(at, []Field{
		{"uid", "integer", "events", false, "Real user id."},
		{"gid", "integer", "events", false, "Real group id."},
		{"euid", "integer", "events", false, "Effective user id."},
		{"egid", "integer", "events", false, "Effective group id."},
		{"suid", "integer", "events", false, "Saved user id."},
		{"sgid", "integer", "events", false, "Saved group id."},
		{"fsuid", "integer", "events", false, "User id for file access."},
		{"fsgid", "integer", "events", false, "Group id for file access."},
		{"login_uid", "integer", "events", true, "User who logged in, by the audit system; absent when unset."},
		{"session_id", "integer", "events", true, "Audit session; absent when unset."},
		{"caps", "object", "events", false, "Capability sets, bit N for capability number N."},
		{"caps.effective", "hex", "events", false, "Effective set."},
		{"caps.permitted", "hex", "events", false, "Permitted set."},
		{"caps.inheritable", "hex", "events", false, "Inheritable set."},
		{"caps.bounding", "hex", "events", false, "Bounding set."},
		{"caps.ambient", "hex", "events", false, "Ambient set."},
		{"no_new_privs", "flag", "events", true, "Exec can grant it nothing (PR_SET_NO_NEW_PRIVS)."},
	})
}

func imageFields(at string) []Field {
	return under(at, []Field{
		{"exe", "object", "events", true, "The file that runs; for a script, the interpreter. Absent for kernel threads."},
		{"exe.path", "text", "events", false, "Its absolute path in the process's mount namespace, symbolic links resolved; memfd:NAME for a memfd."},
		{"exe.root_path", "text", "events", true, "Its path as seen from the process's root, where that differs."},
		{"exe.host_path", "text", "events", true, "Its path in the host's mount namespace, where the process is in another one and the host sees the file."},
		{"exe.unreachable", "flag", "events", true, "It cannot be reached from the process's root."},
		{"exe.path_cut", "flag", "events", true, "The path was too long: its leading components are missing."},
		{"exe.dev", "device", "events", false, "Its device."},
		{"exe.inode", "integer", "events", false, "Its inode."},
		{"exe.nlink", "integer", "events", false, "How many names it has."},
		{"exe.mode", "octal", "events", false, "Type and permission bits as in stat(2)."},
		{"exe.uid", "integer", "events", false, "Its owner."},
		{"exe.gid", "integer", "events", false, "Its group."},
		{"exe.mtime", "time", "events", true, "Its last change of content."},
		{"exe.ctime", "time", "events", true, "Its last change of content or attributes."},
		{"exe.memfd", "flag", "events", true, "It lives in memory only (memfd_create)."},
		{"exe.deleted", "flag", "events", true, "It has no name any more."},
		{"exe.overlay", "flag", "events", true, "It is on overlayfs."},
		{"exe.upper", "flag", "events", true, "It is in the upper, writable layer."},
		{"filename", "text", "events", true, "The file's name as the caller typed it."},
		{"script", "text", "events", true, "Absolute path of the script, symbolic links not resolved."},
		{"interp", "text", "events", true, "The interpreter as the script's first line names it."},
		{"argv", "list", "events", true, "The arguments with their boundaries kept."},
		{"argc", "integer", "events", true, "The kernel's count of arguments."},
		{"argv_cut", "flag", "events", true, "Arguments were cut off by the configured limit or unreadable memory."},
		{"env", "list", "events", true, "The chosen environment variables, as NAME=value; values of redacted names are replaced."},
		{"env_cut", "flag", "events", true, "The environment was longer than the limit: a chosen variable may be missing."},
		{"cwd", "text", "events", true, "Working directory when the program was started."},
		{"fds", "list", "events", true, "Descriptors 0, 1 and 2 when the program was started."},
		{"fds[].fd", "integer", "events", false, "Number of the descriptor."},
		{"fds[].kind", "text", "events", false, "What it is: closed, file, dir, pipe, fifo, tty, pty, socket, null, char, block or anon."},
		{"fds[].inode", "integer", "events", true, "Its inode."},
		{"fds[].path", "text", "events", true, "Its path, where it has one."},
		{"fds[].socket", "object", "events", true, "Its socket."},
		{"fds[].socket.family", "text", "events", true, "ipv4, ipv6, unix, netlink, packet, vsock or a number."},
		{"fds[].socket.proto", "text", "events", true, "tcp, udp, icmp, raw …"},
		{"fds[].socket.type", "text", "events", true, "stream, dgram, raw or seqpacket."},
		{"fds[].socket.local", "text", "events", true, "Local address, or a unix path (@ begins an abstract one)."},
		{"fds[].socket.local_port", "integer", "events", true, "Local port."},
		{"fds[].socket.remote", "text", "events", true, "Remote address."},
		{"fds[].socket.remote_port", "integer", "events", true, "Remote port."},
		{"fds[].socket.remote_name", "text", "events", true, "Name that led to the remote address, from a DNS answer."},
		{"fds[].socket.state", "text", "events", true, "TCP state."},
		{"setuid", "flag", "events", true, "The exec gained another effective uid by the file's mode."},
		{"setgid", "flag", "events", true, "The exec gained another effective gid by the file's mode."},
		{"filecaps", "flag", "events", true, "The exec gained capabilities by the file's attribute."},
		{"secure_exec", "flag", "events", true, "The kernel told the loader to ignore LD_PRELOAD and its like (AT_SECURE)."},
	})
}

func ancestorFields(at string) []Field {
	return under(at, []Field{
		{"", "list", "events", true, "The chain of processes that led here, the parent first; 128 at most."},
		{"pid", "integer", "events", false, "Process id in the initial pid namespace."},
		{"start", "integer", "events", false, "Start on the boot-time clock, in nanoseconds."},
		{"ns_pid", "integer", "events", true, "Process id in its own pid namespace."},
		{"uid", "integer", "events", false, "Real user id."},
		{"comm", "text", "events", false, "Name."},
		{"kthread", "flag", "events", true, "It is a kernel thread."},
		{"exited", "flag", "events", true, "It had ended when the event was written."},
		{"exe", "text", "events", true, "Path of its program."},
		{"argv", "list", "events", true, "Its arguments: as many whole ones as fit into 4096 bytes."},
		{"argc", "integer", "events", true, "Count of its arguments, where argv does not hold all."},
		{"argv_cut", "flag", "events", true, "argv does not hold all."},
		{"parent", "object", "events", true, "Key of its own parent; on the last of a chain that is not whole."},
		{"parent.pid", "integer", "events", false, "That parent's pid."},
		{"parent.start", "integer", "events", false, "That parent's start."},
	})
}

// under puts the fields below a path that ends with a dot; the field without
// a name is the object or list itself.
func under(at string, fields []Field) []Field {
	for i := range fields {
		if fields[i].Path != "" {
			fields[i].Path = at + fields[i].Path
			continue
		}
		p := at[:len(at)-1]
		if n := len(p); n > 2 && p[n-2:] == "[]" {
			p = p[:n-2]
		}
		fields[i].Path = p
	}
	return fields
}
