package scan

import (
	"os"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestText finds the code of the kernel as its image has it, also while functions are
// traced and probed, and a function whose code is another by its name.
func TestText(t *testing.T) {
	guest.NeedKernel(t)
	guest.Require(t)
	clean := func(when string) {
		t.Helper()
		begun := time.Now()
		r, err := Run(t.Context(), []string{"kernel-text", "interrupt-table"})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Skipped {
			t.Errorf("%s: %s: %s", when, x.Check, x.Why)
		}
		for _, f := range r.Findings {
			t.Errorf("%s: %s: %s", when, f.What, f.Evidence)
		}
		t.Logf("%s: two looks took %v", when, time.Since(begun))
	}
	clean("as it was started")
	const dir = "/sys/kernel/tracing/"
	for _, w := range [][2]string{{"kprobe_events", "p:at_begin do_nanosleep\n"}, {"events/kprobes/at_begin/enable", "1"}, {"set_ftrace_filter", "vfs_*"}, {"current_tracer", "function"},
		{"events/sched/enable", "1"}} {
		if err := os.WriteFile(dir+w[0], []byte(w[1]), 0o600); err != nil {
			t.Logf("%s: %v", w[0], err)
		}
	}
	t.Cleanup(func() {
		for _, w := range [][2]string{{"events/kprobes/at_begin/enable", "0"}, {"kprobe_events", ""}, {"current_tracer", "nop"}, {"set_ftrace_filter", ""}, {"events/sched/enable", "0"}} {
			_ = os.WriteFile(dir+w[0], []byte(w[1]), 0o600)
		}
	})
	clean("while functions are traced and probed")
}
