package rule

import (
	"os"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// exercise does with a set what the agent and the commands do.
func exercise(t *testing.T, set *Set, rep *Report) {
	t.Helper()
	var b strings.Builder
	if err := rep.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if err := rep.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if err := set.List(&b); err != nil {
		t.Fatal(err)
	}
	for _, d := range rep.Diags {
		if d.Message == "" || d.Line < 0 || d.Line > 0 && d.Col < 1 || d.File == "" {
			t.Fatalf("a message without text or place: %+v", d)
		}
		for i, r := range d.Excerpt() {
			if r < ' ' && r != '\n' && r != '\t' {
				t.Fatalf("control character at %d of the excerpt %q", i, d.Excerpt())
			}
		}
	}
	e := NewEngine(set, MatchAll)
	p := execEvent().Proc
	for _, ev := range []*event.Event{
		execEvent(), {Type: event.Exec}, {Type: event.Fork, Proc: p}, {Type: event.Exit, Proc: p, ExitInfo: &event.ExitInfo{}},
		{Type: event.Comm, Proc: &event.Process{}}, {Type: event.Gap, GapInfo: &event.GapInfo{}}, {Type: event.Gap}, {}, {Type: 200},
	} {
		e.Match(ev, func(r *Rule) {
			if a := r.Alert(ev); a.Rule == nil {
				t.Fatal("an alert without a rule")
			}
		})
	}
	for i, r := range set.Rules() {
		if i > 20 {
			break
		}
		if err := r.Explain(&b); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzCondition checks that no condition makes the parser or the engine
// panic, and that a condition that loads is, printed and read again, the
// same.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		`evt.type = execve and proc.name in (a, "b c", 'd')`, `not(proc.pid>=1 or proc.name exists)`, `tolower(proc.name) glob "*[!a]?"`,
		`getopt(proc.args, "nt:")[t] = val(proc.pname)`, `proc.cmdline contains anyof (a, b) and proc.exepath pmatch (/usr/*, /)`,
		`proc.name regex "a|b\.c" or proc.aname[2] != "x\"y"`, `concat(proc.name, ":", proc.pid) in (shells)`, `m and not m`, `((((proc.pid = 0x1F))))`,
		`proc.duration < 1.5e+3`, `thread.cap_effective icontains sys_admin`, `evt.arg.flags contains EXE_WRITABLE or evt.arg[0] exists`,
		`proc.env[LD_PRELOAD] exists`, `len(join(bc.proc.argv, ",")) > 3`, `proc.name bcontains CAFE`, strings.Repeat("(", 200), strings.Repeat("not ", 500) + "proc.name = x",
	} {
		f.Add(s)
	}
	const head = "- list: shells\n  items: [ash, 'b sh']\n- macro: m\n  condition: proc.pid > 0\n"
	f.Fuzz(func(t *testing.T, cond string) {
		set, rep := Load([]File{{Name: "f.yaml", Data: []byte(head + ruleFile("r", cond))}}, Options{FalcoStrict: true})
		exercise(t, set, rep)
		if len(set.Rules()) != 1 || len(cond) > 2000 {
			return
		}
		r := set.Rules()[0]
		again, rep2 := Load([]File{{Name: "f.yaml", Data: []byte(head + ruleFile("r", r.Condition(true)))}}, Options{})
		if rep2.Errors() > 0 {
			t.Fatalf("%q prints as %q, which does not load: %v", cond, r.Condition(true), rep2.Err())
		}
		if a, b := r.Condition(true), again.Rules()[0].Condition(true); a != b {
			t.Fatalf("%q prints as %q, and that as %q", cond, a, b)
		}
		if a, b := len(matches(set, execEvent())), len(matches(again, execEvent())); a != b {
			t.Fatalf("%q matches %d times, its print %q %d times", cond, a, r.Condition(true), b)
		}
	})
}

// FuzzRuleFile checks that no file makes the loader panic.
func FuzzRuleFile(f *testing.F) {
	f.Add([]byte("- rule: a\n  desc: d\n  condition: >\n    proc.name = x and\n    proc.pid > 1\n  output: \"%proc.name %evt.time %toupper(user.name)[\"\n  priority: INFO\n  tags: [a, b]\n"))
	f.Add([]byte("- list: l\n  items: [a, l, &x b, *x]\n- list: l\n  items: [c]\n  override: {items: append}\n- macro: m\n  condition: m or proc.name in (l)\n  append: true\n"))
	f.Add([]byte("- rule: a\n  desc: d\n  condition: proc.name = \"a\\tb\"\n  output: o\n  priority: INFO\n  exceptions:\n  - name: e\n    fields: [proc.name, proc.pid]\n    comps: [in, '=']\n    values: [[[a, b], 1], [c, 2]]\n- rule: a\n  exceptions: [{name: e, values: [[d, 3]]}]\n  override: {exceptions: append}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("- required_engine_version: 0.99.0\n---\n- required_plugin_versions: [{name: x, version: 1.0.0}]\n- rulle: x\n"))
	if path := os.Getenv("BEARCAT_FALCO_RULES"); path != "" {
		if data, err := os.ReadFile(path); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, rep := Load([]File{{Name: "f.yaml", Data: data}, {Name: "g.yaml", Data: []byte("- rule: a\n  enabled: false\n  override: {enabled: replace}\n")}}, Options{FalcoStrict: true})
		exercise(t, set, rep)
	})
}
