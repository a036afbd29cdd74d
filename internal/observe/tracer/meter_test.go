package tracer

import (
	"io"
	"testing"
	"time"
)

// TestMeter goes through three seconds of counting a tenth of the time.
func TestMeter(t *testing.T) {
	begun := time.Unix(100, 0)
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	m := &meter{begun: begun, turned: begun, stats: io.NopCloser(nil)}
	m.tick(at(50))
	if m.stats == nil {
		t.Error("it ended after half of its time")
	}
	m.took = 7 * time.Millisecond // as counted until then
	m.tick(at(120))
	if m.stats != nil || m.measured != 120*time.Millisecond {
		t.Errorf("after its time it has measured %s", m.measured)
	}
	m.tick(at(900))
	if m.stats != nil {
		t.Error("it began too early")
	}
	if got := m.total(at(1200)); got != 70*time.Millisecond {
		t.Errorf("in ten times the time the programs take %s, want 70ms", got)
	}
	if got := (&meter{begun: begun}).total(at(5)); got != 0 {
		t.Errorf("without any measuring they take %s", got)
	}
}
