package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/simulate"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func simulateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "simulate", Short: "set off the rules' cases, harmlessly",
		Long: `Does what attacks do, without the harm, so that a running agent has something to
say: a shell really gets a network socket as its input, a program really runs
from memory. What runs is told to exit at once; nothing leaves this host, and a
temporary folder is the only thing touched.`,
		Example: "  bearcat simulate list\n  bearcat simulate run memory\n  bearcat simulate run --all",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(simulateListCommand(), simulateRunCommand())
	return cmd
}

// caseLine is a case as --json prints it.
type caseLine struct {
	Name      string `json:"name"`
	Title     string `json:"title"`
	Rule      string `json:"rule"`
	Technique string `json:"technique"`
	Needs     string `json:"needs,omitempty"`
}

func simulateListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "list the cases and the rule that each sets off", Args: noArgs,
		Example: "  bearcat simulate list\n  bearcat simulate list --json | jq -r .name",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var lines []caseLine
			for _, c := range simulate.Cases() {
				lines = append(lines, caseLine{c.Name, c.Title, c.Rule, c.Technique, c.Needs})
			}
			if asJSON {
				return writeJSONLines(cmd.OutOrStdout(), lines)
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "CASE\tTECHNIQUE\tRULE\tWHAT HAPPENS")
			for _, l := range lines {
				if l.Needs != "" {
					l.Title += " (needs " + l.Needs + ")"
				}
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", l.Name, l.Technique, l.Rule, l.Title)
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// resultLine is a case that has run, as --json prints it.
type resultLine struct {
	Name    string    `json:"name"`
	Rule    string    `json:"rule"`
	Outcome string    `json:"outcome"`
	Error   string    `json:"error,omitempty"`
	Pids    []int     `json:"pids"`
	Began   time.Time `json:"began"`
	TookMS  int64     `json:"took_ms"`
}

func simulateRunCommand() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use: "run NAME…", Short: "run cases",
		Long: `Runs the named cases one after the other, or all of them. Have an agent run in
another shell: each case is answered there by an alert of the rule that stands
beside it here. The exit code is 1 when a case did not run; one that this host
lacks something for is passed over and does not count.`,
		Example: "  bearcat simulate run kernel-thread memory\n  bearcat simulate run --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError{fmt.Errorf("name the cases to run, or give --all: bearcat simulate list shows them")}
			}
			failed := 0
			var werr error
			err := simulate.Run(cmd.Context(), func(r simulate.Result) {
				if r.Err != nil && !r.Skipped() {
					failed++
				}
				if e := showResult(cmd, r, asJSON); e != nil && werr == nil {
					werr = e
				}
			}, args...)
			if err != nil {
				return err
			}
			if werr != nil {
				return fmt.Errorf("writing the results: %w", werr)
			}
			if failed > 0 {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "run every case")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

func showResult(cmd *cobra.Command, r simulate.Result, asJSON bool) error {
	l := resultLine{Name: r.Case.Name, Rule: r.Case.Rule, Outcome: "ran", Pids: r.Pids, Began: r.Began, TookMS: r.Took.Milliseconds()}
	switch {
	case r.Skipped():
		l.Outcome, l.Error = "skipped", r.Err.Error()
	case r.Err != nil:
		l.Outcome, l.Error = "failed", r.Err.Error()
	}
	if asJSON {
		return writeJSONLines(cmd.OutOrStdout(), []resultLine{l})
	}
	text := "expect the alert \"" + l.Rule + "\""
	if l.Error != "" {
		text = strings.TrimSpace(l.Error)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %-8s %-20s %s\n", l.Began.Format("15:04:05"), l.Outcome, l.Name, termtext.String(text))
	return err
}
