package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/hist"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// histOutput is what is written, and where.
type histOutput struct {
	by       string
	length   time.Duration
	interval time.Duration
	groups   int
	json     bool
	heatmap  bool
	svg      string
}

func histCommand() *cobra.Command {
	var o hist.Options
	var in groupFlags
	out := histOutput{length: 10 * time.Second}
	var kinds strings.Builder
	for _, k := range hist.Kinds() {
		fmt.Fprintf(&kinds, "  %-8s %s\n", k.Name, k.Doc)
	}
	cmd := &cobra.Command{
		Use: "hist KIND", Short: "histograms of waiting, running, calls, packets and disks",
		Long: `Gathers times into histograms in the kernel and prints them with percentiles.
Kinds:

` + wrapKinds(kinds.String()) + `  func:NAME calls of a function of the kernel

It ends after --for, or earlier when interrupted, and prints what it has. All
programs are at tracepoints, but those of fault and func:NAME: they need fentry
or kprobes. The last line says which, what was lost, and what the programs cost.`,
		Example: "  bearcat hist runq --by process --for 5s\n  bearcat hist offcpu --by container --heatmap\n  bearcat hist syscall --by own --pid 4242 --json\n  bearcat hist block --by device --for 1m --svg disks.svg",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Kind, err = histKind(args[0]); err != nil {
				return usageError{err}
			}
			if err := out.check(&o); err != nil {
				return usageError{err}
			}
			if o.Scope, o.Net, err = in.choose(); err != nil {
				return err
			}
			return out.run(cmd, o)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&out.by, "by", "all", "a histogram for all, or for each process, cgroup,\ncontainer, cpu, device, or own (vector, handler, call)")
	fl.Uint32Var(&o.Pid, "pid", 0, "of one `PROCESS` with all its threads")
	fl.StringVar(&o.Comm, "comm", "", "of threads or processes with this `NAME`")
	in.flags(fl)
	fl.DurationVar(&out.length, "for", out.length, "how long to gather")
	fl.IntVarP(&out.groups, "groups", "n", 10, "draw this many groups, those with the most time; 0 for all")
	fl.BoolVar(&out.heatmap, "heatmap", false, "draw when which times came: time across, latency down")
	fl.StringVar(&out.svg, "svg", "", "also draw the heatmap into this `FILE`")
	fl.DurationVar(&out.interval, "interval", 0, "how long a column of the heatmap is; 0 for 1/60 of --for")
	fl.BoolVar(&out.json, "json", false, "print one JSON object")
	return cmd
}

// check reads the flags before anything is loaded.
func (h *histOutput) check(o *hist.Options) error {
	o.By = hist.By(h.by)
	switch {
	case !slices.Contains(hist.Groupings(), o.By):
		return fmt.Errorf("--by %s is none of all, process, cgroup, container, cpu, device and own", h.by)
	case h.length <= 0:
		return fmt.Errorf("--for %s is no time to measure in", h.length)
	case h.groups < 0:
		return fmt.Errorf("--groups %d is no number of groups", h.groups)
	case h.interval != 0 && !h.heatmap && h.svg == "":
		return errors.New("--interval is the heatmap's: it needs --heatmap or --svg")
	case h.interval != 0 && h.interval < shortestInterval:
		return fmt.Errorf("--interval %s is too short: %s is the least", h.interval, shortestInterval)
	case h.interval != 0 && h.length/h.interval > hist.MostIntervals:
		return fmt.Errorf("--interval %s is too short for --for %s: %d columns are the most", h.interval, h.length, hist.MostIntervals)
	}
	if h.heatmap || h.svg != "" {
		o.Every = h.interval
		if o.Every == 0 {
			o.Every = max(h.length/60, shortestInterval)
		}
	}
	return nil
}

const shortestInterval = 50 * time.Millisecond

func (h *histOutput) run(cmd *cobra.Command, o hist.Options) (err error) {
	var svg *os.File
	if h.svg != "" { // before the time is spent
		if svg, err = os.OpenFile(h.svg, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return fmt.Errorf("making the file for the heatmap: %w", err)
		}
		defer func() {
			if e := svg.Close(); err == nil && e != nil {
				err = fmt.Errorf("writing the heatmap: %w", e)
			}
		}()
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o.For = h.length
	r, err := hist.Gather(ctx, o)
	if err != nil {
		return err
	}
	if svg != nil {
		if err := r.WriteSVG(svg, "bearcat hist "+r.Kind, h.groups, nanoseconds); err != nil {
			return err
		}
	}
	switch {
	case h.json:
		return writeHostJSON(cmd.OutOrStdout(), r)
	case h.heatmap:
		return writeHeat(cmd.OutOrStdout(), r, h.groups, widthOf(cmd.OutOrStdout()))
	}
	return writeHist(cmd.OutOrStdout(), r, h.groups)
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
	if function, ok := strings.CutPrefix(name, hist.FunctionPrefix); ok {
		return hist.FunctionKind(function)
	}
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
	return writeHistEnd(w, &b, r)
}

// writeHistEnd writes what has been drawn, and the last line.
func writeHistEnd(w io.Writer, b *strings.Builder, r *hist.Result) error {
	if len(r.Rows) == 0 {
		b.WriteString("nothing came in that time\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(b, "note: %s\n", termtext.String(n))
	}
	fmt.Fprintf(b, "%.1f s from %s; lost %d", r.Took, strings.Join(r.Sources, ", "), r.Lost)
	if r.Missed > 0 {
		fmt.Fprintf(b, ", skipped by the kernel %d", r.Missed)
	}
	if r.BPF > 0 {
		fmt.Fprintf(b, "; the programs took %s, %.2f%% of a processor", nanoseconds(uint64(r.BPF)), 100*r.BPF.Seconds()/max(r.Took, 0.001))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// heatShades are a heatmap's levels; they need no colour.
var heatShades = [hist.Levels + 1]string{" ", "░", "▒", "▓", "█"}

// writeHeat draws for each group when which times came, as wide as the terminal; 0 for 80
// columns.
func writeHeat(w io.Writer, r *hist.Result, groups, width int) error {
	if width <= 0 {
		width = 80
	}
	var b strings.Builder
	for i := range r.Rows {
		row := &r.Rows[i]
		if groups > 0 && i == groups {
			fmt.Fprintf(&b, "and %d groups more: -n 0 draws all\n\n", len(r.Rows)-i)
			break
		}
		h := row.Heat(r.Ends, max(width-10, 10))
		fmt.Fprintf(&b, "%s %s: %d times\np50 %s, p99 %s, longest %s\n", r.Kind, termtext.String(row.Group), row.Count, nanoseconds(row.P50), nanoseconds(row.P99), nanoseconds(row.Max))
		for i, cells := range h.Cells {
			fmt.Fprintf(&b, "%8s|", nanoseconds(h.Rows[i].From))
			for _, n := range cells {
				b.WriteString(heatShades[h.Level(n)])
			}
			b.WriteString("|\n")
		}
		if n := len(h.Ends); n > 0 {
			fmt.Fprintf(&b, "%8s 0%*s\n", "", n-1, fmt.Sprintf("%.1f s", h.Ends[n-1]))
		}
		if h.Most > 0 {
			fmt.Fprintf(&b, "%8s ░ %d  ▒ %d  ▓ %d  █ %d times\n", "", h.Least(1), h.Least(2), h.Least(3), h.Most)
		}
		b.WriteByte('\n')
	}
	return writeHistEnd(w, &b, r)
}
