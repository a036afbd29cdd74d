// Package fileio follows system calls that read, write or open files: through the page
// cache, to the disk and back, with the waits between.
//
// In comes a choice of tasks; out comes, call by call, a Call of stages whose times add
// up. The programs are at tracepoints alone. `bearcat trace io` calls it.
package fileio

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

// Options say which calls to follow.
type Options struct {
	kernel.Choice
	// Slower leaves out, in the kernel, calls that took less.
	Slower time.Duration
	// Rate is how many calls are told a second; the others are counted. 0 is 1000.
	Rate uint32
}

// DefaultRate is of calls a second.
const DefaultRate = 1000

// Tracer follows calls until it is closed.
type Tracer struct {
	transport *kernel.Transport
	coll      *ebpf.Collection
	links     []link.Link
	ring      *ringbuf.Reader
	g         gatherer
	strange   atomic.Uint64
	stats     interface{ Close() error }
	// Sources is at how many tracepoints the programs are.
	Sources int
}

// Totals is what a tracer has counted.
type Totals struct {
	// Calls counts those that ended; Sampled those that were left out, because there
	// were more a second than asked for.
	Calls   uint64 `json:"calls"`
	Sampled uint64 `json:"sampled_out"`
	// Lost counts notes that found no room or could not be read, Full calls for which
	// there was no room, Missed calls of the programs that the kernel skipped.
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
	t.g = gatherer{open: map[uint64][]progNote{}, origin: time.Now().Add(-time.Duration(kernel.MonotonicNow()))}
	if err := t.load(o); err != nil {
		t.Close()
		return nil, err
	}
	if t.ring, err = ringbuf.NewReader(t.coll.Maps["notes"]); err != nil {
		t.Close()
		return nil, fmt.Errorf("reading what the programs tell of calls: %w", err)
	}
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		t.stats = stats
	}
	for name, p := range t.coll.Programs {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("attaching the program %s for calls: %w", name, err)
		}
		t.links = append(t.links, l)
	}
	t.Sources = len(t.links)
	return t, nil
}

func (t *Tracer) load(o Options) error {
	spec, err := loadProg()
	if err != nil {
		return fmt.Errorf("reading the programs for calls: %w", err)
	}
	types, err := t.transport.Types().Kernel()
	if err != nil {
		return fmt.Errorf("reading the kernel's types: %w", err)
	}
	cpus, err := kernel.CPUs()
	if err != nil {
		return err
	}
	spec.Maps["scratch"].MaxEntries = uint32(cpus)
	// the functions that the walk along a path is made of come with it
	for name, p := range spec.Programs {
		if p.AttachTo == "" {
			delete(spec.Programs, name)
		}
	}
	if err := o.Set(spec); err != nil {
		return err
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	second := func(tracepoint string) uint8 { // the queue comes first
		return uint8(kernel.TracepointArguments(types, tracepoint) - 1)
	}
	for name, v := range map[string]any{"slower": uint64(o.Slower), "most": o.Rate, "request_second": second("block_rq_issue"), "bio_second": second("block_bio_queue")} {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("setting the programs' constant %s: %w", name, err)
		}
	}
	if t.coll, err = t.transport.Load(spec, nil); err != nil {
		return fmt.Errorf("loading the programs for calls: %w", errors.New(kernel.Verdict(err)))
	}
	return nil
}

// Run gives calls to each as they end, until it returns false or ctx ends.
func (t *Tracer) Run(ctx context.Context, each func(*Call) bool) error {
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
			return fmt.Errorf("reading what the programs tell of calls: %w", err)
		}
		c, ok := t.g.take(rec.RawSample)
		if !ok {
			t.strange.Add(1)
		}
		if c != nil && !each(c) {
			return nil
		}
	}
}

// Totals reads what has been counted.
func (t *Tracer) Totals() (Totals, error) {
	var n progTotals
	if err := t.coll.Variables["total"].Get(&n); err != nil {
		return Totals{}, fmt.Errorf("reading how many calls there were: %w", err)
	}
	out := Totals{Calls: n.Calls, Sampled: n.Sampled, Full: n.Full, Lost: n.Lost + t.strange.Load()}
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
