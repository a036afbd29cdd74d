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
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/top"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// topOutput says how the tables are shown, and how many.
type topOutput struct {
	interval, length time.Duration
	count, rows      int
	json             bool
}

func topCommand() *cobra.Command {
	var o top.Options
	out := topOutput{interval: 2 * time.Second, rows: 20}
	var group groupFlags
	var views strings.Builder
	for _, v := range top.Views() {
		fmt.Fprintf(&views, "  %-8s %s\n", v.Name, v.Doc)
	}
	cmd := &cobra.Command{
		Use: "top VIEW", Short: "what processes use and wait for, again each interval",
		Long: `Sums up in the kernel what happens in each interval and shows it as a table: on
a terminal in place, into a pipe one below the other. Views:

` + wrapKinds(views.String()) + `
It ends when interrupted, or after --count or --for. All programs are at
tracepoints. The last line says which, what was lost, and what it cost.

On a terminal it listens to keys: s and S sort by the next column, / shows lines
with a text only, p pauses, arrows and Enter choose one process, v shows another
view of it, Esc goes back, q ends it.`,
		Example: "  bearcat top cpu --sort INV/s --rows 5\n  bearcat top mem --comm postgres\n  bearcat top cpu --pid 4242 --interval 1s --count 10 --json",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.View, err = topView(args[0]); err != nil {
				return usageError{err}
			}
			if err := out.check(); err != nil {
				return usageError{err}
			}
			if o.Sort, err = o.View.Column(o.Sort); err != nil {
				return usageError{err}
			}
			if o.Scope, o.Net, err = group.choose(); err != nil {
				return err
			}
			o.Cgroup = group.cgroup
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if out.length > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, out.length)
				defer cancel()
			}
			return out.start(ctx, cmd.InOrStdin(), cmd.OutOrStdout(), o)
		},
	}
	fl := cmd.Flags()
	fl.DurationVar(&out.interval, "interval", out.interval, "how long to sum up for a table")
	fl.IntVar(&out.count, "count", 0, "end after this many tables; 0 for no end")
	fl.DurationVar(&out.length, "for", 0, "end after this time; 0 for no end")
	fl.StringVar(&o.Sort, "sort", "", "sort by this `COLUMN`, numbers from the largest down")
	fl.Uint32Var(&o.Pid, "pid", 0, "of one `PROCESS` with all its threads")
	fl.StringVar(&o.Comm, "comm", "", "of threads or processes with this `NAME`")
	group.flags(fl)
	fl.IntVar(&out.rows, "rows", out.rows, "print this many lines; 0 for all")
	fl.BoolVar(&out.json, "json", false, "print a JSON object for each interval, with all lines")
	return cmd
}

// topScope is the control group or container that is asked for, or the whole host.
func topScope(cgroup, container string) (kernel.Scope, error) {
	switch {
	case cgroup != "" && container != "":
		return kernel.Scope{}, usageError{errors.New("--cgroup and --container exclude each other")}
	case cgroup != "":
		return kernel.CgroupScope(cgroup)
	case container != "":
		return kernel.ContainerScope(container)
	}
	return kernel.HostScope(), nil
}

func topView(name string) (top.View, error) {
	k, ok := top.ViewNamed(name)
	if !ok {
		return k, unknown("view", name, top.Views(), func(k top.View) string { return k.Name })
	}
	return k, nil
}

func (t *topOutput) check() error {
	switch {
	case t.interval < 100*time.Millisecond:
		return fmt.Errorf("--interval %s is too short: 100ms is the least", t.interval)
	case t.count < 0:
		return fmt.Errorf("--count %d is no number of tables", t.count)
	case t.rows < 0:
		return fmt.Errorf("--rows %d is no number of lines", t.rows)
	case t.length < 0:
		return fmt.Errorf("--for %s is no time to look", t.length)
	}
	return nil
}

// start listens to keys where there is a terminal at both ends.
func (t *topOutput) start(ctx context.Context, in io.Reader, w io.Writer, o top.Options) error {
	if !isTerminal(w) || t.json {
		return t.run(ctx, w, o)
	}
	keys, restore, ok := listen(in)
	if !ok {
		return t.run(ctx, w, o)
	}
	defer restore()
	return (&topSession{out: t, w: w, keys: keys}).run(ctx, o)
}

// run writes table after table. The last one may be shorter than the others.
func (t *topOutput) run(ctx context.Context, w io.Writer, o top.Options) error {
	watched, err := top.Open(o)
	if err != nil {
		return err
	}
	defer watched.Close()
	live := isTerminal(w) && !t.json
	for n := 0; (t.count == 0 || n < t.count) && ctx.Err() == nil; n++ {
		f, err := watched.Next(ctx, t.interval)
		if err != nil {
			return err
		}
		if t.json {
			err = writeHostJSON(w, f)
		} else {
			err = t.write(w, f, live)
		}
		if errors.Is(err, syscall.EPIPE) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// clearScreen goes to the upper left corner and removes what is there.
const clearScreen = "\x1b[H\x1b[2J"

func (t *topOutput) write(w io.Writer, f *top.Frame, live bool) error {
	text, err := t.text(f)
	if err == nil && live {
		text = cutLines(clearScreen+text, widthOf(w))
	}
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	return err
}

// text is a table with the lines around it.
func (t *topOutput) text(f *top.Frame) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s top %s", f.Time.Format("15:04:05"), f.View)
	if f.Host != "" {
		fmt.Fprintf(&b, ": %s", f.Host)
	}
	b.WriteByte('\n')
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(f.Columns, "\t"))
	shown := f.Cells
	if t.rows > 0 && len(shown) > t.rows {
		shown = shown[:t.rows]
	}
	for _, row := range shown {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = termtext.String(c)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return "", err
	}
	if n := len(f.Cells) - len(shown); n > 0 {
		fmt.Fprintf(&b, "and %d lines more: --rows 0 prints all\n", n)
	}
	b.WriteString(topFooter(f))
	return b.String(), nil
}

// widthOf is how many columns a terminal has, 0 where it does not say.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// cutLines leaves of each line of a table what a terminal shows in one row, so that the
// rows stay in their places; 0 for all of it. Sentences, which come last, may wrap.
func cutLines(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		runes := []rune(strings.TrimSuffix(line, "\n"))
		if escape := len([]rune(clearScreen)); strings.HasPrefix(line, clearScreen) {
			b.WriteString(clearScreen)
			runes = runes[escape:]
		}
		if len(runes) > width && strings.Contains(line, "  ") { // the cells of a table have two spaces between
			runes = append(runes[:width-1], '…')
		}
		b.WriteString(string(runes))
		if strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func topFooter(f *top.Frame) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f s from %s; lost %d", f.Took, strings.Join(f.Sources, ", "), f.Lost)
	if f.Missed > 0 {
		fmt.Fprintf(&b, ", skipped by the kernel %d", f.Missed)
	}
	if f.BPF > 0 {
		fmt.Fprintf(&b, "; the programs took %s, %.2f%% of a processor", nanoseconds(uint64(f.BPF)), 100*f.BPF.Seconds()/max(f.Took, 0.001))
	}
	fmt.Fprintf(&b, "; bearcat itself %s\n", nanoseconds(uint64(f.Own)))
	for _, n := range f.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	b.WriteByte('\n')
	return b.String()
}
