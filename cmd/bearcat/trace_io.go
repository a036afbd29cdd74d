package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/observe/fileio"
	"github.com/spf13/cobra"
)

// ioTrace is a run of `trace io`.
type ioTrace struct {
	tracing
	fileio.Options
	in         choiceFlags
	path, call string
	copyUp     bool
}

func traceIO() *cobra.Command {
	r := ioTrace{Options: fileio.Options{Rate: fileio.DefaultRate}}
	cmd := &cobra.Command{
		Use: "io", Short: "calls that read, write or open files, down to the disk",
		Long: `Follows system calls that read, write, sync or open files: the pages that they
add to the page cache, the pieces of disks that they ask for, until the device
has done them, the sleeps and wake-ups between, and whether the page cache had
all. Each stage has its time since the one before, and the times add up. An open
for writing that copies a file into the upper layer of an overlay says so.

It ends when interrupted, after --for, or after --count calls. The last line, on
standard error, says what was left out or lost.`,
		Example: "  bearcat trace io --comm cat\n  bearcat trace io --slower 10ms --for 1m\n  bearcat trace io --pid 4242 --call fsync --perfetto sync.json\n  bearcat trace io --copy-up --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.check(r.Rate); err != nil {
				return err
			}
			r.Slower = r.slower
			var err error
			if r.Choice, err = r.in.choice(); err != nil {
				return err
			}
			return r.start(cmd, r.run)
		},
	}
	fl := cmd.Flags()
	r.flags(fl, "calls")
	fl.Uint32Var(&r.Rate, "rate", r.Rate, "show at most so many `CALLS` a second")
	r.in.flags(fl, "of")
	fl.StringVar(&r.path, "path", "", "show only calls on paths that begin with `PREFIX`")
	fl.StringVar(&r.call, "call", "", "show only calls with this `NAME`, as fsync")
	fl.BoolVar(&r.copyUp, "copy-up", false, "show only opens that copy a file into an overlay")
	return cmd
}

func (r *ioTrace) run(ctx context.Context, footer io.Writer) error {
	t, err := fileio.Open(r.Options)
	if err != nil {
		return err
	}
	defer t.Close()
	ctx, stop := r.limit(ctx)
	defer stop()
	if err := errors.Join(t.Run(ctx, r.show), r.err); err != nil {
		return err
	}
	n, err := t.Totals()
	if err != nil {
		return err
	}
	left := fmt.Sprintf("%d calls shown of %d; left out: %d by --rate, %d for want of room", r.shown, n.Calls, n.Sampled, n.Full)
	return traceFooter(footer, left, t.Tracer, n.Cost)
}

// show writes one call; false where it was the last.
func (r *ioTrace) show(c *fileio.Call) bool {
	if !strings.HasPrefix(c.Path, r.path) || r.call != "" && c.Name != r.call || r.copyUp && c.CopyUp == nil {
		return true
	}
	return r.write(c, callStory(c))
}
