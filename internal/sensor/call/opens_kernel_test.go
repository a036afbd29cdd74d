package call

import (
	"os"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestOpensAreFiltered asks for some kinds of opens and sees only these.
func TestOpensAreFiltered(t *testing.T) {
	guest.NeedKernel(t)
	dir := newDir(t)
	f, err := newFeed(kernel.DefaultBulkSize, Options{Types: event.TypesOf(event.Open)})
	need(t, err)
	t.Cleanup(func() { need(t, f.close()) })
	for o, want := range map[Opens][3]int{OpenRead: {1, 0, 0}, OpenWrite: {0, 1, 0}, OpenFailed: {0, 0, 1}, AllOpens: {1, 1, 1}} {
		f.sensor.opts.Opens = o
		need(t, f.sensor.configure())
		f.mu.Lock()
		w := &observer{feed: f, t: t, from: len(f.records)}
		f.mu.Unlock()
		need(t, os.WriteFile(dir+"/w", nil, 0o600))
		_, err := os.ReadFile(dir + "/w")
		need(t, err)
		if _, err := os.ReadFile(dir + "/none"); err == nil {
			t.Error("a file that is not there can be read")
		}
		time.Sleep(200 * time.Millisecond)
		is := func(name string, flags uint64) func(*event.TaskRecord) bool {
			return func(r *event.TaskRecord) bool { return r.Call.Path.Raw == dir+name && r.Call.Args[2]&3 == flags }
		}
		got := [3]int{w.count(event.Open, is("/w", 0)), w.count(event.Open, is("/w", 1)), w.count(event.Open, is("/none", 0))}
		if got != want {
			t.Errorf("opens %d: reads, writes and failures are %v, want %v", o, got, want)
		}
	}
	need(t, f.stop())
}
