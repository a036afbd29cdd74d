package bench

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLook(t *testing.T) {
	l := Look{Objects: "3 things", Label: "sh", argv: []string{"sh", "-c", "echo a; echo b; echo c; exit 1"}, min: 3}
	for _, count := range []bool{false, true} {
		if err := l.once(t.Context(), t.TempDir(), count); err != nil {
			t.Fatal(err)
		}
	}
	if l.Lines != 3 || len(l.WallNS) != 1 || l.WallNS[0] <= 0 || len(l.CPUNS) != 1 || l.PeakRSS == 0 {
		t.Errorf("%+v", l)
	}
	l.argv[2] = "echo a; echo it is forbidden >&2"
	if err := l.once(t.Context(), t.TempDir(), true); err == nil || err.Error() != "sh wrote 1 lines for 3 things: it is forbidden" {
		t.Errorf("too few lines: %v", err)
	}
	l.argv = []string{"/nowhere"}
	if err := l.once(t.Context(), t.TempDir(), true); err == nil {
		t.Error("a command that is not there was run")
	}
}

func TestShowText(t *testing.T) {
	r := Show{
		Host: Host{Kernel: "6.12", CPUs: 1, Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}, Rounds: 2, Skipped: []string{"lsof is not installed"},
		Looks: []Look{
			{Objects: "9 files", Label: "bearcat show fd", Lines: 12, WallNS: []float64{1e6}, CPUNS: []float64{1e6, 3e6}, PeakRSS: 4e6},
			{Objects: "9 files", Label: "ls", Lines: 10, WallNS: []float64{7e6}, CPUNS: []float64{4e6, 6e6}, PeakRSS: 2e6},
			{Objects: "5 sockets", Label: "bearcat show socket", Lines: 6, WallNS: []float64{1e6}, CPUNS: []float64{1e6}, PeakRSS: 4e6},
		},
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	want := []string{
		"Linux 6.12, 1 CPU, this kernel, 2026-01-02; medians of 2 rounds in one boot", "",
		"looking at with lines time processor peak memory processor, times the first smallest and largest",
		"9 files bearcat show fd 12 1.0 ms 2.0 ms 4.0 MB",
		"ls 10 7.0 ms 5.0 ms 2.0 MB 2.50 2.00 to 4.00",
		"5 sockets bearcat show socket 6 1.0 ms 1.0 ms 4.0 MB",
		"not measured: lsof is not installed",
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
}

func TestWalkProc(t *testing.T) {
	var b bytes.Buffer
	if err := WalkProc(&b); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains("\n"+b.String(), fmt.Sprintf("\n%d 5", os.Getpid())) || !strings.Contains(b.String(), fmt.Sprintf(" %d %s ", os.Getuid(), exe)) {
		t.Errorf("process %d, %s, is not in the walk:\n%s", os.Getpid(), exe, b.String())
	}
}
