package main

import (
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/hist"
)

// TestHeatmap draws into 40 columns, without colour.
func TestHeatmap(t *testing.T) {
	r := &hist.Result{Kind: "runq", By: hist.ByAll, Took: 10, Sources: []string{"x"}, Rows: []hist.Row{
		{Group: "all\x1b[2J", Count: 105, Columns: []hist.Column{{Interval: 0, Buckets: []hist.Bucket{{From: 1024, To: 2048, N: 5}}}, {Interval: 99, Buckets: []hist.Bucket{{From: 4096, To: 8192, N: 100}}}}},
		{Group: "more", Count: 1},
	}}
	for i := range 100 {
		r.Ends = append(r.Ends, float64(i+1)/10)
	}
	var b strings.Builder
	if err := writeHeat(&b, r, 1, 40); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		" 1.02 µs|▒" + strings.Repeat(" ", 29) + "|\n", " 2.05 µs|" + strings.Repeat(" ", 30) + "|\n", "  4.1 µs|" + strings.Repeat(" ", 29) + "█|\n",
		"         0" + strings.Repeat(" ", 23) + "10.0 s\n", "░ 1  ▒ 5  ▓ 22  █ 100 times", "and 1 groups more",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
	picture, _, _ := strings.Cut(b.String(), "and 1 groups")
	for line := range strings.Lines(picture) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 40 {
			t.Errorf("a line has %d columns: %q", n, line)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("it moves the terminal's cursor")
	}
	replay, err := replayed(kept(t, "hist", r), replayOptions{rows: 20})
	if err != nil || !strings.Contains(replay, "|▒ ") {
		t.Errorf("%v: a replay shows\n%s", err, replay)
	}
}

func TestHistFlags(t *testing.T) {
	for want, h := range map[string]histOutput{
		"none of all":           {by: "color", length: time.Second},
		"no time to measure in": {by: "all"},
		"no number of groups":   {by: "all", length: time.Second, groups: -1},
		"is the heatmap's":      {by: "all", length: time.Second, interval: time.Second},
		"too short: 50ms":       {by: "all", length: time.Second, interval: time.Millisecond, heatmap: true},
		"columns are the most":  {by: "all", length: time.Hour, interval: 100 * time.Millisecond, svg: "x"},
	} {
		if err := h.check(&hist.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", h, err, want)
		}
	}
	h, o := histOutput{by: "cgroup", length: time.Minute, heatmap: true}, hist.Options{}
	if err := h.check(&o); err != nil || o.Every != time.Second || o.By != hist.ByCgroup {
		t.Errorf("%v: %+v", err, o)
	}
	if _, err := histKind("func:vfs read"); err == nil {
		t.Error("a name with a space is a function")
	}
	if k, err := histKind("func:vfs_read"); err != nil || k.Name != "func:vfs_read" {
		t.Errorf("%+v, %v", k, err)
	}
}
