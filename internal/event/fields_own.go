package event

import "strings"

// ownProcessFields are Bearcat's own fields about the program that runs.
func ownProcessFields() []Field {
	str := func(get func(*Image) string) source {
		return imageStr(func(i *Image) (string, bool) { return nonEmpty(get(i)) }).at(0)
	}
	num := func(get func(*Image) int64) source {
		return imageNum(func(i *Image) (int64, bool) { return get(i), true }).at(0)
	}
	flag := func(get func(*Image) bool) source { return imageFlag(get).at(0) }
	ns := func(get func(*Namespaces) uint32) source {
		return numAttr(func(p *Process) (int64, bool) {
			if p.NS == nil {
				return 0, false
			}
			return nonZero(get(p.NS))
		}).at(0)
	}
	proc := func(get func(*Process) bool) source {
		return numAttr(func(p *Process) (int64, bool) { return boolNum(get(p)), true }).at(0)
	}
	return []Field{
		{Name: "bc.proc.argc", Type: FieldUint, Doc: "the kernel's count of arguments", src: num(func(i *Image) int64 { return int64(i.Argc) })},
		{Name: "bc.proc.argv", Arg: ArgOptionalIndex, List: true, Doc: "one argument, or the list of all, with their boundaries kept", src: argvSource()},
		{Name: "bc.proc.argv_cut", Type: FieldBool, Doc: "arguments are missing: there were more than the limit allows", src: flag(func(i *Image) bool { return i.ArgvCut })},
		{Name: "bc.proc.script", Doc: "absolute path of the script that the interpreter runs", src: str(func(i *Image) string { return i.Script })},
		{Name: "bc.proc.interp", Doc: "interpreter as the script's first line names it", src: str(func(i *Image) string { return i.Interp })},
		{Name: "bc.proc.filename", Doc: "name of the program as the caller typed it", src: str(func(i *Image) string { return i.Filename })},
		{Name: "bc.proc.rootpath", Doc: "path of the program as seen from the process's own root", src: str(rootPath)},
		{Name: "bc.proc.exe_deleted", Type: FieldBool, Doc: "the program's file has no name any more", src: flag(func(i *Image) bool { return i.Exe.Deleted })},
		{Name: "bc.proc.exe_unreachable", Type: FieldBool, Doc: "the program's file lies outside the process's root", src: flag(func(i *Image) bool { return i.Exe.Unreachable })},
		{Name: "bc.proc.exe_nlink", Type: FieldUint, Doc: "number of names of the program's file", src: num(func(i *Image) int64 { return int64(i.Exe.Nlink) })},
		{Name: "bc.proc.exe_mode", Type: FieldUint, Doc: "permission bits of the program's file, as a number", src: num(func(i *Image) int64 { return int64(i.Exe.Mode & 0o7777) })},
		{Name: "bc.proc.exe_uid", Type: FieldUint, Doc: "owner of the program's file", src: num(func(i *Image) int64 { return int64(i.Exe.UID) })},
		{Name: "bc.proc.exe_gid", Type: FieldUint, Doc: "group of the program's file", src: num(func(i *Image) int64 { return int64(i.Exe.GID) })},
		{Name: "bc.proc.exe_dev", Type: FieldUint, Doc: "device of the program's file: major << 32 | minor", src: num(func(i *Image) int64 { return int64(i.Exe.Dev) })},
		{Name: "bc.proc.kthread", Type: FieldBool, Doc: "the process is a kernel thread", src: proc(func(p *Process) bool { return p.KThread })},
		{Name: "bc.proc.seeded", Type: FieldBool, Doc: "the process was there before the agent started", src: proc(func(p *Process) bool { return p.Seeded })},
		{Name: "bc.proc.tty_name", Doc: "name of the controlling terminal, such as pts3",
			src: strAttr(func(p *Process) (string, bool) { return nonEmpty(p.Tty.Name) }).at(0)},
		{Name: "bc.ns.pid", Type: FieldUint, Doc: "pid namespace", src: ns(func(n *Namespaces) uint32 { return n.Pid })},
		{Name: "bc.ns.mnt", Type: FieldUint, Doc: "mount namespace", src: ns(func(n *Namespaces) uint32 { return n.Mnt })},
		{Name: "bc.ns.net", Type: FieldUint, Doc: "network namespace", src: ns(func(n *Namespaces) uint32 { return n.Net })},
		{Name: "bc.ns.uts", Type: FieldUint, Doc: "host name namespace", src: ns(func(n *Namespaces) uint32 { return n.Uts })},
		{Name: "bc.ns.user", Type: FieldUint, Doc: "user namespace", src: ns(func(n *Namespaces) uint32 { return n.User })},
		{Name: "bc.ns.cgroup", Type: FieldUint, Doc: "control group namespace", src: ns(func(n *Namespaces) uint32 { return n.Cgroup })},
		{Name: "bc.ns.ipc", Type: FieldUint, Doc: "IPC namespace", src: ns(func(n *Namespaces) uint32 { return n.IPC })},
		{Name: "bc.node", Doc: "host name inside the process's UTS namespace", src: strAttr(func(p *Process) (string, bool) { return nonEmpty(p.Node) }).at(0)},
	}
}

func rootPath(i *Image) string {
	if i.Exe.RootPath != "" {
		return i.Exe.RootPath
	}
	return i.Exe.Path
}

func argvSource() source {
	return source{
		str: func(ev *Event, r *Ref) (string, bool) {
			if ev.Proc == nil || ev.Proc.Image == nil || r.index >= len(ev.Proc.Image.Argv) {
				return "", false
			}
			return ev.Proc.Image.Argv[r.index], true
		},
		list: func(ev *Event, _ *Ref, dst []string) []string {
			if ev.Proc == nil || ev.Proc.Image == nil {
				return dst
			}
			return append(dst, ev.Proc.Image.Argv...)
		},
	}
}

// stdioStr makes a source of one attribute of file descriptor n.
func stdioStr(n int, get func(*Stdio) (string, bool)) source {
	return imageStr(func(i *Image) (string, bool) { return get(&i.Stdio[n]) }).at(0)
}

// stdioType names the kind as Falco's fd.type does.
func stdioType(s *Stdio) (string, bool) {
	switch s.Kind {
	case StdioClosed:
		return "", false
	case StdioDir:
		return "directory", true
	case StdioPipe, StdioFifo:
		return "pipe", true
	case StdioSocket:
		if s.Sock == nil {
			return "", false
		}
		return nonEmpty(s.Sock.Family)
	case StdioAnon:
		return anonType(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(s.Path, "anon_inode:"), "["), "]"))
	}
	return "file", true
}

// anonType names what has no file: eventfd, [perf_event], bpf-prog and so on.
func anonType(kind string) (string, bool) {
	switch {
	case kind == "eventfd":
		return "event", true
	case strings.HasPrefix(kind, "bpf"):
		return "bpf", true
	}
	return nonEmpty(kind)
}

func stdioName(s *Stdio) (string, bool) {
	if s.Kind == StdioSocket && s.Sock != nil {
		return nonEmpty(s.Sock.Remote)
	}
	return nonEmpty(s.Path)
}

// ownStdioFields describe file descriptors 0, 1 and 2 at exec time.
func ownStdioFields() []Field {
	var out []Field
	for n, fd := range []string{"bc.fd0.", "bc.fd1.", "bc.fd2."} {
		sock := func(get func(*Socket) string) source {
			return stdioStr(n, func(s *Stdio) (string, bool) {
				if s.Sock == nil {
					return "", false
				}
				return nonEmpty(get(s.Sock))
			})
		}
		port := func(get func(*Socket) uint16) source {
			return imageNum(func(i *Image) (int64, bool) {
				s := i.Stdio[n].Sock
				if s == nil {
					return 0, false
				}
				return int64(get(s)), get(s) != 0
			}).at(0)
		}
		out = append(out,
			Field{Name: fd + "kind", Doc: "closed, file, dir, pipe, fifo, tty, pty, socket, null, char, block or anon",
				src: stdioStr(n, func(s *Stdio) (string, bool) { return s.Kind.String(), true })},
			Field{Name: fd + "path", Doc: "canonical path; absent for pipes and sockets", src: stdioStr(n, func(s *Stdio) (string, bool) { return nonEmpty(s.Path) })},
			Field{Name: fd + "inode", Type: FieldUint, Doc: "inode number", src: imageNum(func(i *Image) (int64, bool) { return nonZero(i.Stdio[n].Inode) }).at(0)},
			Field{Name: fd + "remote", Doc: "the socket's other end: an IP address, or a unix path", src: sock(func(s *Socket) string { return s.Remote })},
			Field{Name: fd + "rport", Type: FieldPort, Doc: "port of the other end", src: port(func(s *Socket) uint16 { return s.RemotePort })},
			Field{Name: fd + "local", Doc: "the socket's own address", src: sock(func(s *Socket) string { return s.Local })},
			Field{Name: fd + "lport", Type: FieldPort, Doc: "the socket's own port", src: port(func(s *Socket) uint16 { return s.LocalPort })},
			Field{Name: fd + "family", Doc: "ipv4, ipv6, unix, netlink, packet or vsock", src: sock(func(s *Socket) string { return s.Family })},
			Field{Name: fd + "proto", Doc: "tcp, udp, icmp or raw; absent for unix sockets", src: sock(func(s *Socket) string { return s.Proto })},
			Field{Name: fd + "state", Doc: "state of a TCP socket, such as established", src: sock(func(s *Socket) string { return s.State })},
		)
	}
	return out
}

// ownEventFields are Bearcat's own fields about one type of event.
func ownEventFields() []Field {
	execImage := func(get func(*Image) bool) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Type != Exec || ev.Proc == nil || ev.Proc.Image == nil {
				return 0, false
			}
			return boolNum(get(ev.Proc.Image)), true
		}}
	}
	exec := func(get func(*ExecInfo) (int64, bool)) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Type != Exec || ev.ExecInfo == nil {
				return 0, false
			}
			return get(ev.ExecInfo)
		}}
	}
	exit := func(get func(*ExitInfo) int64) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Type != Exit || ev.ExitInfo == nil {
				return 0, false
			}
			return get(ev.ExitInfo), true
		}}
	}
	gap := func(get func(*GapInfo) int64) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Type != Gap || ev.GapInfo == nil {
				return 0, false
			}
			return get(ev.GapInfo), true
		}}
	}
	limit := TypesOf(Limit)
	x, e, g := TypesOf(Exec), TypesOf(Exit), TypesOf(Gap)
	return []Field{
		{Name: "bc.exec.setuid", Type: FieldBool, Events: x, Doc: "the exec gained another effective uid", src: execImage(func(i *Image) bool { return i.SetUID })},
		{Name: "bc.exec.setgid", Type: FieldBool, Events: x, Doc: "the exec gained another effective gid", src: execImage(func(i *Image) bool { return i.SetGID })},
		{Name: "bc.exec.filecaps", Type: FieldBool, Events: x, Doc: "the exec gained capabilities by the file's attribute", src: execImage(func(i *Image) bool { return i.FileCaps })},
		{Name: "bc.exec.secure", Type: FieldBool, Events: x, Doc: "the loader ignores LD_PRELOAD and its like (AT_SECURE)", src: execImage(func(i *Image) bool { return i.SecureExec })},
		{Name: "bc.exec.at", Type: FieldBool, Events: x, Doc: "the program was named by a file descriptor (execveat)", src: exec(func(i *ExecInfo) (int64, bool) { return boolNum(i.At), true })},
		{Name: "bc.exec.thread", Type: FieldBool, Events: x, Doc: "a thread other than the main one called exec", src: exec(func(i *ExecInfo) (int64, bool) { return boolNum(i.OldTid != 0), true })},
		{Name: "bc.exec.old_uid", Type: FieldUint, Events: x, Doc: "real user id before the exec", src: exec(func(i *ExecInfo) (int64, bool) { return int64(i.OldCred.UID), i.OldCredKnown })},
		{Name: "bc.exec.old_euid", Type: FieldUint, Events: x, Doc: "effective user id before the exec", src: exec(func(i *ExecInfo) (int64, bool) { return int64(i.OldCred.EUID), i.OldCredKnown })},
		{Name: "bc.exec.old_exepath", Events: x, Doc: "program that ran in the process before", src: source{str: oldExepath}},
		{Name: "bc.exec.flags", Type: FieldFlags, Events: x, Doc: "what is special about the program's file: the same as evt.arg.flags of execve",
			src: source{bits: execFlags, flags: &FlagSet{Sep: "|", Names: []string{"EXE_WRITABLE", "EXE_UPPER_LAYER", "EXE_FROM_MEMFD", "EXE_LOWER_LAYER"}}}},
		{Name: "bc.proc.old_comm", Events: TypesOf(Comm), Doc: "the name before it was changed",
			src: source{str: func(ev *Event, _ *Ref) (string, bool) { return nonEmpty(ev.OldComm) }}},
		{Name: "bc.exit.code", Type: FieldInt, Events: e, Doc: "exit status, 0 to 255", src: exit(func(i *ExitInfo) int64 { return int64(i.Code) })},
		{Name: "bc.exit.signal", Type: FieldInt, Events: e, Doc: "signal that ended the process, or 0", src: exit(func(i *ExitInfo) int64 { return int64(i.Signal) })},
		{Name: "bc.exit.core", Type: FieldBool, Events: e, Doc: "the kernel wrote a core", src: exit(func(i *ExitInfo) int64 { return boolNum(i.CoreDumped) })},
		{Name: "bc.exit.duration", Type: FieldDuration, Events: e, Doc: "from the start of the process to its end", src: exit(func(i *ExitInfo) int64 { return int64(i.Duration) })},
		{Name: "bc.exit.cputime", Type: FieldDuration, Events: e, Doc: "processor time of all threads", src: exit(func(i *ExitInfo) int64 { return int64(i.CPUTime) })},
		{Name: "bc.exit.maxrss", Type: FieldUint, Events: e, Doc: "largest resident set in bytes", src: exit(func(i *ExitInfo) int64 { return int64(i.MaxRSS) })},
		{Name: "bc.limit.level", Type: FieldInt, Events: limit, Doc: "how far the agent has gone to keep to its processor time: 0 for not at all", src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Type != Limit || ev.LimitInfo == nil {
				return 0, false
			}
			return int64(ev.LimitInfo.Level), true
		}}},
		{Name: "bc.limit.left_out", Events: limit, Doc: "what is not collected because of it", src: source{str: func(ev *Event, _ *Ref) (string, bool) {
			if ev.Type != Limit || ev.LimitInfo == nil {
				return "", false
			}
			return nonEmpty(ev.LimitInfo.LeftOut)
		}}},
		{Name: "bc.gap.n", Type: FieldUint, Events: g, Doc: "number of lost records", src: gap(func(i *GapInfo) int64 { return int64(i.N) })},
		{Name: "bc.gap.cpu", Type: FieldInt, Events: g, Doc: "processor whose records were lost", src: gap(func(i *GapInfo) int64 { return int64(i.CPU) })},
		{Name: "bc.gap.class", Events: g, Doc: "critical or bulk", src: source{str: func(ev *Event, _ *Ref) (string, bool) {
			if ev.Type != Gap || ev.GapInfo == nil {
				return "", false
			}
			return ev.GapInfo.Class.String(), true
		}}},
	}
}

func oldExepath(ev *Event, _ *Ref) (string, bool) {
	if ev.Type != Exec || ev.ExecInfo == nil || ev.ExecInfo.Old == nil {
		return "", false
	}
	return nonEmpty(ev.ExecInfo.Old.Exe.Path)
}

// credsFields are about processes that became root.
func credsFields() []Field {
	return []Field{
		{Name: "bc.creds.old_uid", Type: FieldUint, Events: TypesOf(Creds), Doc: "real user id before the process became root", src: creds(func(i *CredsInfo) int64 { return int64(i.Old.UID) })},
		{Name: "bc.creds.old_euid", Type: FieldUint, Events: TypesOf(Creds), Doc: "effective user id before", src: creds(func(i *CredsInfo) int64 { return int64(i.Old.EUID) })},
		{Name: "bc.creds.seen", Events: TypesOf(Creds), Doc: "type of the event at which it was noticed, such as exec or open", src: source{str: func(ev *Event, _ *Ref) (string, bool) {
			if ev.Type != Creds || ev.CredsInfo == nil {
				return "", false
			}
			return ev.CredsInfo.Seen.String(), true
		}}},
	}
}

func creds(get func(*CredsInfo) int64) source {
	return source{num: func(ev *Event, _ *Ref) (int64, bool) {
		if ev.Type != Creds || ev.CredsInfo == nil {
			return 0, false
		}
		return get(ev.CredsInfo), true
	}}
}
