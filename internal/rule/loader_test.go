package rule

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// loadFiles loads several files and fails the test on errors.
func loadFiles(t *testing.T, texts ...string) (*Set, *Report) {
	t.Helper()
	var files []File
	for i, s := range texts {
		files = append(files, File{Name: string(rune('a'+i)) + ".yaml", Data: []byte(s)})
	}
	set, rep := Load(files, Options{})
	if err := rep.Err(); err != nil {
		t.Fatal(err)
	}
	return set, rep
}

const baseRule = `
- list: shells
  items: [sh, bash]
- macro: net_tool
  condition: (proc.name in (nc, ncat))
- rule: Tool
  desc: first
  condition: evt.type = execve and net_tool and proc.pname in (shells)
  output: "ran %proc.name"
  priority: NOTICE
  tags: [a]
`

func TestAppendAndOverride(t *testing.T) {
	tests := []struct {
		name, change string
		match        bool
		check        func(*Rule) bool
	}{
		{"nothing", "", true, nil},
		{"list replaced", "- list: shells\n  items: [zsh]\n", false, nil},
		{"list appended", "- list: shells\n  items: [zsh]\n  override: {items: append}\n", true, nil},
		{"list overridden", "- list: shells\n  items: [zsh]\n  override: {items: replace}\n", false, nil},
		{"list appended the old way", "- list: shells\n  items: [zsh]\n  append: true\n", true, nil},
		{"macro replaced", "- macro: net_tool\n  condition: proc.name = curl\n", false, nil},
		{"macro appended", "- macro: net_tool\n  condition: and proc.pid = 1\n  override: {condition: append}\n", false, nil},
		{"macro appended with or", "- macro: net_tool\n  condition: or proc.pid = 1\n  append: true\n", true, nil},
		{"condition appended", "- rule: Tool\n  condition: and proc.pid = 1\n  override: {condition: append}\n", false, nil},
		{"condition appended the old way", "- rule: Tool\n  condition: and proc.pid = 1\n  append: true\n", false, nil},
		{"condition replaced", "- rule: Tool\n  condition: evt.type = execve and proc.pid = 200\n  override: {condition: replace}\n", true, nil},
		{"rule replaced", "- rule: Tool\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n", false, nil},
		{"switched off", "- rule: Tool\n  enabled: false\n  override: {enabled: replace}\n", false, func(r *Rule) bool { return r.Status() == Disabled }},
		{"switched off the old way", "- rule: Tool\n  enabled: false\n", false, nil},
		{"output appended", "- rule: Tool\n  output: by %user.name\n  override: {output: append}\n", true,
			func(r *Rule) bool { return r.Alert(execEvent()).Output == "ran nc by root" }},
		{"texts", "- rule: Tool\n  desc: second\n  tags: [b, a]\n  priority: ERROR\n  override: {desc: append, tags: append, priority: replace}\n", true,
			func(r *Rule) bool {
				return r.Info().Desc == "first second" && cmp.Equal(r.Info().Tags, []string{"a", "b"}) && r.Info().Priority == event.ErrorLevel
			}},
		{"tags replaced", "- rule: Tool\n  tags: [b]\n  override: {tags: replace}\n", true, func(r *Rule) bool { return cmp.Equal(r.Info().Tags, []string{"b"}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, _ := loadFiles(t, baseRule, tt.change)
			if got := len(matches(set, execEvent())) == 1; got != tt.match {
				t.Errorf("matches: %v, want %v", got, tt.match)
			}
			if r, ok := set.Rule("Tool"); !ok || tt.check != nil && !tt.check(r) {
				t.Errorf("the rule is %+v", r)
			}
		})
	}
}

func TestExceptions(t *testing.T) {
	tests := []struct {
		name, exceptions string
		match            bool
	}{
		{"single field, in by default", "- {name: e, fields: proc.name, values: [nc, x]}", false},
		{"single field, other values", "- {name: e, fields: proc.name, values: [y, x]}", true},
		{"single field with operator", "- {name: e, fields: proc.cmdline, comps: startswith, values: [x, nc]}", false},
		{"single field, value with blanks", "- {name: e, fields: proc.cmdline, values: [nc -l -p 4444]}", false},
		{"single field, a list", "- {name: e, fields: proc.name, values: [tools]}", false},
		{"rows, = by default", "- {name: e, fields: [proc.name, proc.pname], values: [[x, bash], [nc, bash]]}", false},
		{"rows that fit in half", "- {name: e, fields: [proc.name, proc.pname], values: [[x, bash], [nc, zsh]]}", true},
		{"rows with operators", "- {name: e, fields: [proc.name, proc.cmdline], comps: [in, contains], values: [[[a, nc], -l]]}", false},
		{"rows with a list name", "- {name: e, fields: [proc.name, proc.pid], comps: [in, '='], values: [[(tools), 200]]}", false},
		{"in with a bare list name", "- {name: e, fields: [proc.name, proc.pid], comps: [in, '='], values: [[tools, 200]]}", false},
		{"several exceptions", "- {name: e, fields: proc.name, values: [x]}\n  - {name: f, fields: proc.pid, values: [200]}", false},
		{"function", "- {name: e, fields: toupper(proc.name), values: [NC]}", false},
		{"no values", "- {name: e, fields: [proc.name, proc.pid], comps: [in, in]}", true},
	}
	const head = "- list: tools\n  items: [nc, curl]\n"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rule := head + ruleFile("r", "proc.name = x or proc.name = nc") + "  exceptions:\n  " + tt.exceptions + "\n"
			set, _ := loadFiles(t, rule)
			if got := len(matches(set, execEvent())) == 1; got != tt.match {
				t.Errorf("matches: %v, want %v\n%s", got, tt.match, set.Rules()[0].Condition(true))
			}
		})
	}
	// values appended to an exception by its name
	base := ruleFile("r", "proc.name = nc") + "  exceptions:\n  - {name: e, fields: [proc.name, proc.pid], values: [[a, 1]]}\n"
	set, _ := loadFiles(t, base, "- rule: r\n  exceptions: [{name: e, values: [[nc, 200]]}]\n  override: {exceptions: append}\n")
	if len(matches(set, execEvent())) != 0 {
		t.Error("an appended exception has no effect")
	}
	set, _ = loadFiles(t, base, "- rule: r\n  exceptions: [{name: g, fields: proc.pid, values: [200]}]\n  append: true\n")
	if len(matches(set, execEvent())) != 0 {
		t.Error("a new exception of an append has no effect")
	}
	set, _ = loadFiles(t, base, "- rule: r\n  exceptions: [{name: g, fields: proc.pid, values: [7]}]\n  override: {exceptions: replace}\n")
	if len(matches(set, execEvent())) != 1 {
		t.Error("a replaced exception still has an effect")
	}
}

func TestListsArePasted(t *testing.T) {
	lists := "- list: inner\n  items: [nc, '\"a b\"', 'c,d']\n- list: outer\n  items: [x, inner]\n- list: empty\n  items: []\n- list: one\n  items: [nc]\n" +
		"- list: blank\n  items: [nc -l -p 4444]\n"
	for cond, want := range map[string]bool{
		"proc.name in (inner)":               true,
		"proc.name in inner":                 true,
		"proc.name in (y, outer)":            true,
		"proc.name in (outer, y)":            true,
		"proc.name in (empty)":               false,
		"proc.name in (empty, nc)":           true,
		`proc.name in ("inner")`:             false,
		"proc.name = one":                    true,
		"proc.cmdline in (blank)":            true,
		"concat(proc.name, \"\") in (inner)": true,
		"proc.name = anyof (outer)":          true,
	} {
		set := mustLoad(t, lists+ruleFile("r", cond))
		if got := len(matches(set, execEvent())) == 1; got != want {
			t.Errorf("%s is %v, want %v", cond, got, want)
		}
	}
	set := mustLoad(t, lists+ruleFile("r", "proc.name in (inner)"))
	if got, want := set.Rules()[0].Condition(true), `proc.name in (nc, "a b", c, d)`; got != want {
		t.Errorf("pasted: %s, want %s", got, want)
	}
}

func TestSkipIfUnknownFilter(t *testing.T) {
	text := ruleFile("r", "evt.type = execve and proc.nmae = x") + "  skip-if-unknown-filter: true\n"
	set, rep := loadFiles(t, text)
	if r := set.Rules()[0]; r.Status() != Disabled || rep.Warnings() != 1 {
		t.Errorf("status %s, %d warnings", r.Status(), rep.Warnings())
	}
	macro := "- macro: m\n  condition: proc.nmae = x\n" + ruleFile("r", "evt.type = execve and m") + "  skip-if-unknown-filter: true\n"
	if set, _ = loadFiles(t, macro); set.Rules()[0].Status() != Disabled {
		t.Error("a rule whose macro has an unknown field is not skipped")
	}
	if _, rep := Load([]File{{Name: "a", Data: []byte(macro + ruleFile("s", "evt.type = execve and m"))}}, Options{}); rep.Errors() != 1 {
		t.Errorf("%d errors for a rule that is not to be skipped", rep.Errors())
	}
}

func TestWarnEvttypes(t *testing.T) {
	if _, rep := loadFiles(t, ruleFile("r", "proc.name = x")); rep.Warnings() != 1 {
		t.Errorf("%d warnings for a rule without evt.type", rep.Warnings())
	}
	if _, rep := loadFiles(t, ruleFile("r", "proc.name = x")+"  warn_evttypes: false\n"); rep.Warnings() != 0 {
		t.Errorf("%d warnings with warn_evttypes: false", rep.Warnings())
	}
	if _, rep := loadFiles(t, ruleFile("r", "not evt.type != execve")); rep.Warnings() != 0 {
		t.Errorf("%d warnings for a rule of one type", rep.Warnings())
	}
}

func TestOutput(t *testing.T) {
	ev := execEvent()
	for out, want := range map[string]string{
		"plain":                       "plain",
		"*%proc.name":                 "nc",
		"100%% %proc.name":            "100% nc",
		"%proc.name[%proc.pid]":       "<NA>",
		"[%proc.pid]":                 "[200]",
		"%proc.aname[2]/%proc.aname":  "sshd/(bash,sshd,systemd)",
		"%proc.name.":                 "nc.",
		"%proc.name.x":                "nc.x",
		"%bc.proc.script":             "<NA>",
		"%nothing.here":               "<NA>",
		"%toupper(proc.name)!":        "NC!",
		"%join(bc.proc.argv, \"+\")":  "nc+-l+-p+4444",
		"%bc.proc.argv":               "(nc,-l,-p,4444)",
		"%proc.is_exe_writable":       "true",
		"%thread.cap_effective":       "CAP_NET_ADMIN CAP_SYS_ADMIN",
		"%user.loginuid":              "-1",
		"%fd.name %container.id":      "<NA> host",
		"%evt.time.iso8601":           "2023-11-14T22:13:21.000000500+0000",
		"%proc.env[LD_PRELOAD]":       "/tmp/x.so",
		"%evt.type %evt.res":          "execve SUCCESS",
		"%proc.tty %proc.exe":         "34816 nc",
		"a % b":                       "a % b",
		"%evt.arg.uid %evt.arg.flags": "root EXE_WRITABLE",
		"line\ttab":                   "line\ttab",
	} {
		text := strings.Replace(ruleFile("r", "evt.type = execve"), "output: o", "output: '"+out+"'", 1)
		set, rep := Load([]File{{Name: "a", Data: []byte(text)}}, Options{})
		if rep.Errors() > 0 {
			t.Errorf("%s: %v", out, rep.Err())
			continue
		}
		if got := set.Rules()[0].Alert(ev).Output; got != want {
			t.Errorf("%s prints %q, want %q", out, got, want)
		}
	}
	text := strings.Replace(ruleFile("r", "evt.type = execve"), "output: o", "output: '%proc.name %proc.pid %proc.name %bc.proc.script %proc.is_exe_writable'", 1)
	a := mustLoad(t, text).Rules()[0].Alert(ev)
	want := []event.OutputField{
		{Name: "proc.name", Str: "nc"}, {Name: "proc.pid", IsNum: true, Num: 200}, {Name: "bc.proc.script", Null: true},
		{Name: "proc.is_exe_writable", IsNum: true, IsBool: true, Num: 1},
	}
	if diff := cmp.Diff(want, a.Fields); diff != "" {
		t.Errorf("fields differ (-want +got):\n%s", diff)
	}
}

// TestRefusals checks that hostile files end in a sentence, in bounded time.
func TestRefusals(t *testing.T) {
	bomb := "- list: a\n  items: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		bomb += "- list: l" + string(rune('a'+i)) + "\n  items: [" + strings.Repeat(string(rune('a'+i-1))+", ", 10) + "x]\n"
	}
	lists := "- list: l0\n  items: [a, b, c, d, e, f, g, h]\n"
	for i := 1; i < 30; i++ {
		lists += "- list: l" + itoa(i) + "\n  items: [" + strings.TrimSuffix(strings.Repeat("l"+itoa(i-1)+", ", 8), ", ") + "]\n"
	}
	macros := "- macro: m0\n  condition: proc.pid = 1\n"
	for i := 1; i < 60; i++ {
		macros += "- macro: m" + itoa(i) + "\n  condition: m" + itoa(i-1) + " and proc.name = x or m" + itoa(i-1) + "\n"
	}
	chain := "- macro: m0\n  condition: proc.pid = 1\n"
	for i := 1; i < 300; i++ {
		chain += "- macro: m" + itoa(i) + "\n  condition: not m" + itoa(i-1) + "\n"
	}
	for name, tt := range map[string]struct{ text, want string }{
		"too large":       {strings.Repeat("#", 17<<20), "larger than 16 MiB"},
		"invalid UTF-8":   {"- list: a\n  items: [\xff]\n", "not valid UTF-8"},
		"nested lists":    {lists + ruleFile("r", "proc.name in (l29)"), "more than"},
		"nested macros":   {macros + ruleFile("r", "m59"), "larger than"},
		"macro chain":     {chain + ruleFile("r", "m299"), "nest deeper"},
		"parentheses":     {ruleFile("r", strings.Repeat("(", 5000)+"proc.pid = 1"+strings.Repeat(")", 5000)), "nests deeper"},
		"functions":       {ruleFile("r", strings.Repeat("tolower(", 5000)+"proc.name"+strings.Repeat(")", 5000)+" = x"), "nests deeper"},
		"deep YAML":       {strings.Repeat("[", 2000) + strings.Repeat("]", 2000), "nests deeper"},
		"cyclic YAML":     {"- &a [*a]\n- list: x\n  items: *a\n", ""},
		"aliases":         {bomb, ""},
		"long condition":  {ruleFile("r", "proc.name = "+strings.Repeat("x", 2<<20)), "longer than"},
		"long glob":       {ruleFile("r", "proc.name glob "+strings.Repeat("*a", 5000)), "longer than"},
		"costly regex":    {ruleFile("r", "proc.name regex \"((a{1000}){1000}){1000}\""), "regular expression"},
		"thousand errors": {strings.Repeat("- rule: x\n", 1000), "more messages"},
	} {
		t.Run(name, func(t *testing.T) {
			_, rep := Load([]File{{Name: "a.yaml", Data: []byte(tt.text)}}, Options{})
			var b strings.Builder
			_ = rep.WriteText(&b)
			if tt.want != "" && (rep.Errors() == 0 || !strings.Contains(b.String(), tt.want)) {
				t.Errorf("no error with %q, but:\n%.2000s", tt.want, b.String())
			}
		})
	}
}

func itoa(i int) string {
	if i >= 10 {
		return itoa(i/10) + string(rune('0'+i%10))
	}
	return string(rune('0' + i))
}

func TestExplain(t *testing.T) {
	set := mustLoad(t, baseRule)
	var b strings.Builder
	if err := set.Rules()[0].Explain(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Tool\n", "rules.yaml:6", "Notice", "live", "events     execve\n", "fields     evt.type, proc.name, proc.pname\n",
		"evt.type = execve\n    and proc.name in (nc, ncat)\n    and proc.pname in (sh, bash)\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

func TestRunTests(t *testing.T) {
	set := mustLoad(t, baseRule+ruleFile("Other", "evt.type = execve and proc.name = other"))
	cases := []TestCase{
		{Name: "1", Event: execEvent(), Match: []string{"Tool"}, Exact: true},
		{Name: "2", Event: execEvent(), NoMatch: []string{"Tool"}},
		{Name: "3", Event: execEvent(), Match: []string{"Tol"}},
		{Name: "4", Event: execEvent(), Exact: true},
		{Name: "5"},
	}
	res, err := RunTests(set, func(yield func(TestCase, error) bool) {
		for _, c := range cases {
			if !yield(c, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range res.Failures {
		failed = append(failed, f.Case)
	}
	if diff := cmp.Diff([]string{"2", "3", "4", "5"}, failed); diff != "" {
		t.Errorf("failed cases differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Other"}, res.NoMatchingCase); diff != "" || len(res.NoOtherCase) != 0 {
		t.Errorf("uncovered rules differ: %s %v", diff, res.NoOtherCase)
	}
}

func TestNotesForPeople(t *testing.T) {
	const with = baseRule + "  false_positives: >\n    people who\n    test\n  response_note: look\n"
	set, rep := loadFiles(t, with, "- rule: Tool\n  response_note: end it\n  override: {response_note: replace}\n")
	if len(rep.Diags) > 0 {
		t.Errorf("the keys are complained about: %v", rep.Diags)
	}
	r, _ := set.Rule("Tool")
	if i := r.Info(); i.FalsePositives != "people who test" || i.Response != "end it" {
		t.Errorf("the notes are %q and %q", i.FalsePositives, i.Response)
	}
	var b strings.Builder
	if err := r.Explain(&b); err != nil || !strings.Contains(b.String(), "people who test") || !strings.Contains(b.String(), "end it") {
		t.Errorf("explain does not show them (%v):\n%s", err, b.String())
	}
	if _, rep := Load([]File{{Name: "a.yaml", Data: []byte(baseRule + "  false_positives: [a]\n")}}, Options{}); rep.Err() == nil {
		t.Error("a list is taken for a text")
	}
}
