package task

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// Holder is a descriptor of a process.
type Holder struct {
	Proc *event.Process
	Num  int32
}

// Socket is a socket and who holds it.
type Socket struct {
	Inode   uint64
	Sock    *event.Socket
	Holders []Holder
	// State is what AddStates found, nil for none.
	State *host.SocketState
	queue *call.SocketQueue
}

// Sockets joins descriptors to sockets, in the order of family, protocol, ports and
// addresses. The sockets are those of the files that were kept, and who holds them is
// looked for in all files. Sockets that no process holds (any more) are not among them.
func Sockets(all, kept []File) []Socket {
	wanted := map[uint64]bool{}
	for _, f := range kept {
		if f.FD.Sock != nil {
			wanted[f.FD.Inode()] = true
		}
	}
	at := map[uint64]int{}
	var out []Socket
	for _, f := range all {
		n := f.FD.Inode()
		if f.FD.Sock == nil || !wanted[n] {
			continue
		}
		i, ok := at[n]
		if !ok {
			i = len(out)
			at[n] = i
			out = append(out, Socket{Inode: n, Sock: f.FD.Sock, queue: f.Queue})
		}
		out[i].Holders = append(out[i].Holders, Holder{f.Proc, f.FD.Num})
	}
	slices.SortFunc(out, func(a, b Socket) int {
		x, y := a.Sock, b.Sock
		return cmp.Or(cmp.Compare(x.Family, y.Family), cmp.Compare(x.Proto, y.Proto), cmp.Compare(x.LocalPort, y.LocalPort),
			cmp.Compare(x.Local, y.Local), cmp.Compare(x.Remote, y.Remote), cmp.Compare(x.RemotePort, y.RemotePort), cmp.Compare(a.Inode, b.Inode))
	})
	return out
}

// AddStates asks sock_diag for queues and more of TCP, UDP and unix sockets, once in each
// network namespace that a process lives in, and says in Notes what it did not tell. Those
// of other sockets came with the list of files.
func (s *Snapshot) AddStates(sockets []Socket) {
	const most = 8 // processes to try, should some end meanwhile
	spaces := map[uint64][]int{}
	for _, p := range s.procs {
		if p.NS != nil && p.NS.Net != 0 && len(spaces[uint64(p.NS.Net)]) < most {
			spaces[uint64(p.NS.Net)] = append(spaces[uint64(p.NS.Net)], int(p.Pid))
		}
	}
	states, notes := host.ReadSocketStates(spaces)
	s.Notes = append(s.Notes, notes...)
	without := 0
	for i := range sockets {
		x := &sockets[i]
		var ns uint64
		if n := x.Holders[0].Proc.NS; n != nil {
			ns = uint64(n.Net)
		}
		x.State = states.Of(x.Inode, ns)
		switch q := x.queue; {
		case x.State != nil:
		case q != nil:
			x.State = &host.SocketState{NetNS: uint64(q.NetNS), Receive: uint64(q.Receive), Send: uint64(q.Send), Drops: uint64(q.Drops)}
		case hasState(x.Sock):
			without++
		}
	}
	if without > 0 && len(notes) == 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("the queues of %d sockets are not known: they were closed meanwhile, or are in network namespaces that no process lives in", without))
	}
}

// hasState reports whether the kernel has a socket in the lists that it tells queues from:
// one of TCP or UDP is in them while it has a port.
func hasState(s *event.Socket) bool {
	switch s.Family {
	case "ipv4", "ipv6":
		return (s.Proto == "tcp" && s.State != "close" || s.Proto == "udp") && s.LocalPort != 0
	}
	return s.Family == "unix"
}

// Pipe is a pipe or a FIFO and who holds which end.
type Pipe struct {
	Inode uint64
	// Path is set for a FIFO.
	Path             string
	Readers, Writers []Holder
}

// Pipes joins descriptors to pipes, in the order of their inodes.
func Pipes(files []File) []Pipe {
	type key struct {
		inode uint64
		path  string
	}
	at := map[key]int{}
	var out []Pipe
	for _, f := range files {
		if f.FD.Kind != event.StdioPipe && f.FD.Kind != event.StdioFifo {
			continue
		}
		k := key{f.FD.Inode(), f.FD.File.Path}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Pipe{Inode: k.inode, Path: k.path})
		}
		h := Holder{f.Proc, f.FD.Num}
		if f.Read {
			out[i].Readers = append(out[i].Readers, h)
		}
		if f.Write {
			out[i].Writers = append(out[i].Writers, h)
		}
	}
	slices.SortFunc(out, func(a, b Pipe) int { return cmp.Or(cmp.Compare(a.Inode, b.Inode), cmp.Compare(a.Path, b.Path)) })
	return out
}

// Children lists the processes below each pid, in their order; those whose parent is
// not in the list stand below 0.
func Children(procs []*event.Process) map[uint32][]*event.Process {
	here := map[uint32]bool{}
	for _, p := range procs {
		here[p.Pid] = true
	}
	out := map[uint32][]*event.Process{}
	for _, p := range procs {
		parent := p.PPid
		if p.Parent != nil && p.Parent.Alive() {
			parent = p.Parent.Pid
		}
		if !here[parent] || parent == p.Pid {
			parent = 0
		}
		out[parent] = append(out[parent], p)
	}
	return out
}
