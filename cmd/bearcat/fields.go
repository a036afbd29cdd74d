package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/spf13/cobra"
)

// fieldLine is a field as --json prints it.
type fieldLine struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Arg     string `json:"argument,omitempty"`
	Doc     string `json:"doc"`
	Waiting string `json:"waiting,omitempty"`
}

func fieldsCommand() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "fields [WORD]", Short: "list the fields that rules can use",
		Long: `Lists the fields of rule conditions and outputs with their types. With WORD,
only those whose name or text has it. Fields that wait for events which are not
collected yet are left out unless --all is given.`,
		Example: "  bearcat fields tty\n  bearcat fields --json | jq -r .name",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetEscapeHTML(false)
			for _, f := range event.Fields() {
				l := fieldLine{Name: f.Name, Type: f.Type.String(), Arg: f.Arg.String(), Doc: f.Doc, Waiting: f.Waiting}
				if l.Waiting != "" && !all || len(args) == 1 && !strings.Contains(strings.ToLower(l.Name+" "+l.Doc), strings.ToLower(args[0])) {
					continue
				}
				if asJSON {
					if err := enc.Encode(l); err != nil {
						return fmt.Errorf("writing JSON: %w", err)
					}
					continue
				}
				if l.Waiting != "" {
					l.Doc += " (waits for " + l.Waiting + ")"
				}
				fmt.Fprintf(tw, "%s\t%s\t%s\n", l.Name, l.Type, l.Doc)
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.Flags().BoolVar(&all, "all", false, "list fields too that wait for events which are not collected yet")
	return cmd
}
