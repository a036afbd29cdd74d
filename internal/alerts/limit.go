package alerts

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// maxSubjects bounds the subjects that are told apart; what is beyond them
// counts as one subject of its rule.
const maxSubjects = 4096

// maxNotices is how many notices of repeats a rule makes in one window before
// one stands for all.
const maxNotices = 3

// bucket allows so many in a window, spread over it.
type bucket struct {
	left float64
	at   time.Time
}

func (b *bucket) take(now time.Time, burst int, window time.Duration) bool {
	if b.at.IsZero() {
		b.left = float64(burst)
	} else if passed := now.Sub(b.at); passed > 0 {
		b.left = min(float64(burst), b.left+float64(burst)*float64(passed)/float64(window))
	}
	if now.After(b.at) {
		b.at = now
	}
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// subject is what repeats are counted of: a rule, the program, and what it
// acts on.
type subject struct{ rule, exe, target, container string }

// group is the account of a subject.
type group struct {
	bucket
	rule    *event.RuleInfo
	id      string // of the last alert that was written
	output  string // of the last one that was not
	fields  []event.OutputField
	summary string
	repeats uint64
	since   time.Time
}

// limiter decides which alerts are written.
type limiter struct {
	opts   Options
	groups map[subject]*group
	rules  map[string]*bucket
}

func newLimiter(o Options) *limiter {
	return &limiter{opts: o, groups: map[subject]*group{}, rules: map[string]*bucket{}}
}

func subjectOf(a *event.Alert) subject {
	s := subject{rule: a.Rule.Name}
	ev := a.Event
	if ev == nil {
		return s
	}
	s.target = Target(ev)
	if p := ev.Proc; p != nil {
		s.exe = p.Comm
		if p.Image != nil {
			s.exe = p.Image.Exe.Path
		}
		if p.Cgroup != nil {
			s.container = p.Cgroup.ContainerID
		}
	}
	return s
}

// allow reports whether an alert is to be written; otherwise it is counted. An
// alert that is written says how many like it were not since the last.
func (l *limiter) allow(a *event.Alert, now time.Time) bool {
	if l.opts.Burst <= 0 {
		return true
	}
	s := subjectOf(a)
	g := l.groups[s]
	if g == nil && len(l.groups) >= maxSubjects {
		s = subject{rule: a.Rule.Name}
		g = l.groups[s]
	}
	if g == nil {
		g = &group{rule: a.Rule}
		l.groups[s] = g
	}
	r := l.rules[a.Rule.Name]
	if r == nil {
		r = new(bucket)
		l.rules[a.Rule.Name] = r
	}
	if g.take(now, l.opts.Burst, l.opts.Window) && r.take(now, l.opts.RuleBurst, l.opts.Window) {
		a.Repeats, a.Since = g.repeats, g.since
		g.repeats, g.since, g.id = 0, time.Time{}, a.ID
		g.fields = nil
		return true
	}
	if g.repeats == 0 {
		g.since = now
	}
	g.repeats++
	g.output, g.fields, g.summary = a.Output, a.Fields, a.Summary
	return false
}

// due returns notices of what was left out a window ago or longer; with all of
// everything that was.
func (l *limiter) due(now time.Time, all bool) []event.Alert {
	byRule := map[string][]*group{}
	for s, g := range l.groups {
		switch {
		case g.repeats > 0 && (all || now.Sub(g.since) >= l.opts.Window):
			byRule[s.rule] = append(byRule[s.rule], g)
		case g.repeats == 0 && now.Sub(g.at) >= 2*l.opts.Window:
			delete(l.groups, s)
		}
	}
	var out []event.Alert
	for _, groups := range byRule {
		slices.SortFunc(groups, func(a, b *group) int {
			return cmp.Or(cmp.Compare(b.repeats, a.repeats), cmp.Compare(a.id, b.id), cmp.Compare(a.output, b.output))
		})
		if len(groups) > maxNotices {
			out = append(out, together(groups, now))
		} else {
			for _, g := range groups {
				out = append(out, g.notice(now))
			}
		}
		for _, g := range groups {
			g.repeats, g.since, g.fields = 0, time.Time{}, nil
		}
	}
	slices.SortFunc(out, func(a, b event.Alert) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return out
}

// notice tells of one subject's repeats.
func (g *group) notice(now time.Time) event.Alert {
	return event.Alert{Rule: g.rule, Time: now, Output: g.output, Fields: g.fields, ID: g.id, Summary: g.summary, Repeats: g.repeats, Since: g.since}
}

// together tells of the repeats of many subjects of a rule.
func together(groups []*group, now time.Time) event.Alert {
	a := groups[0].notice(now)
	for _, g := range groups[1:] {
		a.Repeats += g.repeats
		if g.since.Before(a.Since) {
			a.Since = g.since
		}
		if a.ID == "" {
			a.ID = g.id
		}
	}
	a.Summary = fmt.Sprintf("%d subjects, such as: %s", len(groups), a.Summary)
	return a
}
