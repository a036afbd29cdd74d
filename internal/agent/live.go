package agent

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/scan"
)

// Checks that events give a reason for, by what happened.
var (
	afterModule  = []string{"hidden-module", "kernel-table", "interrupt-table", "redirected-function", "listing-hook"}
	afterProbe   = []string{"redirected-function", "listing-hook"}
	afterProgram = []string{"listing-hook"}
	afterList    = []string{"listing-library"}
)

// passes are when a cause's checks are made: at once, and again, as what was loaded may
// hide only later, or be attached a moment after it was loaded.
var passes = [...]time.Duration{0, 2 * time.Second, 10 * time.Second, time.Minute}

// rest bounds what looking again and again may cost: after a look comes a pause of so many
// times its work, up to a bound. Whoever gives reasons without end delays looks by no more.
const (
	rest     = 5
	longRest = 5 * time.Second
)

// cause is an event after which some checks may find more than before.
type cause struct {
	after  string
	checks []string
	// proc is who did it, and libs are the libraries that it preloads, below root.
	proc event.Key
	libs []string
	root string
	// host is true where the host's own root will do when the process has gone.
	host bool
	from string
}

// live makes checks of a scan as soon as an event gives a reason. Events are noted on the
// pipeline's goroutine, and the checks are made on another.
type live struct {
	causes chan cause
	own    uint32 // the agent's pid: its own programs are no reason
	// judged are the preloaded libraries that were looked at, by path and change.
	judged map[string]time.Time
	// fresh is when a look for a reason last did not wait.
	fresh map[string]time.Time
}

func newLive(own uint32) *live {
	return &live{causes: make(chan cause, 64), own: own, judged: map[string]time.Time{}, fresh: map[string]time.Time{}}
}

// note takes an event. Where causes come faster than they are looked at, those that find
// no room are like those that wait.
func (l *live) note(ev *event.Event) {
	if l == nil {
		return
	}
	c := causeOf(ev)
	if c == nil || ev.Proc == nil || ev.Proc.Pid == l.own {
		return
	}
	c.after, c.proc = ev.FalcoType(), ev.Proc.Key
	select {
	case l.causes <- *c:
	default:
	}
}

// causeOf says which checks an event gives a reason for; nil for none.
func causeOf(ev *event.Event) *cause {
	c := ev.Call
	switch ev.Type {
	case event.Exec:
		return preloaded(ev.Proc)
	case event.Module:
		if !c.Failed() && c.Spec != nil && strings.HasSuffix(c.Spec.Name, "init_module") {
			return &cause{checks: afterModule}
		}
	case event.BPF:
		if c.Failed() || c.BPF == nil {
			return nil
		}
		switch c.BPF.ProgType {
		case "kprobe", "tracepoint", "raw_tracepoint", "raw_tracepoint_writable", "tracing", "lsm":
			return &cause{checks: afterProgram}
		}
	case event.Open, event.Rename, event.Link, event.Symlink:
		return causeOfFile(ev)
	}
	return nil
}

func causeOfFile(ev *event.Event) *cause {
	c := ev.Call
	if c.Failed() {
		return nil
	}
	for _, ref := range []*event.FileRef{c.Path, c.Path2} {
		if ref == nil {
			continue
		}
		path := ref.File.Path
		switch {
		case path == "/etc/ld.so.preload":
			return &cause{checks: afterList}
		case ev.Type == event.Open && (strings.HasPrefix(path, "/sys/kernel/tracing/") || strings.HasPrefix(path, "/sys/kernel/debug/tracing/")):
			// reading it is no reason, yet seldom, and harmless to look after
			return &cause{checks: afterProbe}
		}
	}
	return nil
}

// preloaded is the cause in a program that was started with libraries before others.
func preloaded(p *event.Process) *cause {
	if p == nil || p.Image == nil {
		return nil
	}
	for _, kv := range p.Image.Env {
		value, ok := strings.CutPrefix(kv, "LD_PRELOAD=")
		if !ok {
			continue
		}
		libs := scan.Preloads(value, p.Image.Cwd)
		if len(libs) == 0 {
			return nil
		}
		return &cause{libs: libs, root: fmt.Sprintf("/proc/%d/root", p.Pid), host: p.Cgroup == nil || p.Cgroup.ContainerID == "",
			from: fmt.Sprintf("LD_PRELOAD in the environment of %s[%d]", p.Comm, p.Pid)}
	}
	return nil
}

// plan is a look that is to come. A fresh one does not wait for the rest: it is the first
// for its reason in a while.
type plan struct {
	at    time.Time
	fresh bool
	cause
}

// loop makes the checks until ctx ends. found takes what they find.
func (l *live) loop(ctx context.Context, look func(context.Context, []string) (*scan.Report, error), found func(*scan.Report, []string, *cause), warn func(string, ...any)) {
	var plans []plan
	var rested time.Time
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-l.causes:
			if len(c.libs) > 0 {
				if r := l.libraries(&c); len(r.Findings) > 0 {
					found(r, nil, &c)
				}
				continue
			}
			plans = planned(plans, c, time.Now(), l.isFresh(&c))
		case <-timer.C:
		}
		now := time.Now()
		due := slices.IndexFunc(plans, func(p plan) bool { return p.at.After(now) })
		if due < 0 {
			due = len(plans)
		}
		if due > 0 && (!now.Before(rested) || slices.ContainsFunc(plans[:due], func(p plan) bool { return p.fresh })) {
			checks, last := union(plans[:due])
			plans = slices.Delete(plans, 0, due)
			r, err := look(ctx, checks)
			work := time.Since(now) - scan.Pause
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				warn("looking after a %s: %v", last.after, err)
			default:
				found(r, checks, last)
			}
			rested = time.Now().Add(min(rest*max(work, 0), longRest))
		}
		if len(plans) > 0 {
			timer.Reset(max(time.Millisecond, time.Until(plans[0].at), time.Until(rested)))
		}
	}
}

// isFresh reports whether a cause's look may begin at once.
func (l *live) isFresh(c *cause) bool {
	kind := strings.Join(c.checks, " ")
	now := time.Now()
	if last, ok := l.fresh[kind]; ok && now.Sub(last) < longRest {
		return false
	}
	l.fresh[kind] = now
	return true
}

// planned adds a cause's looks, in the order of time, in place of those that stood there
// for the same reason.
func planned(plans []plan, c cause, now time.Time, fresh bool) []plan {
	plans = slices.DeleteFunc(plans, func(p plan) bool {
		same := slices.Equal(p.checks, c.checks)
		fresh = fresh || same && p.fresh
		return same
	})
	for i, d := range passes {
		plans = append(plans, plan{now.Add(d), fresh && i == 0, c})
	}
	slices.SortStableFunc(plans, func(a, b plan) int { return a.at.Compare(b.at) })
	return plans
}

// union is all that several looks want, and the last cause of them.
func union(plans []plan) ([]string, *cause) {
	var checks []string
	for _, p := range plans {
		for _, c := range p.checks {
			if !slices.Contains(checks, c) {
				checks = append(checks, c)
			}
		}
	}
	return checks, &plans[len(plans)-1].cause
}

// libraries judges what a program preloads, as far as it was not judged before.
func (l *live) libraries(c *cause) *scan.Report {
	const most = 1024 // libraries that are remembered
	r := &scan.Report{}
	for _, lib := range c.libs {
		root := c.root
		info, err := os.Stat(root + lib)
		if err != nil && c.host { // the program has ended
			root = ""
			info, err = os.Stat(lib)
		}
		if err != nil || l.judged[lib].Equal(info.ModTime()) {
			continue
		}
		f := scan.Library(root, lib, c.from)
		if f != nil {
			r.Findings = append(r.Findings, *f)
			continue
		}
		if len(l.judged) >= most {
			clear(l.judged)
		}
		l.judged[lib] = info.ModTime()
	}
	return r
}
