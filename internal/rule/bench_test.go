package rule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// processRules writes n rules of the kinds that packs about processes have;
// none of them matches the events of the benchmarks.
func processRules(n int) string {
	var b strings.Builder
	b.WriteString("- macro: spawned_process\n  condition: (evt.type in (execve, execveat))\n" +
		"- list: shells\n  items: [ash, bash, csh, dash, ksh, sh, zsh]\n" +
		"- macro: by_package_manager\n  condition: (proc.aname[2] in (apt, dpkg, rpm, dnf) or proc.pname in (apt-get, yum))\n" +
		"- macro: interactive\n  condition: (proc.tty != 0 and proc.pname in (shells))\n")
	for i := range n {
		var cond string
		switch i % 10 {
		case 0, 1, 2:
			cond = fmt.Sprintf("proc.name in (tool%d, helper%d, agent%d) and proc.cmdline contains \"--flag%d\" and not by_package_manager", i, i, i, i)
		case 3, 4:
			cond = fmt.Sprintf("proc.name = tool%d and (proc.args contains \" -e\" or proc.args contains \" -c\")", i)
		case 5:
			cond = fmt.Sprintf("proc.pname in (server%d, daemon%d) and proc.name in (shells) and not by_package_manager", i, i)
		case 6:
			cond = fmt.Sprintf("(proc.exepath = /opt/app%d/bin/run or proc.exepath in (/srv/a%d, /srv/b%d)) and user.uid = 0", i, i, i)
		case 7:
			cond = fmt.Sprintf("interactive and proc.name = tool%d and proc.aname = sshd", i)
		case 8:
			cond = fmt.Sprintf("proc.exepath startswith /tmp/dir%d/ and not by_package_manager", i)
		case 9:
			cond = fmt.Sprintf("proc.cmdline contains \"secret%d\" and not by_package_manager", i)
		}
		b.WriteString(ruleFile(fmt.Sprintf("rule %d", i), "spawned_process and "+cond))
	}
	return b.String()
}

func BenchmarkMatch500(b *testing.B) {
	e := NewEngine(mustLoad(b, processRules(500)), MatchAll)
	ev := execEvent()
	b.ReportAllocs()
	for b.Loop() {
		e.Match(ev, func(r *Rule) { b.Fatal(r.Info().Name) })
	}
	b.ReportMetric(float64(e.evaluated)/float64(b.N), "rules/op")
}

// BenchmarkMatch500Long has a command line of 4 KiB, as compilers are called
// with.
func BenchmarkMatch500Long(b *testing.B) {
	e := NewEngine(mustLoad(b, processRules(500)), MatchAll)
	ev := execEvent()
	ev.Proc = proc(300, "cc1", "/usr/lib/gcc/cc1", ev.Proc.Parent, append([]string{"cc1"}, strings.Fields(strings.Repeat("-I/usr/include/some/directory ", 140))...)...)
	b.ReportAllocs()
	for b.Loop() {
		e.Match(ev, func(r *Rule) { b.Fatal(r.Info().Name) })
	}
}

// BenchmarkMatchUnindexed has no rule that the index can leave out.
func BenchmarkMatchUnindexed(b *testing.B) {
	var text strings.Builder
	for i := range 500 {
		text.WriteString(ruleFile(fmt.Sprintf("r%d", i), fmt.Sprintf("evt.type = execve and proc.exepath startswith /opt/%d and proc.cmdline contains x%d", i, i)))
	}
	e := NewEngine(mustLoad(b, text.String()), MatchAll)
	ev := execEvent()
	b.ReportAllocs()
	for b.Loop() {
		e.Match(ev, func(r *Rule) { b.Fatal(r.Info().Name) })
	}
}

func BenchmarkAlert(b *testing.B) {
	set := mustLoad(b, strings.Replace(ruleFile("r", "proc.name = nc"), "output: o", "output: a %proc.name by %user.name (%proc.cmdline %proc.pid parent %proc.pname %evt.time)", 1))
	ev := execEvent()
	b.ReportAllocs()
	for b.Loop() {
		set.Rules()[0].Alert(ev)
	}
}

func BenchmarkLoad500(b *testing.B) {
	files := []File{{Name: "r.yaml", Data: []byte(processRules(500))}}
	b.ReportAllocs()
	for b.Loop() {
		Load(files, Options{})
	}
}

// TestMatchDoesNotAllocate covers every kind of field: text, numbers, flags,
// lists, composed text and functions.
func TestMatchDoesNotAllocate(t *testing.T) {
	conds := []string{
		`proc.cwd startswith /nowhere/`, `proc.env contains NOTHING`, `evt.time startswith 99`, `thread.cap_effective = CAP_CHOWN`,
		`proc.aname in (x, y)`, `bc.proc.argv intersects (x, y)`, `proc.apid = 77`, `tolower(proc.cmdline) contains zzz`,
		`join(bc.proc.argv, "|") = x`, `concat(proc.name, proc.pid) = x`, `getopt(proc.exe, "a:")[a] = x`, `proc.exepath glob "*zz*"`,
		`proc.exepath regex "/zz.*"`, `proc.exepath pmatch (/zz, /y*/z)`, `evt.arg.pid = x`, `evt.args contains zzzz`, `bc.proc.lineage contains zz`,
		`proc.name = val(proc.pname)`, `len(bc.proc.argv) = 77`, `proc.cmdline icontains ZZZ`,
	}
	sets := map[string]*Set{"500 rules": mustLoad(t, processRules(500))}
	for i, c := range conds {
		sets[c] = mustLoad(t, ruleFile(fmt.Sprintf("r%d", i), c))
	}
	for name, set := range sets {
		e := NewEngine(set, MatchAll)
		ev := execEvent()
		hits := 0
		yield := func(*Rule) { hits++ }
		e.Match(ev, yield) // buffers grow once
		if n := testing.AllocsPerRun(100, func() { e.Match(ev, yield) }); n != 0 {
			t.Errorf("%s: %v allocations for an event that matches nothing", name, n)
		}
		if hits != 0 {
			t.Errorf("%s: %d matches, want none", name, hits)
		}
	}
}

// TestIndexLeavesRulesOut checks that the index does its work at all.
func TestIndexLeavesRulesOut(t *testing.T) {
	e := NewEngine(mustLoad(t, processRules(500)), MatchAll)
	e.Match(execEvent(), func(r *Rule) { t.Errorf("%s matches", r.Info().Name) })
	if e.evaluated > 110 {
		t.Errorf("%d of 500 rules were looked at", e.evaluated)
	}
	e.Match(&event.Event{Type: event.Exit, Proc: execEvent().Proc, ExitInfo: &event.ExitInfo{}}, func(r *Rule) { t.Errorf("%s matches", r.Info().Name) })
}

// TestLargeFile checks that a file of many megabytes loads, or is refused, in
// bounded time.
func TestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	var b strings.Builder
	b.WriteString(ruleFile("r", "evt.type = execve and proc.name in (big)") + "- list: big\n  items:\n")
	for i := 0; b.Len() < 10<<20; i++ {
		fmt.Fprintf(&b, "    - value%d\n", i)
	}
	start := time.Now()
	_, rep := Load([]File{{Name: "big.yaml", Data: []byte(b.String())}}, Options{})
	if rep.Errors() == 0 {
		t.Error("a list of more than half a million values was not refused")
	}
	t.Logf("list: %v, %v", time.Since(start), rep.Err())

	b.Reset()
	for i := 0; b.Len() < 10<<20; i++ {
		b.WriteString(ruleFile(fmt.Sprintf("r%d", i), fmt.Sprintf("evt.type = execve and proc.name = name%d", i)))
	}
	start = time.Now()
	set, rep := Load([]File{{Name: "big.yaml", Data: []byte(b.String())}}, Options{})
	t.Logf("rules: %v, %d rules, %v", time.Since(start), len(set.Rules()), rep.Err())
	if time.Since(start) > time.Minute {
		t.Errorf("10 MiB of rules took %v", time.Since(start))
	}
}
