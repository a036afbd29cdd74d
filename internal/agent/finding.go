package agent

import (
	"fmt"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// notice has what happens given to l from now on.
func (p *pipeline) notice(l *live) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = l
}

// finding makes an event of what a check found. Where no rule is about it, the finding is an
// alert by itself: nobody who loads rules of his own shall miss it. The process is found by
// its number where its start is 0.
func (p *pipeline) finding(f *event.FindingInfo, k event.Key, level event.Priority) {
	p.mu.Lock()
	defer p.mu.Unlock()
	boot := kernel.BootNow()
	p.ev = event.Event{Type: event.Finding, Boot: boot, Time: time.Unix(0, int64(boot)+kernel.WallOffset()), FindingInfo: f}
	if k.Start != 0 {
		p.ev.Proc = p.table.ByKey(k)
	} else if k.Pid != 0 {
		p.ev.Proc = p.table.ByPid(k.Pid)
	}
	before := p.hits
	p.emit()
	if p.hits > before {
		return
	}
	p.tell(&event.Alert{
		Rule: &event.RuleInfo{Name: "Scan: " + f.Check, Desc: f.Do, Priority: level, Source: "syscall", Tags: []string{"bearcat", "bearcat_scan"}},
		Time: p.ev.Time, Output: fmt.Sprintf("%s (%s; %s)", f.What, f.Evidence, f.Sure),
	})
}

// pids adds the numbers of the processes that live to into.
func (p *pipeline) pids(into []uint32) []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table.Range(func(x *event.Process) bool {
		if x.Alive() && x.Pid != 0 {
			into = append(into, x.Pid)
		}
		return true
	})
	return into
}

// alive gives a copy of the process that has a number now.
func (p *pipeline) alive(pid uint32) (event.Process, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.table.ByPid(pid)
	if x == nil || !x.Alive() {
		return event.Process{}, false
	}
	return *x, true
}
