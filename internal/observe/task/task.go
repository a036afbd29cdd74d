// Package task follows tasks through the scheduler: when they run, sleep and wait for a
// processor, where and for what, who wakes them, and who runs instead.
//
// In comes a choice of tasks; out comes, interval by interval, what each did. The
// programs are at tracepoints alone. `bearcat trace task` calls it.
package task

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Options say which tasks to follow.
type Options struct{ kernel.Choice }

// Tracer follows tasks until it is closed.
type Tracer struct {
	transport *kernel.Transport
	coll      *ebpf.Collection
	links     []link.Link
	ring      *ringbuf.Reader
	g         gatherer
	strange   atomic.Uint64
	stats     interface{ Close() error }
	// Notes say what this kernel does not tell.
	Notes []string
	// Sources is at how many tracepoints the programs are.
	Sources int
}

// Totals is what a tracer has counted.
type Totals struct {
	// Notes counts intervals and moves, Lost those that found no room or could not be
	// read, Full tasks for which there was no room, Missed calls of the programs that
	// the kernel skipped.
	Notes  uint64        `json:"notes"`
	Lost   uint64        `json:"lost"`
	Full   uint64        `json:"no_room"`
	Missed uint64        `json:"missed"`
	BPF    time.Duration `json:"bpf_ns,omitempty"`
}

// Open loads and attaches the programs.
func Open(o Options) (*Tracer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	transport, err := kernel.NewTransport(4096, 4096) // lifts the limit on locked memory
	if err != nil {
		return nil, err
	}
	t := &Tracer{transport: transport}
	now := time.Now()
	t.g = gatherer{origin: now.Add(-time.Duration(kernel.MonotonicNow())), begun: now, stack: t.stack}
	if err := t.load(o); err != nil {
		t.Close()
		return nil, err
	}
	if t.g.names, err = kernel.ReadSymbols(); err != nil { // with the programs' own
		t.Notes = append(t.Notes, err.Error())
	}
	if t.ring, err = ringbuf.NewReader(t.coll.Maps["notes"]); err != nil {
		t.Close()
		return nil, fmt.Errorf("reading what the programs tell of tasks: %w", err)
	}
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		t.stats = stats
	}
	for name, p := range t.coll.Programs {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("attaching the program %s for tasks: %w", name, err)
		}
		t.links = append(t.links, l)
	}
	t.Sources = len(t.links)
	return t, nil
}

func (t *Tracer) load(o Options) error {
	spec, err := loadProg()
	if err != nil {
		return fmt.Errorf("reading the programs for tasks: %w", err)
	}
	if err := o.Set(spec); err != nil {
		return err
	}
	if t.coll, err = t.transport.Load(spec, nil); err != nil {
		return fmt.Errorf("loading the programs for tasks: %w", errors.New(kernel.Verdict(err)))
	}
	return nil
}

// stack reads a stack that the programs noted.
func (t *Tracer) stack(id int32) []uint64 {
	var addrs [32]uint64
	if t.coll.Maps["stacks"].Lookup(uint32(id), &addrs) != nil {
		return nil
	}
	for i, a := range addrs {
		if a == 0 {
			return addrs[:i]
		}
	}
	return addrs[:]
}

// Run gives intervals to each as they end, until it returns false or ctx ends.
func (t *Tracer) Run(ctx context.Context, each func(*Interval) bool) error {
	var rec ringbuf.Record
	for {
		wait := 50 * time.Millisecond
		if ctx.Err() != nil {
			wait = 0 // what is there already still counts
		}
		t.ring.SetDeadline(time.Now().Add(wait))
		err := t.ring.ReadInto(&rec)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if ctx.Err() != nil {
				return nil
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("reading what the programs tell of tasks: %w", err)
		}
		i := t.g.take(rec.RawSample)
		if i == nil {
			t.strange.Add(1)
		} else if !each(i) {
			return nil
		}
	}
}

// Totals reads what has been counted.
func (t *Tracer) Totals() (Totals, error) {
	var n progTotals
	if err := t.coll.Variables["total"].Get(&n); err != nil {
		return Totals{}, fmt.Errorf("reading how much there was to tell: %w", err)
	}
	out := Totals{Notes: n.Notes, Full: n.Full, Lost: n.Lost + t.strange.Load()}
	for _, p := range t.coll.Programs {
		if st, err := p.Stats(); err == nil {
			out.BPF, out.Missed = out.BPF+st.Runtime, out.Missed+st.RecursionMisses
		}
	}
	return out, nil
}

// Close detaches and unloads the programs.
func (t *Tracer) Close() {
	for _, l := range t.links {
		_ = l.Close()
	}
	if t.ring != nil {
		_ = t.ring.Close()
	}
	if t.stats != nil {
		_ = t.stats.Close()
	}
	if t.coll != nil {
		t.coll.Close()
	}
	t.transport.Close()
}
