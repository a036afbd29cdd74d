package call

import (
	"os"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestLevels leaves out more at each level, and never calls of the critical
// class.
func TestLevels(t *testing.T) {
	guest.NeedKernel(t)
	dir := newDir(t)
	f, err := newFeed(kernel.DefaultBulkSize, Options{Types: event.TypesOf(event.Open, event.Unlink, event.Prctl)})
	need(t, err)
	t.Cleanup(func() { need(t, f.close()) })
	const n = 200
	for level := LevelAll; level <= MaxLevel; level++ {
		need(t, f.sensor.SetLevel(level))
		f.mu.Lock()
		w := &observer{feed: f, t: t, from: len(f.records)}
		f.mu.Unlock()
		need(t, os.WriteFile(dir+"/f", nil, 0o600))
		for range n {
			_, err := os.ReadFile(dir + "/f")
			need(t, err)
			_ = unix.Unlink(dir + "/none")
			need(t, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
		}
		time.Sleep(200 * time.Millisecond)
		reads := w.count(event.Open, func(r *event.TaskRecord) bool { return r.Call.Path.Raw == dir+"/f" && r.Call.Args[2]&3 == 0 })
		failed := w.count(event.Unlink, func(r *event.TaskRecord) bool { return r.Call.Path.Raw == dir+"/none" })
		critical := w.count(event.Prctl, func(*event.TaskRecord) bool { return true })
		if critical != n {
			t.Errorf("level %d: %d critical calls were told of %d", level, critical, n)
		}
		if want := map[bool]int{true: n, false: 0}[level == LevelAll]; reads != want {
			t.Errorf("level %d: %d opens for reading were told, want %d", level, reads, want)
		}
		switch {
		case level < LevelRepeats && failed != n:
			t.Errorf("level %d: %d unlinks were told of %d", level, failed, n)
		case level == LevelRepeats && (failed == 0 || failed > n/4):
			t.Errorf("level %d: of %d repeated unlinks %d were told", level, n, failed)
		case level == LevelSample && failed > n/4:
			t.Errorf("level %d: of %d unlinks %d were told", level, n, failed)
		}
	}
	need(t, f.stop())
}
