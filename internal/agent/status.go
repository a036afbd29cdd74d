package agent

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	"github.com/bearcat-hids/bearcat/internal/status"
)

// Status is a snapshot of the running agent, with every loss anywhere. It may
// be called from any goroutine while Run works.
func (a *Agent) Status() status.Status {
	s := status.Status{
		Version: a.opts.Version, Pid: os.Getpid(), Host: a.host, Kernel: kernel.Release(), Scope: a.cfg.Scope.String(),
		Started: a.started, UptimeSeconds: time.Since(a.started).Seconds(), Process: ownUsage(),
		Rules: a.ruleStatus(), Table: a.tableStatus(),
	}
	a.mu.Lock()
	s.Warnings = slices.Clone(a.warnings)
	a.mu.Unlock()
	for _, h := range a.hooks() {
		hook := status.Hook{Event: h.Event, Hook: h.Hook, Attached: h.Attached, Note: h.Error}
		if kernel.CountsMisses() {
			hook.Missed = &h.Missed
		}
		if ns := a.pipe.last[h.Stream%streamsMax].Load(); ns != 0 && h.Attached && h.Event != "inventory" {
			t := time.Unix(0, ns)
			hook.LastEvent = &t
		}
		if h.Runs > 0 {
			hook.Runs = &h.Runs
		}
		if h.Copies > 0 {
			hook.Note = fmt.Sprintf("%d copies; missed is a bound", h.Copies)
		}
		if h.Missed > 0 && h.Copies == 0 {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the kernel skipped %d calls of %s", h.Missed, h.Hook))
		}
		s.Hooks = append(s.Hooks, hook)
	}
	if level := call.Level(a.level.Load()); level > 0 {
		s.Warnings = append(s.Warnings, "to keep to its processor time, the agent leaves out "+level.String())
	}
	if n := a.sensor.ScopeFull(); n > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d processes did not fit into the scope and are not watched", n))
	}
	if c := a.pipe.canary; c != nil {
		last, runs, failures, problem := c.account()
		s.Canary = &status.Canary{Runs: runs, Failures: failures, Problem: problem}
		if !last.IsZero() {
			s.Canary.LastOK = &last
		}
	}
	if g := a.pipe.shells; g != nil {
		x := g.Stats()
		s.Shells = &status.Shells{
			Processes: uint64(x.Processes), Objects: uint64(x.Objects), Forgotten: x.Forgotten,
			Asked: x.Asked, Found: x.Found, Refuted: x.Refuted, Unasked: x.Unasked,
		}
	}
	if x := a.pipe.hosts.Stats(); x.Asked > 0 {
		s.HostPaths = &status.HostPaths{
			Asked: x.Asked, Found: x.Found, Hidden: x.Hidden, Nameless: x.Nameless, Unsure: x.Unsure, Unmatched: x.Unmatched,
			NoMounts: x.NoMounts, Namespaces: uint64(x.Namespaces), Reads: x.Reads, Evicted: x.Evicted,
		}
	}
	if n := a.pipe.counted(); n != nil {
		s.Counts = &status.Counts{Groups: uint64(n.Groups), Bytes: uint64(n.Bytes), Evicted: n.Evicted, Late: n.Late}
	}
	s.Firewall = a.firewallStatus()
	s.Rings = a.ringStatus()
	s.Stages = a.stages()
	w := a.out.writer.Stats()
	s.Sinks = []status.Sink{{
		Name: a.cfg.Output.Format, In: w.In, Out: w.Out, Waiting: w.Waiting, Dropped: w.Dropped,
		DroppedAlerts: w.DroppedAlerts, Bytes: w.Bytes, Errors: w.Errors, LastError: w.LastError,
	}}
	return s
}

// hooks describes the programs of all sensors.
func (a *Agent) hooks() []kernel.HookStatus {
	var out []kernel.HookStatus
	for _, s := range a.running() {
		out = append(out, s.Hooks()...)
	}
	return out
}

func (a *Agent) ruleStatus() status.Rules {
	out := status.Rules{ByRule: map[string]uint64{}, Matched: a.pipe.count.alerts.Load()}
	kept := a.pipe.alerts.Stats()
	out.Suppressed, out.Kept, out.Forgotten = kept.Suppressed, uint64(kept.Kept), kept.Forgotten
	out.Reloads, out.Refused = a.reloads.done.Load(), a.reloads.refused.Load()
	if last := a.reloads.last.Load(); last != 0 {
		at := time.Unix(0, last)
		out.LastReload = &at
	}
	set, counts := a.pipe.rules()
	for i, r := range set.Rules() {
		switch r.Status() {
		case rule.Live:
			out.Live++
		case rule.Waiting:
			out.Waiting++
		default:
			out.Disabled++
		}
		if n := counts[i].Load(); n > 0 {
			out.ByRule[r.Info().Name] = n
		}
	}
	return out
}

func (a *Agent) tableStatus() status.Table {
	t := a.pipe.table.Stats()
	return status.Table{
		Processes: uint64(t.Live + t.Dead), Alive: uint64(t.Live), Limit: uint64(a.cfg.Table.MaxProcesses),
		Bytes: uint64(t.Bytes), Evicted: t.Evicted(), Unknown: t.Synthesised, Resyncs: t.Resyncs,
	}
}

func (a *Agent) ringStatus() []status.Ring {
	var lost, left [event.NumClasses]uint64
	if counts, err := a.streams(); err == nil {
		for _, c := range counts {
			lost[c.Class] += c.Lost
			left[c.Class] += c.Filtered
		}
	}
	var out []status.Ring
	for c := range event.NumClasses {
		st := a.transport.Stats(c)
		out = append(out, status.Ring{
			Class: c.String(), Size: uint64(a.transport.Size(c)), Received: st.Received, LostInKernel: lost[c],
			Gaps: a.pipe.count.gaps[c].Load(), LostCounted: a.pipe.count.lost[c].Load(), LeftOut: left[c],
		})
	}
	return out
}

// stages is the account of the pipeline: what goes in comes out or is counted
// as dropped. The rules drop nothing; their output is alerts.
func (a *Agent) stages() []status.Stage {
	c := &a.pipe.count
	t := a.pipe.table.Stats()
	k := a.pipe.containers.Stats()
	return []status.Stage{
		{Name: "decode", In: c.decodeIn.Load(), Out: c.decodeOut.Load(), Dropped: c.refused.Load()},
		{Name: "table", In: c.decodeOut.Load(), Out: t.Applied, Dropped: t.Duplicates + t.Ignored},
		{Name: "containers", In: k.Lookups, Out: k.Found, Dropped: k.Dropped},
		{Name: "rules", In: c.events.Load(), Out: c.alerts.Load()},
	}
}

// ownUsage is what the agent itself costs.
func ownUsage() status.Process {
	p := status.Process{CPUSeconds: kernel.OwnTime().Seconds()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			pages, _ := strconv.ParseUint(f[1], 10, 64)
			p.RSSBytes = pages * uint64(os.Getpagesize())
		}
	}
	return p
}

// banner says what is watched, by which hooks and rules, and what is missing.
func (a *Agent) banner() {
	s := a.Status()
	var hooks, missing []string
	for _, h := range s.Hooks {
		if h.Attached {
			hooks = append(hooks, h.Event+" "+h.Hook)
		} else {
			missing = append(missing, h.Event+" ("+h.Hook+": "+h.Note+")")
		}
	}
	missing = append(missing, s.Warnings...)
	if len(missing) == 0 {
		missing = []string{"nothing"}
	}
	w := a.opts.Banner
	fmt.Fprintf(w, "bearcat %s on %s, kernel %s, scope %s\n", s.Version, s.Host, s.Kernel, s.Scope)
	fmt.Fprintf(w, "  hooks    %s\n", strings.Join(hooks, ", "))
	fmt.Fprintf(w, "  rules    %d live, %d waiting for events that are not collected yet, %d disabled\n", s.Rules.Live, s.Rules.Waiting, s.Rules.Disabled)
	if a.metricsAddr != "" {
		fmt.Fprintf(w, "  metrics  http://%s/metrics\n", a.metricsAddr)
	}
	fmt.Fprintf(w, "  missing  %s\n", strings.Join(missing, "; "))
	fmt.Fprintf(w, "ready after %.2f s, %d processes known\n", time.Since(a.started).Seconds(), a.seeded.Load())
}

// farewell says what was seen and what was lost.
func (a *Agent) farewell() {
	s := a.Status()
	var gaps, lost, dropped, missed uint64
	for _, r := range s.Rings {
		gaps += r.Gaps
		lost += r.LostCounted
	}
	for _, k := range s.Sinks {
		dropped += k.Dropped
	}
	for _, h := range s.Hooks {
		if h.Missed != nil && h.Note == "" {
			missed += *h.Missed
		}
	}
	fmt.Fprintf(a.opts.Banner, "events: %d, alerts: %d in %.1f s; lost between kernel and agent: %d in %d gaps; skipped by the kernel: %d; not understood: %d; not written: %d\n",
		a.pipe.count.events.Load(), a.pipe.count.alerts.Load(), s.UptimeSeconds, lost, gaps, missed, a.pipe.count.refused.Load(), dropped)
}
