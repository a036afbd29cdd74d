package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/function"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// funcTrace is a run of `trace func`.
type funcTrace struct {
	tracing
	function.Options
	calls bool
	sums  function.Sums
}

func traceFunc() *cobra.Command {
	r := funcTrace{sums: function.Sums{}}
	r.forTime = 10 * time.Second
	cmd := &cobra.Command{
		Use: "func NAME...", Short: "calls of the kernel's functions: how many, by whom, in which order",
		Long: `Counts the calls of functions of the kernel, with who calls them most, and how
long they take where the kernel can tell (from 6.13 on, where it has the
function graph). In NAME * stands for anything. With --calls each call is
printed too, in the order in which they come.

It works through an instance of ftrace of its own, which is taken away at the
end, and ends after --for, when interrupted, or after --count calls.`,
		Example: "  bearcat trace func vfs_read vfs_write --for 5s\n  bearcat trace func 'tcp_v4_*' --pid 4242 --calls\n  bearcat trace func do_unlinkat --for 1h --calls --json",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.tracing.check(1); err != nil {
				return err
			}
			r.Names = args
			return r.start(cmd, r.run)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&r.count, "count", 0, "end after so many calls; 0 for no end")
	fl.DurationVar(&r.forTime, "for", r.forTime, "end after this long; 0 for no end")
	fl.Uint32Var(&r.Pid, "pid", 0, "of one `PROCESS`, and of those that it starts")
	fl.BoolVar(&r.calls, "calls", false, "print each call too")
	fl.BoolVar(&r.json, "json", false, "print JSON: an object for each call, and the sums")
	return cmd
}

func (r *funcTrace) run(ctx context.Context, footer io.Writer) (err error) {
	t, err := function.Open(r.Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	ctx, stop := r.limit(ctx)
	defer stop()
	if err := errors.Join(t.Run(ctx, r.show), r.err, r.writeSums(t.Latency)); err != nil {
		return err
	}
	lost, strange := t.Lost()
	_, err = fmt.Fprintf(footer, "%d calls of %d functions; calls lost %d, lines not understood %d; source: ftrace\n", r.shown, t.Functions, lost, strange)
	return err
}

// show takes one call; false where it was the last.
func (r *funcTrace) show(c *function.Call) bool {
	r.sums.Add(c)
	if r.calls {
		return r.write(c, story{})
	}
	r.shown++
	return r.count == 0 || r.shown < r.count
}

func (r *funcTrace) writeSums(latency bool) error {
	sums := r.sums.List()
	if r.json {
		return writeHostJSON(r.out, functionSums{sums})
	}
	return writeFunctionSums(r.out, sums, latency)
}

// functionSums is the last object of trace func --json.
type functionSums struct {
	Functions []*function.Sum `json:"functions"`
}

func writeFunctionSums(w io.Writer, sums []*function.Sum, latency bool) error {
	if len(sums) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if latency {
		fmt.Fprintln(t, "FUNCTION\tCALLS\tMEAN\tLONGEST\tMOST BY\tCALLS")
	} else {
		fmt.Fprintln(t, "FUNCTION\tCALLS\tMOST FROM\tCALLS\tMOST BY\tCALLS")
	}
	for _, s := range sums {
		if latency {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%d\n", termtext.String(s.Function), s.Calls, nanoseconds(uint64(s.Took)/uint64(max(s.Calls, 1))), nanoseconds(uint64(s.Longest)), termtext.String(s.Process), s.ProcessCalls)
		} else {
			fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\t%d\n", termtext.String(s.Function), s.Calls, termtext.String(orDash(s.Caller)), s.CallerCalls, termtext.String(s.Process), s.ProcessCalls)
		}
	}
	return t.Flush()
}
