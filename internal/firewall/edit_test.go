package firewall

import (
	"strings"
	"testing"
)

const edited = `default: pass # said so by the boss
rules:
  # the office
  - {name: a, action: pass, match: {src: 192.0.2.1}}
  - name: b
    action: drop
    match: {dport: 23, protocol: tcp}
`

func TestEdit(t *testing.T) {
	order := func(f *File) string {
		text, err := f.Text()
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse("x", text, Host{})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var names []string
		for _, r := range p.Rules {
			if r.Disabled {
				r.Name += "-off"
			}
			names = append(names, r.Name)
		}
		return strings.Join(names, " ")
	}
	rule := func(name string) []byte { return []byte("{name: " + name + ", action: count}") }
	for _, c := range []struct {
		do   func(f *File) error
		want string
		err  string
	}{
		{func(f *File) error { return f.Add(rule("c"), Place{}) }, "a b c", ""},
		{func(f *File) error {
			return f.Add([]byte("- {name: c, action: drop}\n- {name: d, action: drop}\n"), Place{Before: "b"})
		}, "a c d b", ""},
		{func(f *File) error { return f.Add(rule("c"), Place{After: "a"}) }, "a c b", ""},
		{func(f *File) error { return f.Add(rule("b"), Place{}) }, "", "there is a rule \"b\" already"},
		{func(f *File) error { return f.Add([]byte("just text"), Place{}) }, "", "a rule is a mapping"},
		{func(f *File) error { return f.Add(nil, Place{}) }, "", "there is no rule"},
		{func(f *File) error { return f.Add(rule("c"), Place{Before: "z"}) }, "", "there is no rule \"z\""},
		{func(f *File) error { return f.Add(rule("c"), Place{"a", "b"}) }, "", "not both"},
		{func(f *File) error { return f.Delete("a") }, "b", ""},
		{func(f *File) error { return f.Delete("z") }, "", "there is no rule \"z\""},
		{func(f *File) error { return f.Move("b", Place{Before: "a"}) }, "b a", ""},
		{func(f *File) error { return f.Move("a", Place{}) }, "b a", ""},
		{func(f *File) error { return f.Move("a", Place{After: "a"}) }, "", "next to itself"},
		{func(f *File) error { return f.Enable("b", false) }, "a b-off", ""},
		{func(f *File) error { _ = f.Enable("b", false); return f.Enable("b", true) }, "a b", ""},
	} {
		f, err := OpenFile("x", []byte(edited))
		if err != nil {
			t.Fatal(err)
		}
		err = c.do(f)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			continue
		}
		if got := order(f); err != nil || got != c.want {
			t.Errorf("rules %q, %v, want %q", got, err, c.want)
		}
		text, _ := f.Text()
		if !strings.Contains(string(text), "# said so by the boss") || c.want[0] == 'a' && !strings.Contains(string(text), "# the office") {
			t.Errorf("a comment is gone:\n%s", text)
		}
	}
	f, err := OpenFile("x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add(rule("only"), Place{}); err != nil || order(f) != "only" {
		t.Errorf("a rule of an empty policy: %v, %q", err, order(f))
	}
	if text, err := f.Show("only"); err != nil || !strings.Contains(string(text), "count") {
		t.Errorf("show: %v %s", err, text)
	}
	if _, err := OpenFile("x", []byte("- a list\n")); err == nil {
		t.Error("a list was taken for a policy")
	}
}

func TestGuardsAreRead(t *testing.T) {
	p, err := Parse("x", []byte("guards: [{name: ssh, ports: [22, 2200-2299], connections: 5/m, ban: 1h, grow: true}]\n"), Host{})
	if err != nil {
		t.Fatal(err)
	}
	g := p.Guards[0]
	if g.Connections != 5 || g.Ban.Hours() != 1 || !g.Grow || g.HalfOpen != 20 || len(p.Active()) != 1 || p.Active()[0].Name != "ssh half-open" {
		t.Errorf("%+v, rules %+v", g, p.Active())
	}
	for text, want := range map[string]string{
		"{ports: [22], connections: 5/m}":                                                  "needs a name",
		"{name: a b, ports: [22], connections: 5/m}":                                       "needs a name",
		"{name: a, connections: 5/m}":                                                      "needs the ports",
		"{name: a, ports: [x], connections: 5/m}":                                          "is not a number",
		"{name: a, ports: [22], connections: many}":                                        "is not a rate",
		"{name: a, ports: [22]}":                                                           "is not a rate",
		"{name: a, ports: [22], connections: 5/m, ban: 1y}":                                "is not a time",
		"{name: a, ports: [22], connections: 5/m, half_open: 5/m}":                         "is not a rate a second",
		"{name: a, ports: [22], connections: 5/m, halfopen: 5/s}":                          "not found",
		"{name: a, ports: [1], connections: 5/m}, {name: a, ports: [2], connections: 5/m}": "already",
	} {
		if _, err := Parse("x", []byte("guards: ["+text+"]\n"), Host{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
