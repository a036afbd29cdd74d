package fdgraph

// ends is what is known of an object: who holds it, and where it leads.
type ends struct {
	holders []*holder
	in      *group
	// nowhere says for each direction that nothing which leads to a connection was
	// found beyond the object: it holds the graph's gains of then, and one, and
	// holds good until the group gains something.
	nowhere [2]uint64
}

// group is a set of objects between which data may pass, or may have: all that a
// process ever held at one time, and what others hold of these. Groups are joined and
// never parted, so that what one of them gains may be too much, and never too little.
type group struct {
	parent *group
	gained uint64 // the graph's gains when something came to it last
	// leaky: some of who holds what was forgotten for want of room, and may be known
	// again.
	leaky bool
}

func (x *group) root() *group {
	for x.parent != nil {
		if x.parent.parent != nil {
			x.parent = x.parent.parent
		}
		x = x.parent
	}
	return x
}

func (g *Graph) holders(o object) []*holder {
	if e := g.objects[o]; e != nil {
		return e.holders
	}
	return nil
}

// join takes an object, which others hold or nobody yet, into the group of a process
// that has come to hold it. There may be ways now that were none: with those who hold
// it, and over a terminal some that go by no object.
func (g *Graph) join(o object, e *ends, h *holder) {
	if h.group == nil {
		h.group = e.in
	}
	if a, b := e.in.root(), h.group.root(); a != b {
		b.parent = a
		a.leaky = a.leaky || b.leaky
	}
	if len(e.holders) > 1 || o.kind == pty {
		g.gain(h)
	}
}

// gain notes that a process came to hold what may be an end of a way.
func (g *Graph) gain(h *holder) {
	g.gains++
	if h.group != nil {
		h.group.root().gained = g.gains
	}
}

// widen notes that a process is about to use an object that it holds in another way
// than so far.
func (g *Graph) widen(h *holder, x *hold) {
	if h.holds(x.object) && (x.read && !h.uses(x.object, false, false) || x.write && !h.uses(x.object, true, false)) {
		g.gain(h)
	}
}

// maxLooked bounds the objects that one answer of nowhere looks at.
const maxLooked = 64

// nowhere reports whether nothing beyond an object can lead to a connection, whoever
// asks. It costs next to nothing while the group gains nothing. Ways over terminals go
// by parents, not by who holds what: of these it knows nothing.
func (g *Graph) nowhere(o object, dir direction) bool {
	e := g.objects[o]
	if e == nil || o.kind == pty || e.in.root().leaky {
		return false
	}
	if e.known(dir) {
		return true
	}
	looked, dead := g.deadEnd(o, dir)
	if !dead {
		return false
	}
	for o := range looked { // each leads to the others at most
		if e := g.objects[o]; e != nil {
			e.nowhere[dir] = g.gains + 1
		}
	}
	return true
}

// known reports whether an object was found to lead nowhere, and still does.
func (e *ends) known(dir direction) bool {
	in := e.in.root()
	return !in.leaky && e.nowhere[dir] > in.gained
}

// deadEnd looks whether nothing beyond an object can lead to a connection, and returns
// the objects beyond it with the object itself. It stops at those of which it is known.
func (g *Graph) deadEnd(start object, dir direction) (map[object]bool, bool) {
	queue := []object{start}
	queued := map[object]bool{start: true}
	visited := map[*holder]bool{}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		if o.kind == pty || len(queued) > maxLooked {
			return nil, false
		}
		if e := g.objects[o]; e != nil && o != start && e.known(dir) {
			continue
		}
		if o.kind == pair {
			o.id = g.peers[o.id]
		}
		for _, h := range g.holders(o) {
			if visited[h] || !h.uses(o, dir == inward, false) {
				continue
			}
			visited[h] = true
			if len(h.socks) > 0 || h.listens || h.unsure {
				return nil, false
			}
			h.each(func(x hold) {
				usable := dir == inward && x.read || dir == outward && x.write
				if usable && x.kind != none && x.kind != inet && !queued[x.object] {
					queued[x.object] = true
					queue = append(queue, x.object)
				}
			})
		}
	}
	return queued, true
}
