package process

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// clockSkew is by how much records of different CPUs may be out of order.
const clockSkew = 10 * time.Second

// listID names the list that an entry is in.
type listID uint8

const (
	listNone  listID = iota
	listLive         // living, in order of appearance
	listLeaf         // dead, nothing descends from it and nobody holds it
	listInner        // dead, with children in the table
	listHeld         // dead and retained
)

// list is a doubly linked list through the entries; an entry is in one.
type list struct {
	head, tail *entry
	n          int
	id         listID
}

func (l *list) pushBack(e *entry) {
	e.before, e.after, e.in = l.tail, nil, l.id
	if l.tail != nil {
		l.tail.after = e
	} else {
		l.head = e
	}
	l.tail = e
	l.n++
}

func (l *list) pushFront(e *entry) {
	e.before, e.after, e.in = nil, l.head, l.id
	if l.head != nil {
		l.head.before = e
	} else {
		l.tail = e
	}
	l.head = e
	l.n++
}

func (l *list) remove(e *entry) {
	if e.before != nil {
		e.before.after = e.after
	} else {
		l.head = e.after
	}
	if e.after != nil {
		e.after.before = e.before
	} else {
		l.tail = e.before
	}
	e.before, e.after, e.in = nil, nil, listNone
	l.n--
}

// place puts an entry into the list that its state asks for.
func (t *Table) place(e *entry) {
	want := &t.leaf
	switch {
	case e.Alive():
		want = &t.live
	case e.refs > 0:
		want = &t.held
	case e.kid != nil:
		want = &t.inner
	}
	if e.in == want.id {
		return
	}
	t.unlist(e)
	// ends are reported about in order; what comes to a list of the dead
	// later than it died goes to the front, where the oldest are
	if want != &t.live && want.head != nil && e.ExitBoot <= want.head.ExitBoot {
		want.pushFront(e)
	} else {
		want.pushBack(e)
	}
}

func (t *Table) unlist(e *entry) {
	switch e.in {
	case listLive:
		t.live.remove(e)
	case listLeaf:
		t.leaf.remove(e)
	case listInner:
		t.inner.remove(e)
	case listHeld:
		t.held.remove(e)
	}
}

// entryOf returns the entry that p is part of, or nil where the table no
// longer holds it.
func (t *Table) entryOf(p *event.Process) *entry {
	if p == nil {
		return nil
	}
	if e := t.byPid[p.Pid]; e != nil && &e.Process == p {
		return e
	}
	if e := t.dead[p.Key]; e != nil && &e.Process == p {
		return e
	}
	return nil
}

// Retain keeps a process, and so its ancestors, in the table after its end
// until Release is called as often. It returns false, and Release must not be
// called, where the table does not hold the process (any more). A process
// that had to be dropped for want of room remains usable by who points to it.
func (t *Table) Retain(p *event.Process) bool {
	e := t.entryOf(p)
	if e == nil {
		return false
	}
	e.refs++
	t.place(e)
	return true
}

// Release undoes one Retain.
func (t *Table) Release(p *event.Process) {
	e := t.entryOf(p)
	if e == nil || e.refs == 0 {
		return // dropped in between
	}
	e.refs--
	t.place(e)
}

// Where more than crowd dead processes wait for late records, crowdGrace has to do:
// a host that starts a thousand programs a second would otherwise have most of the
// table's memory in them.
const (
	crowd      = 4096
	crowdGrace = 2 * time.Second
)

// expire drops the dead whose grace is over. Dropping the last child of a dead
// process puts that at the front of the list, so that whole chains go.
func (t *Table) expire() {
	for {
		e := t.leaf.head
		if e == nil {
			return
		}
		// an end far in the future is rubbish and must not block the others
		age := time.Duration(t.now - e.ExitBoot) // negative is meant
		grace := t.cfg.Grace
		if t.leaf.n > crowd {
			grace = min(grace, crowdGrace)
		}
		if age >= -clockSkew && (age < 0 || age < grace) {
			return
		}
		t.drop(e)
		inc(&t.counters.expired)
	}
}

// shrink makes room for one more process.
func (t *Table) shrink() {
	for t.over(1) {
		switch {
		case t.leaf.head != nil:
			t.drop(t.leaf.head)
			inc(&t.counters.evictedLeaf)
		case t.inner.head != nil:
			t.drop(t.inner.head)
			inc(&t.counters.evictedInner)
		case t.held.head != nil:
			t.drop(t.held.head)
			inc(&t.counters.evictedHeld)
		case t.over(hardFactor) && t.live.tail != nil:
			// the youngest: of a flood of processes its own members, not
			// the long-lived ones that all others descend from
			t.drop(t.live.tail)
			inc(&t.counters.evictedLiving)
		default:
			return
		}
	}
}

// over reports whether count or memory has reached factor times its limit.
func (t *Table) over(factor int) bool {
	return t.live.n+len(t.dead) >= factor*t.cfg.MaxProcesses ||
		t.bytes > int64(factor)*t.cfg.MaxBytes
}

// drop removes an entry from the table. Its children lose Parent and keep
// ParentKey. Whoever points to the process may go on reading it, and its
// ancestors.
func (t *Table) drop(e *entry) {
	parent := e.Parent
	for e.kid != nil {
		t.unlink(e.kid)
	}
	t.unlink(e)
	e.Parent = parent
	t.unlist(e)
	if e.Alive() {
		delete(t.byPid, e.Pid)
	} else {
		delete(t.dead, e.Key)
		t.evicted = max(t.evicted, min(e.ExitBoot, t.now))
	}
	t.releaseImage(e)
	t.bytes -= e.own
	e.own = 0
}

// setImage gives an entry an image and accounts for its memory.
func (t *Table) setImage(e *entry, img *event.Image, cost *imageCost) {
	t.releaseImage(e)
	e.Image = img
	if cost != nil {
		cost.refs++
		if cost.refs == 1 {
			t.bytes += int64(cost.bytes)
		}
	}
	e.cost = cost
}

// releaseImage ends the accounting of an entry's image, not the image: who
// points to the process may still read that.
func (t *Table) releaseImage(e *entry) {
	if e.cost == nil {
		return
	}
	e.cost.refs--
	if e.cost.refs == 0 {
		t.bytes -= int64(e.cost.bytes)
	}
	e.cost = nil
}
