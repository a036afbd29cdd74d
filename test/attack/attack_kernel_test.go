// Package attack runs attacks in a guest and wants Bearcat to tell each of them,
// by the right rule and soon, and nothing else. The cases are a table in
// cases_kernel_test.go; docs/detection.md says what they are about.
//
// make test-attack runs them on several kernels and prints the table of results;
// make test runs them on one.
package attack

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"github.com/bearcat-hids/bearcat/test/scenario"
)

// attackCase is an attack and what is wanted of Bearcat.
type attackCase struct {
	// id is the case's name in docs/detection.md.
	id string
	// needs are programs without which the case is skipped.
	needs []string
	scenario.Script
	// do is what happens where no script can do it.
	do func(t *testing.T) error
	// fails says that the attack ends with a status other than 0 or is ended
	// by the test, and that this is how it should be.
	fails bool
	// rule must alert; also are rules that may alert besides, since what
	// happens is theirs too.
	rule string
	also []string
	// looked says that a check tells it, which the attack gives a reason for: the alert
	// is waited for, and counted from the attack on.
	looked bool
	// from is the oldest kernel that shows it, as "6.1"; "" for all.
	from string
}

// soon is how long after its event an alert may come: a second on a machine,
// and more in a guest whose every instruction is emulated.
const soon = 10 * time.Second

// acted is when the attack at hand was made, for those that a check tells.
var acted time.Time

// everywhere makes the run on all kernels run all cases; the run as part of all
// tests takes one kernel only.
const everywhere = "BEARCAT_SCENARIOS"

func onThisKernel(t *testing.T) {
	t.Helper()
	guest.Require(t)
	if os.Getenv(everywhere) == "" && guest.Name() != "6.12" {
		t.Skip("runs on 6.12 here, and on more kernels by make test-attack and make test-benign")
	}
}

func TestAttacks(t *testing.T) {
	onThisKernel(t)
	scenario.Network(t)
	agent := scenario.Start(t)
	only := strings.Fields(os.Getenv("BEARCAT_CASES"))
	for _, c := range cases() {
		if len(only) > 0 && !slices.Contains(only, c.id) {
			continue
		}
		t.Run(c.id, func(t *testing.T) { c.run(t, agent) })
		if strings.HasPrefix(c.id, "R") {
			time.Sleep(time.Second)
		}
	}
}

func (c *attackCase) run(t *testing.T, agent *scenario.Agent) {
	result, took := "pass", "-"
	defer func() {
		if t.Failed() {
			result = "FAIL"
		}
		t.Logf("| %s | %s | %s | %s | %s |", c.id, guest.Name(), c.rule, took, result)
	}()
	if why := c.cannot(); why != "" {
		result = "skipped: " + why
		t.Skip(why)
	}
	var printed string
	acted = time.Now()
	alerts, err := agent.Do(func() error {
		var err error
		if c.do != nil {
			err = c.do(t)
		} else {
			printed, err = c.Script.Run(t)
		}
		if c.looked && err == nil {
			agent.Await(c.rule)
		}
		return err
	})
	if err != nil && !c.fails {
		t.Errorf("the attack itself failed: %v\n%s", err, printed)
	}
	found := false
	for _, a := range alerts {
		keep(t, &a)
		switch {
		case a.Rule == c.rule:
			if c.looked {
				a.Delay = a.At.Sub(acted)
			}
			if !found {
				took = a.Delay.Round(time.Millisecond).String()
			}
			found = true
			if limit := c.limit(); a.Delay > limit {
				t.Errorf("the alert came %v after its event, and %v was to be the most", a.Delay, limit)
			}
		case strings.HasPrefix(c.id, "R") && slices.Contains(joined, a.Rule):
			// what ends of the shell before, such as its listener's accept
			// that comes last, may be told within this one's time
		case !slices.Contains(c.also, a.Rule):
			t.Errorf("another rule alerts: %s", a.Output)
		}
	}
	if !found {
		t.Errorf("no alert by %q\nthe attack printed:\n%s", c.rule, printed)
	}
}

// limit is how long the alert may take. A check that reads through the kernel's tables is
// much slower still where every instruction is emulated.
func (c *attackCase) limit() time.Duration {
	if c.looked {
		return scenario.Patience
	}
	return soon
}

// cannot says why the case cannot run here; "" where it can.
func (c *attackCase) cannot() string {
	if c.from != "" && older(guest.Name(), c.from) {
		return "from kernel " + c.from
	}
	return scenario.Missing(c.needs)
}

// older compares two kernels by name.
func older(a, b string) bool {
	split := func(s string) (string, string) {
		major, minor, _ := strings.Cut(s, ".")
		return major, minor
	}
	am, an := split(a)
	bm, bn := split(b)
	if len(am) != len(bm) || am != bm {
		return len(am) < len(bm) || len(am) == len(bm) && am < bm
	}
	return len(an) < len(bn) || len(an) == len(bn) && an < bn
}

// keep writes an alert to the log, where that is asked for: it can then become
// an event that tests a rule (rules/testdata).
func keep(t *testing.T, a *scenario.Alert) {
	t.Helper()
	if os.Getenv("BEARCAT_KEEP_ALERTS") != "" {
		t.Logf("ALERT %s", a.Line)
	}
}

// compile makes a program of C, once for a test.
func compile(t *testing.T, path, text string, args ...string) error {
	t.Helper()
	source := filepath.Join(t.TempDir(), "source.c")
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		return err
	}
	out, err := exec.Command("gcc", append(args, "-O1", "-o", path, source)...).CombinedOutput()
	if err != nil {
		t.Logf("gcc: %s", out)
	}
	return err
}

// TestSimulations holds bearcat simulate to what it promises: each case that
// runs is answered by its rule.
func TestSimulations(t *testing.T) {
	onThisKernel(t)
	agent := scenario.Start(t)
	var out []byte
	alerts, err := agent.Do(func() error {
		_ = exec.Command("modprobe", "msr").Run() // for one of the cases
		var err error
		out, err = exec.Command("../../bin/bearcat", "simulate", "run", "--all", "--json").Output()
		return err
	})
	if err != nil {
		t.Errorf("bearcat simulate run: %v", err)
	}
	ran := 0
	for line := range strings.Lines(string(out)) {
		var r struct{ Name, Rule, Outcome, Error string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("reading %s: %v", line, err)
		}
		if r.Outcome != "ran" {
			t.Logf("%s: %s: %s", r.Name, r.Outcome, r.Error)
			continue
		}
		ran++
		if !slices.ContainsFunc(alerts, func(a scenario.Alert) bool { return a.Rule == r.Rule }) {
			t.Errorf("case %s ran, and no alert by %q came", r.Name, r.Rule)
		}
	}
	if ran < 20 {
		t.Errorf("%d cases ran, and most were to:\n%s", ran, out)
	}
}
