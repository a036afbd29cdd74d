package fdgraph

import (
	"net/netip"
	"slices"
)

// view is what a search takes a process to hold.
type view struct {
	holds []hold
	socks []sock
	// ptmx says that it has the other end of some terminal; terminals of
	// which, where the kernel was asked.
	ptmx      bool
	terminals []uint64
	asked     bool
}

// newView returns an empty view, one of an earlier search if there is any.
func (g *Graph) newView() *view {
	if n := len(g.spare); n > 0 {
		v := g.spare[n-1]
		g.spare = g.spare[:n-1]
		return v
	}
	return &view{}
}

// maxSpare bounds the views that are kept for later searches.
const maxSpare = 256

// done gives the views of a search back. Nothing of them may be in use.
func (s *search) done() {
	for key, v := range s.views {
		delete(s.views, key)
		if len(s.g.spare) < maxSpare {
			*v = view{holds: v.holds[:0], socks: v.socks[:0], terminals: v.terminals[:0]}
			s.g.spare = append(s.g.spare, v)
		}
	}
}

// view returns what a process is taken to hold.
func (s *search) view(h *holder) *view {
	if v := s.views[h.key]; v != nil {
		return v
	}
	var v *view
	if s.probe != nil && s.probed < maxProbes {
		s.probed++
		v = s.ask(h)
	}
	if v == nil {
		s.unsure = s.unsure || s.probe != nil
		v = s.supposed(h)
	}
	s.views[h.key] = v
	return v
}

// supposed makes a view of what events told. What only may be leads on where the
// kernel is to be asked, and nowhere where it is not.
func (s *search) supposed(h *holder) *view {
	strict := s.strict || s.probe != nil
	v := s.g.newView()
	v.ptmx = h.ptmx || h.unsure && !strict
	v.holds = append(v.holds, h.stdio[:]...)
	for _, x := range h.held {
		if !strict || !x.maybe {
			v.holds = append(v.holds, x)
		}
	}
	for _, x := range h.socks {
		if !strict || !x.maybe {
			v.socks = append(v.socks, x)
		}
	}
	if !strict && len(v.socks) == 0 && (h.listens || h.unsure) {
		v.socks = append(v.socks, sock{})
	}
	return v
}

// ask makes a view of the kernel's descriptors; nil where they cannot be had.
func (s *search) ask(h *holder) *view {
	fds, ok := s.probe.FDs(h.key.Pid, h.key.Start)
	if !ok {
		return nil
	}
	v := s.g.newView()
	v.asked = true
	unknown := false
	for _, fd := range fds {
		switch {
		case fd.Ptmx:
			v.ptmx, v.terminals = true, append(v.terminals, fd.Terminal)
		case fd.Socket:
			known := false
			for _, c := range h.socks {
				if c.inode == fd.Inode {
					v.socks, known = append(v.socks, c), true
				}
			}
			if s.g.peers[fd.Inode] != 0 {
				v.holds, known = append(v.holds, hold{object: object{kind: pair, id: fd.Inode}, read: true, write: true}), true
			}
			unknown = unknown || !known
		default:
			if x := s.named(h, fd.hold()); x.kind != none {
				v.holds = append(v.holds, x)
			}
		}
	}
	// A process from before the agent that holds no socket and no terminal's other
	// end needs no second look: what it opens from now on is told by events.
	if h.unsure && !v.ptmx && !slices.ContainsFunc(fds, func(fd FD) bool { return fd.Socket }) {
		h.unsure = false
	}
	// A relay may fail at once, as openssl does with a peer that does not speak
	// TLS: that it has closed its connection by now does not undo it.
	for _, c := range h.socks {
		if !c.maybe && c.at != 0 && s.now < c.at+fresh && !slices.Contains(v.socks, c) {
			v.socks, s.unsure = append(v.socks, c), true
		}
	}
	// Of connects that a process repeats only the first may be told
	// (event.ConnectOnce).
	connects := slices.ContainsFunc(h.socks, func(x sock) bool { return !x.inbound && x.at != 0 }) // not its parent
	if unknown && (h.listens || h.unsure || connects) {
		all := s.probe.Inet(h.key.Pid)
		for _, fd := range fds {
			if c, ok := all[fd.Inode]; ok && fd.Socket && !slices.ContainsFunc(v.socks, func(x sock) bool { return x.inode == c.Inode }) {
				// a connect elsewhere would have been seen; the listener may be closed by now
				repeats := slices.ContainsFunc(h.socks, func(x sock) bool { return !x.inbound && x.remote == c.Remote && x.port == c.Port })
				inbound := !repeats && (c.Inbound || h.listens && !h.unsure)
				v.socks = append(v.socks, sock{inode: c.Inode, remote: c.Remote, port: c.Port, proto: c.Proto, inbound: inbound})
			}
		}
	}
	return v
}

// named gives a FIFO the path by which events know it: that of the kernel is
// as the process's own mount namespace has it.
func (s *search) named(h *holder, x hold) hold {
	if x.kind != fifo {
		return x
	}
	for _, known := range append(h.stdio[:], h.held...) {
		if known.kind == fifo && known.id == x.id {
			x.object = known.object
			break
		}
	}
	return x
}

// best picks the connection that counts: TCP before others, one that leaves the
// host before one that does not, and of equal ones the last.
func (v *view) best() *sock {
	var out *sock
	for i := range v.socks {
		if c := &v.socks[i]; out == nil || c.weight() >= out.weight() {
			out = c
		}
	}
	return out
}

func (c *sock) weight() int {
	n := 0
	if c.proto == "tcp" {
		n = 2
	}
	if a, err := netip.ParseAddr(c.remote); err == nil && !a.Unmap().IsLoopback() {
		n++
	}
	return n
}
