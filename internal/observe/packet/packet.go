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
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/observe/filter"
	"github.com/bearcat-hids/bearcat/internal/observe/tracer"
)

// Options say which packets to follow.
type Options struct {
	// Filter is in the language of tcpdump; nil takes all.
	Filter *filter.Filter
	// Net is the number of a network namespace in which lives begin; 0 for all.
	Net uint32
	// Choice keeps packets that a process of it sent or read, or was to read; its Net is
	// not looked at.
	Choice kernel.Choice
	// Rate is how many lives may begin a second; the others are counted. 0 is DefaultRate.
	Rate uint32
}

// DefaultRate is of lives a second.
const DefaultRate = 50

// Tracer follows packets until it is closed.
type Tracer struct {
	*tracer.Tracer
	g *gatherer
	// forgotten counts the lives that were taken out of the programs' map.
	forgotten uint64
}

// Totals is what a tracer has counted.
type Totals struct {
	// Followed counts lives; Sampled and Full those that were left out, because there
	// were more a second than asked for, and because there was no room.
	Followed uint64 `json:"followed"`
	Sampled  uint64 `json:"sampled_out"`
	Full     uint64 `json:"no_room"`
	tracer.Cost
}

// Open loads and attaches the programs.
func Open(o Options) (*Tracer, error) {
	if err := o.Choice.Check(); err != nil {
		return nil, err
	}
	programs, err := tracer.New("packets")
	if err != nil {
		return nil, err
	}
	t := &Tracer{Tracer: programs}
	if err := t.open(o); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tracer) open(o Options) error {
	types, err := t.Types()
	if err != nil {
		return err
	}
	spec, err := t.programs(o, types)
	if err != nil {
		return err
	}
	if o.Choice.Some() {
		if err := o.Choice.Tasks().Set(spec); err != nil {
			return err
		}
	}
	if err := t.Load(spec, constants(o, types)); err != nil {
		return err
	}
	t.g = newGatherer(t.Origin)
	t.g.choose = o.Choice.Some()
	t.g.stack, t.g.names = t.Stack, t.Symbols
	if t.g.reasons, err = drop.Reasons(types); err != nil {
		t.Notes = append(t.Notes, "this kernel gives no reasons for drops: look at the place")
	}
	if err := drop.ListOwners(t.Coll.Programs[owners]); err != nil {
		t.Notes = append(t.Notes, err.Error())
	}
	// what tells of lives that are there comes before what begins them
	return t.Attach([]string{owners}, ends, begins)
}

// owners is the iterator over sockets that are there.
const owners = "owner_list"

// ends are the programs that see interrupts end. Were those that see them begin there
// before, an interrupt whose end is not seen would seem to go on until the next one.
var ends = []string{"irq_ends", "softirq_ends"}

// begins are the programs in which lives begin.
var begins = []string{"send_queued", "recv_queued", "received"}

// missing says what a kernel without a tracepoint does not tell.
var missing = map[string]string{
	"qdisc_in":     "when a packet goes into a device's queue (Linux 5.15 and later do)",
	"socket_ready": "when a packet is in its socket's queue, and how full that is (Linux 6.3 and later do)",
	"read_call":    "", // not needed where consume_skb tells
}

// programs are those that this kernel has an occasion for, with the filter in them.
func (t *Tracer) programs(o Options, types *btf.Spec) (*ebpf.CollectionSpec, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for packets: %w", err)
	}
	for name, p := range spec.Programs {
		if name != owners && kernel.TracepointArguments(types, p.AttachTo) == 0 {
			delete(spec.Programs, name)
			why, known := missing[name]
			if !known {
				return nil, fmt.Errorf("this kernel has no tracepoint %s, without which packets cannot be followed", p.AttachTo)
			}
			if why != "" {
				t.Notes = append(t.Notes, "this kernel does not tell "+why)
			}
			continue
		}
		if o.Filter != nil {
			if err := o.Filter.Put(p); err != nil {
				return nil, err
			}
		}
	}
	return spec, nil
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
		"choose": flag(o.Choice.Some()), "directed": flag(o.Filter != nil && o.Filter.Directed()), "drop_reason": flag(kfree >= 3), "drop_socket": flag(kfree >= 4),
	}
}

// Run gives lives to each as they end, until it returns false or ctx ends; then those
// that are not over.
func (t *Tracer) Run(ctx context.Context, each func(*Life) bool) error {
	collected := time.Now()
	return t.Tracer.Run(ctx, t.g.take, func(over bool) bool {
		now := kernel.MonotonicNow()
		if time.Since(collected) > time.Second {
			collected = time.Now()
			t.collect(now)
		}
		if over {
			now = 0
		}
		t.g.sweep(now)
		for _, l := range t.g.done {
			if !each(l) {
				return false
			}
		}
		t.g.done = t.g.done[:0]
		return true
	})
}

// collect takes the packets away of which nothing was heard for long, so that the
// programs have room for others.
func (t *Tracer) collect(now uint64) {
	lives := t.Coll.Maps["lives"]
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
		if lives.Delete(head) == nil {
			t.forgotten++
		}
	}
	_ = t.Coll.Variables["forgotten"].Set(t.forgotten)
	readers := t.Coll.Maps["readers"]
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
	_ = t.Coll.Variables["waking"].Set(left - uint32(len(gone)))
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
	if err := t.Coll.Variables["total"].Get(&n); err != nil {
		return Totals{}, fmt.Errorf("reading how many packets were followed: %w", err)
	}
	sampled, err := t.Sampled()
	if err != nil {
		return Totals{}, err
	}
	cost, err := t.Cost()
	return Totals{n.Lives, sampled, n.Full, cost}, err
}
