package top

import (
	"slices"
	"strings"
	"testing"
)

func TestPercentile(t *testing.T) {
	slots := make([]uint32, 160)
	if got := percentile(slots, 50); got != 0 {
		t.Errorf("nothing has %d", got)
	}
	slots[4*10] = 98 // from 1024 ns
	slots[4*20+3] = 2
	if p := percentile(slots, 50); p < 1024 || p >= 1280 {
		t.Errorf("half are within %d", p)
	}
	if p := percentile(slots, 99); p < 7<<18 || p >= 8<<18 {
		t.Errorf("nearly all are within %d", p)
	}
}

func TestSorting(t *testing.T) {
	rows := []CPU{{Pid: 3, Comm: "b", On: 1}, {Pid: 2, Comm: "a", On: 5}, {Pid: 1, Comm: "b", On: 1}}
	for by, want := range map[string][]string{"ON%": {"2", "1", "3"}, "COMM": {"2", "1", "3"}, "PID": {"1", "2", "3"}} {
		f := &Frame{}
		fill(f, slices.Clone(rows), cpuColumns, by, func(r *CPU) uint64 { return uint64(r.Pid) })
		for i, pid := range want {
			if f.Cells[i][0] != pid {
				t.Errorf("by %s: %v, want %v", by, f.Cells, want)
			}
		}
	}
}

func TestPressure(t *testing.T) {
	if s, ok := pressureAverage("some avg10=1.25 avg60=0.00 avg300=0.00 total=7\n"); !ok || s != "1.25" {
		t.Errorf("%q, %v", s, ok)
	}
	if _, ok := pressureAverage("full avg10=1.25\nsome\n"); ok {
		t.Error("a line without a figure has one")
	}
}

func FuzzPressure(f *testing.F) {
	f.Add("some avg10=1.25 avg60=0.00 avg300=0.00 total=7\n")
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := pressureAverage(text); ok && !strings.Contains(text, "avg10="+s) {
			t.Errorf("%q gives what it has not: %q", text, s)
		}
	})
}
