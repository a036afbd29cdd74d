package main

import "github.com/spf13/cobra"

func showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Short: "look at the host as the kernel sees it",
		Long: `Takes a snapshot of kernel objects and prints it as a table, or with --json as
one object. What the kernel does not tell is named in a note below the table.`,
		Example: "  bearcat show proc\n  bearcat show fd --pid 4242\n  bearcat show overlay /mnt/merged",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(taskNouns()...)
	cmd.AddCommand(hostNouns()...)
	return cmd
}
