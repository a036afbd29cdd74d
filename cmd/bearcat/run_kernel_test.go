package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/status"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

func TestRunSeesExecsOfItsScopeAlone(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--events", "--output", "json"}})
	outside := exec.Command("/bin/true", "outside")
	if err := outside.Run(); err != nil {
		t.Fatal(err)
	}
	s.do(`/usr/bin/env env true "two words" '' "a'b"`)
	got := a.find("the exec of env is seen", func(e *seen) bool {
		return e.Type == "exec" && slices.Equal(e.Process.Argv, []string{"env", "true", "two words", "", "a'b"})
	})
	if filepath.Base(got.Process.Exe.Path) != "env" && filepath.Base(got.Process.Exe.Path) != "coreutils" {
		t.Errorf("its program is %q", got.Process.Exe.Path)
	}
	if got.Process.Parent.Pid != s.pid() {
		t.Errorf("its parent is %d, want the shell %d", got.Process.Parent.Pid, s.pid())
	}
	if len(got.Ancestors) < 2 || got.Ancestors[0].Pid != s.pid() || got.Ancestors[1].Pid != os.Getpid() {
		t.Errorf("its ancestors are %+v, want the shell %d and this test %d", got.Ancestors, s.pid(), os.Getpid())
	} else if !slices.Equal(got.Ancestors[0].Argv, []string{"/bin/sh"}) {
		t.Errorf("the shell's arguments are %q", got.Ancestors[0].Argv)
	}
	if code, _ := a.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d, want 0", code)
	}
	inside := map[int]bool{s.pid(): true}
	for _, e := range a.events() {
		inside[e.Process.Pid] = inside[e.Process.Pid] || inside[e.Process.Parent.Pid]
		if !inside[e.Process.Pid] || e.Process.Pid == outside.Process.Pid {
			t.Errorf("a process outside of the scope was reported: %+v", e)
		}
	}
}

func TestRunAlertsWithinASecond(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	helper, stamp := linked(t, "memfd-exec"), filepath.Join(t.TempDir(), "stamp")
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--output", "json"}})
	s.do(helper + " " + stamp)
	alert := a.find("the program from memory gives an alert", func(e *seen) bool { return e.Rule == "Test memory program" })
	if e := alert.Event; e == nil || !e.Process.Exe.Memfd || e.Process.Exe.Path != "memfd:payload" || !slices.Equal(e.Process.Argv, []string{"innocent"}) {
		t.Errorf("the alert's event is %+v", e)
	}
	b, err := os.ReadFile(stamp)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	bound := time.Second
	if guest.Name() != "" {
		bound = 4 * time.Second // every instruction is emulated
	}
	if took := alert.at.Sub(time.Unix(0, ns)); took > bound {
		t.Errorf("the alert came %v after the exec, want at most %v", took, bound)
	}
	for _, e := range a.events() {
		if e.Type != "alert" {
			t.Errorf("without --events there is a line of type %s", e.Type)
		}
	}
}

func TestRunDrainsWhenTerminated(t *testing.T) {
	guest.Once(t)
	const n = 100
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--events", "--output", "json"}})
	s.repeat(n, "/bin/true drained")
	code, took := a.stop(syscall.SIGTERM)
	if code != 0 {
		t.Errorf("status %d, want 0: %s", code, a.said())
	}
	if took > endTime() {
		t.Errorf("the end took %v, want at most %v", took, endTime())
	}
	count := 0
	for _, e := range a.events() {
		if execOf("drained")(&e) {
			count++
		}
	}
	if count != n {
		t.Errorf("%d of %d execs were written", count, n)
	}
	if !strings.Contains(a.said(), "lost between kernel and agent: 0 in 0 gaps; skipped by the kernel: 0; not understood: 0; not written: 0") {
		t.Errorf("the account is not clean: %s", a.said())
	}
}

func TestRunEndsByItself(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--for", "1s"}})
	begun := time.Now()
	if code := a.wait(); code != 0 {
		t.Errorf("status %d, want 0", code)
	}
	if took := time.Since(begun); took > time.Second+endTime() {
		t.Errorf("with --for 1s it ended after %v", took)
	}
	if _, err := os.Stat(a.socket); err == nil {
		t.Error("the status socket is still there")
	}
}

func TestTwoAgentsAtOnce(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	args := []string{"--scope", s.scope(), "--events", "--output", "json"}
	first := start(t, runOptions{args: args})
	second := start(t, runOptions{args: args, socket: first.socket})
	if !strings.Contains(second.said(), "is held by the bearcat with pid "+strconv.Itoa(first.cmd.Process.Pid)) {
		t.Errorf("the second does not say who holds the status socket: %s", second.said())
	}
	s.do("/bin/true both")
	first.find("the first sees it", execOf("both"))
	second.find("the second sees it", execOf("both"))
	if got := first.status().Pid; got != first.cmd.Process.Pid {
		t.Errorf("pid %d answers, want the first, %d", got, first.cmd.Process.Pid)
	}
	if code, _ := second.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("the second ended with status %d", code)
	}
	if first.status().Pid != first.cmd.Process.Pid {
		t.Error("the first does not answer after the second's end")
	}
	s.do("/bin/true later")
	first.find("the first still sees", execOf("later"))
}

func TestStatusOfARunningAgent(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--events", "--output", "json"}})
	s.do("/bin/true bearcat-test-mark")
	a.find("it is seen", execOf("bearcat-test-mark"))
	a.until("the status counts it", func() bool { return a.status().Rules.Matched > 0 })
	st := a.status()
	if st.Pid != a.cmd.Process.Pid || st.Scope != s.scope() || st.Kernel == "" {
		t.Errorf("pid %d, scope %q, kernel %q", st.Pid, st.Scope, st.Kernel)
	}
	attached := map[string]bool{}
	for _, h := range st.Hooks {
		attached[h.Event] = h.Attached
	}
	for _, ev := range []string{"exec", "fork", "exit", "comm"} {
		if !attached[ev] {
			t.Errorf("no hook for %s is attached: %+v", ev, st.Hooks)
		}
	}
	if st.Rules.Live != 2 || st.Rules.ByRule["Test marked argument"] != 1 {
		t.Errorf("rules: %+v", st.Rules)
	}
	for _, g := range st.Stages {
		if g.Name == "decode" && (g.In == 0 || g.In != g.Out || g.Dropped != 0) {
			t.Errorf("decode: %+v", g)
		}
	}
	out, err := command(t, "bearcat", "status", "--socket", a.socket).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"RECEIVED", "Test marked argument", "ALERTS LOST", strconv.Itoa(st.Pid)} {
		if !strings.Contains(string(out), word) {
			t.Errorf("the text of the status has no %q:\n%s", word, out)
		}
	}
}

func TestReaderGoesAway(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--events"}, stdout: w})
	w.Close()
	s.do("/bin/true one")
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	s.repeat(20, "/bin/true more")
	begun := time.Now()
	code := a.wait() // fails where a signal ended it
	if took := time.Since(begun); took > endTime() {
		t.Errorf("it ended %v after its reader", took)
	}
	if said := a.said(); code > 1 || !strings.Contains(said, "reader") || strings.Contains(said, "goroutine ") {
		t.Errorf("status %d, and it said:\n%s", code, said)
	}
}

func TestOutputFileIsPrivateAndRotated(t *testing.T) {
	guest.Once(t)
	defer syscall.Umask(syscall.Umask(0))
	s := newStage(t)
	path := filepath.Join(t.TempDir(), "events.jsonl")
	a := start(t, runOptions{
		config: "output:\n  rotate:\n    size: 64KiB\n    keep: 2\n",
		args:   []string{"--scope", s.scope(), "--events", "--output", "json", "--output-file", path},
	})
	s.repeat(150, "/bin/true rotated")
	if code, _ := a.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d", code)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	if want := []string{path, path + ".1", path + ".2"}; !slices.Equal(files, want) {
		t.Fatalf("files %q, want %q", files, want)
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want 0600 whatever the umask", f, st.Mode())
		}
		if st.Size() > 64<<10 {
			t.Errorf("%s has %d bytes, more than 64 KiB", f, st.Size())
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(b), "{") || !strings.HasSuffix(string(b), "}\n") {
			t.Errorf("%s does not consist of whole lines", f)
		}
	}
}

func TestFullOutputIsCountedAndSurvived(t *testing.T) {
	guest.Once(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--events", "--output", "json"}, stdout: full})
	s.repeat(20, "/bin/true nowhere")
	var sink status.Sink
	a.until("the status counts failed writes", func() bool {
		sink = a.status().Sinks[0]
		return sink.Errors > 0
	})
	if !strings.Contains(sink.LastError, "no space left") || sink.Out != 0 {
		t.Errorf("the output's account is %+v", sink)
	}
	a.until("it says so", func() bool { return strings.Contains(a.said(), "no space left") })
	before := a.status().Rings[0].Received
	s.do("/bin/true after")
	a.until("it goes on reading", func() bool { return a.status().Rings[0].Received > before })
	if code, took := a.stop(syscall.SIGTERM); code != 1 || took > endTime() {
		t.Errorf("status %d after %v, want 1 since lines were lost", code, took)
	}
	if !strings.Contains(a.said(), "lines were lost") {
		t.Errorf("the end does not tell of the loss: %s", a.said())
	}
}

func TestTerminalIsNotFooled(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	helper := linked(t, "hostile-exec")
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--events", "--chain"}})
	s.do(helper)
	has := func(part string) func() bool {
		return func() bool {
			return slices.ContainsFunc(a.lines(), func(l line) bool { return strings.Contains(l.text, part) })
		}
	}
	a.until("the alert is there", has("Test marked argument"))
	a.until("the change of name is there", has(`\x1b[31mx`))
	a.until("the exec's end is there", has("exit 0"))
	if code, _ := a.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d", code)
	}
	for _, l := range a.lines() {
		if !utf8.ValidString(l.text) {
			t.Errorf("a line is not UTF-8: %q", l.text)
		}
		for _, r := range l.text {
			if r < 0x20 || r >= 0x7f && r <= 0x9f || r == '\u202e' {
				t.Errorf("character %U reached the terminal: %q", r, l.text)
			}
		}
	}
	all := ""
	for _, l := range a.lines() {
		all += l.text + "\n"
	}
	for _, shown := range []string{`\xff\xfe\x80`, `a\nb\x0dc`, `\u{202e}`} {
		if !strings.Contains(all, shown) {
			t.Errorf("%s is not shown:\n%s", shown, all)
		}
	}
}

func TestMetricsCanBeScraped(t *testing.T) {
	guest.Once(t)
	s := newStage(t)
	addr := freePort(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--events", "--output", "json", "--metrics", addr}})
	s.do("/bin/true bearcat-test-mark")
	a.find("it is seen", execOf("bearcat-test-mark"))
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %s: %v", resp.Status, err)
	}
	for _, want := range []string{
		`bearcat_rule_alerts_total{rule="Test marked argument"} 1`,
		`bearcat_ring_lost_total{class="critical"} 0`,
		`bearcat_hook_attached{event="exec",hook="tp_btf/sched_process_exec"} 1`,
		`bearcat_rules{state="live"} 2`,
	} {
		if !strings.Contains(string(b), want+"\n") {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

// TestNothingIsLostSilently stops the agent until its smallest rings are full,
// and wants each exec to be either written or told of as lost.
func TestNothingIsLostSilently(t *testing.T) {
	guest.Once(t)
	const n = 150
	s := newStage(t)
	// On one processor, so that the records after the flood show its end.
	one := unix.CPUSet{}
	one.Set(0)
	if err := unix.SchedSetaffinity(s.pid(), &one); err != nil {
		t.Fatal(err)
	}
	a := start(t, runOptions{
		config: "rings:\n  critical: 64KiB\n  bulk: 64KiB\n",
		args:   []string{"--scope", s.scope(), "--events", "--output", "json"},
	})
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.repeat(n, "/bin/true flood")
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // the rings are read empty
	s.do("/bin/true last")
	a.find("the last is seen", execOf("last"))
	a.until("both sides count the same", func() bool {
		r := a.status().Rings[0]
		return r.Gaps > 0 && r.LostInKernel == r.LostCounted
	})
	if r := a.status().Rings[0]; r.LostCounted == 0 {
		t.Errorf("nothing was lost, so nothing was tested: %+v", r)
	}
	if code, _ := a.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d", code)
	}
	written, lost, gaps := uint64(0), uint64(0), 0
	for _, e := range a.events() {
		switch {
		case e.Type == "exec":
			written++
		case e.Type == "gap":
			gaps++
			if e.Gap.Lost == "exec" {
				lost += e.Gap.N
			}
		}
	}
	if written+lost != n+1 || lost == 0 {
		t.Errorf("%d execs were written and %d told of as lost in %d gaps, want %d together", written, lost, gaps, n+1)
	}
}

func TestWholeHost(t *testing.T) {
	guest.Require(t)
	a := start(t, runOptions{args: []string{"--events", "--output", "json"}})
	mark := fmt.Sprintf("whole-host-%d", os.Getpid())
	if err := exec.Command("/bin/true", mark).Run(); err != nil {
		t.Fatal(err)
	}
	got := a.find("a process anywhere is seen", execOf(mark))
	if len(got.Ancestors) == 0 || got.Ancestors[len(got.Ancestors)-1].Pid != 1 {
		t.Errorf("the chain does not begin with pid 1: %+v", got.Ancestors)
	}
	if got := a.status().Scope; got != "host" {
		t.Errorf("scope %q", got)
	}
	if code, _ := a.stop(os.Interrupt); code != 0 {
		t.Errorf("status %d", code)
	}
}
