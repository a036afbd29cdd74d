package event

import (
	"slices"
	"strconv"
)

// Shell is what the standard input and output of a shell or interpreter lead
// to, through other processes or not. An event carries it where it completes a
// way to an internet socket: the shell's exec, a dup onto its descriptors, or
// the connect of a process that hands on what the shell reads or writes.
type Shell struct {
	// Proc is the shell, which is not always the event's process.
	Proc *Process
	// In is the way that its input comes, Out the way that its output goes;
	// at least one is set.
	In, Out *ShellWay
	// Confirmed says that the kernel's descriptors were looked at and agree;
	// without it only events tell, as where the processes have gone already.
	Confirmed bool
}

// ShellWay leads from a shell to a socket.
type ShellWay struct {
	// Hops are the processes between, nearest first; none where the socket is
	// the shell's own descriptor.
	Hops []ShellHop
	// Remote and RemotePort are the socket's other end, Proto is "tcp", "udp" …
	Remote     string
	RemotePort uint16
	Proto      string
	// Inbound is true where the connection was accepted, not made.
	Inbound bool
}

// ShellHop is a process that hands on what a shell reads or writes.
type ShellHop struct {
	// Via joins it to the hop before, or to the shell: "pipe", "fifo",
	// "socketpair" or "pty".
	Via string
	Key
	// Name and Exe are the process's name and program.
	Name, Exe string
}

// Via is how the way leaves the shell: "socket" where there is no hop.
func (w *ShellWay) Via() string {
	if len(w.Hops) == 0 {
		return "socket"
	}
	return w.Hops[0].Via
}

// first is the way that the input comes, or else that of the output.
func (s *Shell) first() *ShellWay {
	if s.In != nil {
		return s.In
	}
	return s.Out
}

// BothWays reports whether input and output both lead to a socket.
func (s *Shell) BothWays() bool { return s.In != nil && s.Out != nil }

// relay returns the n-th process of both ways, each counted once; nil where
// there are fewer.
func (s *Shell) relay(n int) *ShellHop {
	if w := s.In; w != nil {
		if n < len(w.Hops) {
			return &w.Hops[n]
		}
		n -= len(w.Hops)
	}
	if w := s.Out; w != nil {
		for i := range w.Hops {
			h := &w.Hops[i]
			if s.In != nil && slices.ContainsFunc(s.In.Hops, func(x ShellHop) bool { return x.Key == h.Key }) {
				continue
			}
			if n == 0 {
				return h
			}
			n--
		}
	}
	return nil
}

// AppendChain appends the ways as text, such as
// "bash[812] <-pipe- nc[811] <-tcp- 203.0.113.1:7777, -pipe-> nc[813] -tcp-> 203.0.113.1:8888".
// Where output goes the way that input comes, the way stands once, with <->.
func (s *Shell) AppendChain(dst []byte) []byte {
	dst = appendHop(dst, shellName(s.Proc), shellPid(s.Proc))
	if s.In != nil && s.Out != nil && sameWay(s.In, s.Out) {
		return s.In.append(dst, " <-", "-> ")
	}
	if s.In != nil {
		dst = s.In.append(dst, " <-", "- ")
	}
	if s.Out != nil {
		if s.In != nil {
			dst = append(dst, ',')
		}
		dst = s.Out.append(dst, " -", "-> ")
	}
	return dst
}

func (w *ShellWay) append(dst []byte, left, right string) []byte {
	for i := range w.Hops {
		h := &w.Hops[i]
		dst = append(append(append(dst, left...), h.Via...), right...)
		dst = appendHop(dst, h.Name, h.Pid)
	}
	proto := w.Proto
	if proto == "" {
		proto = "socket"
	}
	dst = append(append(append(dst, left...), proto...), right...)
	return w.appendRemote(dst)
}

func (w *ShellWay) appendRemote(dst []byte) []byte {
	if w.Remote == "" {
		return append(dst, '?')
	}
	return end{w.Remote, w.RemotePort}.append(dst)
}

func appendHop(dst []byte, name string, pid uint32) []byte {
	dst = append(append(dst, name...), '[')
	return append(strconv.AppendUint(dst, uint64(pid), 10), ']')
}

func shellName(p *Process) string {
	if p == nil {
		return "?"
	}
	return p.Comm
}

func shellPid(p *Process) uint32 {
	if p == nil {
		return 0
	}
	return p.Pid
}

func sameWay(a, b *ShellWay) bool {
	return slices.EqualFunc(a.Hops, b.Hops, func(x, y ShellHop) bool { return x.Key == y.Key && x.Via == y.Via }) &&
		a.Remote == b.Remote && a.RemotePort == b.RemotePort && a.Proto == b.Proto
}
