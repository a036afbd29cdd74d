package process

import "github.com/bearcat-hids/bearcat/internal/event"

const capSetuid = 7

// unprivileged reports whether a process with these credentials has no way to
// become root, except by the exec of a set-uid program.
func unprivileged(c *event.Cred) bool {
	return c.UID != 0 && c.EUID != 0 && c.SUID != 0 && c.FSUID != 0 && (c.Permitted|c.Effective)>>capSetuid&1 == 0
}

// watchRoot looks for what exploits of the kernel leave behind: a process that
// could not become root is. Ids are those of the initial user namespace, so root
// in a namespace of one's own does not count. setuid is true where the process
// has just executed a set-uid program.
//
// Only an exec makes a process unprivileged here, not a call that gives root
// away: another thread may have kept it.
func (t *Table) watchRoot(e *entry, now *event.Cred, setuid bool, seen event.Type) {
	if !e.unprivileged || now.UID != 0 && now.EUID != 0 {
		return
	}
	e.unprivileged = false
	if !setuid {
		t.gained = &event.CredsInfo{Old: e.Cred, Seen: seen}
	}
}

// Gained returns what is to be told of the process of the last record beside the
// event itself: that it has become root without a way to. It is nil for all but
// a few.
func (t *Table) Gained() *event.CredsInfo {
	g := t.gained
	t.gained = nil
	return g
}
