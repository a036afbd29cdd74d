package process

import (
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// Apply brings a record into the table and fills ev with what it tells. It
// returns false, and leaves ev alone, where the record is of no use: of another
// type, without a key, a repetition, or a thread's change of name.
//
// The record's image passes to the table; the record itself may be reused.
// ev.Num is kept for the caller to set. A synthetic copy takes the place of the
// table's process in ev.Proc where the record is older than what is known.
func (t *Table) Apply(rec *event.TaskRecord, ev *event.Event) bool {
	if rec.Key.IsZero() {
		inc(&t.counters.ignored)
		return false
	}
	t.advance(rec.Boot)
	if rec.Type.IsCall() {
		return t.applyCall(rec, ev)
	}
	next := t.event(rec, ev.Num)
	switch rec.Type {
	case event.Exec:
		t.applyExec(rec, &next)
	case event.Fork:
		t.applyFork(rec, &next)
	case event.Exit:
		t.applyExit(rec, &next)
	case event.Comm:
		t.applyComm(rec, &next)
	default:
		inc(&t.counters.ignored)
		return false
	}
	t.publish()
	if next.Proc == nil {
		return false
	}
	inc(&t.counters.applied)
	*ev = next
	return true
}

// event makes an event with what all records have.
func (t *Table) event(rec *event.TaskRecord, num uint64) event.Event {
	return event.Event{Type: rec.Type, Time: t.wall(rec.Boot), Boot: rec.Boot, Num: num, CPU: rec.CPU, Seq: rec.Seq, Tid: rec.Tid, MntNS: rec.MntNS}
}

func (t *Table) applyFork(rec *event.TaskRecord, ev *event.Event) {
	e := t.find(rec.Key)
	switch {
	case e == nil:
		e = t.create(rec.Key)
	case e.forked:
		inc(&t.counters.duplicates)
		return
	default:
		// an exec, an exit or the iterator was quicker
		inc(&t.counters.late)
	}
	e.forked = true
	maker := rec.Creator
	if maker.IsZero() {
		maker = rec.Parent
	}
	t.link(e, maker)
	t.inherit(e)
	if rec.Boot >= e.lastBoot {
		e.lastBoot = rec.Boot
		t.setIDs(e, rec)
		e.KThread = rec.KThread
		if rec.CgroupID != 0 || rec.CgroupPath != "" {
			e.Cgroup = t.cgroup(rec.CgroupID, rec.CgroupPath, e.Cgroup)
		}
		e.NS = t.namespaces(rec.NS, e.NS)
	}
	if rec.Comm != "" && rec.Comm != e.Comm && rec.Boot >= e.commBoot {
		t.setComm(e, rec.Comm, rec.Boot)
	}
	ev.Proc = &e.Process
}

// inherit gives a new process what it shares with its creator. What a record
// has told already stays.
func (t *Table) inherit(e *entry) {
	p := e.parent
	if p == nil {
		return
	}
	if e.Image == nil && !e.execed {
		t.setImage(e, p.Image, p.cost)
		if e.Comm == "" || e.Comm == p.Comm {
			e.Comm, e.Cmdline = p.Comm, p.Cmdline
		} else {
			t.setComm(e, e.Comm, e.commBoot)
		}
	}
	if !e.credKnown && p.credKnown {
		e.credKnown = true
		e.Cred, e.unprivileged = p.Cred, p.unprivileged
		e.User, e.Group, e.LoginUser = p.User, p.Group, p.LoginUser
	}
	if e.execed || e.Seeded {
		return
	}
	e.Tty, e.Node = p.Tty, p.Node
	if e.Cgroup == nil {
		e.Cgroup = p.Cgroup
	}
	if e.NS == nil {
		e.NS = p.NS
	}
}

func (t *Table) applyExec(rec *event.TaskRecord, ev *event.Event) {
	e := t.find(rec.Key)
	if e == nil {
		e = t.synthesise(rec)
	} else if e.execed && rec.Boot != 0 && rec.Boot == e.ExecBoot {
		inc(&t.counters.duplicates)
		return
	}
	info := new(event.ExecInfo)
	*info = rec.ExecInfo
	img := rec.Image
	if img == nil {
		img = new(event.Image)
	}
	if rec.Boot < e.imageBoot && !sameProgram(e.Image, img) {
		inc(&t.counters.late)
		ev.ExecInfo, ev.Proc = info, t.pastExec(e, rec, img)
		return
	}
	t.watchRoot(e, &rec.Cred, img.Exe.Mode&unix.S_ISUID != 0, event.Exec)
	if info.Old == nil && e.Image != img {
		info.Old = e.Image
	}
	if !info.OldCredKnown && e.credKnown {
		info.OldCred, info.OldCredKnown = e.Cred, true
	}
	t.program(e, img)
	e.execed = true
	e.ExecBoot, e.imageBoot = rec.Boot, max(rec.Boot, e.imageBoot)
	if rec.Boot >= e.lastBoot {
		e.lastBoot = rec.Boot
		t.setTask(e, rec)
	}
	if rec.Boot >= e.commBoot {
		t.setComm(e, rec.Comm, rec.Boot)
	} else {
		t.setComm(e, e.Comm, e.commBoot)
	}
	if e.ParentKey.IsZero() {
		t.link(e, rec.Parent)
	}
	t.revive(e, rec.Boot)
	ev.ExecInfo, ev.Proc = info, &e.Process
}

// program makes img, fresh from a sensor, the image of e.
func (t *Table) program(e *entry, img *event.Image) {
	env := int64(0)
	t.shareImage(img, e.Image)
	if old := e.Image; old == nil || len(old.Env) == 0 || len(img.Env) == 0 || &old.Env[0] != &img.Env[0] {
		env = int64(len(img.Env)) * stringBytes
		for _, v := range img.Env {
			env += int64(len(v))
		}
	}
	size := imageBytes + int64(len(img.Argv))*stringBytes + int64(len(img.Cmdline())) + env
	for i := range img.Stdio {
		if img.Stdio[i].Sock != nil {
			size += socketBytes
		}
	}
	t.setImage(e, img, &imageCost{bytes: int32(min(size, 1<<30))})
}

// pastExec describes a process as it was when it ran img, which has been
// replaced since.
func (t *Table) pastExec(e *entry, rec *event.TaskRecord, img *event.Image) *event.Process {
	past := &entry{Process: e.Process}
	t.shareImage(img, e.Image)
	past.Image, past.ExecBoot = img, rec.Boot
	t.setTask(past, rec)
	past.Comm, past.Cmdline = rec.Comm, cmdline(rec.Comm, img)
	return &past.Process
}

// sameProgram reports whether the image of a record is what an iterator record
// has told of already, which mostly lacks the arguments.
func sameProgram(known, img *event.Image) bool {
	if known == nil {
		return true
	}
	if known.Exe.Path != img.Exe.Path {
		return false
	}
	return len(known.Argv) == 0 || known.Cmdline() == img.Cmdline()
}

func (t *Table) applyExit(rec *event.TaskRecord, ev *event.Event) {
	e := t.find(rec.Key)
	if e == nil {
		e = t.synthesise(rec)
	}
	if !e.Alive() {
		if !e.presumed {
			inc(&t.counters.duplicates)
			return
		}
		// the end was concluded already; now it is known
		e.presumed = false
		e.ExitBoot = max(rec.Boot, 1)
	} else {
		t.markDead(e, rec.Boot)
	}
	info := new(event.ExitInfo)
	*info = rec.Exit
	if rec.Boot > e.Start {
		info.Duration = time.Duration(rec.Boot - e.Start) // 292 years
	}
	if rec.Boot >= e.lastBoot {
		e.lastBoot = rec.Boot
		t.setIDs(e, rec)
	}
	e.Exited = info
	ev.ExitInfo, ev.Proc = info, &e.Process
}

func (t *Table) applyComm(rec *event.TaskRecord, ev *event.Event) {
	if rec.Tid != 0 && rec.Tid != rec.Key.Pid {
		inc(&t.counters.ignored)
		return // a thread's name is not the process's
	}
	e := t.find(rec.Key)
	if e == nil {
		e = t.synthesise(rec)
		if rec.Boot <= t.evicted {
			// The bulk class lags: the process may have ended and been
			// dropped. Nothing would ever end it a second time.
			defer t.drop(e)
		}
	}
	ev.OldComm = rec.OldComm
	if rec.Boot < e.commBoot {
		inc(&t.counters.late)
		past := e.Process
		past.Comm, past.Cmdline = rec.Comm, cmdline(rec.Comm, e.Image)
		ev.Proc = &past
		return
	}
	if ev.OldComm == "" && !e.synthesised {
		ev.OldComm = e.Comm
	}
	e.lastBoot = max(e.lastBoot, rec.Boot)
	t.setComm(e, rec.Comm, rec.Boot)
	t.revive(e, rec.Boot)
	ev.Proc = &e.Process
}

// synthesise creates a process in the middle of its life, or at its end, from
// what a record has.
func (t *Table) synthesise(rec *event.TaskRecord) *entry {
	e := t.create(rec.Key)
	e.synthesised = true
	maker := rec.Creator
	if maker.IsZero() {
		maker = rec.Parent
	}
	t.link(e, maker)
	t.setIDs(e, rec)
	e.KThread = rec.KThread
	t.setComm(e, rec.Comm, 0)
	inc(&t.counters.synthesised)
	return e
}

// setIDs takes the numbers that any record may carry.
func (t *Table) setIDs(e *entry, rec *event.TaskRecord) {
	keep(&e.PPid, rec.PPid)
	keep(&e.NSPid, rec.NSPid)
	keep(&e.NSPPid, rec.NSPPid)
	keep(&e.Sid, rec.Sid)
	keep(&e.Pgid, rec.Pgid)
	keep(&e.NSSid, rec.NSSid)
	keep(&e.NSPgid, rec.NSPgid)
	if e.PPid == 0 {
		e.PPid = rec.Parent.Pid
	}
}

func keep(to *uint32, v uint32) {
	if v != 0 {
		*to = v
	}
}

// setTask takes what exec and iterator records say of a task.
func (t *Table) setTask(e *entry, rec *event.TaskRecord) {
	t.setIDs(e, rec)
	e.KThread = rec.KThread
	changed := !e.credKnown || e.Cred != rec.Cred
	e.Cred, e.credKnown, e.unprivileged = rec.Cred, true, unprivileged(&rec.Cred)
	e.Tty.Dev = rec.Tty.Dev
	e.Tty.Name = t.names.same(rec.Tty.Name, e.Tty.Name)
	e.Cgroup = t.cgroup(rec.CgroupID, rec.CgroupPath, e.Cgroup)
	before := e.NS
	e.NS = t.namespaces(rec.NS, e.NS)
	if changed || e.NS != before {
		t.nameUsers(e)
	}
	if rec.Node != "" {
		e.Node = t.names.same(rec.Node, e.Node)
	}
}

// setComm names a process and keeps its command line in step. The line's bytes
// are the image's, unless comm is not how the first argument ends.
func (t *Table) setComm(e *entry, comm string, boot uint64) {
	e.Comm = t.names.same(comm, e.Comm)
	e.Cmdline = cmdline(e.Comm, e.Image)
	e.commBoot = boot
	own := entryBytes
	if img := e.Image; img != nil && len(img.Argv) > 1 && !strings.HasSuffix(img.Argv[0], comm) {
		own += int64(len(e.Cmdline))
	}
	t.bytes += own - e.own
	e.own = own
}

// Estimated sizes of the parts of an image.
const (
	imageBytes  = 416
	stringBytes = 16
	socketBytes = 160
)
