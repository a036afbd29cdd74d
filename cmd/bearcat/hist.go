package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/hist"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func histCommand() *cobra.Command {
	var o hist.Options
	var by string
	var asJSON bool
	var n int
	d := 10 * time.Second
	var kinds strings.Builder
	for _, k := range hist.Kinds() {
		fmt.Fprintf(&kinds, "  %-8s %s\n", k.Name, k.Doc)
	}
	cmd := &cobra.Command{
		Use: "hist KIND", Short: "histograms of waiting, running, calls, packets and disks",
		Long: `Gathers times into histograms in the kernel and prints them with percentiles.
Kinds:

` + wrapKinds(kinds.String()) + `
It ends after --for, or earlier when interrupted, and prints what it has. All
programs are at tracepoints. The last line says which, what was lost, and what
the programs cost.`,
		Example: "  bearcat hist runq --by process --for 5s\n  bearcat hist offcpu --comm postgres\n  bearcat hist syscall --by own --pid 4242 --json",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Kind, err = histKind(args[0]); err != nil {
				return usageError{err}
			}
			switch o.By = hist.By(by); o.By {
			case hist.ByAll, hist.ByProcess, hist.ByCPU, hist.ByOwn:
			default:
				return usageError{fmt.Errorf("--by %s is none of all, process, cpu and own", by)}
			}
			if d <= 0 {
				return usageError{fmt.Errorf("--for %s is no time to measure in", d)}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			r, err := hist.Gather(ctx, o)
			if err != nil {
				return err
			}
			if asJSON {
				return writeHostJSON(cmd.OutOrStdout(), r)
			}
			return writeHist(cmd.OutOrStdout(), r, n)
		},
	}
	cmd.Flags().StringVar(&by, "by", "all", "a histogram for all, or for each process, cpu, or own (vector, handler, call, device)")
	cmd.Flags().Uint32Var(&o.Pid, "pid", 0, "of one `PROCESS`")
	cmd.Flags().StringVar(&o.Comm, "comm", "", "of processes with this `NAME`")
	cmd.Flags().DurationVar(&d, "for", d, "how long to gather")
	cmd.Flags().IntVarP(&n, "groups", "n", 10, "draw this many groups, those with the most time; 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// wrapKinds keeps the list of kinds within the width of help.
func wrapKinds(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		for len(line) > 78 {
			at := strings.LastIndexByte(line[:78], ' ')
			b.WriteString(line[:at] + "\n")
			line = strings.Repeat(" ", 11) + line[at+1:]
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func histKind(name string) (hist.Kind, error) {
	k, ok := hist.KindNamed(name)
	if !ok {
		return k, unknown("histogram", name, hist.Kinds(), func(k hist.Kind) string { return k.Name })
	}
	return k, nil
}

// nanoseconds writes a time in the unit in which it reads best.
func nanoseconds(ns uint64) string {
	switch {
	case ns < 1000:
		return fmt.Sprintf("%d ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", float64(ns)/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3g ms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%.3g s", float64(ns)/1e9)
}

const barWidth = 40

func writeHist(w io.Writer, r *hist.Result, groups int) error {
	var b strings.Builder
	for i, row := range r.Rows {
		if groups > 0 && i == groups {
			fmt.Fprintf(&b, "and %d groups more: -n 0 draws all\n\n", len(r.Rows)-i)
			break
		}
		fmt.Fprintf(&b, "%s %s: %d times, %s in all, p50 %s, p90 %s, p99 %s, longest %s\n", r.Kind, termtext.String(row.Group), row.Count, nanoseconds(row.Sum),
			nanoseconds(row.P50), nanoseconds(row.P90), nanoseconds(row.P99), nanoseconds(row.Max))
		most := uint64(1)
		for _, x := range row.Buckets {
			most = max(most, x.N)
		}
		for _, x := range row.Buckets {
			fmt.Fprintf(&b, "  %9s to %-9s %9d %s\n", nanoseconds(x.From), nanoseconds(x.To), x.N, strings.Repeat("█", int((x.N*barWidth+most-1)/most)))
		}
		b.WriteByte('\n')
	}
	if len(r.Rows) == 0 {
		b.WriteString("nothing came in that time\n")
	}
	fmt.Fprintf(&b, "%.1f s from %s; lost %d", r.Took, strings.Join(r.Sources, ", "), r.Lost)
	if r.Missed > 0 {
		fmt.Fprintf(&b, ", skipped by the kernel %d", r.Missed)
	}
	if r.BPF > 0 {
		fmt.Fprintf(&b, "; the programs took %s, %.2f%% of a processor", nanoseconds(uint64(r.BPF)), 100*r.BPF.Seconds()/max(r.Took, 0.001))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}
