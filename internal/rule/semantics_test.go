package rule

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// TestConditions pins the meaning of the language with testdata/conditions.txt.
func TestConditions(t *testing.T) {
	ev := execEvent()
	data, err := os.ReadFile("testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for n, line := range strings.Split(string(data), "\n") {
		value, cond, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || value == "#" {
			continue
		}
		cond = strings.TrimSpace(cond)
		want, err := strconv.ParseBool(value)
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		tested++
		// alone, under not (which the index must not confuse), and over lines
		for text, want := range map[string]bool{cond: want, "not (" + cond + ")": !want, "\n\t" + cond + "\n": want} {
			set := mustLoad(t, ruleFile("r", text))
			if got := len(matches(set, ev)) == 1; got != want {
				t.Errorf("line %d: %s\n\tis %v, want %v", n+1, text, got, want)
			}
		}
	}
	if tested < 150 {
		t.Errorf("only %d conditions in the file", tested)
	}
}

func TestEventTypes(t *testing.T) {
	p := execEvent().Proc
	events := map[string]*event.Event{
		"execve":   {Type: event.Exec, Proc: p, ExecInfo: &event.ExecInfo{}},
		"execveat": {Type: event.Exec, Proc: p, ExecInfo: &event.ExecInfo{At: true}},
		"clone":    {Type: event.Fork, Proc: p},
		"procexit": {Type: event.Exit, Proc: p, ExitInfo: &event.ExitInfo{Code: 3}},
		"prctl":    {Type: event.Comm, Proc: p, OldComm: "x"},
		"gap":      {Type: event.Gap, GapInfo: &event.GapInfo{N: 3}},
	}
	for name, ev := range events {
		for other := range events {
			set := mustLoad(t, ruleFile("r", "evt.type = "+other))
			if got := len(matches(set, ev)) == 1; got != (name == other) {
				t.Errorf("%s event and evt.type = %s: %v", name, other, got)
			}
		}
	}
	for _, alias := range []string{"fork", "vfork", "clone3"} {
		if len(matches(mustLoad(t, ruleFile("r", "evt.type in (open, "+alias+")")), events["clone"])) != 1 {
			t.Errorf("evt.type in (%s) does not match a fork", alias)
		}
		if len(matches(mustLoad(t, ruleFile("r", "evt.type != "+alias)), events["clone"])) != 0 {
			t.Errorf("evt.type != %s matches a fork", alias)
		}
	}
	for cond, name := range map[string]string{
		"bc.exit.code = 3": "procexit", "bc.proc.old_comm = x": "prctl", "bc.gap.n = 3": "gap", "bc.exec.at = true": "execveat",
	} {
		set := mustLoad(t, ruleFile("r", cond))
		for n, ev := range events {
			if got := len(matches(set, ev)) == 1; got != (n == name) {
				t.Errorf("%s for %s: %v", cond, n, got)
			}
		}
	}
}

func TestMatchingModes(t *testing.T) {
	set := mustLoad(t, ruleFile("first", "proc.name = nc")+ruleFile("second", "proc.exepath startswith /usr")+ruleFile("third", "proc.pid = 200"))
	for mode, want := range map[Matching]int{MatchAll: 3, MatchFirst: 1} {
		var got []string
		NewEngine(set, mode).Match(execEvent(), func(r *Rule) { got = append(got, r.Info().Name) })
		if len(got) != want || got[0] != "first" {
			t.Errorf("mode %d: %v", mode, got)
		}
	}
}

func TestStatus(t *testing.T) {
	text := ruleFile("live", "evt.type = execve and proc.name = x") +
		ruleFile("events", "evt.type in (read, readv) and proc.name = x") +
		ruleFile("fields", "evt.type = execve and user.homedir = x") +
		ruleFile("partly", "evt.type = execve and proc.name = x or evt.type = open and fd.name = y") +
		ruleFile("never", "evt.num = 0 and proc.name = x") +
		ruleFile("off", "proc.name = x") + "  enabled: false\n" +
		ruleFile("foreign", "ka.verb = create") + "  source: k8s_audit\n" +
		ruleFile("exit", "bc.exit.code = 1")
	set := mustLoad(t, text)
	want := map[string]struct {
		status Status
		reason string
	}{
		"live": {Live, ""}, "events": {Waiting, "events read, readv"}, "fields": {Waiting, "user database details"}, "partly": {Live, ""},
		"never": {Disabled, "its condition is never true"}, "off": {Disabled, "enabled is false"}, "foreign": {Waiting, "source k8s_audit"}, "exit": {Live, ""},
	}
	for _, r := range set.Rules() {
		w := want[r.Info().Name]
		if r.Status() != w.status || r.Reason() != w.reason {
			t.Errorf("%s is %s %q, want %s %q", r.Info().Name, r.Status(), r.Reason(), w.status, w.reason)
		}
	}
	if r, _ := set.Rule("exit"); r.Types() != event.TypesOf(event.Exit) {
		t.Errorf("exit is evaluated for %s", r.Types())
	}
	if got := set.Types(); !slices.Equal(got, []event.Type{event.Exec, event.Exit, event.Open}) {
		t.Errorf("types of the set: %v", got)
	}
}
