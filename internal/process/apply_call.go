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
		t.updateMounts(e, rec)
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

// updateMounts takes over that a process has gone to another mount namespace. A thread
// that has is alone there.
func (t *Table) updateMounts(e *entry, rec *event.TaskRecord) {
	if e.NS == nil || rec.MntNS == 0 || rec.MntNS == e.NS.Mnt || rec.Tid != rec.Key.Pid {
		return
	}
	ns := *e.NS
	ns.Mnt = rec.MntNS
	e.NS = t.namespaces(ns, e.NS)
	t.nameUsers(e)
}

// nameUsers looks up the names of a process's ids.
func (t *Table) nameUsers(e *entry) { nameUsers(t.cfg.Users, t.roots, &e.Process) }

func nameUsers(u *Users, r *roots, p *event.Process) {
	if u == nil {
		return
	}
	p.User, p.Group, p.LoginUser = u.User(p.Cred.UID), u.Group(p.Cred.GID), u.User(p.Cred.LoginUID)
	if n := r.of(p); n != nil { // who logged in did so on the host
		p.User, p.Group = n.users[p.Cred.UID], n.groups[p.Cred.GID]
	}
}

// Naming names the users of processes that are in no table.
type Naming struct {
	users *Users
	roots *roots
}

// NewNaming returns one with the host's names, which may be nil, and those inside containers.
func NewNaming(u *Users) *Naming { return &Naming{u, newRoots("/proc")} }

// Name puts the names of a process's ids into it.
func (n *Naming) Name(p *event.Process) { nameUsers(n.users, n.roots, p) }

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
