package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/bearcat-hids/bearcat/internal/observe/task"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// taskTrace is a run of `trace task`.
type taskTrace struct {
	tracing
	task.Options
	in      groupFlags
	summary bool
	sums    task.Sums
}

func traceTask() *cobra.Command {
	var r taskTrace
	cmd := &cobra.Command{
		Use: "task [PID]", Short: "when tasks run, sleep and wait, and who ran instead",
		Long: `Follows the threads of a process, or of others that are chosen, through the
scheduler: how long they run, where in the kernel they sleep and who wakes them,
how long they wait for a processor and who had it, and when they move to another
one. At the end comes what each thread did in all.

It ends when interrupted, after --for, or after --count intervals. The last
line, on standard error, says what was lost.`,
		Example: "  bearcat trace task 4242 --for 5s\n  bearcat trace task --comm nginx --slower 10ms\n  bearcat trace task 4242 --for 10s --summary --json",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.tracing.check(1); err != nil {
				return err
			}
			if err := r.choose(args); err != nil {
				return err
			}
			return r.start(cmd, r.run)
		},
	}
	fl := cmd.Flags()
	r.flags(fl, "intervals")
	fl.StringVar(&r.Comm, "comm", "", "of threads or processes with this `NAME`")
	r.in.flags(fl)
	fl.BoolVar(&r.summary, "summary", false, "print only what each thread did in all")
	return cmd
}

func (r *taskTrace) choose(args []string) error {
	if len(args) == 0 && r.Comm == "" && r.in == (groupFlags{}) {
		return usageError{errors.New("all tasks at once are more than can be read: give a PID, --comm, --cgroup, --container or --netns")}
	}
	if len(args) == 1 {
		pid, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil || pid == 0 {
			return usageError{fmt.Errorf("%q is no number of a process", args[0])}
		}
		r.Pid = uint32(pid)
	}
	var err error
	r.Scope, r.Net, err = r.in.choose()
	return err
}

func (r *taskTrace) run(ctx context.Context, footer io.Writer) error {
	t, err := task.Open(r.Options)
	if err != nil {
		return err
	}
	defer t.Close()
	ctx, stop := r.limit(ctx)
	defer stop()
	if err := errors.Join(t.Run(ctx, r.show), r.err, r.writeSums()); err != nil {
		return err
	}
	n, err := t.Totals()
	if err != nil {
		return err
	}
	left := fmt.Sprintf("%d intervals shown of %d; %d tasks left out for want of room", r.shown, n.Told, n.Full+uint64(r.sums.Left))
	return traceFooter(footer, left, t.Tracer, n.Cost)
}

// show writes one interval; false where it was the last.
func (r *taskTrace) show(i *task.Interval) bool {
	r.sums.Add(i)
	if i.Took < r.slower || r.summary {
		return true
	}
	return r.write(i, intervalStory(i))
}

// writeSums writes what each thread did in all.
func (r *taskTrace) writeSums() error {
	sums := r.sums.List()
	switch {
	case r.json && r.summary:
		return writeHostJSON(r.out, map[string]any{"tasks": sums})
	case r.json || len(sums) == 0:
		return nil
	}
	t := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PID\tTID\tCOMM\tRAN\tSLEPT\tWAITED\tRUNS\tPREEMPTED\tMOVES\tSLEPT MOST IN\tRAN INSTEAD")
	for _, s := range sums {
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", s.Pid, s.Tid, termtext.String(s.Comm), nanoseconds(uint64(s.Ran)), nanoseconds(uint64(s.Slept)), nanoseconds(uint64(s.Waited)),
			s.Runs, s.Preempted, s.Moves, orDash(s.SleptIn), termtext.String(orDash(s.WaitedFor)))
	}
	return t.Flush()
}
