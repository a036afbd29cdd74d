package rule

import (
	"fmt"
	"iter"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// TestCase is a recorded event and the rules that it must and must not match.
type TestCase struct {
	// Name says where the case comes from, such as "web.test.yaml:12".
	Name  string
	Event *event.Event
	// Match are names of rules that must match, NoMatch of those that must
	// not. With Exact, rules not named in Match must not match either.
	Match, NoMatch []string
	Exact          bool
}

// TestFailure is a case that came out otherwise than it says.
type TestFailure struct {
	Case string
	Rule string
	// Problem is a sentence about the rule and the event.
	Problem string
}

// TestResult is what RunTests found.
type TestResult struct {
	Cases    int
	Failures []TestFailure
	// NoMatchingCase and NoOtherCase name live rules that no case expects to
	// match, and that no case expects not to match.
	NoMatchingCase, NoOtherCase []string
}

// RunTests evaluates a set for recorded events. The first error of the
// sequence ends it.
func RunTests(set *Set, cases iter.Seq2[TestCase, error]) (*TestResult, error) {
	res := &TestResult{}
	engine := NewEngine(set, MatchAll)
	matching, other := map[string]bool{}, map[string]bool{}
	for c, err := range cases {
		if err != nil {
			return nil, fmt.Errorf("reading test cases: %w", err)
		}
		res.Cases++
		res.run(engine, c)
		for _, n := range c.Match {
			matching[n] = true
		}
		for _, n := range c.NoMatch {
			other[n] = true
		}
		if c.Exact {
			for _, r := range set.rules {
				if !slices.Contains(c.Match, r.info.Name) {
					other[r.info.Name] = true
				}
			}
		}
	}
	for _, r := range set.rules {
		if r.status != Live {
			continue
		}
		if !matching[r.info.Name] {
			res.NoMatchingCase = append(res.NoMatchingCase, r.info.Name)
		}
		if !other[r.info.Name] {
			res.NoOtherCase = append(res.NoOtherCase, r.info.Name)
		}
	}
	return res, nil
}

func (res *TestResult) run(engine *Engine, c TestCase) {
	fail := func(rule, format string, args ...any) {
		res.Failures = append(res.Failures, TestFailure{c.Name, rule, fmt.Sprintf(format, args...)})
	}
	if c.Event == nil {
		fail("", "the case has no event")
		return
	}
	var got []string
	engine.Alerts(c.Event, func(r *Rule, _ *event.Alert) { got = append(got, r.info.Name) })
	for _, name := range slices.Concat(c.Match, c.NoMatch) {
		r, ok := engine.set.Rule(name)
		switch {
		case !ok:
			names := make([]string, len(engine.set.rules))
			for i, o := range engine.set.rules {
				names[i] = o.info.Name
			}
			problem := fmt.Sprintf("there is no rule %q", name)
			if s := event.Nearest(name, names); s != "" {
				problem += fmt.Sprintf(": did you mean %q?", s)
			}
			fail(name, "%s", problem)
		case r.status != Live:
			fail(name, "rule %q is %s: %s", name, r.status, r.reason)
		case slices.Contains(c.Match, name) && !slices.Contains(got, name):
			fail(name, "rule %q did not match and should", name)
		case slices.Contains(c.NoMatch, name) && slices.Contains(got, name):
			fail(name, "rule %q matched and should not", name)
		}
	}
	if c.Exact {
		for _, name := range got {
			if !slices.Contains(c.Match, name) {
				fail(name, "rule %q matched and is not expected", name)
			}
		}
	}
}
