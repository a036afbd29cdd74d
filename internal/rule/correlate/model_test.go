package correlate

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

var begin = time.Unix(1_800_000_000, 0)

// seen is a sample of a test.
type seen struct {
	at    int // seconds
	rule  int
	group string
	value int
}

func (s seen) sample() *Sample {
	return &Sample{
		Rule: s.rule, Group: s.group, Value: fmt.Sprint(s.value), Number: float64(s.value), Has: true, IsNumber: true,
		Entry: event.TrailEntry{Time: begin.Add(time.Duration(s.at) * time.Second), Rule: "r"},
	}
}

// figureOf computes what a kind is about, of the samples of a group within the time
// up to the last, the slow way.
func figureOf(kind ast.CorrelationKind, rules, span int, group []seen) float64 {
	last := group[len(group)-1].at
	var in []seen
	for _, s := range group {
		if s.at >= last-span {
			in = append(in, s)
		}
	}
	values, of := map[int]bool{}, map[int]bool{}
	sum, next := 0, 0
	for _, s := range in {
		values[s.value], of[s.rule] = true, true
		sum += s.value
		if next < rules && s.rule == next {
			next++
		}
	}
	switch kind {
	case ast.EventCount:
		return float64(len(in))
	case ast.ValueCount:
		return float64(len(values))
	case ast.Temporal:
		return float64(len(of))
	case ast.TemporalOrdered:
		return float64(next)
	}
	return float64(sum)
}

// TestCorrelatorAgainstModel compares what is told with each event to the slow way,
// for events in the order of time.
func TestCorrelatorAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kind := rapid.SampledFrom([]ast.CorrelationKind{ast.EventCount, ast.ValueCount, ast.Temporal, ast.TemporalOrdered, ast.ValueSum}).Draw(rt, "kind")
		rules := rapid.IntRange(1, 3).Draw(rt, "rules")
		span := rapid.IntRange(1, 20).Draw(rt, "span")
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		spec := &ast.Correlation{Kind: kind, Rules: make([]ast.Name, rules), Timespan: time.Duration(span) * time.Second,
			Limits: []ast.CorrelationLimit{{Op: ast.OpGe, Value: float64(limit)}}}
		if kind == ast.Temporal || kind == ast.TemporalOrdered {
			spec.Limits, limit = nil, rules
		}
		if kind >= ast.ValueSum || kind == ast.ValueCount {
			spec.Field.Text = "f"
		}
		c := New(spec)
		groups := map[string][]seen{}
		at := 0
		for range rapid.IntRange(1, 60).Draw(rt, "samples") {
			at += rapid.SampledFrom([]int{0, 0, 1, 1, 2, 5, 30}).Draw(rt, "later")
			s := seen{at, rapid.IntRange(0, rules-1).Draw(rt, "rule"), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "group"), rapid.IntRange(0, 4).Draw(rt, "value")}
			g := append(groups[s.group], s)
			figure := figureOf(kind, rules, span, g)
			want := figure >= float64(limit)
			if groups[s.group] = g; want {
				delete(groups, s.group)
			}
			var got []Match
			c.Observe(s.sample(), func(m Match) { got = append(got, m) })
			if (len(got) == 1) != want || len(got) > 1 {
				rt.Fatalf("%s >= %d in %ds: after %+v told %+v, want it told: %v", kind, limit, span, g, got, want)
			}
			if want && got[0].Figure != figure {
				rt.Fatalf("the figure is %v, want %v", got[0].Figure, figure)
			}
			if want && (got[0].To.Sub(got[0].From) > spec.Timespan || len(got[0].Trail) == 0 || len(got[0].Trail) > MaxTrail) {
				rt.Fatalf("from %s to %s with a trail of %d", got[0].From, got[0].To, len(got[0].Trail))
			}
		}
	})
}

// TestBounds checks that neither many groups nor a large one take more than they may,
// and that what is forgotten is counted.
func TestBounds(t *testing.T) {
	c := New(&ast.Correlation{Kind: ast.EventCount, Rules: make([]ast.Name, 1), Timespan: time.Hour, Limits: []ast.CorrelationLimit{{Op: ast.OpGe, Value: 5}}})
	for i := range 3 * MaxGroups {
		c.Observe(seen{at: i / 100, group: fmt.Sprint(i)}.sample(), func(Match) { t.Fatal("told") })
	}
	if s := c.Stats(); s.Groups > MaxGroups || s.Bytes > MaxBytes || s.Evicted == 0 {
		t.Errorf("many groups: %+v", s)
	}
	c = New(&ast.Correlation{Kind: ast.ValueSum, Rules: make([]ast.Name, 1), Field: ast.Name{Text: "f"}, Timespan: time.Hour,
		Limits: []ast.CorrelationLimit{{Op: ast.OpGe, Value: 1e15}}})
	for i := range 2 * MaxSamples {
		c.Observe(seen{at: i / 100, group: "g", value: 1}.sample(), func(Match) { t.Fatal("told") })
	}
	if s := c.Stats(); s.Bytes > MaxBytes || s.Evicted == 0 || len(c.groups["g"].samples) > MaxSamples {
		t.Errorf("many samples: %+v", s)
	}
}

// TestLate checks that an event that comes a little late counts, and one that comes
// much too late is counted as that.
func TestLate(t *testing.T) {
	c := New(&ast.Correlation{Kind: ast.EventCount, Rules: make([]ast.Name, 1), Timespan: 10 * time.Second, Limits: []ast.CorrelationLimit{{Op: ast.OpGe, Value: 3}}})
	var told []Match
	for _, at := range []int{100, 102, 101} {
		c.Observe(seen{at: at, group: "g"}.sample(), func(m Match) { told = append(told, m) })
	}
	if len(told) != 1 || !slices.IsSortedFunc(told[0].Trail, func(a, b event.TrailEntry) int { return a.Time.Compare(b.Time) }) {
		t.Errorf("told %+v, want one with its trail in order", told)
	}
	c.Observe(seen{at: 50, group: "g"}.sample(), func(Match) { t.Error("told of what is long over") })
	if c.Stats().Late != 1 {
		t.Errorf("the account is %+v, want one that was late", c.Stats())
	}
}

// message counts how often it is made.
type message struct{ made int }

func (m *message) Text(*event.Event) string { m.made++; return "seen" }

// TestTrailOfValues: a value that comes again is no news, and costs no message; what a
// sample points to may change after it.
func TestTrailOfValues(t *testing.T) {
	spec := &ast.Correlation{Kind: ast.ValueCount, Timespan: time.Minute, Field: ast.Name{Text: "f"}, Rules: []ast.Name{{Text: "r"}},
		Limits: []ast.CorrelationLimit{{Op: ast.OpGe, Value: 3}}}
	c := New(spec)
	m := &message{}
	var told []Match
	text := []byte("gv")
	for i, v := range []byte{'a', 'a', 'a', 'b', 'a', 'b', 'c'} {
		text[1] = v
		s := &Sample{Group: unsafe.String(&text[0], 1), Value: unsafe.String(&text[1], 1), Has: true, Message: m,
			Entry: event.TrailEntry{Time: begin.Add(time.Duration(i) * time.Second), Rule: "r"}}
		c.Observe(s, func(m Match) { told = append(told, m) })
		text[0], text[0] = 'x', 'g'
	}
	if len(told) != 1 || told[0].Figure != 3 || len(told[0].Trail) != 3 || told[0].Trail[2].Output != "seen" || told[0].LeftOut != 4 || m.made != 3 {
		t.Errorf("%d messages, told %+v", m.made, told)
	}
}
