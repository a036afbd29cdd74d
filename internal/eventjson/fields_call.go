package eventjson

// callFields are the members of a call.
func callFields() []Field {
	at := "call."
	out := under(at, []Field{
		{"", "object", "calls", true, "The system call, or the same operation by another way."},
		{"name", "text", "calls", true, "Its name, such as openat."},
		{"ret", "integer", "calls", false, "What it returned; a negative error number where it failed."},
		{"errno", "text", "calls", true, "Name of the error, such as ENOENT."},
		{"via", "text", "calls", true, "io_uring where it came through a ring."},
		{"compat", "flag", "calls", true, "It was a 32-bit call."},
		{"args", "object", "calls", true, "Arguments by name, but for paths, texts, addresses and memory; flags in words."},
		{"raw", "list", "calls", false, "All six arguments as the registers held them, as text such as \"0x1f\"."},
	})
	for _, name := range []string{"path", "path2"} {
		what := "The file that the call names."
		if name == "path2" {
			what = "The second one, of rename, link, mount and the like."
		}
		out = append(out, under(at+name+".", append([]Field{
			{"", "object", "calls", true, what},
			{"raw", "text", "calls", true, "The path as the caller passed it."},
			{"raw_cut", "flag", "calls", true, "That was too long, or could not be read whole."},
			{"resolved", "flag", "calls", true, "path is the kernel's own; otherwise it is made of its directory and the raw path."},
			{"created", "flag", "calls", true, "The call made the file."},
		}, fileFields()...))...)
	}
	for _, name := range []string{"fd", "fd2"} {
		what := "The descriptor that the call made or was given."
		if name == "fd2" {
			what = "The second one: what was dup'ed, a pipe's write end, the listening socket."
		}
		out = append(out, under(at+name+".", append(append([]Field{
			{"", "object", "calls", true, what},
			{"num", "integer", "calls", false, "Its number."},
			{"kind", "text", "calls", false, "What it is: closed, file, dir, pipe, fifo, tty, pty, socket, null, char, block or anon."},
		}, fileFields()...), socketFields("socket", "Its socket.")...))...)
	}
	out = append(out, under(at, socketFields("addr", "The address that the caller passed, as remote."))...)
	return append(append(out, under(at, partFields())...), callCreds()...)
}

func fileFields() []Field {
	return []Field{
		{"path", "text", "calls", true, "Its absolute path in the process's mount namespace; memfd:NAME for a memfd."},
		{"root_path", "text", "calls", true, "Its path as seen from the process's root, where that differs."},
		{"host_path", "text", "calls", true, "Its path in the host's mount namespace, where the process is in another one and the host sees the file."},
		{"unreachable", "flag", "calls", true, "It cannot be reached from the process's root."},
		{"path_cut", "flag", "calls", true, "The path was too long: its leading components are missing."},
		{"dev", "device", "calls", true, "Its device."},
		{"inode", "integer", "calls", true, "Its inode; both ends of a pipe have the same."},
		{"nlink", "integer", "calls", true, "How many names it has."},
		{"mode", "octal", "calls", true, "Type and permission bits as in stat(2)."},
		{"uid", "integer", "calls", true, "Its owner."},
		{"gid", "integer", "calls", true, "Its group."},
		{"memfd", "flag", "calls", true, "It lives in memory only (memfd_create)."},
		{"deleted", "flag", "calls", true, "It has no name any more."},
		{"overlay", "flag", "calls", true, "It is on overlayfs."},
		{"upper", "flag", "calls", true, "It is in the upper, writable layer."},
	}
}

// socketFields describe a socket under a name.
func socketFields(name, doc string) []Field {
	out := []Field{{name, "object", "calls", true, doc}}
	for _, f := range []Field{
		{"family", "text", "calls", true, "ipv4, ipv6, unix, netlink, packet, vsock or a number."},
		{"proto", "text", "calls", true, "tcp, udp, icmp, raw …"},
		{"type", "text", "calls", true, "stream, dgram, raw or seqpacket."},
		{"local", "text", "calls", true, "Local address, or a unix path (@ begins an abstract one)."},
		{"local_port", "integer", "calls", true, "Local port."},
		{"remote", "text", "calls", true, "Remote address."},
		{"remote_port", "integer", "calls", true, "Remote port."},
		{"remote_name", "text", "calls", true, "Name that led to the remote address, from a DNS answer."},
		{"state", "text", "calls", true, "TCP state."},
	} {
		f.Path = name + "." + f.Path
		out = append(out, f)
	}
	return out
}

func partFields() []Field {
	return []Field{
		{"target", "object", "calls", true, "The process that the call acts on."},
		{"target.pid", "integer", "calls", false, "Its pid."},
		{"target.start", "integer", "calls", false, "Its start."},
		{"target.comm", "text", "calls", false, "Its name."},
		{"target.exe", "text", "calls", true, "Path of its program."},
		{"text", "text", "calls", true, "A name that the caller passed and that is no path: of a memfd, an attribute, a module."},
		{"text2", "text", "calls", true, "The second one, such as the type of the file system that is mounted."},
		{"dns", "object", "dns", true, "The message."},
		{"dns.id", "integer", "dns", false, "Its number, the same in query and answer."},
		{"dns.response", "flag", "dns", true, "It is an answer."},
		{"dns.name", "text", "dns", false, "Name asked for."},
		{"dns.type", "text", "dns", false, "Type asked for, such as A."},
		{"dns.rcode", "text", "dns", true, "Result of an answer, such as NXDOMAIN."},
		{"dns.answers", "list", "dns", true, "Records of an answer."},
		{"dns.answers[].name", "text", "dns", false, "Name of the record."},
		{"dns.answers[].type", "text", "dns", false, "Its type."},
		{"dns.answers[].ttl", "integer", "dns", false, "How long it holds, in seconds."},
		{"dns.answers[].data", "text", "dns", false, "An address, a name, a text, or hexadecimal digits."},
		{"dns.latency_ns", "integer", "dns", true, "From the query to this answer, in nanoseconds."},
		{"dns.tcp", "flag", "dns", true, "It went over TCP."},
		{"dns.cut", "flag", "dns", true, "The capture ended before the message, or the message makes no sense."},
		{"bpf", "object", "bpf", true, "What is loaded, attached or pinned."},
		{"bpf.cmd", "text", "bpf", false, "Command, such as BPF_PROG_LOAD."},
		{"bpf.prog_type", "text", "bpf", true, "Type of a program that is loaded."},
		{"bpf.attach_type", "text", "bpf", true, "Number of its attach type."},
		{"bpf.name", "text", "bpf", true, "Name of the program."},
		{"bpf.insns", "integer", "bpf", true, "How many instructions it has."},
		{"bpf.helpers", "list", "bpf", true, "Numbers of the helpers that it calls."},
		{"bpf.scan_cut", "flag", "bpf", true, "It was longer than what was looked at, or calls more helpers than are told."},
		{"bpf.path", "text", "bpf", true, "Where an object is pinned."},
		{"tcp", "object", "tcp", true, "The change of state."},
		{"tcp.old", "text", "tcp", false, "State before."},
		{"tcp.new", "text", "tcp", false, "State now."},
		{"tcp.sent", "integer", "tcp", true, "Bytes sent, at the end."},
		{"tcp.received", "integer", "tcp", true, "Bytes received, at the end."},
		{"tcp.duration_ns", "integer", "tcp", true, "How long the connection lasted, at its end."},
		{"old_cred", "object", "calls", true, "Credentials before a call that changes them, as far as they are known."},
		{"new_cred", "object", "calls", true, "Credentials after it."},
	}
}

func callCreds() []Field {
	var out []Field
	for _, at := range []string{"call.old_cred.", "call.new_cred."} {
		for _, f := range credFields(at) {
			f.In = "calls"
			out = append(out, f)
		}
	}
	return out
}
