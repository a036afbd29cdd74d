package agent

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/alerts"
	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/fdgraph"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	table "github.com/bearcat-hids/bearcat/internal/process"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/bearcat-hids/bearcat/internal/sensor/process"
	"github.com/bearcat-hids/bearcat/internal/sink"
	"github.com/bearcat-hids/bearcat/internal/sink/json"
	"github.com/bearcat-hids/bearcat/rules"
)

// life is the captured records of one process, made into those of any number
// of processes: the offsets are those of record.h.
type life struct {
	fork, exec, exit []byte
	seq              uint64
}

func captured(t testing.TB) *life {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "sensor", "process", "testdata", name+".bin"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return &life{fork: read("fork"), exec: read("exec"), exit: read("exit")}
}

const (
	offSeq, offCPU = 8, 20
	offKey         = 24 // start, then pid
)

// next gives the records to be process n, numbered one further in each stream.
func (l *life) next(n uint64) [][]byte {
	l.seq++
	for _, raw := range [][]byte{l.fork, l.exec, l.exit} {
		binary.LittleEndian.PutUint16(raw[offCPU:], 0)
		binary.LittleEndian.PutUint64(raw[offSeq:], l.seq)
		binary.LittleEndian.PutUint64(raw[offKey:], 1_000_000_000+n)
		binary.LittleEndian.PutUint32(raw[offKey+8:], uint32(1000+n%30000))
		binary.LittleEndian.PutUint64(raw, 2_000_000_000+1000*n) // time
	}
	return [][]byte{l.fork, l.exec, l.exit}
}

// keep is a sink that counts and keeps the types of events.
type keep struct {
	types  map[event.Type]int
	gaps   []event.GapInfo
	alerts int
}

func (k *keep) Event(ev *event.Event) {
	k.types[ev.Type]++
	if ev.GapInfo != nil {
		k.gaps = append(k.gaps, *ev.GapInfo)
	}
}
func (k *keep) Alert(*event.Alert)          { k.alerts++ }
func (k *keep) Close(context.Context) error { return nil }
func (k *keep) Stats() sink.Stats           { return sink.Stats{} }

func shipped(t testing.TB) *rule.Set {
	t.Helper()
	set, report, err := shippedRules()
	if err != nil || report.Errors() > 0 {
		t.Fatalf("the shipped rules do not load: %v, %v", err, report.Err())
	}
	return set
}

func shippedRules() (*rule.Set, *rule.Report, error) {
	pack, err := rules.Files()
	if err != nil {
		return nil, nil, err
	}
	var files []rule.File
	for _, f := range pack {
		files = append(files, rule.File{Name: f.Name, Data: f.Data})
	}
	set, report := rule.Load(files, rule.Options{})
	return set, report, nil
}

func testPipeline(t testing.TB, set *rule.Set, sinks ...sink.Sink) *pipeline {
	t.Helper()
	s := process.NewDecoder(nil)
	procs := table.NewTable(table.Config{Now: kernel.BootNow, Offset: func() time.Duration { return 0 }})
	p := newPipeline([]decoder{s}, procs, rule.NewEngine(set, rule.MatchAll), sinks)
	if set.Uses("bc.shell.") {
		p.shells = fdgraph.New(fdgraph.Options{})
	}
	p.alerts = alerts.New(alerts.Options{Keep: time.Minute})
	return p
}

func TestPipelineCountsAndGaps(t *testing.T) {
	k := &keep{types: map[event.Type]int{}}
	set, _ := rule.Load([]rule.File{{Name: "t", Data: []byte(`
- rule: any exec
  desc: every exec
  condition: evt.type in (execve, execveat)
  output: x
  priority: INFO
- rule: gap
  desc: every gap
  condition: evt.type = gap
  output: x
  priority: INFO
`)}}, rule.Options{})
	p := testPipeline(t, set, k)
	resyncs := 0
	p.resync = func() { resyncs++ }
	l := captured(t)
	for n := range uint64(10) {
		for i, raw := range l.next(n) {
			if n == 4 && i == 1 || n == 7 && i == 2 || n == 8 && i == 2 {
				continue // lost on the way
			}
			p.Record(event.Critical, raw)
		}
	}
	p.Flush(1)
	if resyncs != 1 {
		t.Errorf("after the gaps the table was compared %d times", resyncs)
	}
	p.Record(event.Critical, []byte("not a record"))
	// the last fork records were sent, but never came
	p.end([]sensor.StreamCount{
		{CPU: 0, Stream: 0, Type: event.Exec, Produced: 10}, {CPU: 0, Stream: 1, Type: event.Fork, Produced: 12},
		{CPU: 0, Stream: 2, Type: event.Exit, Produced: 10},
	})
	want := map[event.Type]int{event.Exec: 9, event.Fork: 10, event.Exit: 8, event.Gap: 3}
	for typ, n := range want {
		if k.types[typ] != n {
			t.Errorf("%d %s events came out, want %d", k.types[typ], typ, n)
		}
	}
	if k.alerts != 9+3 {
		t.Errorf("%d alerts came out, want %d", k.alerts, 12)
	}
	wantGaps := []event.GapInfo{
		{Lost: event.Exec, N: 1, From: 5, To: 5}, {Lost: event.Exit, N: 2, From: 8, To: 9}, {Lost: event.Fork, N: 2, From: 11, To: 12},
	}
	for i, g := range wantGaps {
		if i >= len(k.gaps) || k.gaps[i] != g {
			t.Fatalf("the gaps are %+v, want %+v", k.gaps, wantGaps)
		}
	}
	if got := p.count.lost[event.Critical].Load(); got != 5 {
		t.Errorf("%d records are counted as lost, want 5", got)
	}
	if got := p.count.refused.Load(); got != 1 {
		t.Errorf("%d records are counted as refused, want 1", got)
	}
}

func benchmarkLife(b *testing.B, sinks ...sink.Sink) {
	p := testPipeline(b, shipped(b), sinks...)
	l := captured(b)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		for _, raw := range l.next(n) {
			p.Record(event.Critical, raw)
		}
		if n%256 == 0 {
			p.Flush(256)
		}
	}
	if lost := p.count.lost[event.Critical].Load(); lost > 0 {
		b.Fatalf("%d records are missing", lost)
	}
}

// BenchmarkLife is what a process costs from its fork to its exit, with the
// shipped rules and nothing to say about it.
func BenchmarkLife(b *testing.B) { benchmarkLife(b) }

// BenchmarkLifeJSON is the same with every event written as JSON.
func BenchmarkLifeJSON(b *testing.B) {
	w := sink.NewWriter("null", json.New("host", "boot"), sink.NewStream(io.Discard), sink.Options{Events: true, Limit: 64 << 20})
	benchmarkLife(b, w)
	if err := w.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
