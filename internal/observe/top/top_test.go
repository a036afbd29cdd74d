package top

import (
	"os"
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
		cpuTable.fill(f, slices.Clone(rows), by)
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

func TestSizes(t *testing.T) {
	for n, want := range map[uint64]string{0: "-", 999: "999", 1000: "0.977K", 1 << 20: "1M", 1536 << 20: "1.5G", 1 << 63: "8.19e+03P"} {
		if got := Size(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
	if change(-4096) != "-4K" || change(4096) != "+4K" || change(0) != "0" {
		t.Error(change(-4096), change(4096), change(0))
	}
}

func TestMemoryFigures(t *testing.T) {
	if n, ok := parseStatm("900 7 3 1 0 200 0\n"); !ok || n != 7*uint64(os.Getpagesize()) {
		t.Errorf("%d, %v", n, ok)
	}
	if n, ok := meminfo("MemTotal:       16 kB\nMemAvailable:    8 kB\n", "MemAvailable"); !ok || n != 8192 {
		t.Errorf("%d, %v", n, ok)
	}
	for _, bad := range []string{"", "MemAvailable:", "MemAvailable: x kB", "MemAvailable: -1 kB"} {
		if _, ok := meminfo(bad, "MemAvailable"); ok {
			t.Errorf("%q has a figure", bad)
		}
		if _, ok := parseStatm(bad); ok {
			t.Errorf("%q has a size", bad)
		}
	}
}

func FuzzMemoryFigures(f *testing.F) {
	f.Add("900 7 3 1 0 200 0\n")
	f.Add("MemTotal: 16 kB\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n, ok := parseStatm(text); ok && n%uint64(os.Getpagesize()) != 0 {
			t.Errorf("%q gives %d, which is no number of pages", text, n)
		}
		if n, ok := meminfo(text, "MemTotal"); ok && n%1024 != 0 {
			t.Errorf("%q gives %d", text, n)
		}
	})
}
