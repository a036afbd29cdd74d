package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/record"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func recordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "record FILE COMMAND...", Short: "keep what top, hist, drops or trace show in a file",
		Long: `Runs a command that looks at the host, and writes what it would show to a file
in place of the terminal: top, hist, drops or trace, with its own flags. It ends
when that command does, or when interrupted. bearcat replay shows the file.

Only the file's owner may read it. A file that is there already is not touched.`,
		Example: "  bearcat record night.rec top cpu --interval 10s --for 8h\n  bearcat record waits.rec hist runq --by process --for 1m\n  bearcat record lost.rec drops --for 5m\n  bearcat record calls.rec trace io --comm postgres --for 1m\n  bearcat record conns.rec trace tcp dst port 443 --for 10m",
		Args:    usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return recordRun(cmd, args[0], args[1:])
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the file is the command's
	return cmd
}

// recordable are the commands whose output can be kept.
func recordable() []*cobra.Command {
	return []*cobra.Command{topCommand(), histCommand(), dropsCommand(), traceCommand()}
}

func recordRun(cmd *cobra.Command, path string, args []string) error {
	inner := &cobra.Command{Use: "bearcat record FILE", SilenceErrors: true, SilenceUsage: true}
	inner.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	views := recordable()
	inner.AddCommand(views...)
	at := slices.IndexFunc(views, func(c *cobra.Command) bool { return c.Name() == args[0] })
	if at < 0 {
		return usageError{unknown("command to record", args[0], views, func(c *cobra.Command) string { return c.Name() })}
	}
	words := 1
	if args[0] == "trace" {
		words = 2
		if err := traceToRecord(args); err != nil {
			return usageError{err}
		}
	}
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		views[at].SetOut(cmd.OutOrStdout())
		return views[at].Help()
	}
	w, err := record.Create(path, record.Header{View: args[0], Args: args[1:], Began: time.Now(), Host: kernel.Hostname(), Kernel: kernel.Release(), Bearcat: version})
	if err != nil {
		return err
	}
	inner.SetArgs(slices.Insert(slices.Clone(args), words, "--json")) // what follows -- is no flag
	inner.SetOut(w)
	inner.SetErr(cmd.ErrOrStderr())
	stop := progress(cmd.ErrOrStderr(), w, strings.Join(args, " "))
	err = inner.ExecuteContext(cmd.Context())
	stop()
	if err != nil && w.Records == 0 { // nothing is in it
		_ = w.Close()
		_ = os.Remove(path)
		return err
	}
	if e := w.Close(); err == nil {
		err = e
	}
	if err == nil {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, %d bytes, in %s: bearcat replay %s\n", tables(w.Records), w.Bytes, termtext.String(path), termtext.AppendQuoted(nil, path))
	}
	return err
}

// traceToRecord refuses what of trace is not kept line by line.
func traceToRecord(args []string) error {
	noun := slices.Concat(args, []string{""})[1]
	switch {
	case !slices.Contains(recordableTraces, noun):
		return unknown("trace to record", noun, recordableTraces, func(s string) string { return s })
	case slices.Contains(args, "--summary"):
		return errors.New("a summary is not kept: record the intervals, without --summary")
	}
	return nil
}

func tables(n uint64) string {
	if n == 1 {
		return "1 table"
	}
	return fmt.Sprintf("%d tables", n)
}

// progress tells a terminal once a second how far a record is, until it is stopped.
func progress(to io.Writer, w *record.Writer, what string) (stop func()) {
	if !isTerminal(to) {
		return func() {}
	}
	var n atomic.Uint64
	w.Progress = func() { n.Add(1) }
	done, gone := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(gone)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				fmt.Fprint(to, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprintf(to, "\r\x1b[K%s: %s in %s", termtext.String(what), tables(n.Load()), time.Since(began).Truncate(time.Second))
			}
		}
	}()
	return func() {
		close(done)
		<-gone
	}
}
