// Package tracer loads the programs of what follows things through the kernel, attaches
// them, and reads what they tell.
//
// The programs are at tracepoints, write into the map notes (bpf/include/notes.h) and
// count what found no room there; what they tell is the importer's matter.
package tracer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Tracer is the programs, until it is closed.
type Tracer struct {
	// Coll has the programs, maps and variables once they are loaded.
	Coll *ebpf.Collection
	// Symbols are the kernel's functions, with the programs' own.
	Symbols kernel.Symbols
	// Notes say what this kernel does not tell.
	Notes []string
	// Sources is at how many tracepoints the programs are.
	Sources int
	// Origin is when the kernel's clock, by which the programs go, was 0.
	Origin time.Time

	what      string // is followed, for errors
	transport *kernel.Transport
	links     []link.Link
	ring      *ringbuf.Reader
	meter     *meter
	strange   uint64
}

// Cost is what the programs lost and took.
type Cost struct {
	// Lost counts notes that found no room or could not be read, Missed calls of the
	// programs that the kernel skipped.
	Lost   uint64 `json:"lost"`
	Missed uint64 `json:"missed"`
	// BPF is about what the programs took: it is measured a tenth of the time.
	BPF time.Duration `json:"bpf_ns,omitempty"`
}

// New prepares for programs; what names in errors what they follow.
func New(what string) (*Tracer, error) {
	transport, err := kernel.NewTransport(4096, 4096) // lifts the limit on locked memory
	if err != nil {
		return nil, err
	}
	return &Tracer{what: what, transport: transport, Origin: time.Now().Add(-time.Duration(kernel.MonotonicNow()))}, nil
}

// Types are the kernel's.
func (t *Tracer) Types() (*btf.Spec, error) {
	types, err := t.transport.Types().Kernel()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	return types, nil
}

// Cache has the types of the kernel and of its modules.
func (t *Tracer) Cache() *btf.Cache { return t.transport.Types() }

// Load loads programs with their constants.
func (t *Tracer) Load(spec *ebpf.CollectionSpec, constants map[string]any) error {
	for name, v := range constants {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("setting the programs' constant %s: %w", name, err)
		}
	}
	var err error
	if t.Coll, err = t.transport.Load(spec, nil); err != nil {
		return fmt.Errorf("loading the programs for %s: %w", t.what, errors.New(kernel.Verdict(err)))
	}
	if t.Symbols, err = kernel.ReadSymbols(); err != nil {
		t.Notes = append(t.Notes, err.Error())
	}
	if t.ring, err = ringbuf.NewReader(t.Coll.Maps["notes"]); err != nil {
		return fmt.Errorf("reading what the programs tell of %s: %w", t.what, err)
	}
	return nil
}

// Attach attaches the programs, but those that are in skip, as iterators; those that are in
// first before the others, and those in last after them.
func (t *Tracer) Attach(skip, first, last []string) error {
	t.meter = startMeter(t.Coll.Programs, time.Now())
	turnOf := func(name string) int {
		switch {
		case slices.Contains(first, name):
			return 0
		case slices.Contains(last, name):
			return 2
		}
		return 1
	}
	for turn := range 3 {
		for name, p := range t.Coll.Programs {
			if slices.Contains(skip, name) || turnOf(name) != turn {
				continue
			}
			l, err := link.AttachTracing(link.TracingOptions{Program: p})
			if err != nil {
				return fmt.Errorf("attaching the program %s for %s: %w", name, t.what, err)
			}
			t.links = append(t.links, l)
		}
	}
	t.Sources = len(t.links)
	return nil
}

// Stack reads a stack that the programs noted in the map stacks, innermost first.
func (t *Tracer) Stack(id int32) []uint64 {
	m := t.Coll.Maps["stacks"]
	addrs := make([]uint64, m.ValueSize()/8)
	if m.Lookup(uint32(id), addrs) != nil {
		return nil
	}
	for i, a := range addrs {
		if a == 0 {
			return addrs[:i]
		}
	}
	return addrs
}

// Tick is how often Run calls idle, at least.
const Tick = 50 * time.Millisecond

// drainTime is how long what is there already may be read when all is over.
const drainTime = time.Second

// Run gives each record to take, which is false for one that it does not know, and calls
// idle now and then, until idle is false. Once ctx has ended it reads what is there
// already, and calls idle a last time with over set.
func (t *Tracer) Run(ctx context.Context, take func(raw []byte) bool, idle func(over bool) bool) error {
	var rec ringbuf.Record
	var end time.Time
	for last := time.Now(); ; {
		ended := ctx.Err() != nil
		if ended && end.IsZero() {
			end = time.Now()
		}
		wait := Tick
		if ended {
			wait = 0
		}
		t.ring.SetDeadline(time.Now().Add(wait))
		err := t.ring.ReadInto(&rec)
		empty := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !empty {
			return fmt.Errorf("reading what the programs tell of %s: %w", t.what, err)
		}
		if !empty && !take(rec.RawSample) {
			t.strange++
		}
		// what comes faster than it is read has no end of its own
		over := ended && (empty || time.Since(end) > drainTime)
		if !empty && !over && time.Since(last) < Tick {
			continue
		}
		last = time.Now()
		t.meter.tick(last)
		if !idle(over) || over {
			return nil
		}
	}
}

// Cost reads what the programs lost and took.
func (t *Tracer) Cost() (Cost, error) {
	c := Cost{Lost: t.strange}
	var lost uint64
	if err := t.Coll.Variables["notes_lost"].Get(&lost); err != nil {
		return c, fmt.Errorf("reading how much was lost of %s: %w", t.what, err)
	}
	c.Lost += lost
	for _, p := range t.Coll.Programs {
		if st, err := p.Stats(); err == nil {
			c.Missed += st.RecursionMisses
		}
	}
	c.BPF = t.meter.total(time.Now())
	return c, nil
}

// Sampled is how many things were left out by their rate (bpf/include/rate.h).
func (t *Tracer) Sampled() (n uint64, err error) {
	if err := t.Coll.Variables["sampled"].Get(&n); err != nil {
		return 0, fmt.Errorf("reading how many %s were left out: %w", t.what, err)
	}
	return n, nil
}

// Close detaches and unloads the programs.
func (t *Tracer) Close() {
	for _, l := range t.links {
		_ = l.Close()
	}
	if t.ring != nil {
		_ = t.ring.Close()
	}
	if t.meter != nil {
		t.meter.turnOff(time.Now())
	}
	if t.Coll != nil {
		t.Coll.Close()
	}
	t.transport.Close()
}
