package process

import "github.com/bearcat-hids/bearcat/internal/event"

// applyCall joins a call to its process. The ids that the record carries are
// newer than those of the last exec: the table takes them over.
func (t *Table) applyCall(rec *event.TaskRecord, ev *event.Event) bool {
	c := rec.Call
	if c == nil {
		inc(&t.counters.ignored)
		return false
	}
	e := t.find(rec.Key)
	if e == nil {
		e = t.synthesise(rec)
		e.Cred, e.credKnown = rec.Cred, true
		e.Cred.LoginUID, e.Cred.SessionID = event.Unset, event.Unset
		t.nameUsers(e)
		if rec.Boot <= t.evicted {
			defer t.drop(e) // see applyComm
		}
	}
	if c.NewCred != nil && e.credKnown {
		old := e.Cred
		c.OldCred = &old
	}
	if e.Alive() && rec.Boot >= e.lastBoot && rec.Type != event.TCP {
		e.lastBoot = rec.Boot
		t.watchRoot(e, &rec.Cred, false, rec.Type)
		t.updateCred(e, rec)
	}
	t.target(e, c)
	*ev = t.event(rec, ev.Num)
	ev.Call, ev.Proc = c, &e.Process
	t.publish()
	inc(&t.counters.applied)
	return true
}

// updateCred takes over credentials that have changed since they were last told.
func (t *Table) updateCred(e *entry, rec *event.TaskRecord) {
	if n := rec.Call.NewCred; n != nil {
		if !e.credKnown || e.Cred != *n {
			e.Cred, e.credKnown = *n, true
			t.nameUsers(e)
		}
		return
	}
	r := &rec.Cred
	c := &e.Cred
	if !e.credKnown || c.UID == r.UID && c.GID == r.GID && c.EUID == r.EUID && c.EGID == r.EGID && c.Effective == r.Effective {
		return
	}
	users := c.UID != r.UID || c.GID != r.GID
	c.UID, c.GID, c.EUID, c.EGID, c.Effective = r.UID, r.GID, r.EUID, r.EGID, r.Effective
	if users {
		t.nameUsers(e)
	}
}

// nameUsers looks up the names of a process's ids.
func (t *Table) nameUsers(e *entry) {
	u := t.cfg.Users
	if u == nil {
		return
	}
	e.User, e.Group, e.LoginUser = u.User(e.Cred.UID), u.Group(e.Cred.GID), u.User(e.Cred.LoginUID)
	if n := t.roots.of(&e.Process); n != nil { // who logged in did so on the host
		e.User, e.Group = n.users[e.Cred.UID], n.groups[e.Cred.GID]
	}
}

// target finds the process that a call acts on. The number is one of the
// caller's pid namespace; elsewhere than in the initial one all processes are
// looked at, which such calls are rare enough for.
func (t *Table) target(e *entry, c *event.Call) {
	i := c.Spec.Arg(event.ArgPid)
	if i < 0 || i >= len(c.Args) {
		return
	}
	pid := int32(c.Args[i])
	if pid == 0 && c.Spec.Type != event.Kill {
		return
	}
	if pid <= 0 {
		return // a process group, or all
	}
	if e.NS == nil || e.NSPid == e.Pid || e.NSPid == 0 {
		c.Target = t.ByPid(uint32(pid))
		return
	}
	for p := t.live.head; p != nil; p = p.after {
		if p.NSPid == uint32(pid) && p.NS != nil && p.NS.Pid == e.NS.Pid {
			c.Target = &p.Process
			return
		}
	}
}
