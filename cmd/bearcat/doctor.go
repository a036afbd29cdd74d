package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/bearcat-hids/bearcat/internal/agent"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "show what this kernel offers and what is missing",
		Long: `Checks everything that bearcat needs or can use on this host: the kernel, its
types, capabilities, security settings, and the agent's own programs, which are
really loaded, not guessed at; and of each observer (trace, top, hist, flame,
drops; record keeps what they show) from which sources it works here, and what
it cannot tell without those that are not there.

The exit code is 1 when something is missing without which bearcat run cannot
work.`,
		Example: "  bearcat doctor\n  bearcat doctor --json | jq 'select(.state != \"ok\")'\n  bearcat doctor --json | jq 'select(.name == \"trace packet\").sources[]'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := append(agent.Doctor(), checkObservers()...)
			out := cmd.OutOrStdout()
			var err error
			if asJSON {
				err = writeJSONLines(out, checks)
			} else {
				err = writeChecks(out, checks)
			}
			if err == nil && kernel.Fatal(checks) != nil {
				return exitCode(1)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line: name, state, detail, advice, sources")
	return cmd
}

func writeJSONLines[T any](w io.Writer, items []T) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, it := range items {
		if err := enc.Encode(it); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
	}
	return nil
}

func writeChecks(w io.Writer, checks []kernel.Check) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CHECK\tSTATE\tDETAIL")
	for _, c := range checks {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", c.Name, c.State, termtext.String(c.Detail))
		if c.Advice != "" {
			fmt.Fprintf(tw, "\t\t→ %s\n", c.Advice)
		}
	}
	return tw.Flush()
}
