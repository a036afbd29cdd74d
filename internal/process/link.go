package process

import "github.com/bearcat-hids/bearcat/internal/event"

// link makes the process with the key k the parent of e. Where that is not in
// the table, e waits for it. A link that would close a circle, which only
// rubbish asks for, is refused: walking up Parent always ends.
func (t *Table) link(e *entry, k event.Key) {
	if k.IsZero() || k == e.Key {
		return
	}
	if e.ParentKey == k && (e.parent != nil || e.waits) {
		return
	}
	p := t.find(k)
	if p != nil && (p == e || t.descends(p, e)) {
		inc(&t.counters.loops)
		return
	}
	if p == nil && e.parent != nil {
		return // a known parent beats an unknown one
	}
	t.unlink(e)
	if p == nil {
		e.ParentKey = k
		e.waits = true
		t.addSibling(e, t.waiting[k])
		t.waiting[k] = e
		inc(&t.counters.orphans)
		return
	}
	e.ParentKey = p.Key
	t.attach(e, p)
}

func (t *Table) attach(e, p *entry) {
	e.Parent, e.parent = &p.Process, p
	t.addSibling(e, p.kid)
	p.kid = e
	if !p.Alive() {
		t.place(p)
	}
}

func (t *Table) addSibling(e, first *entry) {
	e.prev, e.next = nil, first
	if first != nil {
		first.prev = e
	}
}

// descends reports whether e descends from ancestor. Only an ancestor with
// children can have descendants, so that for new processes nothing is walked.
func (t *Table) descends(e, ancestor *entry) bool {
	if ancestor.kid == nil {
		return false
	}
	for ; e != nil; e = e.parent {
		if e == ancestor {
			return true
		}
	}
	return false
}

// unlink takes e from its parent or out of the waiting list. ParentKey stays.
func (t *Table) unlink(e *entry) {
	p := e.parent
	switch {
	case e.waits && e.prev == nil && e.next == nil:
		delete(t.waiting, e.ParentKey)
	case e.waits && e.prev == nil:
		t.waiting[e.ParentKey] = e.next
	case p != nil && e.prev == nil:
		p.kid = e.next
	}
	if e.prev != nil {
		e.prev.next = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.parent, e.Parent, e.waits = nil, nil, nil, nil, false
	if p != nil && p.kid == nil && !p.Alive() {
		t.place(p)
	}
}

// adopt gives e the processes that wait for a parent with the key k.
func (t *Table) adopt(e *entry, k event.Key) {
	if len(t.waiting) == 0 {
		return
	}
	c := t.waiting[k]
	if c == nil {
		return
	}
	for c != nil {
		next := c.next
		if c != e && !t.descends(e, c) {
			t.unlink(c)
			t.attach(c, e)
		}
		c = next
	}
}
