// Package alerts makes findings of rules into something for people: it names
// each alert, says in a sentence what happened, counts repeats in place of
// writing them all, and keeps the last ones with what else happened around
// them.
//
// In come all events and alerts of the pipeline, on its goroutine; out go the
// decision which alerts are written, notices of those that were not, and on
// request (List, Get, from any goroutine) what is kept. The agent calls it and
// serves what is kept over the status socket; `bearcat alerts` asks there.
package alerts

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
)

// Options are a log's settings.
type Options struct {
	// Burst alerts of a rule about one subject, and RuleBurst of a rule, are
	// written in a Window; the others are counted. Burst 0 writes all.
	Burst, RuleBurst int
	Window           time.Duration
	// Keep is how long alerts are kept; 0 keeps none.
	Keep time.Duration
	// Host and BootID are for the alerts' JSON and names.
	Host, BootID string
}

// Bounds on what is kept.
const (
	maxKept      = 1000
	maxKeptBytes = 32 << 20
	maxLine      = 1 << 20 // of an alert's JSON; without it the alert is kept in words
	maxAround    = 40      // events on either side of an alert
	maxRecent    = 2048    // events among which those before an alert are found
	maxOpen      = 64      // alerts whose events after them are still collected
	openFor      = 10 * time.Second
)

// Kept is an alert that is kept, as `bearcat alerts --json` prints it.
type Kept struct {
	// Seq counts the alerts that were written, from 1.
	Seq      uint64    `json:"seq"`
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Rule     string    `json:"rule"`
	Priority string    `json:"priority"`
	Summary  string    `json:"summary"`
	Why      string    `json:"why,omitempty"`
	Next     string    `json:"next,omitempty"`
	Output   string    `json:"output"`
	// Lineage are the processes from the oldest ancestor to the one of the event.
	Lineage []string `json:"lineage,omitempty"`
	// Repeats counts those like it that were left out after it.
	Repeats uint64 `json:"repeats,omitempty"`
	// Responses says what was done about it, or why not.
	Responses []string `json:"responses,omitempty"`
	// Bans are those that its responses made, or that it tells of.
	Bans []Ban `json:"bans,omitempty"`
	// Around are events of the same tree of processes, in their order.
	Around []Around `json:"around,omitempty"`
	// Alert is the line that the JSON output has of it.
	Alert json.RawMessage `json:"alert,omitempty"`

	lineage []event.Key
	after   int
}

// Ban is a ban of the firewall that an alert is about.
type Ban struct {
	Source string    `json:"source"` // an address or a prefix
	Until  time.Time `json:"until"`
	By     string    `json:"by,omitempty"` // the rule or guard that made it; empty: a response
	// State says whether it holds, at the time of asking: "holds", "over", "ended early",
	// or why that is not known. Left is how long it holds.
	State string        `json:"state,omitempty"`
	Left  time.Duration `json:"left_ns,omitempty"`
}

// Around is an event near an alert.
type Around struct {
	Time time.Time `json:"time"`
	// After is false for what came before the alert, or is the alert's own event.
	After bool   `json:"after,omitempty"`
	Type  string `json:"type"`
	Pid   uint32 `json:"pid"`
	Text  string `json:"text"`
}

// Stats is the log's account.
type Stats struct {
	// Kept alerts are there at present, Forgotten were dropped for lack of room
	// before their time. Suppressed were not written, as too many like them were.
	Kept                  int
	Forgotten, Suppressed uint64
}

// Log keeps alerts. Event, Alert and Due belong to one goroutine.
type Log struct {
	opts    Options
	encoder *eventjson.Encoder
	limit   *limiter
	recent  recent
	nextDue time.Time
	open    []*Kept

	kept                  atomic.Int64
	forgotten, suppressed atomic.Uint64

	mu    sync.Mutex // guards list and what its elements point to
	list  []*Kept
	rules map[string]int // how many of each rule are in list
	bytes int
	seq   uint64
}

// New makes an empty log.
func New(o Options) *Log {
	if o.Window <= 0 {
		o.Window = time.Minute
	}
	if o.RuleBurst < o.Burst {
		o.RuleBurst = o.Burst
	}
	return &Log{opts: o, encoder: eventjson.NewEncoder(o.Host, o.BootID), limit: newLimiter(o), rules: map[string]int{}}
}

// Stats returns the account.
func (l *Log) Stats() Stats {
	return Stats{Kept: int(l.kept.Load()), Forgotten: l.forgotten.Load(), Suppressed: l.suppressed.Load()}
}

// Event notes an event, for the alerts that may follow and those that were.
func (l *Log) Event(ev *event.Event) {
	if l.opts.Keep <= 0 || ev.Proc == nil {
		return
	}
	e := l.recent.add(ev)
	if len(l.open) == 0 {
		return
	}
	keep := l.open[:0]
	for _, k := range l.open {
		if ev.Time.Sub(k.Time) > openFor || k.after >= maxAround {
			continue
		}
		keep = append(keep, k)
		if e.related(k.lineage) {
			l.mu.Lock()
			k.after++
			x := e.around(true)
			k.Around = append(k.Around, x)
			l.bytes += len(x.Text)
			l.mu.Unlock()
		}
	}
	clear(l.open[len(keep):])
	l.open = keep
}

// Alert names and describes an alert, keeps it, and reports whether it is to be
// written. One that is not is counted among the repeats of those before it.
func (l *Log) Alert(a *event.Alert) bool {
	a.ID = id(l.opts.BootID, a)
	describe(a)
	before := ""
	if g := l.limit.groups[subjectOf(a)]; g != nil {
		before = g.id
	}
	if !l.limit.allow(a, a.Time) {
		l.suppressed.Add(1)
		l.repeat(before)
		return false
	}
	l.keep(a)
	return true
}

// Due returns notices of alerts that were left out; with all of all of them.
func (l *Log) Due(now time.Time, all bool) []event.Alert {
	if !all && now.Before(l.nextDue) {
		return nil
	}
	l.nextDue = now.Add(time.Second)
	l.mu.Lock()
	l.expire(now)
	l.mu.Unlock()
	return l.limit.due(now, all)
}

// Respond keeps what was done about an alert, and the ban if it was one. Any goroutine may
// call it.
func (l *Log) Respond(id, text string, b *Ban) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.list) - 1; i >= 0; i-- {
		if k := l.list[i]; k.ID == id && len(k.Responses) < 16 {
			k.Responses = append(k.Responses, text)
			if b != nil {
				k.Bans = append(k.Bans, *b)
			}
			return
		}
	}
}

// repeat counts an alert that was left out at the last one like it.
func (l *Log) repeat(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.list) - 1; i >= 0; i-- {
		if l.list[i].ID == id {
			l.list[i].Repeats++
			return
		}
	}
}

func (l *Log) keep(a *event.Alert) {
	if l.opts.Keep <= 0 {
		return
	}
	k := &Kept{
		ID: a.ID, Time: a.Time, Rule: a.Rule.Name, Priority: a.Rule.Priority.String(),
		Summary: a.Summary, Why: a.Why, Next: a.Next, Output: a.Output,
	}
	if line := l.encoder.AppendAlert(nil, a); len(line) <= maxLine {
		k.Alert = line[:len(line)-1]
	}
	if ev := a.Event; ev != nil && ev.Proc != nil {
		k.Lineage = lineage(ev.Proc)
		k.lineage = family(ev.Proc)
		k.Around = l.recent.before(k.lineage)
	}
	if ev := a.Event; ev != nil && ev.FirewallInfo != nil && ev.FirewallInfo.Kind == "ban" {
		f := ev.FirewallInfo
		k.Bans = append(k.Bans, Ban{Source: f.Source, Until: ev.Time.Add(f.For), By: f.Rule})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	k.Seq = l.seq
	l.list = append(l.list, k)
	l.rules[k.Rule]++
	l.bytes += k.size()
	for len(l.list) > maxKept || l.bytes > maxKeptBytes && len(l.list) > 1 {
		l.forgotten.Add(1)
		l.drop(l.victim())
	}
	l.expire(a.Time)
	if k.lineage == nil {
		return
	}
	if len(l.open) >= maxOpen {
		l.open = append(l.open[:0], l.open[1:]...)
	}
	l.open = append(l.open, k)
}

// expire drops what has been kept long enough; mu is held.
func (l *Log) expire(now time.Time) {
	for len(l.list) > 0 && now.Sub(l.list[0].Time) > l.opts.Keep {
		l.drop(0)
	}
	l.kept.Store(int64(len(l.list)))
}

// victim picks the oldest alert of the rule that has most, so that a rule which
// raises many does not push out those of the others.
func (l *Log) victim() int {
	most := ""
	for name, n := range l.rules {
		if most == "" || n > l.rules[most] || n == l.rules[most] && name < most {
			most = name
		}
	}
	for i, k := range l.list {
		if k.Rule == most {
			return i
		}
	}
	return 0
}

// drop takes one from the list; mu is held.
func (l *Log) drop(i int) {
	k := l.list[i]
	l.bytes -= k.size()
	if l.rules[k.Rule]--; l.rules[k.Rule] == 0 {
		delete(l.rules, k.Rule)
	}
	l.list = append(l.list[:i], l.list[i+1:]...)
}

func (k *Kept) size() int {
	n := len(k.Alert) + len(k.Output) + len(k.Summary) + 256 // with room for some responses and bans
	for i := range k.Around {
		n += len(k.Around[i].Text)
	}
	return n
}

// maxListed is how many alerts one answer holds.
const maxListed = 200

// List returns the last n alerts after the one numbered after, oldest first,
// in words only: without their JSON and the events around them.
func (l *Log) List(after uint64, n int) []Kept {
	if n <= 0 || n > maxListed {
		n = maxListed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Kept
	for i := len(l.list) - 1; i >= 0 && len(out) < n && l.list[i].Seq > after; i-- {
		k := *l.list[i]
		k.Alert, k.Around, k.lineage = nil, nil, nil
		out = append(out, k)
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// Get returns the alert with an ID, or with one that begins so if there is only
// one; how many there are, where it is not one.
func (l *Log) Get(id string) (*Kept, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *Kept
	n := 0
	for _, k := range l.list {
		if len(id) >= 4 && len(k.ID) >= len(id) && k.ID[:len(id)] == id && (found == nil || found.ID != k.ID) {
			found = k
			n++
		}
	}
	if n != 1 {
		return nil, n
	}
	k := *found
	k.Around = append([]Around(nil), found.Around...)
	k.Bans = append([]Ban(nil), found.Bans...)
	return &k, 1
}
