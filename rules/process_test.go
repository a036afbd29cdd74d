package rules

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule"
)

// huntTag marks rules that are off for their many findings, optionalTag those that
// are off for what they cost, countedTag those whose matches others count.
const (
	huntTag     = "bearcat_hunt"
	optionalTag = "bearcat_optional"
	countedTag  = "bearcat_counted"
)

func tagged(r *rule.Rule, tag string) bool { return slices.Contains(r.Info().Tags, tag) }

// load loads the shipped rules, then extra as a file of the user's.
func load(t *testing.T, extra string) *rule.Set {
	t.Helper()
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	if extra != "" {
		files = append(files, rule.File{Name: "local.yaml", Data: []byte(extra)})
	}
	set, rep := rule.Load(files, rule.Options{})
	if len(rep.Diags) > 0 {
		var b bytes.Buffer
		_ = rep.WriteText(&b)
		t.Fatalf("the shipped rules have mistakes:\n%s", b.String())
	}
	return set
}

// switchOn returns a rule file that enables every rule that is off.
func switchOn(set *rule.Set) string {
	var b strings.Builder
	for _, r := range set.Rules() {
		if r.Status() == rule.Disabled {
			b.WriteString("- rule: " + r.Info().Name + "\n  enabled: true\n  override: {enabled: replace}\n")
		}
	}
	return b.String()
}

func readCases(t *testing.T, name string) []rule.TestCase {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out []rule.TestCase
	for c, err := range ReadCases(name, bytes.NewReader(data)) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		t.Fatalf("%s holds no event", name)
	}
	return out
}

// packCases are the events of all packs, but for those of the hunting rules and
// those that belong to no rule.
func packCases(t *testing.T) []rule.TestCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out []rule.TestCase
	for _, f := range files {
		if name := filepath.Base(f); name != "process_hunt.jsonl" && name != "benign.jsonl" {
			out = append(out, readCases(t, name)...)
		}
	}
	return out
}

func run(t *testing.T, set *rule.Set, cases []rule.TestCase) *rule.TestResult {
	t.Helper()
	res, err := rule.RunTests(set, func(yield func(rule.TestCase, error) bool) {
		for _, c := range cases {
			if !yield(c, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Failures {
		t.Errorf("%s: %s", f.Case, f.Problem)
	}
	return res
}

func TestShippedRules(t *testing.T) {
	set := load(t, "")
	for _, r := range set.Rules() {
		if r.Status() == rule.Waiting {
			t.Errorf("rule %q waits for %s: the pack is for what works today", r.Info().Name, r.Reason())
		}
	}
	run(t, set, packCases(t))
}

func TestHuntingRules(t *testing.T) {
	set := load(t, switchOn(load(t, "")))
	run(t, set, readCases(t, "process_hunt.jsonl"))
}

func TestEveryRuleHasCases(t *testing.T) {
	match, noMatch := map[string]bool{}, map[string]bool{}
	for _, c := range append(packCases(t), readCases(t, "process_hunt.jsonl")...) {
		for _, n := range c.Match {
			match[n] = true
		}
		for _, n := range c.NoMatch {
			noMatch[n] = true
		}
	}
	for _, r := range load(t, "").Rules() {
		if r.Correlates() || tagged(r, countedTag) {
			continue // TestCorrelations has theirs
		}
		if n := r.Info().Name; !match[n] || !noMatch[n] {
			t.Errorf("rule %q needs an event that it matches (has: %v) and one that it must not match (has: %v)", n, match[n], noMatch[n])
		}
	}
}

func TestBenignHost(t *testing.T) {
	set := load(t, switchOn(load(t, "")))
	cases := readCases(t, "benign.jsonl")
	if len(cases) < 200 {
		t.Errorf("the corpus has %d events, and 200 were meant", len(cases))
	}
	engine := rule.NewEngine(set, rule.MatchAll)
	quiet := 0
	for _, c := range cases {
		engine.Alerts(c.Event, func(r *rule.Rule, a *event.Alert) {
			if r.Info().Priority <= event.Notice {
				t.Errorf("%s: %s alerts on an ordinary event: %s", c.Name, r.Info().Name, a.Output)
				return
			}
			quiet++
		})
	}
	if quiet == 0 {
		t.Error("not even a hunting rule matched: the corpus is not what it says")
	}
}

func TestRuleForm(t *testing.T) {
	names := map[string]bool{}
	for _, r := range load(t, "").Rules() {
		i := r.Info()
		if names[i.Name] {
			t.Errorf("rule %q stands twice", i.Name)
		}
		names[i.Name] = true
		if tagged(r, countedTag) {
			continue
		}
		hunt := slices.Contains(i.Tags, huntTag)
		if hunt != (i.Priority > event.Notice) {
			t.Errorf("rule %q: rules below Notice are for hunting and carry the tag %s, others do not", i.Name, huntTag)
		}
		if r.Status() == rule.Disabled && !hunt && !tagged(r, optionalTag) {
			t.Errorf("rule %q is off and not tagged %s", i.Name, huntTag)
		}
		technique := slices.ContainsFunc(i.Tags, func(s string) bool { return len(s) > 4 && s[0] == 'T' && s[1] >= '0' && s[1] <= '9' })
		tactic := slices.ContainsFunc(i.Tags, func(s string) bool { return strings.HasPrefix(s, "mitre_") })
		if !technique || !tactic {
			t.Errorf("rule %q lacks an ATT&CK tactic or technique among its tags %v", i.Name, i.Tags)
		}
		if !strings.HasSuffix(strings.TrimSpace(i.Desc), ".") {
			t.Errorf("rule %q: its description does not end as a sentence", i.Name)
		}
		if i.FalsePositives == "" {
			t.Errorf("rule %q does not say what sets it off by mistake", i.Name)
		}
		if pos := r.Pos(); !strings.HasSuffix(pos.File, "/process.yaml") && i.Response == "" {
			t.Errorf("rule %q does not say what to do about it, and its description is not the place", i.Name)
		}
		if types := r.EventNames(); len(types) == 0 && !r.Correlates() {
			t.Errorf("rule %q does not restrict evt.type", i.Name)
		}
	}
}

func TestOutputsAreFilled(t *testing.T) {
	set := load(t, "")
	engine := rule.NewEngine(set, rule.MatchAll)
	for _, c := range packCases(t) {
		engine.Alerts(c.Event, func(r *rule.Rule, a *event.Alert) {
			if !strings.HasPrefix(a.Output, r.Info().Name+" (") {
				t.Errorf("%s: the output begins with something else than the rule's name: %s", c.Name, a.Output)
			}
			for _, f := range a.Fields {
				switch f.Name {
				case "bc.proc.lineage", "proc.exepath", "user.uid", "proc.pid":
					if f.Null {
						t.Errorf("%s: %s has no value in %q", c.Name, f.Name, a.Output)
					}
				}
			}
			if c.Event.Proc == nil { // of the firewall
				return
			}
			for _, must := range []string{"lineage=", "exe=", "uid="} {
				if !strings.Contains(a.Output, must) {
					t.Errorf("rule %q does not print %s", r.Info().Name, must)
				}
			}
		})
	}
}

func TestUserCanAppend(t *testing.T) {
	set := load(t, `
- list: web_server_binaries
  items: [my-httpd]
  override: {items: append}
- rule: Shell connected to a network socket
  exceptions:
    - name: launchers
      values: [python3.11]
  override: {exceptions: append}
`)
	engine := rule.NewEngine(set, rule.MatchAll)
	const name = "Shell connected to a network socket"
	before, after := 0, 0
	for _, c := range readCases(t, "process.jsonl") {
		if slices.Contains(c.Match, name) {
			before++
			engine.Match(c.Event, func(r *rule.Rule) {
				if r.Info().Name == name {
					after++
				}
			})
		}
	}
	if before == 0 || after != before-1 {
		t.Errorf("of %d alerts %d are left: the exception was to take one away", before, after)
	}
}

func TestFS(t *testing.T) {
	if _, err := fs.Stat(FS(), "bearcat/process.yaml"); err != nil {
		t.Error(err)
	}
}

func TestReadCasesErrors(t *testing.T) {
	for in, want := range map[string]string{
		"{":                             "x.jsonl:1",
		"# note\n\n{\"type\":\"nope\"}": "x.jsonl:3",
		`{"type":"exec","expect":{"match":"one"}}`: "expect",
	} {
		var got error
		for _, err := range ReadCases("x.jsonl", strings.NewReader(in)) {
			got = err
		}
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%q: error %v does not say %q", in, got, want)
		}
	}
}

// BenchmarkBenignExec is the price of the pack for an ordinary event.
func BenchmarkBenignExec(b *testing.B) {
	files, err := Files()
	if err != nil {
		b.Fatal(err)
	}
	set, _ := rule.Load(files, rule.Options{})
	data, err := os.ReadFile("testdata/benign.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	var events []*event.Event
	for c, err := range ReadCases("benign.jsonl", bytes.NewReader(data)) {
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, c.Event)
	}
	engine := rule.NewEngine(set, rule.MatchAll)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		engine.Match(events[i%len(events)], func(*rule.Rule) {})
	}
}

func FuzzReadCases(f *testing.F) {
	f.Add([]byte("# x\n" + `{"type":"exec","expect":{"match":["a"],"exact":true}}`))
	f.Add([]byte(`{"type":"alert","event":{"type":"fork"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for c, err := range ReadCases("x", bytes.NewReader(data)) {
			if err == nil && c.Event == nil {
				t.Fatal("a case has neither event nor error")
			}
		}
	})
}
