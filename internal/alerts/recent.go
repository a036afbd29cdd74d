package alerts

import (
	"slices"
	"strconv"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// generations is how many processes of a lineage tell whether an event belongs
// to an alert: the process, its parent and its grandparent.
const generations = 3

// maxLineage bounds the ancestors that are shown.
const maxLineage = 32

// maxText bounds the text of an event near an alert.
const maxText = 240

// short is an event in the form in which the last ones are kept: small, and
// without what may be large.
type short struct {
	time    time.Time
	typ     event.Type
	pid     uint32
	comm    string
	lineage [generations]event.Key
	text    string
	call    string
	ret     int64
}

// recent is a ring of the last events.
type recent struct {
	ring [maxRecent]short
	n    uint64
}

// add keeps an event. It copies no text: what is shared is bounded by its cut.
func (r *recent) add(ev *event.Event) *short {
	e := &r.ring[r.n%maxRecent]
	r.n++
	p := ev.Proc
	*e = short{time: ev.Time, typ: ev.Type, pid: p.Pid, comm: p.Comm}
	for i, q := 0, p; q != nil && i < generations; i, q = i+1, q.Parent {
		if q.Pid > 2 {
			e.lineage[i] = q.Key
		}
	}
	switch {
	case ev.Type == event.Exec:
		e.text = command(p)
	case ev.ExitInfo != nil:
		e.ret = int64(ev.ExitInfo.Code)
		if ev.ExitInfo.Signal != 0 {
			e.ret = -int64(ev.ExitInfo.Signal)
		}
	case ev.Call != nil:
		e.text, e.ret = cut(Target(ev), maxText), ev.Call.Ret
		if ev.Call.Spec != nil {
			e.call = ev.Call.Spec.Name
		}
	}
	return e
}

func (e *short) related(lineage []event.Key) bool {
	for _, k := range e.lineage {
		if k != (event.Key{}) && slices.Contains(lineage, k) {
			return true
		}
	}
	return false
}

func (e *short) around(after bool) Around {
	a := Around{Time: e.time, After: after, Type: e.typ.String(), Pid: e.pid}
	who := e.comm + "[" + strconv.FormatUint(uint64(e.pid), 10) + "]"
	switch {
	case e.typ == event.Exit && e.ret < 0:
		a.Text = who + " killed by signal " + strconv.FormatInt(-e.ret, 10)
	case e.typ == event.Exit:
		a.Text = who + " ended with " + strconv.FormatInt(e.ret, 10)
	case e.typ == event.Exec:
		a.Text = who + " runs " + e.text
	case e.call != "":
		a.Text = who + " " + e.call + " " + e.text
		if e.ret < 0 {
			a.Text += " " + event.ErrnoName(-e.ret)
		}
	default:
		a.Text = who + " " + e.typ.String()
	}
	return a
}

// before returns the last events of a lineage, oldest first.
func (r *recent) before(lineage []event.Key) []Around {
	var out []Around
	for i := uint64(1); i <= min(r.n, maxRecent) && len(out) < maxAround; i++ {
		if e := &r.ring[(r.n-i)%maxRecent]; e.related(lineage) {
			out = append(out, e.around(false))
		}
	}
	slices.Reverse(out)
	return out
}

// family are the processes whose events belong to an alert about p: itself, its
// parent, its grandparent where that is of the same session, and whoever has one
// of them among its own three. The first processes of a host are everybody's
// ancestors and tell nothing, and a daemon's grandchildren are many.
func family(p *event.Process) []event.Key {
	out := make([]event.Key, 0, generations)
	for i, a := 0, p; a != nil && i < generations; i, a = i+1, a.Parent {
		if a.Pid > 2 && (i < 2 || a.Sid == p.Sid) {
			out = append(out, a.Key)
		}
	}
	return out
}

// lineage names the ancestors of p, oldest first, and p.
func lineage(p *event.Process) []string {
	var out []string
	for ; p != nil && len(out) < maxLineage; p = p.Parent {
		s := program(p)
		if c := command(p); c != p.Comm {
			s += " " + c
		}
		out = append(out, s)
	}
	slices.Reverse(out)
	return out
}
