package eventjson

import (
	"strconv"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Limits on what a line repeats of a process's ancestors: a chain can be
// thousands deep and each argument vector megabytes long, in every line.
const (
	// MaxAncestors is how many ancestors a line holds, nearest first.
	MaxAncestors = 128
	// MaxAncestorArgs is how many bytes of whole arguments each has in an
	// alert, and MaxParentArgs the parent in an event. The other ancestors
	// of an event have none: their own exec lines do.
	MaxAncestorArgs = 4096
	MaxParentArgs   = 512
)

// Encoder writes lines for one host and boot. It belongs to one goroutine at a
// time. What it is given must not be changed later, except for processes.
type Encoder struct {
	memos
	// host and keyPrefix are ready JSON: `"name"` and `"bootid:`.
	host, keyPrefix string
}

// NewEncoder makes an encoder whose lines name the host and begin process
// keys with the boot id; both may be empty, and are then left out.
func NewEncoder(host, bootID string) *Encoder {
	e := &Encoder{keyPrefix: `"`}
	if host != "" {
		e.host = string(AppendString(nil, host))
	}
	if bootID != "" {
		s := AppendString(nil, bootID)
		e.keyPrefix = string(s[:len(s)-1]) + ":"
	}
	return e
}

// AppendEvent appends ev as AppendEvent of an encoder without host and boot
// id does.
func AppendEvent(dst []byte, ev *event.Event) []byte {
	e := Encoder{keyPrefix: `"`}
	return e.AppendEvent(dst, ev)
}

// AppendEvent appends one event as a line, newline included. A process is
// whole in the line of its exec; all other lines have its short form, with the
// same key, and no ancestors.
func (e *Encoder) AppendEvent(dst []byte, ev *event.Event) []byte {
	w := writer{dst}
	w.b = append(w.b, '{')
	e.event(&w, ev, false)
	w.b = append(w.b, '}', '\n')
	return w.b
}

// AppendAlert appends one alert as a line, newline included. Its "type" is
// "alert", its "event" the event with the whole process and its ancestors,
// whatever the event's type.
func (e *Encoder) AppendAlert(dst []byte, a *event.Alert) []byte {
	w := writer{dst}
	w.b = append(w.b, '{')
	w.addTime("time", a.Time)
	w.putStr("type", "alert")
	w.addStr("id", a.ID)
	e.putHost(&w)
	if r := a.Rule; r != nil {
		w.putStr("priority", r.Priority.String())
		w.putStr("rule", r.Name)
		w.addStr("source", r.Source)
		if len(r.Tags) > 0 {
			w.putList("tags", r.Tags)
		}
	}
	w.addStr("summary", a.Summary)
	w.addStr("why", a.Why)
	w.addStr("next", a.Next)
	if a.Repeats > 0 {
		w.putUint("repeats", a.Repeats)
		w.addTime("since", a.Since)
	}
	if len(a.Trail) > 0 {
		w.key("trail")
		w.b = append(w.b, '[')
		for i := range a.Trail {
			t := &a.Trail[i]
			w.sep()
			w.b = append(w.b, '{')
			w.addTime("time", t.Time)
			w.putStr("rule", t.Rule)
			w.putStr("output", t.Output)
			if t.Num > 0 {
				w.putUint("num", t.Num)
			}
			if t.Pid > 0 {
				w.putUint("pid", uint64(t.Pid))
			}
			w.close()
		}
		w.b = append(w.b, ']')
		if a.TrailLeftOut > 0 {
			w.putUint("trail_left_out", a.TrailLeftOut)
		}
	}
	w.putStr("output", a.Output)
	w.key("output_fields")
	w.b = append(w.b, '{')
	for i := range a.Fields {
		w.sep()
		w.b = AppendString(w.b, a.Fields[i].Name)
		w.b = append(w.b, ':')
		w.b = AppendValue(w.b, &a.Fields[i])
	}
	w.close()
	if a.Event != nil {
		w.addStr("from", event.SSHFrom(a.Event.Proc))
		w.open("event")
		e.event(&w, a.Event, true)
		w.close()
	}
	w.b = append(w.b, '}', '\n')
	return w.b
}

// AppendLoss appends a line of type "output_loss", which says in its place in
// the stream that n lines could not be written.
func (e *Encoder) AppendLoss(dst []byte, at time.Time, n uint64) []byte {
	w := writer{dst}
	w.b = append(w.b, '{')
	w.addTime("time", at)
	w.putStr("type", "output_loss")
	e.putHost(&w)
	w.putUint("lost", n)
	w.b = append(w.b, '}', '\n')
	return w.b
}

// AppendValue appends the value of an alert's field: null, a boolean, a number
// or text.
func AppendValue(dst []byte, f *event.OutputField) []byte {
	switch {
	case f.Null:
		return append(dst, "null"...)
	case f.IsBool:
		return strconv.AppendBool(dst, f.Num != 0)
	case f.IsNum:
		return strconv.AppendInt(dst, f.Num, 10)
	}
	return AppendString(dst, f.Str)
}

// head writes what every event has.
func (e *Encoder) head(w *writer, ev *event.Event) {
	if writable(ev.Time) {
		w.key("time")
		w.b = e.appendTime(append(w.b, '"'), ev.Time)
		w.b = append(w.b, '"')
	}
	w.sep()
	w.b = append(w.b, e.headOf(ev.Type)...)
	b := strconv.AppendUint(w.b, ev.Boot, 10)
	b = strconv.AppendUint(append(b, `,"num":`...), ev.Num, 10)
	b = strconv.AppendUint(append(b, `,"cpu":`...), uint64(ev.CPU), 10)
	b = strconv.AppendUint(append(b, `,"seq":`...), ev.Seq, 10)
	if ev.Tid != 0 {
		b = strconv.AppendUint(append(b, `,"tid":`...), uint64(ev.Tid), 10)
	}
	w.b = b
}

// headOf is the text from the type of an event to its time on the boot clock.
func (e *Encoder) headOf(t event.Type) []byte {
	i := t
	if i >= event.NumTypes {
		i = event.TypeNone
	}
	if e.heads[i] == nil || i != t {
		w := writer{[]byte("{")}
		w.putStr("type", t.String())
		e.putHost(&w)
		w.key("boot_ns")
		e.heads[i] = w.b[1:]
		if i != t {
			defer func() { e.heads[i] = nil }()
		}
	}
	return e.heads[i]
}

// appendTime appends what AppendTime does; most events are of the same second as
// the one before.
func (e *Encoder) appendTime(dst []byte, t time.Time) []byte {
	const fraction = len("000000000Z")
	sec, nanos := t.Unix(), uint32(t.Nanosecond())
	m := &e.second
	if !m.known || m.of != sec {
		m.text = appendTime(m.text[:0], sec, 0)
		m.text = m.text[:len(m.text)-fraction]
		m.of, m.known = sec, true
	}
	return append(appendFraction(append(dst, m.text...), nanos), 'Z')
}

func (e *Encoder) putHost(w *writer) {
	if e.host != "" {
		w.key("host")
		w.b = append(w.b, e.host...)
	}
}

func (e *Encoder) event(w *writer, ev *event.Event, alert bool) {
	e.head(w, ev)
	if x := ev.ExecInfo; x != nil {
		w.open("exec")
		putExec(w, x, ev.Proc)
		w.close()
	}
	if x := ev.ExitInfo; x != nil {
		w.open("exit")
		putExit(w, x)
		w.close()
	}
	w.addStr("old_comm", ev.OldComm)
	if l := ev.LimitInfo; l != nil {
		w.open("limit")
		w.putInt("level", int64(l.Level))
		w.putStr("left_out", l.LeftOut)
		w.putInt("used_permille", int64(l.Used))
		w.putInt("allowed_permille", int64(l.Allowed))
		w.close()
	}
	if f := ev.FirewallInfo; f != nil {
		putFirewall(w, f)
	}
	if f := ev.FindingInfo; f != nil {
		putFinding(w, f)
	}
	if c := ev.CredsInfo; c != nil {
		w.open("creds")
		w.putStr("seen", c.Seen.String())
		w.open("old")
		putCred(w, &c.Old)
		w.close()
		w.close()
	}
	if g := ev.GapInfo; g != nil {
		w.open("gap")
		w.putStr("class", g.Class.String())
		if g.Lost != event.TypeNone {
			w.putStr("lost", g.Lost.String())
		}
		w.putUint("cpu", uint64(g.CPU))
		w.putUint("n", g.N)
		w.putUint("from", g.From)
		w.putUint("to", g.To)
		w.close()
	}
	if c := ev.Call; c != nil {
		e.call(w, ev)
	}
	if s := ev.Shell; s != nil {
		putShell(w, s)
	}
	if p := ev.Proc; p != nil {
		whole := alert || ev.Type == event.Exec
		if !whole {
			e.short(w, p)
		} else {
			w.open("process")
			e.process(w, p, ev.ExeOnHost())
			w.close()
			switch {
			case p.Parent == nil:
			case alert:
				putAncestors(w, p, true)
			default:
				e.ancestors.put(w, p)
			}
		}
	}
}

// putExec writes the credentials before the exec only where they were others.
func putExec(w *writer, x *event.ExecInfo, p *event.Process) {
	if x.At {
		w.putStr("syscall", "execveat")
	} else {
		w.putStr("syscall", "execve")
	}
	w.addFlag("at", x.At)
	w.addUint("old_tid", uint64(x.OldTid))
	if x.Old != nil {
		w.putStr("old_exe", x.Old.Exe.Path)
	}
	if x.OldCredKnown && (p == nil || x.OldCred != p.Cred) {
		w.open("old_cred")
		putCred(w, &x.OldCred)
		w.close()
	}
}

func putExit(w *writer, x *event.ExitInfo) {
	w.putInt("code", int64(x.Code))
	w.putInt("signal", int64(x.Signal))
	w.addFlag("core_dumped", x.CoreDumped)
	w.putInt("duration_ns", int64(x.Duration))
	w.putInt("cpu_ns", int64(x.CPUTime))
	w.putInt("user_ns", int64(x.User))
	w.putInt("system_ns", int64(x.System))
	w.putUint("max_rss", x.MaxRSS)
}

// putAncestors writes the chain from the parent on, of which there is one.
func putAncestors(w *writer, p *event.Process, alert bool) {
	w.key("ancestors")
	w.b = append(w.b, '[')
	a, n := p.Parent, 0
	for ; a != nil && n < MaxAncestors; a, n = a.Parent, n+1 {
		w.sep()
		w.b = append(w.b, '{')
		room := 0
		switch {
		case alert:
			room = MaxAncestorArgs
		case n == 0:
			room = MaxParentArgs
		}
		putAncestor(w, a, room, n == MaxAncestors-1)
		w.close()
	}
	w.b = append(w.b, ']')
}

// putAncestor writes one of the chain, with arguments of up to room bytes; 0
// leaves them out. The last of a line names its parent
// where there is one, so that a chain which is not whole shows it.
func putAncestor(w *writer, a *event.Process, room int, last bool) {
	w.putUint("pid", uint64(a.Pid))
	w.putUint("start", a.Start)
	w.addUint("ns_pid", uint64(a.NSPid))
	w.putUint("uid", uint64(a.Cred.UID))
	w.putStr("comm", a.Comm)
	w.addFlag("kthread", a.KThread)
	w.addFlag("exited", a.ExitBoot != 0)
	if i := a.Image; i != nil {
		w.putStr("exe", i.Exe.Path)
		if room > 0 {
			argv := cutArgs(i.Argv, room)
			w.putList("argv", argv)
			if i.Argc != len(argv) {
				w.putInt("argc", int64(i.Argc))
			}
			w.addFlag("argv_cut", i.ArgvCut || len(argv) < len(i.Argv))
		}
	}
	if key := parentKey(a); (last || a.Parent == nil) && !key.IsZero() {
		w.open("parent")
		w.putUint("pid", uint64(key.Pid))
		w.putUint("start", key.Start)
		w.close()
	}
}

// cutArgs returns the leading arguments that fit into room.
func cutArgs(argv []string, room int) []string {
	for i, a := range argv {
		if room -= len(a) + 1; room < 0 {
			return argv[:i]
		}
	}
	return argv
}

func putFirewall(w *writer, f *event.FirewallInfo) {
	w.open("firewall")
	w.putStr("kind", f.Kind)
	w.addStr("rule", f.Rule)
	w.addStr("source", f.Source)
	w.addUint("for_ns", uint64(f.For))
	w.addUint("strikes", uint64(f.Strikes))
	w.addStr("reason", f.Reason)
	w.addUint("rate", f.Rate)
	w.addUint("ports", uint64(f.Ports))
	w.addUint("addresses", uint64(f.Addresses))
	w.close()
}

func putFinding(w *writer, f *event.FindingInfo) {
	w.open("finding")
	w.putStr("check", f.Check)
	w.addStr("what", f.What)
	w.addStr("evidence", f.Evidence)
	w.addStr("sure", f.Sure)
	w.addStr("do", f.Do)
	w.addStr("path", f.Path)
	w.addStr("after", f.After)
	w.close()
}
