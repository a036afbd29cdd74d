package suppress

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/rules"
)

func shipped(t testing.TB) []rule.File {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// cases are recorded events that the shipped rules match.
func cases(t testing.TB) []rule.TestCase {
	t.Helper()
	var out []rule.TestCase
	for _, name := range []string{"process.jsonl", "reverse_shell_relay.jsonl"} {
		data, err := os.ReadFile("../../rules/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for c, err := range rules.ReadCases(name, bytes.NewReader(data)) {
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Match) > 0 {
				out = append(out, c)
			}
		}
	}
	return out
}

// alertOf is the line of a rule's alert about an event.
func alertOf(t testing.TB, set *rule.Set, name string, ev *event.Event) []byte {
	t.Helper()
	r, ok := set.Rule(name)
	if !ok {
		t.Fatalf("there is no rule %q", name)
	}
	a := r.Alert(ev)
	a.ID, a.Summary = "0123456789ab", "somebody\ndid \x1b[2Jit"
	return eventjson.NewEncoder("h", "b").AppendAlert(nil, &a)
}

// TestEveryRule silences an alert of each case: that one, and no other.
func TestEveryRule(t *testing.T) {
	files := shipped(t)
	set, _ := rule.Load(files, rule.Options{})
	all := cases(t)
	for _, c := range all {
		for _, name := range c.Match {
			res, err := Exception(alertOf(t, set, name, c.Event), files, rule.File{Name: "own.yaml"})
			if err != nil {
				t.Errorf("%s, %s: %v", c.Name, name, err)
				continue
			}
			after, rep := rule.Load(append(shipped(t), rule.File{Name: "own.yaml", Data: []byte(res.Text)}), rule.Options{})
			if rep.Errors() > 0 {
				t.Errorf("%s: %v\n%s", c.Name, rep.Err(), res.Text)
				continue
			}
			for _, other := range all {
				for _, n := range other.Match {
					if silent := !matches(after, n, other.Event); silent != (n == name && same(res, other.Event)) {
						t.Errorf("with the exception for %s, %s of %s is silent: %v\n%s", c.Name, n, other.Name, silent, res.Text)
					}
				}
			}
		}
	}
}

// same reports whether an event has all that an exception asks for.
func same(r *Result, ev *event.Event) bool {
	var x Result
	x.collect(ev)
	for i, f := range r.Fields {
		at := -1
		for j, g := range x.Fields {
			if f == g {
				at = j
			}
		}
		if at < 0 || x.Values[at] != r.Values[i] {
			return false
		}
	}
	return true
}

func TestText(t *testing.T) {
	files := shipped(t)
	set, _ := rule.Load(files, rule.Options{})
	c := cases(t)[0]
	line := alertOf(t, set, c.Match[0], c.Event)
	existing := rule.File{Name: "own.yaml", Data: []byte("- list: mine\n  items: [a]\n\n\n")}
	res, err := Exception(line, files, existing)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(res.Text, "\x1b") || strings.Contains(res.Text, "\ndid") {
		t.Errorf("the text holds what the alert made up:\n%s", res.Text)
	}
	for _, want := range []string{"# Alert 0123456789ab", "- rule: \"" + c.Match[0] + "\"", "name: \"alert_0123456789ab\"", "exceptions: append", "proc.exepath"} {
		if !strings.Contains(res.Text, want) {
			t.Errorf("%q is not in the text:\n%s", want, res.Text)
		}
	}
	file := Append(existing.Data, res.Text)
	if !strings.HasPrefix(string(file), "- list: mine\n  items: [a]\n\n# Alert") {
		t.Errorf("the file is\n%s", file)
	}
	// once it is there, there is nothing to silence
	if _, err := Exception(line, files, rule.File{Name: "own.yaml", Data: file}); err == nil || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("a second exception gives %v", err)
	}
}

func TestRefusals(t *testing.T) {
	files := shipped(t)
	set, _ := rule.Load(files, rule.Options{})
	c := cases(t)[0]
	line := alertOf(t, set, c.Match[0], c.Event)
	for _, tt := range []struct {
		line  []byte
		files []rule.File
		want  string
	}{
		{[]byte("{"), files, "reading the alert"},
		{[]byte(`{"type":"alert","id":"x","rule":"r","repeats":3}`), files, "repeats"},
		{line, []rule.File{{Name: "x", Data: []byte("- list: a\n  items: [b]\n")}}, "--rules"},
		{bytes.Replace(line, []byte(`"rule":"`+c.Match[0]), []byte(`"rule":"Cryptocurrency miner`), 1), files, "does not match"},
	} {
		if res, err := Exception(tt.line, tt.files, rule.File{Name: "own.yaml"}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: %v, error %v, want %q", tt.line, res, err, tt.want)
		}
	}
	if _, err := Exception(line, files, rule.File{Name: "own.yaml", Data: []byte("- rule: [")}); err == nil || !strings.Contains(err.Error(), "own.yaml has mistakes") {
		t.Errorf("a file with mistakes gives %v", err)
	}
}

func FuzzException(f *testing.F) {
	set, _ := rule.Load(shipped(f), rule.Options{})
	for _, c := range cases(f)[:3] {
		f.Add(alertOf(f, set, c.Match[0], c.Event))
	}
	files := []rule.File{{Name: "r", Data: []byte("- rule: r\n  desc: d\n  condition: evt.type in (execve, execveat)\n  output: o\n  priority: INFO\n")}}
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.ReplaceAll(line, []byte("Shell"), []byte("r"))
		res, err := Exception(line, files, rule.File{Name: "own.yaml"})
		if err == nil && res.Text == "" {
			t.Fatal("neither text nor error")
		}
	})
}
