package fdgraph

import (
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// direction is that of the data, seen from the shell.
type direction uint8

const (
	inward direction = iota
	outward
)

// search looks for a way from one shell. With a probe it goes by the kernel's
// descriptors, as far as these can be had.
type search struct {
	g      *Graph
	shell  *holder
	probe  Probe // nil to go by events
	strict bool  // leaves out what only may be
	now    uint64
	views  map[event.Key]*view
	probed int
	// unsure is set where a process of the way could not be asked about.
	unsure bool
}

// node is a process on the way, with the one before it.
type node struct {
	h    *holder
	hop  event.ShellHop
	from object // through which it was reached
	prev int    // index of the node before, -1 for the shell
	deep int
}

// way finds the shortest way from the shell's descriptor n to a socket.
func (s *search) way(n int, dir direction) *event.ShellWay {
	start := s.shell.stdio[n]
	switch start.kind {
	case none:
		return nil
	case inet:
		for _, x := range s.shell.socks {
			if x.inode == start.id {
				return finish(nil, 0, &x)
			}
		}
		return nil
	}
	if s.probe == nil && !s.strict && s.g.nowhere(start.object, dir) {
		return nil
	}
	visited := map[event.Key]bool{s.shell.key: true}
	var nodes []node
	nodes = s.beyond(nodes, visited, s.shell, start.object, dir, -1, 1)
	for i := 0; i < len(nodes); i++ {
		x := nodes[i]
		v := s.view(x.h)
		if c := v.best(); c != nil {
			return finish(nodes, i, c)
		}
		if x.deep >= maxDepth {
			continue
		}
		for _, o := range v.holds {
			if o.object == x.from || o.kind == inet || dir == inward && !o.read || dir == outward && !o.write || s.own(o.object) {
				continue
			}
			nodes = s.beyond(nodes, visited, x.h, o.object, dir, i, x.deep+1)
		}
	}
	return nil
}

// own reports whether the shell itself holds an object: who reads the shell's
// output and writes its input hands on nothing from others that write there.
func (s *search) own(o object) bool {
	return s.shell.stdio[0].object == o || s.shell.stdio[1].object == o
}

// beyond adds the processes at the other end of an object.
func (s *search) beyond(nodes []node, visited map[event.Key]bool, from *holder, o object, dir direction, prev, deep int) []node {
	add := func(h *holder) {
		if visited[h.key] || len(visited) > maxVisited {
			return
		}
		visited[h.key] = true
		hop := event.ShellHop{Via: o.kind.String(), Key: h.key}
		if h.proc != nil {
			hop.Name = h.proc.Comm
			if h.proc.Image != nil {
				hop.Exe = h.proc.Image.Exe.Path
			}
		}
		other := o
		if o.kind == pair {
			other.id = s.g.peers[o.id]
		}
		nodes = append(nodes, node{h: h, hop: hop, from: other, prev: prev, deep: deep})
	}
	switch o.kind {
	case pipe, fifo:
		s.holders(o, dir == inward, add)
	case pair:
		if other := s.g.peers[o.id]; other != 0 {
			s.holders(object{kind: pair, id: other}, dir == inward, add)
		}
	case pty:
		s.masters(from, o, add)
	}
	return nodes
}

// holders finds those who write an object, or read it. Those who have it as
// input or output come first: who made a pipe often closes it. An output may be
// shared by all that run in a container, and few of them read it.
func (s *search) holders(o object, write bool, add func(*holder)) {
	var later []*holder
	for _, h := range s.g.holders(o) {
		switch {
		case s.probe == nil && !h.uses(o, write, s.strict):
		case h.onStdio(o):
			if s.viewed(h, o, write) {
				add(h)
			}
		default:
			later = append(later, h)
		}
	}
	for _, h := range later {
		if s.viewed(h, o, write) {
			add(h)
		}
	}
}

// viewed reports whether a process may write an object, or read it, as far as it is
// looked at.
func (s *search) viewed(h *holder, o object, write bool) bool {
	if s.probe == nil {
		return true // holders has looked
	}
	return slices.ContainsFunc(s.view(h).holds, func(x hold) bool { return x.serves(o, write) })
}

// serves reports whether the hold is of an object and for writing it, or reading.
func (x *hold) serves(o object, write bool) bool {
	return (write && x.write || !write && x.read) && x.object == o
}

// uses reports whether events told that a process may write an object, or read it;
// strict leaves out what only may be.
func (h *holder) uses(o object, write, strict bool) bool {
	for i := range h.stdio {
		if h.stdio[i].serves(o, write) {
			return true
		}
	}
	for i := range h.held {
		if x := &h.held[i]; x.serves(o, write) && (!strict || !x.maybe) {
			return true
		}
	}
	return false
}

func (h *holder) onStdio(o object) bool {
	return h.stdio[0].object == o || h.stdio[1].object == o || h.stdio[2].object == o
}

// masters finds who holds the other end of a process's terminal: one of its
// ancestors. The numbers of terminals repeat among containers, so that anybody
// with the same number would be too many.
func (s *search) masters(from *holder, o object, add func(*holder)) {
	if from.proc == nil {
		return
	}
	n := 0
	for p := from.proc.Parent; p != nil && n < maxLineage; p, n = p.Parent, n+1 {
		h := s.g.procs[p.Key]
		if h == nil || !h.ptmx && !h.unsure {
			continue
		}
		v := s.view(h)
		switch {
		case v.asked && slices.Contains(v.terminals, o.id):
			add(h)
			return
		case !v.asked && v.ptmx:
			add(h)
			return
		}
	}
}

// finish makes a way of the nodes that lead to i.
func finish(nodes []node, i int, c *sock) *event.ShellWay {
	w := &event.ShellWay{Remote: c.remote, RemotePort: c.port, Proto: c.proto, Inbound: c.inbound}
	if len(nodes) > 0 {
		for ; i >= 0; i = nodes[i].prev {
			w.Hops = append(w.Hops, nodes[i].hop)
		}
		slices.Reverse(w.Hops)
	}
	return w
}

// ask answers for a shell; nil where nothing leads to a socket, or where the
// same has been told before.
func (g *Graph) ask(h *holder, boot uint64) *event.Shell {
	if h.stdio[0].kind == none && h.stdio[1].kind == none {
		return nil
	}
	s := &search{g: g, shell: h, views: map[event.Key]*view{}}
	found := s.both()
	s.done()
	if found == nil {
		return nil
	}
	print := fingerprint(found)
	if print == h.told || g.toldParent(h, found, print) {
		return nil
	}
	g.account.asked.Add(1)
	if found = g.confirm(h, boot); found == nil {
		g.account.refuted.Add(1)
		return nil
	}
	// A relay may be done, and gone, before the next one connects.
	if found.In == nil {
		found.In = h.in
	}
	if found.Out == nil {
		found.Out = h.out
	}
	h.in, h.out = found.In, found.Out
	if print = fingerprint(found); print == h.told {
		return nil
	}
	h.told = print
	g.account.found.Add(1)
	return found
}

func (s *search) both() *event.Shell {
	in, out := s.way(0, inward), s.way(1, outward)
	if in == nil && out == nil {
		return nil
	}
	return &event.Shell{Proc: s.shell.proc, In: in, Out: out}
}

// toldParent reports whether the shell runs in another one of which the same
// was told: whoever works in a session starts many.
func (g *Graph) toldParent(h *holder, found *event.Shell, print string) bool {
	if h.proc == nil || found.In == nil || len(found.In.Hops) == 0 {
		return false
	}
	parent := g.procs[h.proc.ParentKey]
	if parent == nil || !parent.shell || parent.told != print {
		return false
	}
	h.told = print
	return true
}

func fingerprint(s *event.Shell) string {
	var b []byte
	for _, w := range []*event.ShellWay{s.In, s.Out} {
		b = append(b, '|')
		if w == nil {
			continue
		}
		for _, h := range w.Hops {
			b = append(append(b, h.Via...), h.Key.String()...)
		}
		b = append(append(b, w.Remote...), byte(w.RemotePort>>8), byte(w.RemotePort))
	}
	return string(b)
}

// confirm looks at the kernel's descriptors of the processes concerned. Where
// the shell itself has gone, or changed its descriptors since, the events'
// word must do.
func (g *Graph) confirm(h *holder, boot uint64) *event.Shell {
	events := func() *event.Shell {
		s := &search{g: g, shell: h, strict: true, views: map[event.Key]*view{}}
		defer s.done()
		return s.both()
	}
	if g.opts.Probe == nil {
		return events()
	}
	if !g.token(boot) {
		g.account.unasked.Add(1)
		return events()
	}
	s := &search{g: g, shell: h, probe: g.opts.Probe, now: boot, views: map[event.Key]*view{}}
	defer s.done()
	v := s.view(h)
	if !v.asked {
		return events()
	}
	for _, x := range h.stdio[:2] {
		if x.kind != none && x.kind != inet && !slices.ContainsFunc(v.holds, func(y hold) bool { return y.object == x.object }) {
			return events()
		}
	}
	s.unsure = false
	found := s.both()
	if found != nil {
		found.Confirmed = !s.unsure
	}
	return found
}

// token reports whether the kernel may be asked now.
func (g *Graph) token(boot uint64) bool {
	if boot > g.refill {
		g.tokens = min(probesBurst, g.tokens+float64(boot-g.refill)/1e9*probesRate)
		g.refill = boot
	}
	if g.tokens < 1 {
		return false
	}
	g.tokens--
	return true
}

// askBeyond asks for the shells that a process is joined to. A shell may have
// been waiting long before a connection was made.
func (g *Graph) askBeyond(h *holder, boot uint64) *event.Shell {
	var best *event.Shell
	answer := func(shell *holder) {
		if s := g.ask(shell, boot); s != nil && (best == nil || s.BothWays() && !best.BothWays()) {
			best = s
		}
	}
	visited := map[event.Key]bool{h.key: true}
	queue := []*holder{h}
	depth := map[event.Key]int{}
	for len(queue) > 0 {
		x := queue[0]
		queue = queue[1:]
		next := func(o object, write bool) {
			for _, y := range g.holders(o) {
				if visited[y.key] || len(visited) > maxVisited || !y.uses(o, write, false) {
					continue
				}
				visited[y.key] = true
				if y.shell {
					answer(y)
				}
				if depth[y.key] = depth[x.key] + 1; depth[y.key] < maxDepth {
					queue = append(queue, y)
				}
			}
		}
		x.each(func(o hold) {
			switch o.kind {
			case pipe, fifo:
				if o.read {
					next(o.object, true)
				}
				if o.write {
					next(o.object, false)
				}
			case pair:
				next(object{kind: pair, id: g.peers[o.id]}, true)
			}
		})
		if x.ptmx {
			g.onTerminals(x, answer)
		}
	}
	return best
}

func (h *holder) each(f func(hold)) {
	for _, x := range h.stdio {
		f(x)
	}
	for _, x := range h.held {
		f(x)
	}
}

// onTerminals calls answer for shells on a terminal that descend from a
// process, as far as there are not too many.
func (g *Graph) onTerminals(h *holder, answer func(*holder)) {
	n := 0
	for key := range g.terminals {
		if n++; n > 512 {
			return
		}
		shell := g.procs[key]
		if shell == nil || shell.proc == nil {
			continue
		}
		deep := 0
		for p := shell.proc.Parent; p != nil && deep < maxLineage; p, deep = p.Parent, deep+1 {
			if p.Key == h.key {
				answer(shell)
				break
			}
		}
	}
}
