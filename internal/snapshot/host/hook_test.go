package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseHooks(t *testing.T) {
	got := parseKprobes("ffffffff81234567  k  do_sys_open+0x0    [FTRACE]\nffffffff81234568  r  x+0x1  mod [DISABLED]\nshort\n")
	want := []Hook{
		{Kind: "kprobe", Place: "do_sys_open+0x0", Detail: "[FTRACE]", Enabled: true},
		{Kind: "kretprobe", Place: "x+0x1", Detail: "mod [DISABLED]"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	ftrace := parseFtrace("iterate_dir (1) R   D   \ttramp: 0x1 (f+0x0/0x1) ->f+0x0/0x1\n\tdirect-->bpf_trampoline_7+0x0/0x10\n\nother (1)\n")
	want = []Hook{
		{Kind: "ftrace", Place: "iterate_dir", Detail: "(1) R D tramp: 0x1 (f+0x0/0x1) ->f+0x0/0x1 direct-->bpf_trampoline_7+0x0/0x10", Enabled: true},
		{Kind: "ftrace", Place: "other", Detail: "(1)", Enabled: true},
	}
	if d := cmp.Diff(want, ftrace); d != "" {
		t.Error(d)
	}
	if n, p, d := parseProbeEvent("p:uprobes/a /bin/sh:0x12 arg1=%ax"); n != "uprobes/a" || p != "/bin/sh:0x12" || d != "arg1=%ax" {
		t.Errorf("%q %q %q", n, p, d)
	}
	if n, _, _ := parseProbeEvent("nothing here"); n != "" {
		t.Errorf("%q", n)
	}
}

func TestParsePosixTimers(t *testing.T) {
	p := Process{1, "init"}
	got := parsePosixTimers(p, "notify: early\nID: 3\nsignal: 14/0\nnotify: signal/pid.1\nClockID: 1\nID: 4\n")
	want := []Timer{{Process: p, Kind: "posix", ID: "3", Clock: "1", Notify: "signal/pid.1"}, {Process: p, Kind: "posix", ID: "4"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
