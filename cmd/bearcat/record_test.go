package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/connection"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/observe/fileio"
	"github.com/bearcat-hids/bearcat/internal/observe/function"
	"github.com/bearcat-hids/bearcat/internal/observe/hist"
	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/bearcat-hids/bearcat/internal/observe/record"
	"github.com/bearcat-hids/bearcat/internal/observe/task"
	"github.com/bearcat-hids/bearcat/internal/observe/top"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

// kept makes a record of what a command would have written, and returns its text.
func kept(t testing.TB, view string, tables ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "r")
	w, err := record.Create(path, record.Header{View: view, Args: []string{"x"}, Began: time.Unix(1, 0).UTC(), Host: "h\x1b[2J"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tables {
		if err := writeHostJSON(w, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func replayed(text string, o replayOptions) (string, error) {
	var b bytes.Buffer
	err := o.run(strings.NewReader(text), &b)
	return b.String(), err
}

func cpuFrame() *top.Frame {
	return &top.Frame{View: "cpu", Took: 1, Host: "2 processors", Sources: []string{"sched_switch"}, Time: time.Unix(2, 0).UTC(), Rows: []top.CPU{
		{Pid: 1, Comm: "=one", On: 9.5, Voluntary: 1}, {Pid: 2, Comm: "two", On: 50.5, Blame: &top.Blame{Pid: 1, Comm: "=one", Time: 5}},
	}}
}

func dropsKept() *drop.Result {
	return &drop.Result{Packets: 9, Rows: []drop.Row{{Packets: 7, Reason: "XDP", Place: "p\x1b[2J", Proto: "udp"}, {Packets: 2, Reason: "NO_SOCKET", Place: "q", Proto: "udp", Pid: 7, Process: "sh"}}, Counters: []drop.Counter{}}
}

// traceKept makes a record of two objects of a noun of trace.
func traceKept(t testing.TB, noun string) string {
	stages := []waterfall.Stage{{Name: "call", Source: "s"}, {Name: "done", At: 5e6, Took: 5e6, Source: "s", Detail: "d\x1b[2J"}}
	tables := map[string][]any{
		"packet": {packet.Life{ID: 1, Took: 5e6, Proto: "udp", Sender: &packet.Process{Pid: 7, Comm: "sh"}, Stages: stages, End: "copied"}, packet.Life{ID: 2, Proto: "icmp", Reader: &packet.Process{Pid: 8, Comm: "two"}}},
		"io":     {fileio.Call{ID: 1, Took: 5e6, Name: "read", Pid: 7, Comm: "sh", Path: "/a\x1b", Stages: stages}, fileio.Call{ID: 2, Name: "open", Pid: 8, Comm: "two"}},
		"task":   {task.Interval{Took: 5e6, Pid: 7, Tid: 7, Comm: "sh", What: "slept", Where: []string{"f"}}, task.Interval{Pid: 8, Tid: 8, Comm: "two", What: "ran"}},
		"tcp":    {connection.Life{ID: 1, Took: 5e6, Pid: 7, Comm: "sh", End: "closed", Stages: stages}, connection.Life{ID: 2, Pid: 8, Comm: "two", End: "open"}},
		"func": {function.Call{Function: "vfs_read", Took: 5e6, Tid: 7, Comm: "sh"}, function.Call{Function: "vfs\x1b", Tid: 8, Comm: "two"},
			functionSums{[]*function.Sum{{Function: "vfs_read", Calls: 2, Took: 5e6, Process: "two[8]", ProcessCalls: 1}}}},
	}[noun]
	return strings.Replace(kept(t, "trace", tables...), `"args":["x"]`, `"args":["`+noun+`"]`, 1)
}

// TestReplayTrace shows what was followed, with choices, and for Perfetto.
func TestReplayTrace(t *testing.T) {
	for _, noun := range recordableTraces {
		text := traceKept(t, noun)
		for choice, o := range map[string]replayOptions{"a process": {choose: top.Again{Pid: 7}}, "a name": {choose: top.Again{Comm: "sh"}}, "slow ones": {slower: time.Millisecond}, "all": {}, "JSON": {json: true, slower: 1}, "CSV": {csv: true, choose: top.Again{Pid: 7}}} {
			got, err := replayed(text, o)
			if err != nil || !strings.Contains(got, "sh") || strings.Contains(got, "two") != (choice == "all") || strings.Contains(got, "\x1b") {
				t.Errorf("%s, %s: %v: %q", noun, choice, err, got)
			}
		}
		file := filepath.Join(t.TempDir(), "chart")
		if _, err := replayed(text, replayOptions{perfetto: file, slower: 1}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		var chart struct {
			Events []struct{ Dur float64 } `json:"traceEvents"`
		}
		if err != nil || json.Unmarshal(b, &chart) != nil || len(chart.Events) != 3 || chart.Events[2].Dur != 5000 {
			t.Errorf("%s: %v: the chart is %s", noun, err, b)
		}
	}
	if _, err := replayed(strings.Replace(traceKept(t, "io"), `"took_ns":5000000,"cpu"`, `"took_ns":-5000000,"cpu"`, 1), replayOptions{}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a stage of less than no time: %v", err)
	}
	if _, err := replayed(strings.Replace(traceKept(t, "io"), `"args":["io"]`, `"args":[]`, 1), replayOptions{}); err == nil || !strings.Contains(err.Error(), "cannot show") {
		t.Errorf("a trace of nothing: %v", err)
	}
	if _, err := replayed(kept(t, "hist", histKept()), replayOptions{slower: 1}); err == nil || !strings.Contains(err.Error(), "records of trace") {
		t.Errorf("--slower for a histogram: %v", err)
	}
	for want, args := range map[string][]string{"there is no trace to record": {"trace", "fun"}, "a summary is not kept": {"trace", "task", "7", "--summary"}, "there are packet, io, task, tcp, func": {"trace"}} {
		if err := traceToRecord(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

// TestReplayFunctions shows calls with sums made of those that are chosen, and sums alone.
func TestReplayFunctions(t *testing.T) {
	both := traceKept(t, "func")
	alone := strings.Replace(kept(t, "trace", functionSums{[]*function.Sum{{Function: "vfs_read", Calls: 2, Caller: "ksys_read", Process: "two[8]"}}}), `"args":["x"]`, `"args":["func"]`, 1)
	for _, x := range []struct {
		name, text string
		o          replayOptions
		has        string
		err        string
	}{
		{"all", both, replayOptions{}, "vfs_read  2      2.5 ms", ""},
		{"of one", both, replayOptions{choose: top.Again{Pid: 7}}, "vfs_read  1      5 ms", ""},
		{"of one, as JSON", both, replayOptions{json: true, choose: top.Again{Pid: 7}}, `{"functions":[{"function":"vfs_read","calls":1,`, ""},
		{"sums alone", alone, replayOptions{}, "ksys_read", ""},
		{"sums as CSV", alone, replayOptions{csv: true}, "vfs_read,2", ""},
		{"sums of one", alone, replayOptions{choose: top.Again{Pid: 7}}, "", "record with --calls"},
		{"no sums", strings.Replace(alone, `[{"function":"vfs_read"`, `[null,{"function":"vfs_read"`, 1), replayOptions{}, "", "damaged"},
		{"less than no calls", strings.Replace(alone, `"calls":2`, `"calls":-2`, 1), replayOptions{}, "", "damaged"},
		{"less than no time", strings.Replace(both, `"took_ns":5000000`, `"took_ns":-5`, 1), replayOptions{}, "", "damaged"},
	} {
		got, err := replayed(x.text, x.o)
		if x.err == "" && (err != nil || !strings.Contains(got, x.has)) {
			t.Errorf("%s: %v: %q is not in\n%s", x.name, err, x.has, got)
		}
		if x.err != "" && (err == nil || !strings.Contains(err.Error(), x.err)) {
			t.Errorf("%s: %v, want %q", x.name, err, x.err)
		}
	}
}

func histKept() *hist.Result {
	return &hist.Result{Kind: "runq", By: hist.ByProcess, Took: 1, Rows: []hist.Row{{Group: "a [b[7]", Count: 3, Buckets: []hist.Bucket{{From: 1, To: 2, N: 3}}}, {Group: "c[8]", Count: 1}}}
}

// TestReplay shows records of all commands, with choices and as JSON and CSV.
func TestReplay(t *testing.T) {
	cpu, lost, waits := kept(t, "top", cpuFrame(), cpuFrame()), kept(t, "drops", dropsKept()), kept(t, "hist", histKept())
	for _, x := range []struct {
		name, text string
		o          replayOptions
		has        []string
		hasNot     []string
	}{
		{"a table", cpu, replayOptions{}, []string{"bearcat top x on h?[2J", "two", "=one[1]", "lost 0"}, []string{"\x1b"}},
		{"one line", cpu, replayOptions{rows: 1}, []string{"and 1 lines more"}, []string{"9.5"}},
		{"a process", cpu, replayOptions{choose: top.Again{Pid: 1}}, []string{"9.5"}, []string{"50.5"}},
		{"sorted", cpu, replayOptions{choose: top.Again{Sort: "VOL/s"}, rows: 1}, []string{"9.5"}, []string{"50.5"}},
		{"drops", lost, replayOptions{}, []string{"XDP", "NO_SOCKET", "p\\x1b"}, []string{"\x1b"}},
		{"drops of a process", lost, replayOptions{choose: top.Again{Comm: "sh"}}, []string{"NO_SOCKET"}, []string{"XDP"}},
		{"drops as JSON", lost, replayOptions{json: true, choose: top.Again{Pid: 7}}, []string{`"packets":2`}, []string{"XDP", "bearcat drops"}},
		{"histograms", waits, replayOptions{}, []string{"a [b[7]", "c[8]"}, nil},
		{"of a process", waits, replayOptions{choose: top.Again{Comm: "a [b", Pid: 7}}, []string{"a [b[7]"}, []string{"c[8]"}},
	} {
		got, err := replayed(x.text, x.o)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		for _, want := range x.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is not in\n%s", x.name, want, got)
			}
		}
		for _, not := range x.hasNot {
			if strings.Contains(got, not) {
				t.Errorf("%s: %q is in\n%s", x.name, not, got)
			}
		}
	}
}

func TestReplayCSV(t *testing.T) {
	for name, x := range map[string]struct {
		text        string
		lines       int
		column, has string
	}{
		"top":   {kept(t, "top", cpuFrame(), cpuFrame()), 5, "comm", "'=one"},
		"drops": {kept(t, "drops", dropsKept()), 3, "reason", "XDP"},
		"hist":  {kept(t, "hist", histKept()), 3, "buckets", `[{"from_ns":1,"to_ns":2,"n":3}]`},
	} {
		got, err := replayed(x.text, replayOptions{csv: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all, err := csv.NewReader(strings.NewReader(got)).ReadAll()
		if err != nil || len(all) != x.lines {
			t.Errorf("%s: %d lines, %v: %s", name, len(all), err, got)
			continue
		}
		found := false
		for i, column := range all[0] {
			for _, line := range all[1:] {
				found = found || column == x.column && line[i] == x.has
			}
		}
		if !found || all[0][0] != "time" {
			t.Errorf("%s: no %s is %s in\n%s", name, x.column, x.has, got)
		}
	}
}

// TestReplayBad has files that are damaged, and choices that do not fit them.
func TestReplayBad(t *testing.T) {
	cpu, lost, waits := kept(t, "top", cpuFrame()), kept(t, "drops", dropsKept()), kept(t, "hist", histKept())
	for _, x := range []struct {
		text string
		o    replayOptions
		want string
	}{
		{cpu[:len(cpu)-20], replayOptions{}, "cut off after 1 tables"},
		{strings.Replace(cpu, `"view":"cpu"`, `"view":"gpu"`, 1), replayOptions{}, "another version"},
		{strings.Replace(cpu, `"view":"top"`, `"view":"flame"`, 1), replayOptions{}, "cannot show"},
		{cpu, replayOptions{choose: top.Again{Sort: "x"}}, "no column"},
		{lost, replayOptions{choose: top.Again{Sort: "x"}}, "no columns to sort by"},
		{strings.Replace(lost, `"took_s"`, `"tuck_s"`, 1), replayOptions{}, "none of this version"},
		{strings.Replace(waits, `"by":"process"`, `"by":"cpu"`, 1), replayOptions{choose: top.Again{Pid: 7}}, "not by process"},
	} {
		if _, err := replayed(x.text, x.o); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add(kept(f, "top", cpuFrame()), false, false, uint32(0))
	f.Add(kept(f, "drops", dropsKept()), true, false, uint32(7))
	f.Add(kept(f, "hist", histKept()), false, true, uint32(7))
	for _, noun := range recordableTraces {
		f.Add(traceKept(f, noun), false, false, uint32(0))
	}
	f.Fuzz(func(t *testing.T, text string, asJSON, asCSV bool, pid uint32) {
		o := replayOptions{json: asJSON, csv: asCSV && !asJSON, rows: 3, choose: top.Again{Pid: pid}}
		got, err := replayed(text, o)
		if asJSON && err == nil {
			for line := range strings.Lines(got) {
				if !json.Valid([]byte(line)) {
					t.Errorf("%q is no JSON", line)
				}
			}
		}
		if !asJSON && strings.ContainsRune(got, '\x1b') {
			t.Errorf("a terminal would obey %q", got)
		}
	})
}
