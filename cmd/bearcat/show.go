package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/table"
	"github.com/spf13/cobra"
)

func showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Short: "look at the host as the kernel sees it",
		Long: `Takes a snapshot of kernel objects and prints it as a table, or with --json as
one object. What the kernel does not tell is named in a note below the table.
Every noun can be sorted by a column and filtered by a condition over columns,
which are named in small letters, with _ for blanks: MAX ENTRIES is max_entries.`,
		Example: "  bearcat show proc\n  bearcat show fd --pid 4242\n  bearcat show cgroup --where 'memory > 100MiB' --sort -memory --watch 2s",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(taskNouns()...)
	cmd.AddCommand(hostNouns()...)
	return cmd
}

// answer is what a noun gives.
type answer interface {
	Tables() []host.Table
	Missing() host.Notes
}

// showFlags are those that all nouns have.
type showFlags struct {
	view  table.View
	where string
	json  bool
	watch time.Duration
	// rules: conditions may name fields of rules in place of columns, and are then left
	// to the noun in fields.
	rules  bool
	fields string
}

// noun builds a noun that takes up to most arguments; read makes its answer.
func noun(f *showFlags, use, short, long, example string, most int, read func(args []string) (answer, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: usageArgs(cobra.MaximumNArgs(most)),
		RunE: func(cmd *cobra.Command, args []string) error {
			collectLater()
			out := cmd.OutOrStdout()
			if err := f.condition(); err != nil {
				return err
			}
			for {
				f.view.Width = widthOf(out)
				a, err := read(args)
				if err != nil {
					return err
				}
				if err := f.print(out, a); err != nil || f.watch <= 0 {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(f.watch):
				}
				if !f.json {
					fmt.Fprintf(out, "\n%s\n", time.Now().Format("15:04:05"))
				}
			}
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&f.view.Wide, "wide", false, "all columns, in lines of any length")
	cmd.Flags().StringVar(&f.view.Sort, "sort", "", "order by a `COLUMN`, with -COLUMN the largest first")
	cmd.Flags().StringVar(&f.where, "where", "", "those that satisfy a `CONDITION` in the rule language")
	cmd.Flags().DurationVar(&f.watch, "watch", 0, "print it again each `TIME`, such as 2s")
	return cmd
}

// collectLater has the first collection of garbage come when there are some tens of MB,
// and all others as usual: most looks end before the first.
func collectLater() {
	const first = 40 << 20
	usual := debug.SetGCPercent(-1)
	debug.SetMemoryLimit(first)
	runtime.AddCleanup(new([16]byte), func(percent int) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, usual)
}

// condition reads --where, which is over columns or over fields of rules.
func (f *showFlags) condition() error {
	c, err := table.ParseCondition("--where", f.where)
	if err != nil {
		return err
	}
	fields, columns := c.Names()
	if !fields || !f.rules {
		f.view.Where = c
		return nil
	}
	if columns {
		return fmt.Errorf("a condition is over fields of rules, which have a dot, or over columns, which have none: %q has both", f.where)
	}
	f.fields = f.where
	return nil
}

// needsCells tells whether the answer's tables are looked at, and not only its JSON.
func (f *showFlags) needsCells() bool {
	return !f.json || f.view.Where != nil || f.view.Sort != ""
}

// print writes what the flags want of an answer.
func (f *showFlags) print(w io.Writer, a answer) error {
	tables, err := f.view.Apply(a.Tables())
	if err != nil {
		return err
	}
	if f.json {
		return writeHostJSON(w, a)
	}
	if err := f.view.Write(w, tables); err != nil {
		return err
	}
	if left := f.view.Narrow(); len(left) > 0 {
		if _, err := fmt.Fprintf(w, "note: the terminal is too narrow for %s: --wide has them\n", strings.Join(left, ", ")); err != nil {
			return err
		}
	}
	for _, n := range a.Missing() {
		if _, err := fmt.Fprintf(w, "note: %s\n", termtext.String(n)); err != nil {
			return err
		}
	}
	return nil
}

func writeHostJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}
