package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bearcat-hids/bearcat/internal/agent"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/status"
)

// TestMain makes this test binary stand in for bearcat: in the scripts, and
// wherever a test starts it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bearcat": func() { os.Exit(Main()) },
		// the agent starts itself under this name
		agent.CanaryName: agent.CanaryMain,
		"memfd-exec":     memfdExec,
		"hostile-exec":   hostileExec,
		"ring-open":      ringOpen,
	})
}

// TestScripts runs what a user types. Nothing in them loads a program into the
// kernel, except where a script says so and is skipped without root.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("BEARCAT_UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			// Nobody must be able to run the stand-in and read the files.
			return os.Chmod(env.WorkDir, 0o755)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":    statusCmd,
			"jsonlines": jsonlinesCmd,
		},
	})
}

// statusCmd runs a command and wants an exit status: status 2 bearcat bogus.
func statusCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = fmt.Sprint(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("running %s: %v", args[1], err)
	}
	if got != args[0] {
		ts.Fatalf("%s ended with status %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// jsonlinesCmd wants a file to hold one JSON object a line, and each to have
// the members named: jsonlines stdout name type.
func jsonlinesCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: jsonlines FILE MEMBER...")
	}
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	if text == "" {
		ts.Fatalf("%s has no lines", args[0])
	}
	for i, line := range strings.Split(text, "\n") {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("line %d is not a JSON object: %v: %s", i+1, err, line)
		}
		for _, member := range args[1:] {
			if _, ok := object[member]; !ok {
				ts.Fatalf("line %d has no member %q: %s", i+1, member, line)
			}
		}
	}
}

// commands lists every command that help shows, with its path.
func commands(c *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			out = append(out, commands(sub)...)
		}
	}
	return out
}

// TestEveryCommandExplainsItself wants a line, and for what does something by
// itself an example that begins with its own name.
func TestEveryCommandExplainsItself(t *testing.T) {
	all := commands(rootCommand())
	if len(all) < 8 {
		t.Fatalf("only %d commands were found", len(all))
	}
	for _, c := range all {
		if c.Short == "" {
			t.Errorf("%s has no short description", c.CommandPath())
		}
		if c.HasSubCommands() {
			continue
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
}

// TestExamplesParse checks that the flags and verbs in the examples exist.
func TestExamplesParse(t *testing.T) {
	for _, c := range commands(rootCommand()) {
		for line := range strings.Lines(c.Example) {
			line, _, _ = strings.Cut(line, " #")
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " > ")
			words := strings.Fields(line)
			if len(words) == 0 || words[0] != "bearcat" {
				continue
			}
			called(t, words[1:])
		}
	}
}

// called finds the command that words call and has it read its flags; nil where there is
// none.
func called(t *testing.T, words []string) *cobra.Command {
	t.Helper()
	found, rest, err := rootCommand().Find(words)
	if err != nil {
		t.Errorf("bearcat %s: %v", strings.Join(words, " "), err)
		return nil
	}
	if err := found.ParseFlags(rest); err != nil {
		t.Errorf("bearcat %s: %v", strings.Join(words, " "), err)
	}
	return found
}

// TestHelpIsNarrow wants what a command says of itself to fit a terminal.
func TestHelpIsNarrow(t *testing.T) {
	for _, c := range commands(rootCommand()) {
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		about, _, _ := strings.Cut(out.String(), "Usage:")
		for line := range strings.Lines(about) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
				t.Errorf("%s: a line of its help has %d characters, more than 80: %s", c.CommandPath(), n, line)
			}
		}
	}
}

// page reads a page of the documentation.
func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPagesNameEveryFlag wants each flag on the page of its verb.
func TestPagesNameEveryFlag(t *testing.T) {
	for _, c := range commands(rootCommand()) {
		words := strings.Fields(c.CommandPath())
		if len(words) < 2 {
			continue
		}
		text := page(t, words[1]+".md")
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("docs/%s.md does not name --%s of %s", words[1], f.Name, c.CommandPath())
			}
		})
	}
}

// TestPagesNameEveryCheck wants what doctor prints on its page.
func TestPagesNameEveryCheck(t *testing.T) {
	text := page(t, "doctor.md")
	checks := kernel.Preflight()
	if len(checks) < 5 {
		t.Fatalf("only %d checks", len(checks))
	}
	for _, c := range checks {
		if !strings.Contains(text, "`"+c.Name+"`") {
			t.Errorf("docs/doctor.md does not explain %q", c.Name)
		}
	}
	for _, s := range []kernel.State{kernel.OK, kernel.Limited, kernel.Absent, kernel.Missing} {
		if !strings.Contains(text, "| `"+string(s)+"` |") {
			t.Errorf("docs/doctor.md does not explain the state %q", s)
		}
	}
}

// TestPagesNameEveryColumn wants the headings of bearcat status on its page.
func TestPagesNameEveryColumn(t *testing.T) {
	text := page(t, "status.md")
	n := uint64(1)
	var b bytes.Buffer
	err := status.WriteStatus(&b, status.Status{
		Hooks: []status.Hook{{Runs: &n, Missed: &n}}, Rings: []status.Ring{{}}, Stages: []status.Stage{{}},
		Rules: status.Rules{ByRule: map[string]uint64{"r": 1}}, Sinks: []status.Sink{{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	columns := 0
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimSpace(line); line == "" || strings.ToUpper(line) != line || strings.ToLower(line) == line {
			continue
		}
		for _, name := range strings.Split(line, "  ") {
			if name = strings.TrimSpace(name); name == "" || name == "STAGE" || name == "IN" || name == "OUT" {
				continue // explained in words
			}
			columns++
			if !strings.Contains(text, name) && !strings.Contains(strings.ToUpper(text), name) {
				t.Errorf("docs/status.md does not explain %s", name)
			}
		}
	}
	if columns < 25 {
		t.Errorf("only %d columns were found:\n%s", columns, b.String())
	}
}

// TestRuleExampleLoads takes the rule file out of docs/rules.md and loads it.
func TestRuleExampleLoads(t *testing.T) {
	_, block, ok := strings.Cut(page(t, "rules.md"), "list of rules, macros and lists:\n\n")
	if !ok {
		t.Fatal("docs/rules.md has no example file")
	}
	var text strings.Builder
	for line := range strings.Lines(block) {
		code, ok := strings.CutPrefix(line, "    ")
		if !ok && strings.TrimSpace(line) != "" {
			break
		}
		text.WriteString(code + "\n")
	}
	set, report := rule.Load([]rule.File{{Name: "docs/rules.md", Data: []byte(text.String())}}, rule.Options{})
	if len(report.Diags) > 0 {
		t.Errorf("the example is not in order: %v", report.Diags)
	}
	if r, ok := set.Rule("Shell with a socket"); !ok || r.Status() != rule.Live {
		t.Errorf("its rule is not live:\n%s", text.String())
	}
}
