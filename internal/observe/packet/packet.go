// Package packet follows packets through the kernel: from the call that sends them, or
// the interrupt that brings them, to the device, the reader or the place where they are
// dropped.
//
// In comes a filter; out comes, packet by packet, a Life of stages whose times add up.
// The programs are at tracepoints alone, so that it works where functions cannot be
// probed. `bearcat trace packet` calls it.
package packet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
)

// Options say which packets to follow.
type Options struct {
	// Filter is in the language of tcpdump; nil takes all.
	Filter *Filter
	// Net is the number of a network namespace in which lives begin; 0 for all.
	Net uint32
	// Rate is how many lives may begin a second; the others are counted. 0 is DefaultRate.
	Rate uint32
}

// DefaultRate is of lives a second.
const DefaultRate = 200

// Tracer follows packets until it is closed.
type Tracer struct {
	transport *kernel.Transport
	coll      *ebpf.Collection
	links     []link.Link
	ring      *ringbuf.Reader
	g         *gatherer
	stats     io.Closer
	// Notes say what this kernel does not tell.
	Notes []string
	// Sources is at how many tracepoints the programs are.
	Sources int
	strange atomic.Uint64
}

// Totals is what a tracer has counted.
type Totals struct {
	// Followed counts lives; Sampled and Full those that were left out, because there
	// were more a second than asked for, and because there was no room.
	Followed uint64 `json:"followed"`
	Sampled  uint64 `json:"sampled_out"`
	Full     uint64 `json:"no_room"`
	// Lost counts notes of stages that found no room, and those that could not be
	// read; Missed calls of the programs that the kernel skipped.
	Lost   uint64 `json:"lost"`
	Missed uint64 `json:"missed"`
	// BPF is the time that the programs took.
	BPF time.Duration `json:"bpf_ns,omitempty"`
}

// Open loads and attaches the programs.
func Open(o Options) (*Tracer, error) {
	transport, err := kernel.NewTransport(4096, 4096) // lifts the limit on locked memory
	if err != nil {
		return nil, err
	}
	t := &Tracer{transport: transport}
	if err := t.open(o); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tracer) open(o Options) error {
	if err := t.load(o); err != nil {
		return err
	}
	now := time.Now()
	t.g = newGatherer(now.Add(-time.Duration(kernel.MonotonicNow())))
	t.g.stack = t.stack
	var err error
	if t.g.names, err = kernel.ReadSymbols(); err != nil {
		t.Notes = append(t.Notes, err.Error())
	}
	if t.g.reasons, err = drop.Reasons(t.transport.Types()); err != nil {
		t.Notes = append(t.Notes, "this kernel gives no reasons for drops: look at the place")
	}
	if t.ring, err = ringbuf.NewReader(t.coll.Maps["notes"]); err != nil {
		return fmt.Errorf("reading what the programs tell of packets: %w", err)
	}
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		t.stats = stats
	}
	if err := drop.ListOwners(t.coll.Programs["owner_list"]); err != nil {
		t.Notes = append(t.Notes, err.Error())
	}
	// what tells of lives that are there comes before what begins them
	for _, beginning := range []bool{false, true} {
		for name, p := range t.coll.Programs {
			if name == "owner_list" || begins[name] != beginning {
				continue
			}
			l, err := link.AttachTracing(link.TracingOptions{Program: p})
			if err != nil {
				return fmt.Errorf("attaching the program %s for packets: %w", name, err)
			}
			t.links = append(t.links, l)
		}
	}
	t.Sources = len(t.links)
	return nil
}

// begins are the programs in which lives begin.
var begins = map[string]bool{"send_queued": true, "recv_queued": true, "received": true}

// missing says what a kernel without a tracepoint does not tell.
var missing = map[string]string{
	"qdisc_in":     "when a packet goes into a device's queue (Linux 5.15 and later do)",
	"socket_ready": "when a packet is in its socket's queue, and how full that is (Linux 6.3 and later do)",
	"read_call":    "", // not needed where consume_skb tells
}

// load loads the programs that this kernel has an occasion for.
func (t *Tracer) load(o Options) error {
	spec, err := loadProg()
	if err != nil {
		return fmt.Errorf("reading the programs for packets: %w", err)
	}
	types, err := t.transport.Types().Kernel()
	if err != nil {
		return fmt.Errorf("reading the kernel's types: %w", err)
	}
	for name, p := range spec.Programs {
		if name != "owner_list" && kernel.TracepointArguments(types, p.AttachTo) == 0 {
			delete(spec.Programs, name)
			why, known := missing[name]
			if !known {
				return fmt.Errorf("this kernel has no tracepoint %s, without which packets cannot be followed", p.AttachTo)
			}
			if why != "" {
				t.Notes = append(t.Notes, "this kernel does not tell "+why)
			}
			continue
		}
		if o.Filter != nil {
			if err := o.Filter.put(p); err != nil {
				return err
			}
		}
	}
	for name, v := range constants(o, types) {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("setting the programs' constant %s: %w", name, err)
		}
	}
	if t.coll, err = t.transport.Load(spec, nil); err != nil {
		return fmt.Errorf("loading the programs for packets: %w", errors.New(kernel.Verdict(err)))
	}
	return nil
}

func constants(o Options, types *btf.Spec) map[string]any {
	flag := func(b bool) uint8 {
		if b {
			return 1
		}
		return 0
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	kfree := kernel.TracepointArguments(types, "kfree_skb") // packet, place, reason, socket
	return map[string]any{
		"only_net": o.Net, "most": o.Rate, "has_ready": flag(kernel.TracepointArguments(types, "sk_data_ready") > 0),
		"drop_reason": flag(kfree >= 3), "drop_socket": flag(kfree >= 4),
	}
}

// stack reads a stack that the programs noted.
func (t *Tracer) stack(id int32) []uint64 {
	var addrs [48]uint64
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

// tick is how often lives are looked at.
const tick = 50 * time.Millisecond

// Run gives lives to each as they end, until it returns false or ctx ends; then those
// that are not over.
func (t *Tracer) Run(ctx context.Context, each func(*Life) bool) error {
	last := time.Now()
	collected := last
	var rec ringbuf.Record
	for {
		t.ring.SetDeadline(time.Now().Add(tick))
		err := t.ring.ReadInto(&rec)
		switch {
		case err == nil:
			if !t.g.take(rec.RawSample) {
				t.strange.Add(1)
			}
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("reading what the programs tell of packets: %w", err)
		}
		if err == nil && time.Since(last) < tick && ctx.Err() == nil {
			continue
		}
		last = time.Now()
		now := uint64(kernel.MonotonicNow())
		if ctx.Err() != nil {
			now = 0
		}
		t.g.sweep(now)
		for _, l := range t.g.done {
			if !each(l) {
				return nil
			}
		}
		t.g.done = t.g.done[:0]
		if now == 0 {
			return nil
		}
		if time.Since(collected) > time.Second {
			collected = time.Now()
			t.collect(now)
		}
	}
}

// collect takes the packets away of which nothing was heard for long, so that the
// programs have room for others.
func (t *Tracer) collect(now uint64) {
	lives := t.coll.Maps["lives"]
	var head uint64
	var l progLife
	var old []uint64
	for it := lives.Iterate(); it.Next(&head, &l); {
		limit := forgotten
		if l.What == uint32(progWhatRECEIVED) || l.What == uint32(progWhatTCP) {
			limit = held // it was merged into another, and nothing tells of that
		}
		if now > l.Seen && time.Duration(now-l.Seen) > limit {
			old = append(old, head)
		}
	}
	for _, head := range old {
		_ = lives.Delete(head)
	}
	readers := t.coll.Maps["readers"]
	var tid, left uint32
	var w progWoken
	var gone []uint32
	for it := readers.Iterate(); it.Next(&tid, &w); left++ {
		if now > w.At && time.Duration(now-w.At) > forgotten {
			gone = append(gone, tid)
		}
	}
	for _, tid := range gone {
		_ = readers.Delete(tid)
	}
	_ = t.coll.Variables["waking"].Set(left - uint32(len(gone)))
}

// take reads a record; false where it is none that the programs write.
func (g *gatherer) take(raw []byte) bool {
	var n progNote
	if kernel.Decode(raw, &n) {
		g.add(&n)
		return true
	}
	var b progBirth
	if !kernel.Decode(raw, &b) {
		return false
	}
	g.begin(&b)
	return true
}

// Totals reads what has been counted.
func (t *Tracer) Totals() (Totals, error) {
	var n progTotals
	if err := t.coll.Variables["total"].Get(&n); err != nil {
		return Totals{}, fmt.Errorf("reading how many packets were followed: %w", err)
	}
	out := Totals{Followed: n.Lives, Sampled: n.Sampled, Full: n.Full, Lost: n.Lost + t.strange.Load()}
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
