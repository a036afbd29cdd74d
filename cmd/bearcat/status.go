package main

import (
	"encoding/json"
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/status"
	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	var asJSON bool
	socket := config.Default().Status.Socket
	cmd := &cobra.Command{
		Use: "status", Short: "ask the running agent how it fares",
		Long: `Asks the agent that runs on this host for its hooks, rings, losses, process
table, rules and outputs, and for what it costs. Every record that was lost
anywhere is in one of its columns.`,
		Example: "  bearcat status\n  bearcat status --json | jq .rings",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := status.Query(socket)
			if err != nil {
				return err
			}
			if !asJSON {
				return status.WriteStatus(cmd.OutOrStdout(), s)
			}
			b, err := json.Marshal(s)
			if err != nil {
				return fmt.Errorf("writing JSON: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as one JSON object")
	cmd.Flags().StringVar(&socket, "socket", socket, "the agent's status socket")
	return cmd
}
