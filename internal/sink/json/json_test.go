package json

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
	"github.com/bearcat-hids/bearcat/internal/sink"
)

func TestFormat(t *testing.T) {
	f := New("web-1", "b00t")
	ev := &event.Event{Type: event.Fork, Time: time.Unix(1, 2), Proc: &event.Process{Key: event.Key{Pid: 7, Start: 9}, Comm: "x"}}
	out := f.AppendEvent(nil, ev)
	out = f.AppendAlert(out, &event.Alert{Event: ev, Time: ev.Time, Output: "found"})
	out = f.AppendLoss(out, ev.Time, 3)
	lines := bytes.SplitAfter(out, []byte("\n"))
	if len(lines) != 4 || len(lines[3]) != 0 {
		t.Fatalf("expected three lines: %q", out)
	}
	for i, want := range []string{`"key":"b00t:7:9"`, `"output":"found"`, `"type":"output_loss","host":"web-1","lost":3`} {
		if !strings.Contains(string(lines[i]), want) {
			t.Errorf("line %d lacks %s: %s", i, want, lines[i])
		}
	}
	if got, err := eventjson.DecodeEvent(lines[0]); err != nil || got.Proc.Pid != 7 {
		t.Errorf("the event does not read back: %v, %v", got, err)
	}
}

type discard struct{}

func (discard) WriteLines(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                     { return nil }

// BenchmarkSink measures what an exec costs the pipeline's goroutine.
func BenchmarkSink(b *testing.B) {
	parent := &event.Process{Key: event.Key{Pid: 1, Start: 2}, Comm: "systemd", Image: &event.Image{Exe: event.File{Path: "/usr/lib/systemd/systemd"}}}
	ev := &event.Event{Type: event.Exec, Time: time.Unix(1, 2), Proc: &event.Process{
		Key: event.Key{Pid: 7, Start: 9}, Parent: parent, Comm: "curl", User: "ada",
		Image: &event.Image{Exe: event.File{Path: "/usr/bin/curl"}, Argv: []string{"curl", "-s", "http://192.0.2.1/"}, Argc: 3, Cwd: "/home/ada"},
	}}
	w := sink.NewWriter("bench", New("web-1", "b00t"), discard{}, sink.Options{Events: true})
	b.ReportAllocs()
	for b.Loop() {
		w.Event(ev)
	}
	_ = w.Close(b.Context())
	s := w.Stats()
	if s.In != s.Out+s.Dropped {
		b.Errorf("the counts do not add up: %+v", s)
	}
	// a dropped event costs next to nothing, so say how many were
	b.ReportMetric(100*float64(s.Dropped)/float64(s.In), "%dropped")
}
