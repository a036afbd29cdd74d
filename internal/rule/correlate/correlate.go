// Package correlate counts what rules match: so many events within a time, so
// many different values, one thing after another, for each group of events with
// the same values.
//
// In come samples, one for each match of a rule that a correlation is about; out
// goes a Match when its condition holds. Time is that of the events alone, so a
// recording gives what was found live, and events may come a little out of order.
// Memory is bounded: what is forgotten for that is counted. Package rule calls
// it; a Correlator belongs to one goroutine.
package correlate

import (
	"container/list"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// The bounds of one correlation.
const (
	// MaxGroups is how many groups are followed, MaxBytes about how much memory
	// they take.
	MaxGroups = 10_000
	MaxBytes  = 16 << 20
	// MaxCount is the largest number of events or values that a condition can
	// ask for, and MaxSamples how many of a group are kept where each counts.
	MaxCount   = 100_000
	MaxSamples = 10_000
	// MaxTrail is how many matches an alert shows, MaxOutput how much of the
	// message of each.
	MaxTrail  = 10
	MaxOutput = 512
	// Tolerance is how far events may be behind the newest one.
	Tolerance = 5 * time.Second
)

// Sample is a match of one of the rules.
type Sample struct {
	// Rule is its place among the rules of the correlation.
	Rule int
	// Group tells apart what is counted on its own. It and Value may be views of
	// bytes that change later.
	Group string
	// Value is the field's value, Number the same as a number where it is one;
	// Has and IsNumber say whether there are these.
	Value         string
	Number        float64
	Has, IsNumber bool
	// Entry is what an alert shows of it.
	Entry event.TrailEntry
	// Message makes Entry's output where that is empty, of Event.
	Message interface{ Text(*event.Event) string }
	// Event is copied where the correlation needs it later.
	Event *event.Event
}

// Match is a condition that holds.
type Match struct {
	// Figure is what the condition is about: the count, sum and so on.
	Figure float64
	// From and To are the times of the first and the last sample.
	From, To time.Time
	Trail    []event.TrailEntry
	// LeftOut counts samples that are not in Trail.
	LeftOut uint64
	// Event is a copy of the last event where the match was found only after
	// it; nil where the sample just observed completed it.
	Event *event.Event
}

// Stats counts what a correlator holds and has lost.
type Stats struct {
	Groups int
	Bytes  int
	// Evicted counts groups and samples that were forgotten for lack of room,
	// Late samples that came too late to be counted.
	Evicted, Late uint64
}

// Correlator is one correlation at work.
type Correlator struct {
	spec *ast.Correlation
	// atEnd says that the condition is looked at when a group's time is over,
	// as more events could make it false again; else with each event.
	atEnd bool
	need  int // how many samples or values decide a count
	seed  maphash.Seed

	groups map[string]*group
	recent list.List // of *group, the last observed in front
	opened list.List // of *group, the first opened in front; used atEnd
	newest int64
	stats  Stats
}

// group is what is known of one group.
type group struct {
	key            string
	recent, opened *list.Element
	first, last    int64 // times of samples
	count          uint64
	samples        []sample
	latest         []int64          // by rule, 0 for none
	values         map[uint64]int64 // hashes of values, and when they came last
	sum            float64
	trail          []event.TrailEntry
	bytes          int
	event          *event.Event
}

type sample struct {
	at     int64
	rule   int32
	number float64
}

// New makes a correlator.
func New(spec *ast.Correlation) *Correlator {
	c := &Correlator{spec: spec, seed: maphash.MakeSeed(), groups: map[string]*group{}}
	c.recent.Init()
	c.opened.Init()
	c.atEnd = spec.Kind == ast.ValueAvg || spec.Kind == ast.ValuePercentile
	for _, l := range spec.Limits {
		c.atEnd = c.atEnd || l.Op != ast.OpGt && l.Op != ast.OpGe
		if n := l.Value; l.Op == ast.OpGt {
			c.need = max(c.need, int(math.Floor(min(n, MaxCount)))+1)
		} else {
			c.need = max(c.need, int(math.Ceil(min(n, MaxCount))))
		}
	}
	c.need = max(c.need, 1)
	return c
}

// Stats returns the account.
func (c *Correlator) Stats() Stats {
	s := c.stats
	s.Groups = len(c.groups)
	return s
}

// WaitsForEnd reports whether matches are found by Expire.
func (c *Correlator) WaitsForEnd() bool { return c.atEnd }

// Observe takes a sample. Matches go to yield: at most one that the sample
// completes, after those of groups whose time is over.
func (c *Correlator) Observe(s *Sample, yield func(Match)) {
	at := s.Entry.Time.UnixNano()
	c.newest = max(c.newest, at)
	c.Expire(s.Entry.Time, yield)
	if c.spec.Field.Text != "" && (!s.Has || c.spec.Kind != ast.ValueCount && !s.IsNumber) {
		return
	}
	g := c.groups[s.Group]
	if g != nil && c.atEnd && at > g.first+int64(c.spec.Timespan) {
		c.end(g, yield)
		g = nil
	}
	if at < c.newest-int64(c.spec.Timespan)-int64(Tolerance) || g != nil && at < g.last-int64(c.spec.Timespan) {
		c.stats.Late++
		return
	}
	if g == nil {
		g = c.open(s, at)
	}
	before := g.bytes
	c.add(g, s, at)
	c.stats.Bytes += g.bytes - before
	c.recent.MoveToFront(g.recent)
	if !c.atEnd {
		if figure, ok := c.holds(g); ok {
			yield(c.match(g, figure, nil))
			c.drop(g)
		}
	}
	c.shrink(g)
}

// Expire ends the groups whose time is over at a time of events.
func (c *Correlator) Expire(now time.Time, yield func(Match)) {
	c.newest = max(c.newest, now.UnixNano())
	over := c.newest - int64(c.spec.Timespan) - int64(Tolerance)
	for c.atEnd {
		e := c.opened.Front()
		if e == nil || e.Value.(*group).first >= over {
			break
		}
		c.end(e.Value.(*group), yield)
	}
	for !c.atEnd {
		e := c.recent.Back()
		if e == nil || e.Value.(*group).last >= over {
			break
		}
		c.drop(e.Value.(*group))
	}
}

// end looks at a group whose time is over, and forgets it.
func (c *Correlator) end(g *group, yield func(Match)) {
	figure, ok := c.holds(g)
	c.drop(g)
	if ok {
		yield(c.match(g, figure, g.event))
	}
}

// groupBytes is about what a group takes beside what it holds.
const groupBytes = 400

func (c *Correlator) open(s *Sample, at int64) *group {
	g := &group{key: strings.Clone(s.Group), first: at, last: at, bytes: groupBytes + len(s.Group)}
	if k := c.spec.Kind; k == ast.Temporal || k == ast.TemporalOrdered {
		g.latest = make([]int64, len(c.spec.Rules))
	}
	c.groups[g.key] = g
	g.recent = c.recent.PushFront(g)
	g.opened = c.opened.PushBack(g)
	c.stats.Bytes += g.bytes
	return g
}

func (c *Correlator) drop(g *group) {
	delete(c.groups, g.key)
	c.recent.Remove(g.recent)
	c.opened.Remove(g.opened)
	c.stats.Bytes -= g.bytes
}

// shrink forgets the groups that were observed the longest time ago while there
// is too much, but for the last one.
func (c *Correlator) shrink(keep *group) {
	for len(c.groups) > MaxGroups || c.stats.Bytes > MaxBytes {
		g := c.recent.Back().Value.(*group)
		if g == keep {
			return
		}
		c.drop(g)
		c.stats.Evicted++
	}
}

const (
	sampleBytes = 24
	valueBytes  = 40
	entryBytes  = 96
	eventBytes  = 1500
)

// add puts a sample into its group.
func (c *Correlator) add(g *group, s *Sample, at int64) {
	g.count++
	g.first, g.last = min(g.first, at), max(g.last, at)
	oldest := g.last - int64(c.spec.Timespan)
	switch c.spec.Kind {
	case ast.Temporal:
		g.latest[s.Rule] = max(g.latest[s.Rule], at)
	case ast.ValueCount:
		if !c.addValue(g, s.Value, at, oldest) {
			return
		}
	case ast.EventCount:
		if !c.atEnd {
			c.addSample(g, sample{at: at}, c.need, oldest)
		}
	default:
		c.addSample(g, sample{at, int32(s.Rule), s.Number}, MaxSamples, oldest)
	}
	e := s.Entry
	if e.Output == "" && s.Message != nil {
		e.Output = s.Message.Text(s.Event)
	}
	if len(e.Output) > MaxOutput {
		e.Output = e.Output[:MaxOutput]
	}
	i := len(g.trail)
	for i > 0 && g.trail[i-1].Time.After(e.Time) {
		i--
	}
	g.trail = slices.Insert(g.trail, i, e)
	g.bytes += entryBytes + len(e.Output)
	if len(g.trail) > MaxTrail {
		g.bytes -= entryBytes + len(g.trail[0].Output)
		g.trail = slices.Delete(g.trail, 0, 1)
	}
	if c.atEnd && s.Event != nil && at >= g.last {
		if g.event == nil {
			g.bytes += eventBytes
		}
		g.event = copyOf(s.Event)
	}
}

// copyOf keeps an event beyond the call that brought it. The process goes on
// changing, and the call is made of what the next one is made of too: both are
// copied.
func copyOf(ev *event.Event) *event.Event {
	out := *ev
	out.Call = ev.Call.Clone()
	if ev.Proc != nil {
		p := *ev.Proc
		out.Proc = &p
	}
	return &out
}

// addSample puts a sample in its place by time and drops those that are too old
// or, from the oldest on, too many.
func (c *Correlator) addSample(g *group, s sample, most int, oldest int64) {
	i := len(g.samples)
	for i > 0 && g.samples[i-1].at > s.at {
		i--
	}
	g.samples = slices.Insert(g.samples, i, s)
	g.sum += s.number
	n := 0
	if !c.atEnd {
		for n < len(g.samples) && g.samples[n].at < oldest {
			n++
		}
	}
	if over := len(g.samples) - most; over > n {
		if c.spec.Kind != ast.EventCount { // which needs no more than that
			c.stats.Evicted += uint64(over - n)
		}
		n = over
	}
	for _, old := range g.samples[:n] {
		g.sum -= old.number
	}
	g.samples = slices.Delete(g.samples, 0, n)
	g.bytes += sampleBytes * (1 - n)
}

// addValue reports whether the value is one that was not there: what comes again and
// again is no part of the trail.
func (c *Correlator) addValue(g *group, value string, at, oldest int64) bool {
	if g.values == nil {
		g.values = map[uint64]int64{}
	}
	h := maphash.String(c.seed, value)
	last, known := g.values[h]
	if !known {
		if len(g.values) >= MaxCount {
			c.stats.Evicted++
			return false
		}
		g.bytes += valueBytes
	}
	g.values[h] = max(last, at)
	if !c.atEnd && len(g.values) >= c.need {
		for h, last := range g.values {
			if last < oldest {
				delete(g.values, h)
				g.bytes -= valueBytes
			}
		}
	}
	return !known || last < oldest
}

// match describes the group: what is still within its time.
func (c *Correlator) match(g *group, figure float64, ev *event.Event) Match {
	from, n := g.first, g.count
	if !c.atEnd {
		from = max(from, g.last-int64(c.spec.Timespan))
	}
	switch {
	case len(g.samples) > 0:
		from, n = g.samples[0].at, uint64(len(g.samples))
	case g.latest != nil:
		from = g.last
		for _, at := range g.latest {
			if at >= g.last-int64(c.spec.Timespan) {
				from = min(from, at)
			}
		}
	}
	old := 0
	for old < len(g.trail)-1 && g.trail[old].Time.UnixNano() < from {
		old++
	}
	m := Match{Figure: figure, From: time.Unix(0, from), To: time.Unix(0, g.last), Trail: g.trail[old:], Event: ev}
	if old == 0 && n > uint64(len(m.Trail)) {
		m.LeftOut = n - uint64(len(m.Trail))
	}
	return m
}
