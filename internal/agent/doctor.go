package agent

import (
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	"github.com/bearcat-hids/bearcat/internal/sensor/process"
)

// Doctor checks what this host offers: what is needed at all, each of the
// agent's own programs by loading it, and the better hooks that some kernels
// have. Nothing stays attached.
func Doctor() []kernel.Check {
	checks := kernel.Preflight()
	checks = append(checks, programs(kernel.Fatal(checks) == nil)...)
	return append(checks, kernel.Rungs()...)
}

func programs(possible bool) []kernel.Check {
	if !possible {
		return []kernel.Check{{Name: "programs", State: kernel.Absent, Detail: "not tried, since something above is missing"}}
	}
	t, err := kernel.NewTransport(kernel.DefaultCriticalSize, kernel.DefaultBulkSize)
	if err != nil {
		return []kernel.Check{{Name: "rings", State: kernel.Missing, Detail: err.Error(), Advice: "set smaller rings in the settings file"}}
	}
	defer t.Close()
	hooks, err := process.Probe(t)
	if err != nil {
		return []kernel.Check{{Name: "programs", State: kernel.Missing, Detail: err.Error(), Advice: "please report this with the kernel's version"}}
	}
	calls, err := call.Probe(t)
	if err != nil {
		return []kernel.Check{{Name: "programs", State: kernel.Missing, Detail: err.Error(), Advice: "please report this with the kernel's version"}}
	}
	var out []kernel.Check
	for _, h := range append(hooks, calls...) {
		c := kernel.Check{Name: h.Event + " events", State: kernel.OK, Detail: h.Hook}
		if !h.Attached {
			c.State = kernel.Missing
			c.Detail = h.Hook + ": " + h.Error
			c.Advice = "please report this with the kernel's version"
		}
		if !h.Attached && h.Event == "inventory" {
			c.State = kernel.Limited
			c.Advice = "nothing to do: running processes are then read from /proc"
		}
		if !h.Attached && h.Event == "module" {
			c.State = kernel.Limited
			c.Advice = "nothing to do: this kernel loads no modules, or does not say their names; the calls that load them are seen"
		}
		out = append(out, c)
	}
	return out
}
