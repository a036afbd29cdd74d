// Package connection follows TCP connections from their first state to their last: whose
// they are, how long connecting took, bytes, round trips, retransmissions and how they
// end.
//
// In comes a filter; out comes a Life for each connection that has ended, or is there
// when the tracer ends. The programs are at tracepoints alone, and see no packet.
// `bearcat trace tcp` calls it.
package connection

import (
	"context"
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/observe/filter"
	"github.com/bearcat-hids/bearcat/internal/observe/tracer"
)

// Options say which connections to follow.
type Options struct {
	// Filter is in the language of tcpdump; src is this end and dst the other. Nil
	// takes all.
	Filter *filter.Filter
	// Net is the number of a network namespace; 0 for all.
	Net uint32
	// Choice keeps connections whose owner it has; its Net is not looked at.
	Choice kernel.Choice
	// Rate is how many may begin a second; the others are counted. 0 is DefaultRate.
	Rate uint32
}

// DefaultRate is of connections a second.
const DefaultRate = 1000

// Tracer follows connections until it is closed.
type Tracer struct {
	*tracer.Tracer
	g gatherer
}

// Totals is what a tracer has counted.
type Totals struct {
	// Followed counts connections; Sampled and Full those that were left out, because
	// there were more a second than asked for, and because there was no room.
	Followed uint64 `json:"followed"`
	Sampled  uint64 `json:"sampled_out"`
	Full     uint64 `json:"no_room"`
	tracer.Cost
}

// owners is the iterator over sockets that are there.
const owners = "owner_list"

// Open loads and attaches the programs.
func Open(o Options) (*Tracer, error) {
	if err := o.Choice.Check(); err != nil {
		return nil, err
	}
	programs, err := tracer.New("connections")
	if err != nil {
		return nil, err
	}
	t := &Tracer{programs, gatherer{origin: programs.Origin, open: map[uint64]*growing{}}}
	if err := t.open(o); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tracer) open(o Options) error {
	spec, err := loadProg()
	if err != nil {
		return fmt.Errorf("reading the programs for connections: %w", err)
	}
	for _, p := range spec.Programs {
		if o.Filter == nil {
			break
		}
		if err := o.Filter.Put(p); err != nil {
			return err
		}
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	choose := uint8(0)
	if t.g.choose = o.Choice.Some(); t.g.choose {
		choose = 1
		if err := o.Choice.Tasks().Set(spec); err != nil {
			return err
		}
	}
	if err := t.Load(spec, map[string]any{"only_net": o.Net, "most": o.Rate, "choose": choose}); err != nil {
		return err
	}
	if err := drop.ListOwners(t.Coll.Programs[owners]); err != nil {
		t.Notes = append(t.Notes, err.Error())
	}
	return t.Attach([]string{owners}, nil, []string{"state"})
}

// Run gives connections to each as they end, until it returns false or ctx ends; then
// those that are still there.
func (t *Tracer) Run(ctx context.Context, each func(*Life) bool) error {
	return t.Tracer.Run(ctx, t.g.take, func(over bool) bool {
		t.g.sweep(kernel.MonotonicNow(), over)
		for _, l := range t.g.done {
			if !each(l) {
				return false
			}
		}
		t.g.done = t.g.done[:0]
		return true
	})
}

// Totals reads what has been counted.
func (t *Tracer) Totals() (Totals, error) {
	var n progTotals
	if err := t.Coll.Variables["total"].Get(&n); err != nil {
		return Totals{}, fmt.Errorf("reading how many connections were followed: %w", err)
	}
	sampled, err := t.Sampled()
	if err != nil {
		return Totals{}, err
	}
	cost, err := t.Cost()
	return Totals{n.Connections, sampled, n.Full, cost}, err
}
