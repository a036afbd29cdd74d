package rule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// bases are two rules to be counted, in the file of a correlation.
const bases = `
- rule: connects
  desc: d
  priority: INFO
  output: to %fd.sport
  condition: evt.type = connect
- rule: execs
  desc: d
  priority: INFO
  output: ran %proc.name
  condition: evt.type = execve
`

// counting is a rule file with a correlation of those.
func counting(text string) string {
	return bases + "- rule: counted\n  desc: d\n  priority: WARNING\n  output: by %proc.name\n  correlation:\n    " +
		strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

// feeder gives an engine events at times that a test chooses.
type feeder struct {
	e   *Engine
	got []string
	all []event.Alert
}

func feed1(t *testing.T, text string) *feeder {
	t.Helper()
	return &feeder{e: NewEngine(mustLoad(t, text), MatchAll)}
}

var begin = time.Unix(1_800_000_000, 0)

func (f *feeder) told(r *Rule, a *event.Alert) {
	f.got = append(f.got, r.Info().Name+": "+a.Output)
	f.all = append(f.all, *a)
}

// connect is a connection to a port by a process, s seconds after the beginning.
func (f *feeder) connect(s float64, pid uint32, port uint16) {
	p := proc(pid, fmt.Sprintf("p%d", pid), "/usr/bin/p", nil, "p")
	f.e.Alerts(&event.Event{Type: event.Connect, Time: begin.Add(time.Duration(s * 1e9)), Num: 1, Proc: p, Call: &event.Call{
		Spec: event.CallNamed("connect"),
		FD: &event.FD{Num: 3, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp", Remote: "192.0.2.1", RemotePort: port,
			Local: "192.0.2.9", LocalPort: 40000}},
	}}, f.told)
}

func (f *feeder) exec(s float64, pid uint32) {
	ev := execEvent()
	ev.Time, ev.Proc = begin.Add(time.Duration(s*1e9)), proc(pid, fmt.Sprintf("p%d", pid), "/usr/bin/p", nil, "p")
	f.e.Alerts(ev, f.told)
}

// want checks what was told since the last call.
func (f *feeder) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(f.got, want) {
		t.Errorf("told %q, want %q", f.got, want)
	}
	f.got = nil
}

func TestEventCount(t *testing.T) {
	f := feed1(t, counting("type: event_count\nrules: [connects]\ngroup-by: [proc.pid]\ntimespan: 10s\ncondition: {gte: 3}"))
	f.connect(0, 1, 80)
	f.connect(1, 1, 80)
	f.connect(1, 2, 80)
	f.want(t) // the base rule of the same file tells nothing, and no group is complete
	f.connect(2, 1, 80)
	f.want(t, "counted: by p1 (3 matches in 2s)")
	if tr := f.all[0].Trail; len(tr) != 3 || tr[0].Rule != "connects" || tr[0].Output != "to 80" || tr[2].Pid != 1 {
		t.Errorf("the trail is %+v", tr)
	}
	f.connect(3, 1, 80) // a new count has begun
	f.want(t)
	f.connect(13, 2, 80)
	f.connect(14, 2, 80) // the first of process 2 was 13 s ago
	f.want(t)
	f.connect(15, 2, 80)
	f.want(t, "counted: by p2 (3 matches in 2s)")
}

func TestValueCount(t *testing.T) {
	f := feed1(t, counting("type: value_count\nrules: [connects]\ngroup-by: [fd.sip]\ntimespan: 10s\ncondition: {field: fd.sport, gt: 2}"))
	for i := range 5 {
		f.connect(float64(i), uint32(i+1), 80)
	}
	f.connect(5, 1, 81)
	f.want(t)
	f.connect(6, 1, 82)
	f.want(t, "counted: by p1 (3 values of fd.sport in 6s)")
}

func TestTemporal(t *testing.T) {
	f := feed1(t, counting("type: temporal\nrules: [connects, execs]\ngroup-by: [proc.pid]\ntimespan: 10s"))
	f.connect(0, 1, 80)
	f.exec(2, 2)
	f.want(t)
	f.connect(3, 2, 80)
	f.want(t, "counted: by p2 (2 rules in 1s)")
	f.exec(11, 1) // too late for the connection of process 1
	f.want(t)
}

func TestTemporalOrdered(t *testing.T) {
	f := feed1(t, counting("type: temporal_ordered\nrules: [execs, connects]\ngroup-by: [proc.pid]\ntimespan: 10s"))
	f.connect(0, 1, 80)
	f.exec(1, 1)
	f.want(t)
	f.connect(2, 1, 80)
	f.want(t, "counted: by p1 (2 rules in 2s)")
}

func TestValueSumAndAverage(t *testing.T) {
	f := feed1(t, counting("type: value_sum\nrules: [connects]\ntimespan: 10s\ncondition: {field: fd.sport, gte: 100}"))
	f.connect(0, 1, 60)
	f.want(t)
	f.connect(1, 2, 50)
	f.want(t, "counted: by p2 (sum of fd.sport is 110 in 1s)")

	f = feed1(t, counting("type: value_avg\nrules: [connects]\ntimespan: 10s\ncondition: {field: fd.sport, lt: 60}"))
	f.connect(0, 1, 60)
	f.connect(1, 1, 50)
	f.want(t) // more may come
	f.e.Expire(begin.Add(time.Minute), f.told)
	f.want(t, "counted: by p1 (avg of fd.sport is 55 in 1s)")

	f = feed1(t, counting("type: value_percentile\nrules: [connects]\ntimespan: 10s\ncondition: {field: fd.sport, percentile: 50, gte: 30}"))
	for i, port := range []uint16{10, 20, 30, 40, 50} {
		f.connect(float64(i), 1, port)
	}
	f.e.Expire(begin.Add(time.Minute), f.told)
	f.want(t, "counted: by p1 (percentile 50 of fd.sport is 30 in 4s)")
}

// TestCorrelationOfCorrelations counts what was counted.
func TestCorrelationOfCorrelations(t *testing.T) {
	f := feed1(t, counting("type: event_count\nrules: [connects]\ngroup-by: [proc.pid]\ntimespan: 10s\ncondition: {gte: 2}")+`
- rule: twice
  desc: d
  priority: ERROR
  output: o
  correlation: {type: value_count, rules: [counted], timespan: 1m, condition: {field: proc.pid, gte: 2}}
`)
	f.connect(0, 1, 80)
	f.connect(1, 1, 80)
	f.connect(2, 2, 80)
	f.want(t)
	f.connect(3, 2, 80)
	f.want(t, "twice: o (2 values of proc.pid in 2s)")
}

// TestCorrelationSilences says whose matches are told beside the count.
func TestCorrelationSilences(t *testing.T) {
	count := "type: event_count\nrules: [connects]\ntimespan: 10s\ncondition: {gte: 2}"
	f := feed1(t, counting(count+"\ngenerate: true"))
	f.connect(0, 1, 80)
	f.want(t, "connects: to 80")
	files := []File{{Name: "a.yaml", Data: []byte(bases)}, {Name: "b.yaml", Data: []byte(strings.TrimPrefix(counting(count), bases))}}
	set, rep := Load(files, Options{})
	if err := rep.Err(); err != nil {
		t.Fatal(err)
	}
	f = &feeder{e: NewEngine(set, MatchAll)}
	f.connect(0, 1, 80)
	f.connect(1, 1, 80)
	f.want(t, "connects: to 80", "connects: to 80", "counted: by p1 (2 matches in 1s)")
}

func TestCorrelationStatus(t *testing.T) {
	count := "type: event_count\nrules: [connects]\ntimespan: 10s\ncondition: {gte: 2}"
	set := mustLoad(t, counting(count))
	r, _ := set.Rule("counted")
	if r.Status() != Live || r.Types() != event.TypesOf(event.Connect) {
		t.Errorf("the correlation is %s for %s, want live for connect", r.Status(), r.Types())
	}
	set = mustLoad(t, strings.Replace(counting(count), "desc: d", "enabled: false\n  desc: d", 1))
	if r, _ = set.Rule("counted"); r.Status() != Disabled || !strings.Contains(r.Reason(), `rule "connects", whose matches it counts, is disabled`) {
		t.Errorf("the correlation of a disabled rule is %s: %s", r.Status(), r.Reason())
	}
}

func TestCorrelationMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"type: event_count\nrules: [connect]\ntimespan: 10s\ncondition: {gte: 2}":                                        `there is no rule with the name or ID "connect": did you mean "connects"?`,
		"type: event_count\nrules: [connects]\ngroup-by: [proc.nam]\ntimespan: 10s\ncondition: {gte: 2}":                 "proc.nam",
		"type: value_sum\nrules: [connects]\ntimespan: 10s\ncondition: {field: proc.name, gte: 2}":                       "value_sum needs numbers, and proc.name is a string",
		"type: event_count\nrules: [counted]\ntimespan: 10s\ncondition: {gte: 2}":                                        "the correlation counts its own matches",
		"type: event_count\nrules: [connects]\ntimespan: ten\ncondition: {gte: 2}":                                       "timespan",
		"type: temporal\nrules: [connects, execs]\ngroup-by: [who]\ntimespan: 10s\naliases: {who: {connects: proc.pid}}": `alias who has no field for rule "execs"`,
		"type: event_count\nrules: [connects]\ntimespan: 10s":                                                            "correlation has no condition",
		"type: event_counts\nrules: [connects]\ntimespan: 10s\ncondition: {gte: 2}":                                      "unknown type",
	} {
		_, rep := Load([]File{{Name: "r.yaml", Data: []byte(counting(text))}}, Options{})
		var b strings.Builder
		if err := rep.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if rep.Errors() == 0 || !strings.Contains(b.String(), want) || !strings.Contains(b.String(), "r.yaml:") {
			t.Errorf("%s\nsays\n%s\nwant %q", text, b.String(), want)
		}
	}
}

// TestSigmaCorrelation reads one as the specification writes it.
func TestSigmaCorrelation(t *testing.T) {
	f := feed1(t, `title: Connection
name: connection
logsource: {category: network_connection, product: linux}
detection:
  selection: {DestinationPort: [22, 23]}
  condition: selection
---
title: Many connections
correlation:
  type: event_count
  rules: [connection]
  group-by: [Image, host]
  aliases:
    host: {connection: DestinationIp}
  timespan: 5m
  condition: {gte: 3}
level: high
`)
	for i := range 3 {
		f.connect(float64(i), 7, 22)
		f.connect(float64(i), 7, 443)
	}
	f.want(t, "Many connections: Many connections (3 matches in 2s)")
}

// TestAlertsDoNotAllocate holds for events that no rule matches, with correlations
// at work.
func TestAlertsDoNotAllocate(t *testing.T) {
	f := feed1(t, counting("type: event_count\nrules: [connects]\ntimespan: 10s\ncondition: {gte: 2}"))
	ev := &event.Event{Type: event.Exit, Proc: execEvent().Proc, ExitInfo: &event.ExitInfo{}}
	if n := testing.AllocsPerRun(100, func() { f.e.Alerts(ev, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
