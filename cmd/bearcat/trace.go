package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/tracer"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func traceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trace", Short: "follow one thing through the kernel, stage by stage",
		Long: "Follows packets, connections, calls on files, tasks and functions through the\nkernel, with the time that each stage took and who had it.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tracePacket(), traceIO(), traceTask(), traceTCP(), traceFunc())
	return cmd
}

// tracing is what the nouns of trace have in common.
type tracing struct {
	count           int
	forTime, slower time.Duration
	json            bool
	chrome          string
	out             io.Writer
	trace           *waterfall.Trace
	files           []*os.File
	shown           int
	err             error
}

// text is what can be written for people to read.
type text interface {
	WriteText(w io.Writer, clean func(string) string) error
}

// story is what goes to a trace.
type story struct {
	group  string
	id     uint64
	title  string
	at     time.Time
	stages []waterfall.Stage
}

func (r *tracing) flags(fl *pflag.FlagSet, things string) {
	fl.IntVar(&r.count, "count", 0, "end after so many "+things+"; 0 for no end")
	fl.DurationVar(&r.forTime, "for", 0, "end after this long; 0 for no end")
	fl.DurationVar(&r.slower, "slower", 0, "show only "+things+" that took at least this long")
	fl.BoolVar(&r.json, "json", false, "print one JSON object for each")
	fl.StringVar(&r.chrome, "perfetto", "", "also write stages to this `FILE` for ui.perfetto.dev")
}

// check reads the flags before anything is loaded.
func (r *tracing) check(rate uint32) error {
	switch {
	case r.count < 0:
		return usageError{fmt.Errorf("--count %d is no number of things to show", r.count)}
	case r.forTime < 0 || r.slower < 0:
		return usageError{errors.New("--for and --slower are times, and not below 0")}
	case rate == 0:
		return usageError{errors.New("--rate 0 would follow nothing")}
	}
	return nil
}

// start runs until a signal, with the files open.
func (r *tracing) start(cmd *cobra.Command, run func(context.Context, io.Writer) error) (err error) {
	r.out = cmd.OutOrStdout()
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer func() { err = errors.Join(err, r.close()) }()
	if r.chrome != "" {
		f, err := r.create(r.chrome)
		if err != nil {
			return err
		}
		r.trace = waterfall.NewTrace(f)
	}
	return run(ctx, cmd.ErrOrStderr())
}

// limit ends what runs after --for, from now on: loading the programs takes a while.
func (r *tracing) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.forTime > 0 {
		return context.WithTimeout(ctx, r.forTime)
	}
	return context.WithCancel(ctx)
}

func (r *tracing) create(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the file for what is traced: %w", err)
	}
	r.files = append(r.files, f)
	return f, nil
}

func (r *tracing) close() error {
	var all []error
	if r.trace != nil {
		all = append(all, r.trace.Close())
	}
	for _, f := range r.files {
		if err := f.Close(); err != nil {
			all = append(all, fmt.Errorf("writing what is traced: %w", err))
		}
	}
	return errors.Join(all...)
}

// write writes one thing; false where it was the last.
func (r *tracing) write(v text, s story) bool {
	r.shown++
	if r.err == nil && r.json {
		r.err = writeHostJSON(r.out, v)
	} else if r.err == nil {
		r.err = v.WriteText(r.out, termtext.String)
	}
	if r.err == nil && r.trace != nil {
		r.err = r.trace.Add(s.group, s.id, s.title, s.at, s.stages)
	}
	return r.err == nil && (r.count == 0 || r.shown < r.count)
}

// traceFooter says what the kernel does not tell, what was left out, where it all comes
// from, and what it cost.
func traceFooter(w io.Writer, left string, t *tracer.Tracer, c tracer.Cost) error {
	var b strings.Builder
	for _, note := range t.Notes {
		fmt.Fprintf(&b, "note: %s\n", termtext.String(note))
	}
	fmt.Fprintf(&b, "%s; notes lost %d", left, c.Lost)
	if c.Missed > 0 {
		fmt.Fprintf(&b, ", skipped by the kernel %d", c.Missed)
	}
	fmt.Fprintf(&b, "; sources: %d tracepoints, no function", t.Sources)
	if c.BPF > 0 {
		fmt.Fprintf(&b, "; the programs took about %s", nanoseconds(uint64(c.BPF)))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}
