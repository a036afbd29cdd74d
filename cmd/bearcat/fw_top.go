package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/observe/top"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// fwTopColumn is a column of bearcat fw top by which rows can be sorted.
type fwTopColumn struct {
	name    string
	compare func(a, b *xdp.Rate) int
	text    func(*xdp.Rate) string
}

func fwTopColumns() []fwTopColumn {
	number := func(name string, get func(*xdp.Rate) float64, text func(float64) string) fwTopColumn {
		return fwTopColumn{name, func(a, b *xdp.Rate) int { return cmp.Compare(get(b), get(a)) }, func(r *xdp.Rate) string { return text(get(r)) }}
	}
	bytes := func(x float64) string { return top.Size(uint64(x)) }
	whole := func(x float64) string { return fmt.Sprintf("%.0f", x) }
	return []fwTopColumn{
		number("PACKETS/s", func(r *xdp.Rate) float64 { return r.PacketsPerSecond }, top.Rate),
		number("BYTES/s", func(r *xdp.Rate) float64 { return r.BytesPerSecond }, bytes),
		number("OVER/s", func(r *xdp.Rate) float64 { return r.OverPerSecond }, top.Rate),
		number("PACKETS", func(r *xdp.Rate) float64 { return float64(r.Packets) }, whole),
		number("BYTES", func(r *xdp.Rate) float64 { return float64(r.Bytes) }, bytes),
		number("OVER", func(r *xdp.Rate) float64 { return float64(r.Over) }, whole),
		{"NAME", func(a, b *xdp.Rate) int { return cmp.Compare(a.Name, b.Name) }, func(r *xdp.Rate) string {
			if r.Note == "" {
				return termtext.String(r.Name)
			}
			return termtext.String(r.Name + " " + r.Note)
		}},
	}
}

func fwTop(p *fwPlaces) *cobra.Command {
	out := topOutput{interval: 2 * time.Second, rows: 10}
	var by string
	cmd := &cobra.Command{
		Use: "top", Short: "what comes a second: devices, reasons, rules and sources",
		Long: `Shows again each interval, on a terminal in place, into a pipe one below the
other, what came a second through each device, for which reason it passed or was
dropped, which rules held, and which sources of the block list and the bans went
on sending. Only counters are read that are there in any case: it costs packets
nothing.`,
		Example: "  bearcat fw top\n  bearcat fw top --sort bytes/s --rows 5\n  bearcat fw top --interval 1s --count 60 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out.json = p.asJSON
			if err := out.check(); err != nil {
				return usageError{err}
			}
			column, err := fwTopColumnNamed(by)
			if err != nil {
				return usageError{err}
			}
			return p.open(func(fw *xdp.Firewall) error {
				ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
				defer stop()
				if out.length > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, out.length)
					defer cancel()
				}
				return out.firewall(ctx, cmd.OutOrStdout(), fw, column)
			})
		},
	}
	fl := cmd.Flags()
	fl.DurationVar(&out.interval, "interval", out.interval, "how long to count for a table")
	fl.IntVar(&out.count, "count", 0, "end after this many tables; 0 for no end")
	fl.DurationVar(&out.length, "for", 0, "end after this time; 0 for no end")
	fl.StringVar(&by, "sort", "", "sort each kind by this `COLUMN`, numbers from the largest")
	fl.IntVar(&out.rows, "rows", out.rows, "print this many lines of each kind; 0 for all")
	return cmd
}

// fwTopColumnNamed finds a column without regard to case; the first without a name.
func fwTopColumnNamed(name string) (fwTopColumn, error) {
	all := fwTopColumns()
	if name == "" {
		return all[0], nil
	}
	for _, c := range all {
		if strings.EqualFold(c.name, name) {
			return c, nil
		}
	}
	return all[0], unknown("column", name, all, func(c fwTopColumn) string { return c.name })
}

// firewall writes table after table of what the firewall counts.
func (t *topOutput) firewall(ctx context.Context, w io.Writer, fw *xdp.Firewall, by fwTopColumn) error {
	meter, err := fw.NewMeter()
	if err != nil {
		return err
	}
	live := isTerminal(w) && !t.json
	for n := 0; (t.count == 0 || n < t.count) && ctx.Err() == nil; n++ {
		select {
		case <-ctx.Done():
		case <-time.After(t.interval):
		}
		r, err := meter.Next()
		if err != nil {
			return err
		}
		sortRates(r.Rows, by)
		if t.json {
			err = writeHostJSON(w, r)
		} else {
			err = t.writeRates(w, r, live)
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

// sortRates sorts rows within their kinds, which keep their order.
func sortRates(rows []xdp.Rate, by fwTopColumn) {
	kinds := []string{xdp.KindDevice, xdp.KindDrop, xdp.KindPass, xdp.KindRule, xdp.KindSource}
	slices.SortStableFunc(rows, func(a, b xdp.Rate) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), by.compare(&a, &b), cmp.Compare(a.Name, b.Name))
	})
}

func (t *topOutput) writeRates(w io.Writer, r *xdp.Rates, live bool) error {
	var b strings.Builder
	if live {
		b.WriteString(clearScreen)
	}
	fmt.Fprintf(&b, "%s fw top: %s packets/s pass, %s are dropped\n", r.Time.Format("15:04:05"), top.Rate(r.Passed), top.Rate(r.Dropped))
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	columns := fwTopColumns()
	fmt.Fprint(table, "KIND")
	for _, c := range columns {
		fmt.Fprint(table, "\t"+c.name)
	}
	fmt.Fprintln(table)
	shown, left := map[string]int{}, 0
	for i := range r.Rows {
		x := &r.Rows[i]
		if shown[x.Kind]++; t.rows > 0 && shown[x.Kind] > t.rows {
			left++
			continue
		}
		fmt.Fprint(table, x.Kind)
		for _, c := range columns {
			fmt.Fprint(table, "\t"+c.text(x))
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if left > 0 {
		fmt.Fprintf(&b, "and %d lines more: --rows 0 prints all\n", left)
	}
	b.WriteByte('\n')
	text := b.String()
	if live {
		text = cutLines(text, widthOf(w))
	}
	_, err := io.WriteString(w, text)
	return err
}
