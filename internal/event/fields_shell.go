package event

import "net/netip"

// shellTypes are the events that can complete a shell's way to a socket.
var shellTypes = TypesOf(Exec, Dup, Connect, Accept)

func shellStr(get func(*Shell) (string, bool)) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		if ev.Shell == nil {
			return "", false
		}
		return get(ev.Shell)
	}}
}

func shellNum(get func(*Shell) (int64, bool)) source {
	return source{num: func(ev *Event, _ *Ref) (int64, bool) {
		if ev.Shell == nil {
			return 0, false
		}
		return get(ev.Shell)
	}}
}

// shellProc takes something of the shell's process.
func shellProc(get func(*Process) string) source {
	return shellStr(func(s *Shell) (string, bool) {
		if s.Proc == nil {
			return "", false
		}
		return nonEmpty(get(s.Proc))
	})
}

func shellRelays(get func(*ShellHop) string) source {
	return source{
		str: func(ev *Event, r *Ref) (string, bool) {
			if ev.Shell == nil {
				return "", false
			}
			if h := ev.Shell.relay(r.index); h != nil {
				return nonEmpty(get(h))
			}
			return "", false
		},
		list: func(ev *Event, _ *Ref, dst []string) []string {
			if ev.Shell == nil {
				return dst
			}
			for n := 0; ; n++ {
				h := ev.Shell.relay(n)
				if h == nil {
					return dst
				}
				dst = append(dst, get(h))
			}
		},
	}
}

// Peer gives the address at the other end of what a shell's input and output lead to,
// "" where they lead to none.
func (s *Shell) Peer() string {
	if w := s.first(); w != nil {
		return w.Remote
	}
	return ""
}

// shellRemote writes the other end, the address alone or with the port.
func shellRemote(port bool) func(*Event, *Ref, []byte) ([]byte, bool) {
	return func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
		if ev.Shell == nil {
			return dst, false
		}
		w := ev.Shell.first()
		if w == nil || w.Remote == "" {
			return dst, false
		}
		if !port {
			return append(dst, w.Remote...), true
		}
		return w.appendRemote(dst), true
	}
}

// shellFields tell what a shell's input and output lead to.
func shellFields() []Field {
	out := []Field{
		{Name: "bc.shell.chain", Doc: "the ways from a shell's input and output to internet sockets, such as bash[812] <-pipe- nc[811] <-tcp- 203.0.113.1:7777",
			src: source{text: func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
				if ev.Shell == nil {
					return dst, false
				}
				return ev.Shell.AppendChain(dst), true
			}}},
		{Name: "bc.shell.remote", Doc: "address and port at the end of the way that the input comes, or else the output goes", src: source{text: shellRemote(true)}},
		{Name: "bc.shell.remote_ip", Type: FieldIP, Doc: "the address of bc.shell.remote", src: source{
			text: shellRemote(false),
			addrs: func(ev *Event, dst []netip.Addr) []netip.Addr {
				if ev.Shell == nil {
					return dst
				}
				if w := ev.Shell.first(); w != nil {
					if a, ok := (end{w.Remote, 0}).addr(); ok {
						dst = append(dst, a)
					}
				}
				return dst
			}}},
		{Name: "bc.shell.remote_port", Type: FieldPort, Doc: "the port of bc.shell.remote",
			src: shellNum(func(s *Shell) (int64, bool) {
				w := s.first()
				return int64(w.RemotePort), w.RemotePort != 0
			})},
		{Name: "bc.shell.via", Doc: "what joins the shell to the next of the chain: socket, pipe, fifo, socketpair or pty",
			src: shellStr(func(s *Shell) (string, bool) { return s.first().Via(), true })},
		{Name: "bc.shell.both_ways", Type: FieldBool, Doc: "input and output both lead to a socket",
			src: shellNum(func(s *Shell) (int64, bool) { return boolNum(s.BothWays()), true })},
		{Name: "bc.shell.in", Type: FieldBool, Doc: "the input comes from a socket",
			src: shellNum(func(s *Shell) (int64, bool) { return boolNum(s.In != nil), true })},
		{Name: "bc.shell.out", Type: FieldBool, Doc: "the output goes to a socket",
			src: shellNum(func(s *Shell) (int64, bool) { return boolNum(s.Out != nil), true })},
		{Name: "bc.shell.inbound", Type: FieldBool, Doc: "the connection was accepted, not made",
			src: shellNum(func(s *Shell) (int64, bool) { return boolNum(s.first().Inbound), true })},
		{Name: "bc.shell.confirmed", Type: FieldBool, Doc: "the descriptors of the processes were looked at and agree; without it only events tell",
			src: shellNum(func(s *Shell) (int64, bool) { return boolNum(s.Confirmed), true })},
		{Name: "bc.shell.relay", Arg: ArgOptionalIndex, List: true, Doc: "names of the processes between shell and socket, nearest first", src: shellRelays(func(h *ShellHop) string { return h.Name })},
		{Name: "bc.shell.relay_exe", Arg: ArgOptionalIndex, List: true, Doc: "programs of the processes between shell and socket, nearest first", src: shellRelays(func(h *ShellHop) string { return h.Exe })},
		{Name: "bc.shell.pid", Type: FieldUint, Doc: "the shell, which is not always the event's process",
			src: shellNum(func(s *Shell) (int64, bool) { return int64(shellPid(s.Proc)), s.Proc != nil })},
		{Name: "bc.shell.name", Doc: "the shell's name", src: shellProc(func(p *Process) string { return p.Comm })},
		{Name: "bc.shell.cmdline", Doc: "the shell's name and arguments", src: shellProc(func(p *Process) string { return p.Cmdline })},
		{Name: "bc.shell.exepath", Doc: "the shell's program", src: shellProc(func(p *Process) string {
			if p.Image == nil {
				return ""
			}
			return p.Image.Exe.Path
		})},
	}
	for i := range out {
		out[i].Events = shellTypes
	}
	return out
}
