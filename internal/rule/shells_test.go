package rule

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"pgregory.net/rapid"
)

func TestOnlyShells(t *testing.T) {
	for cond, want := range map[string]bool{
		"evt.type = execve": true,
		"evt.type = accept": false,
		"evt.type in (accept, connect) and bc.shell.both_ways = true":                      true,
		"evt.type = accept and (bc.shell.in = true or bc.shell.via = pty)":                 true,
		"evt.type = accept and (bc.shell.in = true or proc.name = nc)":                     false,
		"evt.type = accept and not bc.shell.in = true":                                     false,
		"evt.type = accept and bc.shell.relay intersects (nc) and not bc.shell.via = pipe": true,
	} {
		set := mustLoad(t, ruleFile("r", cond))
		if got := set.OnlyShells(event.Accept); got != want {
			t.Errorf("%s: %v, want %v", cond, got, want)
		}
	}
	set := mustLoad(t, ruleFile("r", "evt.type = accept and bc.shell.in = true"))
	if !set.Uses("bc.shell.") || set.Uses("bc.gap.") {
		t.Error("the fields that the rule uses are not known")
	}
}

// TestOnlyShellsHidesNothing matches random conditions against an event without a
// shell: a rule that matches it must have asked for all.
func TestOnlyShellsHidesNothing(t *testing.T) {
	atoms := []string{"bc.shell.both_ways = true", "bc.shell.both_ways = false", "bc.shell.via in (pipe, pty)", "bc.shell.relay intersects (nc)", "bc.shell.remote exists",
		"bc.shell.remote_port != 80", "bc.shell.name != val(proc.name)", "proc.name = val(bc.shell.name)", "basename(bc.shell.exepath) != sh", "proc.name exists", "proc.name = nc", "fd.num = 3"}
	rapid.Check(t, func(t *rapid.T) {
		cond := condOf(t, atoms, 3)
		set, rep := Load([]File{{Name: "r", Data: []byte(ruleFile("r", "evt.type = accept and "+cond))}}, Options{})
		if rep.Errors() > 0 {
			t.Fatalf("%s: %v", cond, rep.Err())
		}
		ev := &event.Event{Type: event.Accept, Num: 1, Proc: execEvent().Proc, Call: &event.Call{Spec: event.CallNamed("accept"), Ret: 3, FD: &event.FD{Num: 3}}}
		if len(matches(set, ev)) > 0 && set.OnlyShells(event.Accept) {
			t.Fatalf("%s matches an accept without a shell, and does not ask for it", cond)
		}
	})
}
