package call

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/google/go-cmp/cmp"
)

// TestReuse decodes records in many orders with parts that serve again: nothing of
// one may show in another, and after a first time none costs memory of its own.
func TestReuse(t *testing.T) {
	all := captured(t)
	names := captureNames()
	d := NewDecoder(true)
	var rec event.TaskRecord
	for step := 1; step < len(names); step++ {
		for i := range names {
			name := names[i*step%len(names)]
			if all[name] == nil || name == "answer" || name == "query" { // these depend on those before them
				continue
			}
			if i%5 == 0 { // another sensor's record
				rec = event.TaskRecord{Type: event.Exec, Node: "x", Comm: "exec"}
			}
			if ok, err := d.Decode(all[name], &rec); !ok || err != nil {
				t.Fatalf("%s: %v, %v", name, ok, err)
			}
			if diff := cmp.Diff(decodeOne(t, all[name]), rec); diff != "" {
				t.Fatalf("%s comes out otherwise after others:\n%s", name, diff)
			}
		}
	}
	for _, name := range []string{"open", "failed", "connect", "accept", "tcp_close", "send"} {
		raw := all[name]
		if n := testing.AllocsPerRun(100, func() { _, _ = d.Decode(raw, &rec) }); n > 0 {
			t.Errorf("%s costs %v allocations", name, n)
		}
	}
}
