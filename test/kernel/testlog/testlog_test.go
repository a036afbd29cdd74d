package testlog_test

import (
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/testlog"
)

func parse(text string) *testlog.Results {
	p := testlog.Parser{Results: &testlog.Results{}, Package: "p"}
	for line := range strings.Lines(text) {
		p.Line(strings.TrimSuffix(line, "\n"))
	}
	return p.Results
}

const sample = `=== RUN   TestPlain
--- PASS: TestPlain (0.00s)
=== RUN   TestSkip
    x_test.go:9: needs a newer kernel
--- SKIP: TestSkip (0.00s)
=== RUN   TestParent
=== RUN   TestParent/a
=== RUN   TestParent/b
    x_test.go:12: got 1
--- FAIL: TestParent (0.01s)
    --- PASS: TestParent/a (0.00s)
    --- FAIL: TestParent/b (0.00s)
=== RUN   TestOnlyParent
=== RUN   TestOnlyParent/a
--- FAIL: TestOnlyParent (0.01s)
    --- PASS: TestOnlyParent/a (0.00s)
FAIL
`

func TestCountsLeavesOnce(t *testing.T) {
	r := parse(sample)
	if got, want := r.Count(), (testlog.Counts{Passed: 3, Failed: 2, Skipped: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if got := r.Get("p", "TestSkip").Reason(); got != "needs a newer kernel" {
		t.Errorf("reason %q", got)
	}
	if got := r.Get("p", "TestParent/b").Reason(); got != "got 1" {
		t.Errorf("what failed: %q", got)
	}
}

func TestUnfinishedFails(t *testing.T) {
	r := parse("=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n=== RUN   TestB/x\nsegfault")
	if got, want := r.Count(), (testlog.Counts{Passed: 1, Failed: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	leaves := r.Leaves()
	if last := leaves[len(leaves)-1]; last.Name != "TestB/x" || last.Reason() != "the test never ended" {
		t.Errorf("last leaf %+v", last)
	}
}

func TestFramedOutputWithoutNewline(t *testing.T) {
	r := parse("\x16=== RUN   TestA\nno newline\x16--- PASS: TestA (0.00s)\n\x16=== NAME  \nPASS\n")
	if got := r.Get("p", "TestA"); got.Outcome != testlog.Passed || len(got.Output) != 1 || got.Output[0] != "no newline" {
		t.Errorf("test %+v", got)
	}
	if got := string(testlog.Unframe([]byte("\x16=== RUN"))); got != "=== RUN" {
		t.Errorf("unframed %q", got)
	}
}

func TestParallelOutputGoesToItsTest(t *testing.T) {
	r := parse("=== RUN   TestA\n=== PAUSE TestA\n=== RUN   TestB\n=== PAUSE TestB\n=== CONT  TestA\n=== CONT  TestB\n    b_test.go:1: from b\n" +
		"=== NAME  TestA\n    a_test.go:1: from a\n--- SKIP: TestB (0.00s)\n--- SKIP: TestA (0.00s)\n")
	for name, want := range map[string]string{"TestA": "from a", "TestB": "from b"} {
		if got := r.Get("p", name).Reason(); got != want {
			t.Errorf("%s: reason %q, want %q", name, got, want)
		}
	}
}

func TestDashesThatAreNoResult(t *testing.T) {
	r := parse("=== RUN   TestA\n--- a diff\n+++ b\n--- FAIL: not timed\n--- PASS: TestA (0.10s)\n")
	if got, want := r.Count(), (testlog.Counts{Passed: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestEvents(t *testing.T) {
	r := &testlog.Results{}
	for _, line := range []string{
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: why\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestA"}`,
		`{"Action":"pass","Package":"p"}`,
		`# not json`,
	} {
		if e, ok := testlog.ParseEvent([]byte(line)); ok {
			r.Event(e)
		}
	}
	if got, want := r.Count(), (testlog.Counts{Skipped: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if got := r.Get("p", "TestA").Reason(); got != "why" {
		t.Errorf("reason %q", got)
	}
}
