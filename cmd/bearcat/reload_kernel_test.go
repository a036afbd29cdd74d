package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

const execRule = `
- rule: exec of %[1]s
  desc: a test
  condition: evt.type = execve and proc.args contains %[1]s
  output: exec %%proc.cmdline
  priority: WARNING
`

const openRule = `
- rule: open of a secret
  desc: a test
  condition: evt.type in (open, openat) and evt.is_open_read = true and fd.name = %s
  output: open %%fd.name
  priority: WARNING
`

// TestRulesAreReloaded changes the rules of a running agent: ones that need hooks
// which nothing needed before, broken ones, and fewer.
func TestRulesAreReloaded(t *testing.T) {
	guest.Once(t)
	dir := t.TempDir()
	rules, secret := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "secret")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(rules+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(rules+".new", rules); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	both := fmt.Sprintf(execRule, "every")
	put(both + fmt.Sprintf(execRule, "first"))
	s := newStage(t)
	a := start(t, runOptions{config: "rules:\n  watch: 0s\nalerts: {burst: 0, rule_burst: 100000}\n", args: []string{"--scope", s.scope(), "--output", "json"}, rules: rules})
	alerts := func(rule string) (n int) {
		for _, e := range a.events() {
			if e.Rule == rule {
				n++
			}
		}
		return n
	}
	reload := func() (string, error) {
		out, err := command(t, "bearcat", "rules", "reload", "--socket", a.socket).CombinedOutput()
		return string(out), err
	}
	hooked := func() bool {
		for _, h := range a.status().Hooks {
			if strings.HasSuffix(h.Hook, "/sys_exit") {
				return true
			}
		}
		return false
	}
	if hooked() {
		t.Error("rules for execs alone have calls looked at")
	}
	s.do("cat " + secret + "; /bin/true first")
	a.until("the first rules match", func() bool { return alerts("exec of first") == 1 })

	put(both + fmt.Sprintf(openRule, secret))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.repeat(60, "/bin/true every")
	}()
	if out, err := reload(); err != nil || !strings.HasPrefix(out, "2 rules are live") {
		t.Fatalf("reload said %q, %v", out, err)
	}
	<-done
	s.do("cat " + secret + "; /bin/true first")
	a.until("the new rule matches", func() bool { return alerts("open of a secret") == 1 })
	a.until("no exec was missed meanwhile", func() bool { return alerts("exec of every") == 60 })
	if n := alerts("exec of first"); n != 1 {
		t.Errorf("a rule that is gone has matched %d times", n)
	}

	put(both + "- rule: broken\n  condition: evt.type = nonsense and nothing.like = it\n")
	if out, err := reload(); err == nil || !strings.Contains(out, "the rules stay as they were") || !strings.Contains(out, "key \"output\" is missing") {
		t.Errorf("broken rules: %q, %v", out, err)
	}
	s.do("cat " + secret)
	a.until("the rules from before match", func() bool { return alerts("open of a secret") == 2 })
	if r := a.status().Rules; r.Reloads != 1 || r.Refused != 1 || r.Live != 2 || r.ByRule["exec of every"] != 60 {
		t.Errorf("the status says of the rules %+v", r)
	}

	put(both)
	if out, err := reload(); err != nil {
		t.Errorf("reload said %q, %v", out, err)
	}
	if hooked() {
		t.Error("calls are looked at although no rule needs them any more")
	}
	put(both + fmt.Sprintf(openRule, secret))
	if out, err := reload(); err != nil {
		t.Errorf("reload said %q, %v", out, err)
	}
	s.do("cat " + secret)
	a.until("the rule that has come back matches", func() bool { return alerts("open of a secret") == 3 })
}

// TestBudgetHoldsForCallsOfAReload has calls asked for by a reload alone, and wants fewer of
// them collected all the same where the agent may use next to nothing.
func TestBudgetHoldsForCallsOfAReload(t *testing.T) {
	guest.Once(t)
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(fmt.Sprintf(execRule, "nothing"))
	s := newStage(t)
	a := start(t, runOptions{config: "rules:\n  watch: 0s\ncpu: {limit: 0.1%}\n", args: []string{"--scope", s.scope(), "--output", "json"}, rules: rules})
	limited := func() bool {
		return slices.ContainsFunc(a.status().Warnings, func(w string) bool { return strings.Contains(w, "to keep to its processor time, the agent leaves out") })
	}
	put(fmt.Sprintf(execRule, "nothing") + fmt.Sprintf(openRule, "/etc/hostname"))
	if out, err := command(t, "bearcat", "rules", "reload", "--socket", a.socket).CombinedOutput(); err != nil {
		t.Fatalf("reload said %q, %v", out, err)
	}
	a.until("less is collected", func() bool {
		s.repeat(20, "cat /etc/hostname")
		return limited()
	})
}
