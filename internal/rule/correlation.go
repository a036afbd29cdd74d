package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/correlate"
)

// correlation is a rule about the matches of other rules, bound to them.
type correlation struct {
	rule    *Rule
	spec    *ast.Correlation
	members []member
}

// Correlates reports whether the rule counts matches of other rules, in place of
// having a condition of its own.
func (r *Rule) Correlates() bool { return r.src.Correlation != nil }

// Correlation says in words what a rule of that kind counts; "" of another.
func (r *Rule) Correlation() string {
	spec := r.src.Correlation
	if spec == nil {
		return ""
	}
	names := func(list []ast.Name) string {
		var out []string
		for _, n := range list {
			out = append(out, n.Text)
		}
		return strings.Join(out, ", ")
	}
	var b strings.Builder
	b.WriteString(spec.Kind.String())
	if spec.Kind == ast.ValuePercentile {
		fmt.Fprintf(&b, " %d", spec.Percentile)
	}
	if spec.Field.Text != "" {
		fmt.Fprintf(&b, " of %s", spec.Field.Text)
	}
	for i, l := range spec.Limits {
		if i > 0 {
			b.WriteString(" and")
		}
		fmt.Fprintf(&b, " %s %s", l.Op, strconv.FormatFloat(l.Value, 'f', -1, 64))
	}
	fmt.Fprintf(&b, " within %s, of the matches of %s", spec.Timespan, names(spec.Rules))
	if len(spec.GroupBy) > 0 {
		fmt.Fprintf(&b, ", for each %s", names(spec.GroupBy))
	}
	return b.String()
}

// member is one of the rules, with what is taken from its events.
type member struct {
	rule  *Rule
	group []event.Ref
	field event.Ref // of kinds that have one
}

// feed says which correlation a rule's matches go to, and as which of its rules.
type feed struct{ correlation, member int }

// correlateRules binds the set's correlations. Mistakes are reported, and leave a
// correlation without effect.
func (s *Set) correlateRules(report func(ast.Diag)) {
	b := &binder{set: s, report: report, named: map[string]*Rule{}}
	for _, r := range s.rules {
		b.named[r.info.Name] = r
		for _, id := range r.src.IDs {
			b.named[id] = r
		}
	}
	s.feeds = make([][]feed, len(s.rules))
	s.silent = make([]bool, len(s.rules))
	bound := map[*Rule]*correlation{}
	for _, r := range s.rules {
		if r.src.Correlation != nil && r.status != Disabled {
			if c := b.bind(r); c != nil {
				bound[r] = c
			} else {
				r.status, r.reason = Disabled, "its correlation has mistakes"
			}
		}
	}
	state := map[*Rule]int{}
	for _, r := range s.rules {
		if c := bound[r]; c != nil && b.settle(c, bound, state) {
			s.enlist(c)
		}
	}
}

// enlist puts a live correlation to work. Rules of its own file that it does not
// generate alerts of tell nothing by themselves; a rule of another file goes on as
// it did, so that no file can silence another one's by counting its matches.
func (s *Set) enlist(c *correlation) {
	n := len(s.correlations)
	s.correlations = append(s.correlations, c)
	for i, m := range c.members {
		s.feeds[m.rule.index] = append(s.feeds[m.rule.index], feed{n, i})
		if m.rule.Pos().File == c.rule.Pos().File && !c.spec.Generate {
			s.silent[m.rule.index] = true
		}
	}
	for _, c := range s.correlations {
		for _, m := range c.members {
			if c.spec.Generate {
				s.silent[m.rule.index] = false
			}
		}
	}
}

type binder struct {
	set    *Set
	report func(ast.Diag)
	named  map[string]*Rule
	failed bool
	item   string
}

func (b *binder) errorf(at ast.Span, format string, args ...any) {
	d := ast.NewDiag(ast.Error, ast.CodeCorrelation, at, format, args...)
	d.Item = b.item
	b.failed = true
	b.report(d)
}

// bind looks up the rules of a correlation and their fields; nil where something is
// wrong.
func (b *binder) bind(r *Rule) *correlation {
	spec := r.src.Correlation
	c := &correlation{rule: r, spec: spec}
	b.failed, b.item = false, fmt.Sprintf("rule %q", r.info.Name)
	for _, n := range spec.Rules {
		m := b.named[n.Text]
		if m == nil {
			hint := ""
			names := make([]string, 0, len(b.named))
			for name := range b.named {
				names = append(names, name)
			}
			slices.Sort(names)
			if near := event.Nearest(n.Text, names); near != "" {
				hint = fmt.Sprintf(": did you mean %q?", near)
			}
			b.errorf(n.At, "there is no rule with the name or ID %q%s", n.Text, hint)
			continue
		}
		c.members = append(c.members, b.member(spec, n.Text, m))
	}
	if b.failed {
		return nil
	}
	return c
}

func (b *binder) member(spec *ast.Correlation, name string, r *Rule) member {
	m := member{rule: r}
	lookup := func(n ast.Name) (ref event.Ref) {
		if alias, ok := spec.Aliases[n.Text]; ok {
			field, ok := alias[name]
			if !ok {
				b.errorf(n.At, "alias %s has no field for rule %q", n.Text, name)
				return ref
			}
			n = field
		}
		text := n.Text
		if r.src.FieldName != nil {
			own, err := r.src.FieldName(text)
			if err != nil {
				b.errorf(n.At, "%v", err)
				return ref
			}
			text = own
		}
		base, arg := splitField(text)
		ref, err := event.Lookup(base, arg)
		if err != nil {
			b.errorf(n.At, "%v", err)
		}
		return ref
	}
	for _, g := range spec.GroupBy {
		m.group = append(m.group, lookup(g))
	}
	if spec.Field.Text == "" {
		return m
	}
	m.field = lookup(spec.Field)
	if !b.failed && spec.Kind != ast.ValueCount && !m.field.Type().Numeric() {
		b.errorf(spec.Field.At, "%s needs numbers, and %s is a %s", spec.Kind, spec.Field.Text, m.field.Type())
	}
	return m
}

// splitField takes the argument off a field's name.
func splitField(name string) (base, arg string) {
	if i := strings.IndexByte(name, '['); i > 0 && strings.HasSuffix(name, "]") {
		return name[:i], name[i+1 : len(name)-1]
	}
	return name, ""
}

// settle decides the status of a correlation by that of its rules, which may be
// correlations too; it reports whether it is live.
func (b *binder) settle(c *correlation, bound map[*Rule]*correlation, state map[*Rule]int) bool {
	const open, done = 1, 2
	r := c.rule
	switch state[r] {
	case done:
		return r.status == Live
	case open:
		b.item = fmt.Sprintf("rule %q", r.info.Name)
		b.errorf(c.spec.At, "the correlation counts its own matches, through the rules that it names")
		r.status, r.reason = Disabled, "it counts its own matches"
		return false
	}
	state[r] = open
	r.status, r.reason = Live, ""
	for _, m := range c.members {
		if inner := bound[m.rule]; inner != nil {
			b.settle(inner, bound, state)
		}
		if r.status != Disabled && m.rule.status != Live {
			r.status, r.reason = m.rule.status, fmt.Sprintf("rule %q, whose matches it counts, is %s: %s", m.rule.info.Name, m.rule.status, m.rule.reason)
		}
		r.types.Add(m.rule.types)
	}
	state[r] = done
	return r.status == Live
}

// sample makes of a match what a correlation counts. Its texts are in buf, which is
// returned, and the message is made only where it is kept: mostly neither is.
func (c *correlation) sample(n int, r *Rule, ev *event.Event, a *event.Alert, buf []byte) (correlate.Sample, []byte) {
	m := &c.members[n]
	s := correlate.Sample{Rule: n, Event: ev, Entry: event.TrailEntry{Time: ev.Time, Rule: r.info.Name, Num: ev.Num}}
	if a != nil {
		s.Entry.Output = a.Output
	} else {
		s.Message = r.output
	}
	if ev.Proc != nil {
		s.Entry.Pid = ev.Proc.Pid
	}
	buf = buf[:0]
	for i := range m.group {
		start := len(buf)
		var ok bool
		if buf, ok = m.group[i].AppendText(ev, buf); !ok {
			buf = append(buf[:start], absent...)
		}
		buf = strconv.AppendInt(append(buf, 0), int64(len(buf)-start), 10) // so that no value can pass for two
	}
	group := len(buf)
	if c.spec.Field.Text != "" {
		if m.field.Type().Numeric() {
			var v int64
			v, s.IsNumber = m.field.Num(ev)
			s.Number = float64(v)
		}
		buf, s.Has = m.field.AppendText(ev, buf)
	}
	s.Group, s.Value = view(buf[:group]), view(buf[group:])
	return s, buf
}

// alert tells of a match.
func (c *correlation) alert(ev *event.Event, m correlate.Match) event.Alert {
	if m.Event != nil {
		ev = m.Event
	}
	a := c.rule.Alert(ev)
	a.Trail, a.TrailLeftOut = m.Trail, m.LeftOut
	a.Output += " (" + c.figure(m) + ")"
	return a
}

// figure says what was found, as "120 values of fd.sport in 9.8s".
func (c *correlation) figure(m correlate.Match) string {
	n := strconv.FormatFloat(m.Figure, 'f', -1, 64)
	took := m.To.Sub(m.From).Round(time.Millisecond)
	switch k := c.spec.Kind; k {
	case ast.EventCount:
		return fmt.Sprintf("%s matches in %s", n, took)
	case ast.ValueCount:
		return fmt.Sprintf("%s values of %s in %s", n, c.spec.Field.Text, took)
	case ast.Temporal, ast.TemporalOrdered:
		return fmt.Sprintf("%s rules in %s", n, took)
	case ast.ValuePercentile:
		return fmt.Sprintf("percentile %d of %s is %s in %s", c.spec.Percentile, c.spec.Field.Text, n, took)
	default:
		return fmt.Sprintf("%s of %s is %s in %s", strings.TrimPrefix(k.String(), "value_"), c.spec.Field.Text, n, took)
	}
}

// Alerts calls yield for each alert that an event leads to: those of the rules that
// it satisfies, in their order, each followed by those of the correlations that it
// completes. An alert is yield's to keep, and lives as long as its event.
func (e *Engine) Alerts(ev *event.Event, yield func(*Rule, *event.Alert)) {
	e.alertEvent, e.alertYield = ev, yield
	e.Match(ev, e.matched)
	e.alertEvent, e.alertYield = nil, nil
}

func (e *Engine) alertOf(r *Rule) {
	if e.set.silent[r.index] { // only counted: nobody sees more than the message
		e.counted(r, e.alertEvent, nil, e.alertYield)
		return
	}
	a := r.Alert(e.alertEvent)
	e.told(r, &a, e.alertYield)
}

// Forever is longer than any correlation waits: Expire at now and Forever more ends
// them all.
const Forever = 365 * 24 * time.Hour

// Expire looks at the correlations whose time is over at a time of events. Alerts
// that come from it are about copies of the events.
func (e *Engine) Expire(now time.Time, yield func(*Rule, *event.Alert)) {
	for i, c := range e.correlators {
		if c.WaitsForEnd() {
			c.Expire(now, func(m correlate.Match) { e.complete(e.set.correlations[i], nil, m, yield) })
		}
	}
}

// told hands an alert on, to yield and to the correlations that count it.
func (e *Engine) told(r *Rule, a *event.Alert, yield func(*Rule, *event.Alert)) {
	if !e.set.silent[r.index] {
		yield(r, a)
	}
	e.counted(r, a.Event, a, yield)
}

// counted hands a match to the correlations that count it; a is nil of a rule that
// tells nothing by itself.
func (e *Engine) counted(r *Rule, ev *event.Event, a *event.Alert, yield func(*Rule, *event.Alert)) {
	for _, f := range e.set.feeds[r.index] {
		c := e.set.correlations[f.correlation]
		var buf []byte // one for each correlation that leads to this one
		if n := len(e.samples); n > 0 {
			buf, e.samples = e.samples[n-1], e.samples[:n-1]
		}
		s, buf := c.sample(f.member, r, ev, a, buf)
		e.correlators[f.correlation].Observe(&s, func(m correlate.Match) { e.complete(c, ev, m, yield) })
		e.samples = append(e.samples, buf)
	}
}

func (e *Engine) complete(c *correlation, ev *event.Event, m correlate.Match, yield func(*Rule, *event.Alert)) {
	if m.Event == nil && ev == nil {
		return
	}
	a := c.alert(ev, m)
	e.told(c.rule, &a, yield)
}

// Counts is the account of all correlations.
type Counts = correlate.Stats

// Counts returns the account; nil where the set has no correlation.
func (e *Engine) Counts() *Counts {
	if len(e.correlators) == 0 {
		return nil
	}
	sum := &Counts{}
	for _, c := range e.correlators {
		s := c.Stats()
		sum.Groups, sum.Bytes, sum.Evicted, sum.Late = sum.Groups+s.Groups, sum.Bytes+s.Bytes, sum.Evicted+s.Evicted, sum.Late+s.Late
	}
	return sum
}
