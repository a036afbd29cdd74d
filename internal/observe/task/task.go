// Package task follows tasks through the scheduler: when they run, sleep and wait for a
// processor, where and for what, who wakes them, and who runs instead.
//
// In comes a choice of tasks; out comes, interval by interval, what each did. The
// programs are at tracepoints alone. `bearcat trace task` calls it.
package task

import (
	"context"
	"fmt"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/tracer"
)

// Options say which tasks to follow.
type Options struct{ kernel.Choice }

// Tracer follows tasks until it is closed.
type Tracer struct {
	*tracer.Tracer
	g gatherer
}

// Totals is what a tracer has counted.
type Totals struct {
	// Told counts intervals and moves, Full tasks for which there was no room.
	Told uint64 `json:"told"`
	Full uint64 `json:"no_room"`
	tracer.Cost
}

// Open loads and attaches the programs.
func Open(o Options) (*Tracer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	programs, err := tracer.New("tasks")
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
	spec, err := loadProg()
	if err != nil {
		return fmt.Errorf("reading the programs for tasks: %w", err)
	}
	if err := o.Set(spec); err != nil {
		return err
	}
	if err := t.Load(spec, nil); err != nil {
		return err
	}
	t.g = gatherer{origin: t.Origin, begun: time.Now(), names: t.Symbols, stack: t.Stack}
	return t.Attach(nil, nil, nil)
}

// Run gives intervals to each as they end, until it returns false or ctx ends.
func (t *Tracer) Run(ctx context.Context, each func(*Interval) bool) error {
	more := true
	take := func(raw []byte) bool {
		i := t.g.take(raw)
		more = more && (i == nil || each(i))
		return i != nil
	}
	return t.Tracer.Run(ctx, take, func(bool) bool { return more })
}

// Totals reads what has been counted.
func (t *Tracer) Totals() (Totals, error) {
	var n progTotals
	if err := t.Coll.Variables["total"].Get(&n); err != nil {
		return Totals{}, fmt.Errorf("reading how much there was to tell: %w", err)
	}
	cost, err := t.Cost()
	return Totals{n.Notes, n.Full, cost}, err
}
