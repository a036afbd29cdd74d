package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/bearcat-hids/bearcat/internal/scan"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// scanFailed is the exit code of a scan that could not be made or not whole.
const scanFailed = exitCode(2)

func scanCommand() *cobra.Command {
	var only []string
	var asJSON, list bool
	cmd := &cobra.Command{
		Use: "scan", Short: "compare what the kernel holds with what it tells",
		Long: `Looks for what intruders leave behind and hide: processes, modules and mounts
that one list of the kernel has and another lacks, code without a file, BPF
programs and probes that change or hide things, doors for later.

It looks twice and tells what it found both times, with the evidence, how sure
that is and what to do. It changes nothing. The check kernel-text, which
unpacks the whole kernel, is made only when --only names it.

The exit code is 0 where nothing was found, 1 where something was, and 2 where
a check could not be made and nothing was found.`,
		Example: "  bearcat scan\n  bearcat scan --only hidden-process,hidden-module\n  bearcat scan --only kernel-text\n  bearcat scan --json | jq -r '.findings[].what'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return listChecks(cmd.OutOrStdout())
			}
			r, err := scan.Run(cmd.Context(), only)
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "bearcat: %s\n", termtext.String(err.Error()))
				return scanFailed
			}
			if err := writeScan(cmd.OutOrStdout(), r, asJSON); err != nil {
				return err
			}
			switch {
			case len(r.Findings) > 0:
				return exitCode(1)
			case len(r.Skipped) > 0:
				return scanFailed
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "make these `CHECKS` only, with commas between")
	cmd.Flags().BoolVar(&list, "list", false, "list the checks")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func listChecks(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range scan.Checks() {
		fmt.Fprintf(t, "%s\t%s\n", c.Name, c.Doc)
	}
	return t.Flush()
}

func writeScan(w io.Writer, r *scan.Report, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s (%s)\n  %s\n  check     %s\n  do        %s\n\n", termtext.String(f.What), f.Sure, termtext.String(f.Evidence), f.Check, termtext.String(f.Do))
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "not made: %s: %s\n", s.Check, termtext.String(s.Why))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", termtext.String(n))
	}
	fmt.Fprintf(&b, "%d checks in %.1f s: %d findings\n", r.Checks-len(r.Skipped), r.Took, len(r.Findings))
	_, err := io.WriteString(w, b.String())
	return err
}
