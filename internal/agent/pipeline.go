package agent

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/alerts"
	"github.com/bearcat-hids/bearcat/internal/container"
	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/fdgraph"
	"github.com/bearcat-hids/bearcat/internal/hostpath"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	table "github.com/bearcat-hids/bearcat/internal/process"
	"github.com/bearcat-hids/bearcat/internal/respond"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/bearcat-hids/bearcat/internal/sink"
)

// pipeline takes records from the rings, one at a time: decode, account, table,
// rules, sinks. It works on the reader's goroutine; mu is for the start and
// the end, which come from others.
type pipeline struct {
	mu      sync.Mutex
	kinds   [256]decoder // by the kind of a record
	table   *table.Table
	engine  *rule.Engine
	sinks   []sink.Sink
	streams *kernel.Streams
	names   *names
	shells  *fdgraph.Graph // nil where no rule asks
	// containers finds metadata; nil for none.
	containers *container.Resolver
	canary     *canary // nil for none
	alerts     *alerts.Log
	respond    *respond.Responder // nil for none
	live       *live              // nil for none
	hosts      *hostpath.Resolver // of files in other mount namespaces; nil for none
	own        uint32             // the agent's pid
	// last is when each stream was heard of last, in ns since 1970.
	last [streamsMax]atomic.Int64

	rec   event.TaskRecord
	ev    event.Event
	num   uint64
	match func(*rule.Rule, *event.Alert)
	byRun []atomic.Uint64 // matches by the rule's index
	hits  uint64          // all matches

	// resync compares the table with the kernel; it is called under
	// mu, after a gap in the critical class.
	resync     func()
	wantResync bool
	nextResync time.Time

	count counts
}

// streamsMax is how many streams there are (BC_STREAMS); copies have the same.
const streamsMax = 24

// raise hands an alert of the agent's own to the sinks.
func (p *pipeline) raise(a *event.Alert) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(a)
}

// tell hands an alert to the sinks, unless there were too many like it.
func (p *pipeline) tell(a *event.Alert) {
	p.count.alerts.Add(1)
	if !p.alerts.Alert(a) {
		return
	}
	for _, s := range p.sinks {
		s.Alert(a)
	}
}

// repeats tells of alerts that were left out; with all of all of them.
func (p *pipeline) repeats(all bool) {
	for _, a := range p.alerts.Due(time.Now(), all) {
		for _, s := range p.sinks {
			s.Alert(&a)
		}
	}
}

// limit makes an event of a step of the budget.
func (p *pipeline) limit(l *event.LimitInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	boot := kernel.BootNow()
	p.ev = event.Event{Type: event.Limit, Boot: boot, Time: time.Unix(0, int64(boot)+kernel.WallOffset()), LimitInfo: l}
	p.emit()
}

// firewall makes an event of what the firewall did.
func (p *pipeline) firewall(f *event.FirewallInfo, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ev = event.Event{Type: event.Firewall, Boot: uint64(max(0, at.UnixNano()-kernel.WallOffset())), Time: at, FirewallInfo: f}
	p.emit()
}

// decoder is the part of a sensor that the pipeline needs.
type decoder interface {
	Kinds() []uint8
	Decode(raw []byte, rec *event.TaskRecord) (bool, error)
}

// counts is the pipeline's account, read by Status at any time.
type counts struct {
	decodeIn, decodeOut, refused atomic.Uint64
	events, alerts               atomic.Uint64
	gaps, lost                   [event.NumClasses]atomic.Uint64
}

func newPipeline(decoders []decoder, t *table.Table, e *rule.Engine, sinks []sink.Sink) *pipeline {
	p := &pipeline{table: t, engine: e, sinks: sinks, streams: kernel.NewStreams(), names: newNames(),
		byRun: make([]atomic.Uint64, len(e.Set().Rules())), alerts: alerts.New(alerts.Options{}), own: uint32(os.Getpid())}
	p.decoders(decoders...)
	p.match = p.alert
	return p
}

// decoders says who decodes the records of more sensors.
func (p *pipeline) decoders(more ...decoder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range more {
		for _, k := range d.Kinds() {
			p.kinds[k] = d
		}
	}
}

// Record implements kernel.Handler.
func (p *pipeline) Record(_ event.Class, raw []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count.decodeIn.Add(1)
	d := p.kinds[sensor.Kind(raw)]
	if d == nil {
		p.count.refused.Add(1)
		return
	}
	ok, err := d.Decode(raw, &p.rec)
	if err != nil {
		p.count.refused.Add(1)
		return
	}
	if hole := p.streams.Seen(p.rec.CPU, p.rec.Stream, p.rec.Seq); hole.N() > 0 {
		p.gap(p.rec.CPU, p.rec.StreamType, p.rec.Class, hole, p.rec.Boot)
	}
	if !ok {
		return
	}
	p.count.decodeOut.Add(1)
	if p.table.Apply(&p.rec, &p.ev) {
		p.last[p.rec.Stream%streamsMax].Store(p.ev.Time.UnixNano())
		if p.canary.claims(&p.ev) || p.ownProgram(&p.ev) {
			return
		}
		p.names.apply(&p.ev)
		p.locate()
		if p.shells != nil {
			p.shells.Apply(&p.ev)
		}
		p.describe()
		p.live.note(&p.ev)
		p.emit()
		if g := p.table.Gained(); g != nil {
			p.ev = event.Event{Type: event.Creds, Boot: p.ev.Boot, Time: p.ev.Time, CPU: p.ev.CPU, Seq: p.ev.Seq, Tid: p.ev.Tid, Proc: p.ev.Proc, CredsInfo: g, Hosts: p.ev.Hosts}
			p.emit()
		}
	}
}

// ownProgram reports whether an event is of a program that the agent itself loads, as it
// does for each look at the kernel: that is nothing to tell.
func (p *pipeline) ownProgram(ev *event.Event) bool {
	return ev.Type == event.BPF && ev.Proc != nil && ev.Proc.Pid == p.own
}

// Flush implements kernel.Handler.
func (p *pipeline) Flush(int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table.Tick(kernel.BootNow())
	p.repeats(false)
	p.engine.Expire(time.Now(), p.match)
	if p.wantResync && p.resync != nil && time.Now().After(p.nextResync) {
		begun := time.Now()
		p.wantResync = false
		p.resync()
		// A flood that loses records all the time must not be answered with
		// nothing but inventories: they get a twentieth of the time.
		p.nextResync = time.Now().Add(max(time.Second, 20*time.Since(begun)))
	}
}

// locate lets whoever reads the event ask where the host has its files.
func (p *pipeline) locate() {
	if p.hosts == nil {
		return
	}
	p.ev.Hosts = p.hosts
	if t := p.ev.Type; t == event.Mount || t == event.Umount {
		ns := p.ev.MntNS
		if ns == 0 && p.ev.Proc != nil && p.ev.Proc.NS != nil {
			ns = p.ev.Proc.NS.Mnt
		}
		p.hosts.Changed(ns)
	}
}

// inNamespace names living processes of a mount namespace.
func (p *pipeline) inNamespace(ns uint32, yield func(pid uint32) bool) {
	p.table.Range(func(proc *event.Process) bool {
		return !proc.Alive() || proc.NS == nil || proc.NS.Mnt != ns || yield(proc.Pid)
	})
}

// describe gives the container of the event's process what its runtime says of
// it. The first event of a container waits a little for that, so that rules
// which name images are right from the beginning.
func (p *pipeline) describe() {
	if p.containers == nil || p.ev.Proc == nil {
		return
	}
	cg := p.ev.Proc.Cgroup
	if cg == nil || cg.ContainerID == "" || cg.Meta != nil {
		return
	}
	cg.Meta = p.containers.Wait(cg)
}

// emit hands p.ev to the sinks and the rules.
func (p *pipeline) emit() {
	p.num++
	p.ev.Num = p.num
	p.count.events.Add(1)
	for _, s := range p.sinks {
		s.Event(&p.ev)
	}
	p.alerts.Event(&p.ev)
	p.engine.Alerts(&p.ev, p.match)
}

// swap puts other rules in place of those that were matched so far. Rules that
// stay, by name, keep their count.
func (p *pipeline) swap(e *rule.Engine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, counts := p.engine.Set(), p.byRun
	p.engine, p.byRun = e, make([]atomic.Uint64, len(e.Set().Rules()))
	for i, r := range e.Set().Rules() {
		if old, ok := before.Rule(r.Info().Name); ok {
			p.byRun[i].Store(counts[old.Index()].Load())
		}
	}
}

// followShells begins to follow what shells lead to, where nobody has asked for
// that so far.
func (p *pipeline) followShells() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shells == nil {
		p.shells = fdgraph.New(fdgraph.Options{Probe: fdgraph.Proc{}})
		p.seedShells()
	}
}

// seedShells tells the graph of what already runs.
func (p *pipeline) seedShells() {
	p.table.Range(func(proc *event.Process) bool {
		p.shells.Seed(proc)
		return true
	})
}

// rules returns the rules that are matched now, and how often each has been.
func (p *pipeline) rules() (*rule.Set, []atomic.Uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.engine.Set(), p.byRun
}

// counted is the account of the rules that count matches of others; nil where there
// are none.
func (p *pipeline) counted() *rule.Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.engine.Counts()
}

func (p *pipeline) alert(r *rule.Rule, a *event.Alert) {
	p.byRun[r.Index()].Add(1)
	p.hits++
	p.tell(a)
	if p.respond != nil {
		p.respond.Alert(a)
	}
}

// gap makes an event of a hole in a stream.
func (p *pipeline) gap(cpu uint16, lost event.Type, class event.Class, h kernel.Hole, boot uint64) {
	p.count.gaps[class].Add(1)
	p.count.lost[class].Add(h.N())
	p.wantResync = p.wantResync || class == event.Critical
	p.ev = event.Event{
		Type: event.Gap, Boot: boot, Time: time.Unix(0, int64(boot)+kernel.WallOffset()), CPU: cpu,
		GapInfo: &event.GapInfo{Class: class, Lost: lost, CPU: cpu, N: h.N(), From: h.From, To: h.To},
	}
	p.emit()
}

// end closes the account when all that was sent has been read.
func (p *pipeline) end(counts []sensor.StreamCount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range counts {
		if hole := p.streams.End(c.CPU, c.Stream, c.Produced); hole.N() > 0 {
			p.gap(c.CPU, c.Type, c.Class, hole, kernel.BootNow())
		}
	}
	p.engine.Expire(time.Now().Add(rule.Forever), p.match)
	p.repeats(true)
}

var _ decoder = sensor.Sensor(nil)
