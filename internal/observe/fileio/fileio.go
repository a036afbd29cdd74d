// Package fileio follows system calls that read, write or open files: through the page
// cache, to the disk and back, with the waits between.
//
// In comes a choice of tasks; out comes, call by call, a Call of stages whose times add
// up. The programs are at tracepoints alone. `bearcat trace io` calls it.
package fileio

import (
	"context"
	"fmt"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/tracer"
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
	*tracer.Tracer
	g gatherer
}

// Totals is what a tracer has counted.
type Totals struct {
	// Calls counts those that ended; Sampled those that were left out, because there
	// were more a second than asked for; Full those for which there was no room.
	Calls   uint64 `json:"calls"`
	Sampled uint64 `json:"sampled_out"`
	Full    uint64 `json:"no_room"`
	tracer.Cost
}

// Open loads and attaches the programs.
func Open(o Options) (*Tracer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	programs, err := tracer.New("calls on files")
	if err != nil {
		return nil, err
	}
	t := &Tracer{programs, gatherer{open: map[uint64][]progNote{}, copies: newCopies(), origin: programs.Origin}}
	if err := t.open(o); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tracer) open(o Options) error {
	spec, err := loadProg()
	if err != nil {
		return fmt.Errorf("reading the programs for calls on files: %w", err)
	}
	types, err := t.Types()
	if err != nil {
		return err
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
	constants := map[string]any{"slower": uint64(o.Slower), "most": o.Rate, "request_second": second("block_rq_issue"), "bio_second": second("block_bio_queue")}
	if err := t.Load(spec, constants); err != nil {
		return err
	}
	if note := overlayNote(t.Cache()); note != "" {
		t.Notes = append(t.Notes, note)
	}
	return t.Attach(nil, nil, nil)
}

// Run gives calls to each as they end, until it returns false or ctx ends.
func (t *Tracer) Run(ctx context.Context, each func(*Call) bool) error {
	more := true
	take := func(raw []byte) bool {
		c, ok := t.g.take(raw)
		more = more && (c == nil || each(c))
		return ok
	}
	return t.Tracer.Run(ctx, take, func(bool) bool { return more })
}

// Totals reads what has been counted.
func (t *Tracer) Totals() (Totals, error) {
	var n progTotals
	if err := t.Coll.Variables["total"].Get(&n); err != nil {
		return Totals{}, fmt.Errorf("reading how many calls there were: %w", err)
	}
	sampled, err := t.Sampled()
	if err != nil {
		return Totals{}, err
	}
	cost, err := t.Cost()
	return Totals{n.Calls, sampled, n.Full, cost}, err
}
