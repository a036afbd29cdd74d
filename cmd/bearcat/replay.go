package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/observe/function"
	"github.com/bearcat-hids/bearcat/internal/observe/hist"
	"github.com/bearcat-hids/bearcat/internal/observe/record"
	"github.com/bearcat-hids/bearcat/internal/observe/top"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
	"github.com/spf13/cobra"
)

// replayOptions say what of a record is shown, and how.
type replayOptions struct {
	choose  top.Again
	rows    int
	json    bool
	csv     bool
	began   time.Time
	columns bool // those of the CSV have been written
	// slower and perfetto are for what trace follows.
	slower   time.Duration
	perfetto string
	chart    *waterfall.Trace
	// calls of functions that the record has, and what those that are shown come to.
	calls int
	sums  function.Sums
}

func replayCommand() *cobra.Command {
	o := replayOptions{rows: 20}
	cmd := &cobra.Command{
		Use: "replay FILE", Short: "show what bearcat record has kept",
		Long: `Shows a file of bearcat record as the command would have shown it, with other
processes chosen, sorted by another column, or as JSON or CSV for programs. It
needs no root, and no kernel of its own. A file that was cut off is shown up
to there, and that is said.`,
		Example: "  bearcat replay night.rec --sort INV/s --rows 5\n  bearcat replay night.rec --comm postgres\n  bearcat replay night.rec --csv > night.csv\n  bearcat replay calls.rec --slower 10ms --perfetto calls.json",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.json && o.csv {
				return usageError{errors.New("--json and --csv exclude each other")}
			}
			if o.rows < 0 {
				return usageError{fmt.Errorf("--rows %d is no number of lines", o.rows)}
			}
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("opening a record: %w", err)
			}
			defer func() { _ = f.Close() }()
			if err := o.run(f, cmd.OutOrStdout()); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.Uint32Var(&o.choose.Pid, "pid", 0, "of one `PROCESS`")
	fl.StringVar(&o.choose.Comm, "comm", "", "of processes with this `NAME`")
	fl.StringVar(&o.choose.Sort, "sort", "", "sort a table of top by this `COLUMN`")
	fl.IntVar(&o.rows, "rows", o.rows, "print this many lines, or histograms; 0 for all")
	fl.DurationVar(&o.slower, "slower", 0, "of trace: only what took at least this long")
	fl.StringVar(&o.perfetto, "perfetto", "", "of trace: also write stages to this `FILE` for Perfetto")
	fl.BoolVar(&o.json, "json", false, "print the JSON objects")
	fl.BoolVar(&o.csv, "csv", false, "print lines of values with commas between")
	return cmd
}

// run shows all records of a file.
func (o *replayOptions) run(in io.Reader, out io.Writer) (err error) {
	r, err := record.NewReader(in)
	if err != nil {
		return err
	}
	o.began = r.Header.Began
	show, ok := map[string]func(io.Writer, []byte) error{"top": o.top, "hist": o.hist, "drops": o.drops}[r.Header.View]
	if r.Header.View == "trace" {
		if show, err = o.traced(r.Header.Args); err != nil {
			return err
		}
	} else if o.slower != 0 || o.perfetto != "" {
		return fmt.Errorf("--slower and --perfetto are for records of trace, and this is one of %s", r.Header.View)
	} else if !ok {
		return fmt.Errorf("the record is of %q, which this bearcat cannot show", r.Header.View)
	}
	if o.choose.Sort != "" && r.Header.View != "top" {
		return fmt.Errorf("%s has no columns to sort by", r.Header.View)
	}
	end, err := o.openChart()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if !o.json && !o.csv {
		out = printable{out}
		fmt.Fprintf(out, "bearcat %s %s on %s, Linux %s, from %s\n\n", r.Header.View, strings.Join(r.Header.Args, " "), r.Header.Host, r.Header.Kernel, r.Header.Began.Local().Format(time.DateTime))
	}
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = show(out, line)
		}
		if err != nil {
			return err
		}
	}
}

func (o *replayOptions) top(w io.Writer, line []byte) error {
	f, err := top.Decode(line, o.choose)
	switch {
	case err != nil:
		return err
	case o.json:
		return writeHostJSON(w, f)
	case o.csv:
		return o.writeCSV(w, f.Time, f.Rows)
	}
	return (&topOutput{rows: o.rows}).write(w, f, false)
}

func (o *replayOptions) hist(w io.Writer, line []byte) error {
	var r hist.Result
	if err := strictly(line, &r); err != nil {
		return err
	}
	if o.choose.Pid != 0 || o.choose.Comm != "" {
		if r.By != hist.ByProcess {
			return errors.New("the histograms are not by process, so none can be chosen")
		}
		kept := []hist.Row{}
		for _, row := range r.Rows {
			if o.chooses(processOf(row.Group)) {
				kept = append(kept, row)
			}
		}
		r.Rows = kept
	}
	switch {
	case o.json:
		return writeHostJSON(w, &r)
	case o.csv:
		return o.writeCSV(w, o.began, r.Rows)
	}
	if len(r.Ends) > 0 {
		return writeHeat(w, &r, o.rows, widthOf(w))
	}
	return writeHist(w, &r, o.rows)
}

func (o *replayOptions) drops(w io.Writer, line []byte) error {
	var r drop.Result
	if err := strictly(line, &r); err != nil {
		return err
	}
	kept := []drop.Row{}
	for _, row := range r.Rows {
		if o.chooses(row.Process, row.Pid) {
			kept = append(kept, row)
		}
	}
	r.Rows = kept
	switch {
	case o.json:
		return writeHostJSON(w, &r)
	case o.csv:
		return o.writeCSV(w, o.began, r.Rows)
	}
	return writeDrops(w, &r, o.rows)
}

func (o *replayOptions) chooses(comm string, pid uint32) bool {
	return (o.choose.Comm == "" || comm == o.choose.Comm) && (o.choose.Pid == 0 || pid == o.choose.Pid)
}

// processOf takes a group's name apart that is a process, such as sh[7].
func processOf(group string) (comm string, pid uint32) {
	comm, rest, ok := cutLast(group, "[")
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 32)
	if !ok || err != nil {
		return group, 0
	}
	return comm, uint32(n)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// strictly decodes a record that has no field which is not known here.
func strictly(line []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("a table is none of this version: %w", err)
	}
	return nil
}

// printable lets nothing through that a terminal would obey: a file may come from anybody.
type printable struct{ to io.Writer }

func (p printable) Write(b []byte) (int, error) {
	clean := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, string(b))
	if _, err := io.WriteString(p.to, clean); err != nil {
		return 0, err
	}
	return len(b), nil
}
