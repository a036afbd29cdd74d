package matrix

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/testlog"
)

func record(t *testing.T, status int, text string) *Column {
	t.Helper()
	col := &Column{Kernel: "6.1", Log: filepath.Join(t.TempDir(), "log")}
	r, err := newRecorder(col, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []byte(text) { // as badly cut as can be
		if _, err := r.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.close(status, true); err != nil {
		t.Fatal(err)
	}
	return col
}

const twoPackages = "@@vmrun release 6.1.0-56\n@@vmrun package m/a\n\x16=== RUN   TestA\n\x16--- PASS: TestA (0.00s)\nPASS\n@@vmrun exit 0\n" +
	"@@vmrun package m/b\n\x16=== RUN   TestA\n    b_test.go:3: too old\n\x16--- SKIP: TestA (0.00s)\nPASS\n@@vmrun exit 0\n"

func TestRecorder(t *testing.T) {
	col := record(t, 0, twoPackages)
	if got, want := col.Results.Count(), (testlog.Counts{Passed: 1, Skipped: 1}); got != want || col.Release != "6.1.0-56" {
		t.Errorf("counts %+v on %q, want %+v", got, col.Release, want)
	}
	log, err := os.ReadFile(col.Log)
	if err != nil || strings.Contains(string(log), "\x16") {
		t.Errorf("log holds framing bytes, or %v", err)
	}
}

func TestRecorderFindsWhatTestsDoNotTell(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		text   string
		want   string
	}{
		"binary fails":     {1, "@@vmrun package m/a\n=== RUN   TestA\n--- PASS: TestA (0.00s)\npanic: in main\n@@vmrun exit 2\n", "ended with status 2"},
		"guest dies":       {125, "@@vmrun package m/a\n=== RUN   TestA\n--- PASS: TestA (0.00s)\n", "status 125"},
		"nothing ran":      {0, "@@vmrun package m/b\n=== RUN   TestA\n--- SKIP: TestA (0.00s)\n@@vmrun exit 0\n", "no test ran"},
		"marker mid-line":  {1, "@@vmrun package m/a\n=== RUN   TestA\n--- PASS: TestA (0.00s)\nleft over@@vmrun exit 3\n", "ended with status 3"},
		"dies before test": {125, "", "status 125"},
	} {
		t.Run(name, func(t *testing.T) {
			col := record(t, c.status, c.text)
			if n := col.Results.Count(); n.Failed != 1 {
				t.Errorf("counts %+v, want one failure", n)
			}
			var report strings.Builder
			Failures(&report, []*Column{col})
			if !strings.Contains(report.String(), c.want) {
				t.Errorf("report %q lacks %q", report.String(), c.want)
			}
		})
	}
}

func TestReportListsEverySkip(t *testing.T) {
	a, b := record(t, 0, twoPackages), record(t, 0, twoPackages)
	b.Kernel, b.Note = "6.12", "the guest died once"
	var out strings.Builder
	if got, want := Report(&out, []*Column{a, b}), (testlog.Counts{Passed: 2, Skipped: 2}); got != want {
		t.Errorf("sum %+v, want %+v", got, want)
	}
	for _, want := range []string{"6.1 6.12  m/b TestA: too old", "the guest died once", "6.1.0-56"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestSelectTests(t *testing.T) {
	pkgs := []Package{{ImportPath: "a", Tests: []string{"TestOne", "TestTwo"}}, {ImportPath: "b", Tests: []string{"TestThree"}}}
	for run, want := range map[string][]string{
		"":            {"^(TestOne|TestTwo)$", "^(TestThree)$"},
		"Two":         {"^(TestTwo)$"},
		"TestOne/sub": {"^(TestOne)$/sub"},
		"None":        nil,
	} {
		_, got, err := selectTests(pkgs, run)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("-run %q selects %q, %v, want %q", run, got, err, want)
		}
	}
	if _, _, err := selectTests(pkgs, "("); err == nil {
		t.Error("a broken pattern gives no error")
	}
}

func TestDiscoverFindsThisModulesTests(t *testing.T) {
	pkgs, err := Discover(t.Context(), "..", []string{"./..."})
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) != 1 || filepath.Base(pkgs[0].Dir) != "guest" || !slices.Contains(pkgs[0].Tests, "TestMounts") {
		t.Errorf("found %+v, want the guest package with its tests", pkgs)
	}
}

func TestScriptIsShell(t *testing.T) {
	dir := t.TempDir()
	fake := filepath.Join(dir, "it's.test")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho \"$BEARCAT_KERNEL_TESTS $PWD $*\"\nexit 4\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := script([]step{{Package{ImportPath: "m/a", Dir: dir}, fake, "^(TestA)$"}}, time.Minute)
	cmd := exec.Command("sh", "-c", s)
	out, err := cmd.Output()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("status %v, want 1", err)
	}
	for _, want := range []string{"@@vmrun release ", "@@vmrun package m/a\n", "1 " + dir, "-test.run=^(TestA)$", "@@vmrun exit 4\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

func TestLostGuestIsStartedAgainOnce(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int
		want     testlog.Counts
		note     string
	}{
		"comes back": {[]int{kernel.StatusLost, 0}, testlog.Counts{Passed: 1, Skipped: 1}, "started again"},
		"dies twice": {[]int{kernel.StatusLost, kernel.StatusLost}, testlog.Counts{Passed: 1, Skipped: 1, Failed: 1}, "died twice"},
		"timeout":    {[]int{kernel.StatusTimeout}, testlog.Counts{Passed: 1, Skipped: 1, Failed: 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			run := func(_ context.Context, _ *plan, _ *Column, out io.Writer) (int, error) {
				tries++
				_, err := io.WriteString(out, twoPackages)
				return c.statuses[tries-1], err
			}
			cfg := &Config{Out: io.Discard}
			col := &Column{Kernel: "6.1", Log: filepath.Join(t.TempDir(), "6.1.log")}
			if err := cfg.runColumn(t.Context(), nil, col, run); err != nil {
				t.Fatal(err)
			}
			if got := col.Results.Count(); got != c.want || tries != len(c.statuses) {
				t.Errorf("%+v after %d tries, want %+v after %d", got, tries, c.want, len(c.statuses))
			}
			if !strings.Contains(col.Note, c.note) {
				t.Errorf("note %q lacks %q", col.Note, c.note)
			}
		})
	}
}

func TestForgive(t *testing.T) {
	const first = "@@vmrun package m/a\n=== RUN   TestA\n=== RUN   TestA/x\n    a_test.go:1: late\n    --- FAIL: TestA/x (0.00s)\n" +
		"=== RUN   TestA/y\n    --- PASS: TestA/y (0.00s)\n--- FAIL: TestA (0.00s)\n=== RUN   TestB\n--- FAIL: TestB (0.00s)\nFAIL\n@@vmrun exit 1\n"
	col := record(t, 1, first)
	failed := col.failures()
	if len(failed) != 2 {
		t.Fatalf("failed %v, want TestA/x and TestB", failed)
	}
	second := record(t, 1, "@@vmrun package m/a\n=== RUN   TestA\n=== RUN   TestA/x\n    --- PASS: TestA/x (0.00s)\n--- PASS: TestA (0.00s)\nPASS\n@@vmrun exit 0\n"+
		"@@vmrun package m/a\n=== RUN   TestB\n--- FAIL: TestB (0.00s)\nFAIL\n@@vmrun exit 1\n")
	col.forgive(failed, &second.Results)
	if got, want := col.Results.Count(), (testlog.Counts{Passed: 2, Failed: 1}); got != want {
		t.Errorf("counts %+v, want %+v: TestB failed twice", got, want)
	}
	var out strings.Builder
	Report(&out, []*Column{col})
	for _, want := range []string{"UNSTEADY on 6.1: m/a TestA/x failed", "late", "FAILED on 6.1: m/a TestB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, &out)
		}
	}
	if broken := record(t, 125, "@@vmrun package m/a\n=== RUN   TestA\n"); broken.failures() != nil {
		t.Error("a run that broke off is tried again test by test")
	}
}

func TestLongestFirst(t *testing.T) {
	for want, names := range map[string][]string{"": {Native}, "5.10": {"5.10", Native}, "6.1 5.10": {"5.10", "6.1"}, "6.12 7.3 6.1 5.10": {Native, "5.10", "6.1", "6.12", "7.3"}} {
		var columns []*Column
		for _, n := range names {
			columns = append(columns, &Column{Kernel: n})
		}
		var got []string
		for _, i := range longestFirst(columns) {
			got = append(got, columns[i].Kernel)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v begin as %v, want %s", names, got, want)
		}
	}
}
