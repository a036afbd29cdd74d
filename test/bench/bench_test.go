package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 10}, 3}} {
		in := slices.Clone(c.in)
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
		if !slices.Equal(in, c.in) {
			t.Errorf("median changed its argument from %v to %v", in, c.in)
		}
	}
}

func TestPairs(t *testing.T) {
	p := Pairs{Without: []float64{100, 200, 100}, With: []float64{150, 210, 120}}
	if got := p.Ratio(); got != 1.5 {
		t.Errorf("ratio = %v, want 1.5", got)
	}
	if got := p.Added(); got != 50 {
		t.Errorf("added = %v, want 50ns", got)
	}
	if low, high := p.Spread(); low != 1.05 || high != 1.5 {
		t.Errorf("spread = %v to %v, want 1.05 to 1.5", low, high)
	}
	if got := (&Pairs{}).Ratio(); got != 0 {
		t.Errorf("ratio of nothing = %v, want 0", got)
	}
}

func TestParseLoad(t *testing.T) {
	if ns, err := parseLoad("exec 1000 222.5\n", 1000); err != nil || ns != 222.5 {
		t.Errorf("got %v, %v; want 222.5", ns, err)
	}
	for _, bad := range []string{"", "exec 1000", "exec 999 1.0", "exec 1000 x", "exec 1000 0", "exec 1000 -3", "exec 1000 NaN"} {
		if ns, err := parseLoad(bad, 1000); err == nil {
			t.Errorf("parseLoad(%q) = %v, want an error", bad, ns)
		}
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 12 34 0 0 20 0 1 0 5 1000 10"
	user, system, err := parseStat(line)
	if err != nil || user != 120*time.Millisecond || system != 340*time.Millisecond {
		t.Errorf("got %v, %v, %v; want 120ms, 340ms", user, system, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x y"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) gave no error", bad)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU <= 0 || u.RSS == 0 || u.PeakRSS < u.RSS {
		t.Errorf("implausible usage: %+v", u)
	}
	// the two clocks differ by a tick each, and by what ran in between
	if d := u.CPU - u.User - u.System; d < -30*time.Millisecond || d > time.Second {
		t.Errorf("exact time %v and ticks %v + %v do not agree", u.CPU, u.User, u.System)
	}
}

func TestCountJSON(t *testing.T) {
	in := `{"type":"exec","process":{"pid":7,"exe":{"path":"/run/x/nothing"}}}
{"type":"exec","process":{"pid":8,"exe":{"path":"/usr/bin/ls"}}}
{"type":"fork","process":{"exe":{"path":"/run/x/nothing"}}}
{"type":"gap","gap":{"class":"critical","n":3,"from":1,"to":3}}
{"type":"output_loss","lost":2}
{"type":"alert","event":{"type":"exec","process":{"exe":{"path":"/run/x/nothing"}}}}
{"type":"open","process":{"exe":{"path":"/run/x/load"}},"call":{"path":{"path":"/run/x/mixed.sh"}}}
{"type":"open","process":{"exe":{"path":"/run/x/load"}},"call":{"path":{"path":"/etc/hosts"}}}
{"type":"open","process":{"exe":{"path":"/bin/sh"}},"call":{"path":{"path":"/run/x/mixed.sh"}}}
{"type":"connect","process":{"exe":{"path":"/run/x/load"}},"call":{"name":"connect"}}
{"type":"exec","process":{"exe":{"path":"/run/x/nothing"}}}`
	got, err := countJSONLines(strings.NewReader(in), Tools{Target: "/run/x/nothing", Load: "/run/x/load", Script: "/run/x/mixed.sh"})
	if err != nil {
		t.Fatal(err)
	}
	want := Counts{Seen: map[string]int{"exec": 2, "open": 1, "connect": 1}, Lost: 5, Alerts: 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("counts differ (-want +got):\n%s", d)
	}
	if _, err := countJSONLines(strings.NewReader("{\"type\":\"exec\"}\nnonsense\n"), Tools{}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error = %v, want one about line 2", err)
	}
}

func TestCountOtherTools(t *testing.T) {
	tools := Tools{Load: "/r/load", Target: "/r/nothing", Script: "/r/mixed.sh"}
	dir := t.TempDir()
	write(t, dir, "execsnoop.out", "PCOMM            PID    PPID   RET ARGS\nnothing          10     9        0 /r/nothing\nsh               11     9        0 /bin/sh\n")
	write(t, dir, "opensnoop.out", "PID    COMM              FD ERR PATH\n9      load               3   0 /r/mixed.sh\n9      load               3   0 /etc/x\n9      sh                 3   0 /r/mixed.sh\n")
	write(t, dir, "opensnoop.err", "Lost 31 events on CPU #0!\n")
	write(t, dir, "tcpconnect.out", "PID     COMM         IP SADDR            DADDR            DPORT\n9       load         4  127.0.0.1        127.0.0.1        80\n")
	got, err := countLibbpf(dir, tools)
	if err != nil {
		t.Fatal(err)
	}
	want := Counts{Seen: map[string]int{"exec": 1, "open": 1, "connect": 1}, Lost: 31}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("libbpf-tools: counts differ (-want +got):\n%s", d)
	}

	dir = t.TempDir()
	write(t, dir, "bpftrace.out", "Attaching 3 probes...\nexec 9 load /r/nothing\nexec 9 sh /r/nothing\nopen 9 load /r/mixed.sh\nconnect 9 load\nLost 4 events\n")
	got, err = countBpftrace(dir, tools)
	if err != nil {
		t.Fatal(err)
	}
	want.Lost = 4
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("bpftrace: counts differ (-want +got):\n%s", d)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestParseBenchmarks(t *testing.T) {
	out := `goos: linux
cpu: some processor
BenchmarkAppendEvent-2   	      10	      3700 ns/op	 741.52 MB/s	       0 B/op	       0 allocs/op
BenchmarkMatch/rules=500-16	1000	12.5 ns/op
BenchmarkBroken
PASS
`
	want := []MicroCost{
		{"internal/x", "AppendEvent", map[string]float64{"ns/op": 3700, "MB/s": 741.52, "B/op": 0, "allocs/op": 0}},
		{"internal/x", "Match/rules=500", map[string]float64{"ns/op": 12.5}},
	}
	if d := cmp.Diff(want, parseBenchmarks("internal/x", out)); d != "" {
		t.Errorf("results differ (-want +got):\n%s", d)
	}
}

func TestReplaceFigures(t *testing.T) {
	results := func(name string) (string, bool, error) {
		return "figure of " + name + "\n\n", name == "a", nil
	}
	page := "head\n<!-- figures a -->\nold\n<!-- end of figures -->\nmiddle\n<!-- figures b -->\nkept\n<!-- end of figures -->\nend\n"
	want := "head\n<!-- figures a -->\n```text\nfigure of a\n```\n<!-- end of figures -->\nmiddle\n<!-- figures b -->\nkept\n<!-- end of figures -->\nend\n"
	got, changed, err := replaceFigures(page, results)
	if err != nil || got != want || !slices.Equal(changed, []string{"a"}) {
		t.Errorf("got %q, %v, %v; want %q", got, changed, err, want)
	}
	again, _, err := replaceFigures(got, results)
	if err != nil || again != want {
		t.Errorf("a second time changed the page to %q (%v)", again, err)
	}
	for _, bad := range []string{"<!-- figures a", "<!-- figures a -->\nno end", "<!-- figures a -->\n<!-- figures b -->\n<!-- end of figures -->", "<!-- figures ../a -->\n<!-- end of figures -->"} {
		if _, _, err := replaceFigures(bad, results); err == nil {
			t.Errorf("replaceFigures(%q) gave no error", bad)
		}
	}
}

func TestShortTime(t *testing.T) {
	for ns, want := range map[float64]string{
		0: "0", 0.4: "0", 7: "7 ns", 1500: "1.5 µs", 222e3: "222 µs", 2.34e6: "2.3 ms", 1.5e9: "1.50 s", -2300: "-2.3 µs",
	} {
		if got := shortTime(ns); got != want {
			t.Errorf("shortTime(%v) = %q, want %q", ns, got, want)
		}
	}
	if got := signedTime(1500); got != "+1.5 µs" {
		t.Errorf("signedTime(1500) = %q", got)
	}
}

func TestWatcherFindsReadyLine(t *testing.T) {
	for _, c := range []struct {
		writes []string
		ready  bool
	}{
		{[]string{"ready after 1 s\n"}, true},
		{[]string{"banner\nrea", "dy after 1 s\n"}, true},
		{[]string{"not ready\n", "already\n"}, false},
		{[]string{strings.Repeat("x", 5000), "\nready\n"}, true},
	} {
		var kept strings.Builder
		w := &watcher{to: &kept, prefix: "ready"}
		for _, s := range c.writes {
			if _, err := w.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		if got := !w.readyAt().IsZero(); got != c.ready {
			t.Errorf("after %.40q ready = %v, want %v", c.writes, got, c.ready)
		}
		if kept.String() != strings.Join(c.writes, "") {
			t.Errorf("%.40q was not copied whole", c.writes)
		}
	}
}

// The page's markers must stay readable for the command that fills them.
func TestPageHasItsFigures(t *testing.T) {
	b, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	_, _, err = replaceFigures(string(b), func(name string) (string, bool, error) {
		names = append(names, name)
		return "", false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"exec", "falco", "peers", "idle", "idle-counted", "start-guest", "start-native", "flood", "storm", "storm-guest", "fw", "observe", "show", "micro"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("figures differ (-want +got):\n%s", d)
	}
}

func TestRequireGuest(t *testing.T) {
	t.Setenv(guestVariable, "")
	if err := RequireGuest(); err == nil {
		t.Error("no error outside of a guest")
	}
}
