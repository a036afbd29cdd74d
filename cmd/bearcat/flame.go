package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/flame"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// flameOutput is what is written, and where.
type flameOutput struct {
	folded, pprof, json bool
	file                string
	perfetto            string
}

func flameCommand() *cobra.Command {
	var o flame.Options
	var out flameOutput
	var in groupFlags
	o.For = 10 * time.Second
	var kinds strings.Builder
	for _, k := range flame.Kinds() {
		fmt.Fprintf(&kinds, "  %-8s %s\n", k.Name, k.Doc)
	}
	cmd := &cobra.Command{
		Use: "flame KIND", Short: "flame graphs of processors, sleeps, faults, calls and more",
		Long: `Counts stacks in the kernel and draws them as a flame graph: an SVG that opens
in a browser, where a click shows a part and a search marks names. Kinds:

` + wrapKinds(kinds.String()) + `
It ends after --for, or earlier when interrupted, and writes what it has. Stacks
of programs are unwound by their .eh_frame, so that frame pointers are not
needed; where there is none, frame pointers are followed. The last lines, on
standard error, say how many stacks were taken and lost, how many are cut short
and why, from where, and what it cost.`,
		Example: "  bearcat flame cpu --for 30s -o cpu.svg\n  bearcat flame offcpu --pid 4242 --folded\n  bearcat flame cpu --comm nginx --pprof -o cpu.pb.gz\n  bearcat flame offcpu --for 5s --perfetto waits.json",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Kind, err = flameKind(args[0]); err != nil {
				return usageError{err}
			}
			if err := out.check(cmd.OutOrStdout()); err != nil {
				return usageError{err}
			}
			if o.For <= 0 {
				return usageError{fmt.Errorf("--for %s is no time to count in", o.For)}
			}
			if cmd.Flags().Changed("rate") && (o.Kind.Name != "cpu" || o.Rate == 0) {
				return usageError{fmt.Errorf("--rate is the clock of cpu, and at least 1: %s has none that is asked for so", o.Kind.Name)}
			}
			if o.Scope, o.Net, err = in.choose(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			r, err := flame.Count(ctx, o)
			if err != nil {
				return err
			}
			if err := out.write(cmd.OutOrStdout(), r); err != nil {
				return err
			}
			_, err = io.WriteString(cmd.ErrOrStderr(), flameFooter(r))
			return err
		},
	}
	fl := cmd.Flags()
	fl.Uint32Var(&o.Pid, "pid", 0, "of one `PROCESS` with all its threads")
	fl.StringVar(&o.Comm, "comm", "", "of threads or processes with this `NAME`")
	in.flags(fl)
	fl.DurationVar(&o.For, "for", o.For, "how long to count")
	fl.Uint64Var(&o.Rate, "rate", flame.DefaultRate, "for cpu: look so many `TIMES` a second at each processor")
	fl.StringVarP(&out.file, "output", "o", "", "write to this `FILE`, not to standard output")
	fl.BoolVar(&out.folded, "folded", false, "write a line for each stack, with its weight")
	fl.BoolVar(&out.pprof, "pprof", false, "write a profile for pprof")
	fl.StringVar(&out.perfetto, "perfetto", "", "write the stacks to this `FILE` for ui.perfetto.dev")
	fl.BoolVar(&out.json, "json", false, "write one JSON object")
	return cmd
}

func flameKind(name string) (flame.Kind, error) {
	k, ok := flame.KindNamed(name)
	if !ok {
		return k, unknown("flame graph", name, flame.Kinds(), func(k flame.Kind) string { return k.Name })
	}
	return k, nil
}

// check refuses two forms at once, and one that a terminal cannot show.
func (f *flameOutput) check(w io.Writer) error {
	n := 0
	for _, b := range []bool{f.folded, f.pprof, f.json} {
		if b {
			n++
		}
	}
	if n > 1 {
		return fmt.Errorf("--folded, --pprof and --json are three forms of the same: choose one")
	}
	if f.file == "" && !f.folded && !f.json && f.perfetto == "" && isTerminal(w) {
		return fmt.Errorf("a terminal cannot show the graph: name a file with --output, or take --folded")
	}
	return nil
}

// toFile makes a file, which root alone can read, and has it written.
func toFile(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("making the file for the graph: %w", err)
	}
	err = write(file)
	if e := file.Close(); err == nil && e != nil {
		err = fmt.Errorf("writing the graph: %w", e)
	}
	return err
}

// write writes the result for Perfetto where that is asked for, and in the form that was
// chosen.
func (f *flameOutput) write(w io.Writer, r *flame.Result) error {
	if f.perfetto != "" {
		if err := toFile(f.perfetto, r.WritePerfetto); err != nil {
			return err
		}
		if f.file == "" && !f.folded && !f.pprof && !f.json {
			return nil
		}
	}
	if f.file != "" {
		return toFile(f.file, func(w io.Writer) error { return f.form(w, r) })
	}
	return f.form(w, r)
}

func (f *flameOutput) form(w io.Writer, r *flame.Result) error {
	switch {
	case f.folded:
		return r.WriteFolded(w)
	case f.pprof:
		return r.WritePprof(w)
	case f.json:
		return writeHostJSON(w, r)
	}
	return r.WriteSVG(w, "bearcat flame "+r.Kind)
}

func flameFooter(r *flame.Result) string {
	var b strings.Builder
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", termtext.String(n))
	}
	b.WriteString(unwoundLine(r.User))
	fmt.Fprintf(&b, "%d samples in %.1f s from %s; lost %d", r.Samples, r.Took, strings.Join(r.Sources, ", "), r.Lost)
	if r.Unnamed > 0 {
		fmt.Fprintf(&b, ", without room for their frames %d", r.Unnamed)
	}
	if r.Missed > 0 {
		fmt.Fprintf(&b, ", skipped by the kernel %d", r.Missed)
	}
	if r.BPF > 0 {
		fmt.Fprintf(&b, "; the program took %s, %.2f%% of a processor", nanoseconds(uint64(r.BPF)), 100*r.BPF.Seconds()/max(r.Took, 0.001))
	}
	fmt.Fprintf(&b, "; bearcat itself %s\n", nanoseconds(uint64(r.Own)))
	return b.String()
}

// unwoundLine says how the stacks of programs end; nothing where there were none.
func unwoundLine(u *flame.Unwound) string {
	if u == nil {
		return ""
	}
	reasons := func(ends []flame.Ends) (total uint64, why string) {
		var each []string
		for _, e := range ends {
			total += e.Count
			each = append(each, fmt.Sprintf("%d %s", e.Count, e.Why))
		}
		return total, strings.Join(each, ", ")
	}
	var b strings.Builder
	cut, why := reasons(u.Cut)
	fmt.Fprintf(&b, "stacks of programs: %d whole, %d cut short", u.Whole, cut)
	if cut > 0 {
		fmt.Fprintf(&b, " (%s)", why)
	}
	if n, why := reasons(u.Pointers); n > 0 {
		fmt.Fprintf(&b, ", %d by frame pointers only (%s)", n, why)
	}
	fmt.Fprintf(&b, "; tables of %d files with %d rows", u.Files, u.Rows)
	if u.Over > 0 {
		fmt.Fprintf(&b, ", %d files found no room", u.Over)
	}
	b.WriteString("\n")
	return b.String()
}
