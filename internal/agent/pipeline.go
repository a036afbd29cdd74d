package agent

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	table "github.com/bearcat-hids/bearcat/internal/process"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/bearcat-hids/bearcat/internal/sensor/process"
	"github.com/bearcat-hids/bearcat/internal/sink"
)

// pipeline takes records from the rings, one at a time: decode, account, table,
// rules, sinks. It works on the reader's goroutine; mu is for the start and
// the end, which come from others.
type pipeline struct {
	mu      sync.Mutex
	sensor  decoder
	table   *table.Table
	engine  *rule.Engine
	sinks   []sink.Sink
	streams *kernel.Streams

	rec   event.TaskRecord
	ev    event.Event
	num   uint64
	match func(*rule.Rule)
	byRun []atomic.Uint64 // matches by the rule's index

	// resync compares the table with the kernel; it is called under
	// mu, after a gap in the critical class.
	resync     func()
	wantResync bool
	nextResync time.Time

	count counts
}

// decoder is the part of a sensor that the pipeline needs.
type decoder interface {
	Decode(raw []byte, rec *event.TaskRecord) (bool, error)
}

// counts is the pipeline's account, read by Status at any time.
type counts struct {
	decodeIn, decodeOut, refused atomic.Uint64
	events, alerts               atomic.Uint64
	gaps, lost                   [event.NumClasses]atomic.Uint64
}

func newPipeline(d decoder, t *table.Table, e *rule.Engine, sinks []sink.Sink) *pipeline {
	p := &pipeline{sensor: d, table: t, engine: e, sinks: sinks, streams: kernel.NewStreams(),
		byRun: make([]atomic.Uint64, len(e.Set().Rules()))}
	p.match = p.alert
	return p
}

// Record implements kernel.Handler.
func (p *pipeline) Record(_ event.Class, raw []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count.decodeIn.Add(1)
	ok, err := p.sensor.Decode(raw, &p.rec)
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
	p.ev = event.Event{}
	if p.table.Apply(&p.rec, &p.ev) {
		p.emit()
	}
}

// Flush implements kernel.Handler.
func (p *pipeline) Flush(int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table.Tick(kernel.BootNow())
	if p.wantResync && p.resync != nil && time.Now().After(p.nextResync) {
		begun := time.Now()
		p.wantResync = false
		p.resync()
		// A flood that loses records all the time must not be answered with
		// nothing but inventories: they get a twentieth of the time.
		p.nextResync = time.Now().Add(max(time.Second, 20*time.Since(begun)))
	}
}

// emit hands p.ev to the sinks and the rules.
func (p *pipeline) emit() {
	p.num++
	p.ev.Num = p.num
	p.count.events.Add(1)
	for _, s := range p.sinks {
		s.Event(&p.ev)
	}
	p.engine.Match(&p.ev, p.match)
}

func (p *pipeline) alert(r *rule.Rule) {
	p.byRun[r.Index()].Add(1)
	p.count.alerts.Add(1)
	a := r.Alert(&p.ev)
	for _, s := range p.sinks {
		s.Alert(&a)
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
}

var _ decoder = (*process.Sensor)(nil)
