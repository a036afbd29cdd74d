package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/matrix"
	"github.com/bearcat-hids/bearcat/test/kernel/testlog"
)

func runMatrix(ctx context.Context, args []string) (int, error) {
	c := matrix.Config{Out: os.Stdout}
	var columns stringList
	f := flag.NewFlagSet("vmrun matrix", flag.ContinueOnError)
	guestFlags(f, &c.Guest)
	f.Var(&columns, "kernels", "run on these `kernels` only (native is one of them)")
	f.StringVar(&c.Run, "run", "", "run only tests that match `pattern`")
	f.IntVar(&c.Guests, "j", 2, "how many `guests` at a time")
	f.StringVar(&c.Logs, "logs", "", "`directory` for one log per kernel (default: bin/kernel-logs)")
	f.DurationVar(&c.TestTimeout, "test-timeout", 30*time.Minute, "end one package's tests after this `time`")
	f.DurationVar(&c.Timeout, "t", 60*time.Minute, "end one kernel's run after this `time`")
	f.BoolVar(&c.Verbose, "v", false, "show the tests' output as it comes")
	summary := f.String("summary", "", "write the counts to `file` for vmrun total")
	if err := f.Parse(args); err != nil {
		return 2, errUsage
	}
	root, err := kernel.ModuleRoot(ctx)
	if err != nil {
		return 1, err
	}
	if c.Columns = columns; len(columns) == 0 {
		c.Columns = append([]string{matrix.Native}, kernel.Names()...)
	}
	if c.Logs == "" {
		c.Logs = filepath.Join(root, "bin", "kernel-logs")
	}
	c.Root, c.Patterns = root, f.Args()
	done, err := matrix.Run(ctx, &c)
	if err != nil {
		return 1, err
	}
	return finish(matrix.Report(os.Stdout, done), *summary, c.Run != "")
}

func runUnit(ctx context.Context, args []string) (int, error) {
	f := flag.NewFlagSet("vmrun unit", flag.ContinueOnError)
	summary := f.String("summary", "", "write the counts to `file` for vmrun total")
	timeout := f.Duration("t", 10*time.Minute, "end one package's tests after this `time`")
	race := f.Bool("race", false, "look for data races (needs a C compiler)")
	run := f.String("run", "", "run only tests that match `pattern`")
	if err := f.Parse(args); err != nil {
		return 2, errUsage
	}
	root, err := kernel.ModuleRoot(ctx)
	if err != nil {
		return 1, err
	}
	extra := []string{"-timeout=" + timeout.String(), "-run=" + *run}
	if *race {
		extra = append(extra, "-race")
	}
	col, err := matrix.Unit(ctx, root, os.Stdout, extra, f.Args())
	if err != nil {
		return 1, err
	}
	columns := []*matrix.Column{col}
	matrix.Skips(os.Stdout, columns)
	matrix.Failures(os.Stdout, columns)
	return finish(col.Results.Count(), *summary, *run != "")
}

// finish prints the counts, notes them for total and returns the exit status.
func finish(n testlog.Counts, summary string, mayBeEmpty bool) (int, error) {
	fmt.Printf("\n%s\n", line(n))
	if summary != "" {
		b, err := json.Marshal(n)
		if err != nil {
			return 1, fmt.Errorf("encoding the counts: %w", err)
		}
		if err := os.WriteFile(summary, b, 0o644); err != nil {
			return 1, fmt.Errorf("writing the counts: %w", err)
		}
	}
	if n.Failed > 0 {
		return 1, nil
	}
	if n.Passed == 0 && mayBeEmpty {
		return 1, fmt.Errorf("no test ran: none matches, or every one was skipped")
	}
	return 0, nil
}

func line(n testlog.Counts) string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", n.Passed, n.Failed, n.Skipped)
}

// total prints the sum of the counts in files. A file that is not there stands
// for a run that broke off, which counts as one failure.
func total(w io.Writer, files []string) (int, error) {
	var sum testlog.Counts
	for _, file := range files {
		var n testlog.Counts
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, &n)
		}
		if err != nil {
			fmt.Fprintf(w, "%s broke off before it had counts: counted as one failure\n", filepath.Base(file))
			n = testlog.Counts{Failed: 1}
		}
		sum = sum.Add(n)
	}
	fmt.Fprintln(w, line(sum))
	if sum.Failed > 0 {
		return 1, nil
	}
	return 0, nil
}
