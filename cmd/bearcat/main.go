// Command bearcat is a guard for Linux hosts: it watches what processes do,
// from inside the kernel, and says what of it is suspicious. Each verb is one
// file here; this package holds flags and texts, and no logic.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/agent"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "devel"

// exitCode ends the program with a code when the message has been written.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() { os.Exit(Main()) }

// Main runs the command line and returns its exit code: 0, or 1 with a
// sentence on standard error, or 2 for a command line that is not understood.
func Main() int {
	if len(os.Args) > 0 && os.Args[0] == agent.CanaryName {
		agent.CanaryMain()
		return 0
	}
	root := rootCommand()
	err := root.ExecuteContext(context.Background())
	var code exitCode
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		complain(err)
		fmt.Fprintln(os.Stderr, "Try bearcat --help.")
		return 2
	}
	complain(err)
	return 1
}

// complain writes an error. Each line of a joined one is a sentence of its own.
func complain(err error) {
	const begin = "bearcat: "
	for _, line := range fitExcerpts(splitLines(err.Error()), widthOf(os.Stderr)-len(begin)) {
		fmt.Fprintf(os.Stderr, "%s%s\n", begin, line)
	}
}

// fitExcerpts makes lines safe for a terminal, and cuts those with carets below them to its
// columns: were they wrapped, the carets would stand below something else.
func fitExcerpts(lines []string, columns int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = termtext.String(line)
		if marks := strings.TrimLeft(line, " "); i > 0 && marks != "" && strings.Trim(marks, "^") == "" {
			out[i-1], out[i] = termtext.Excerpt(out[i-1], out[i], columns)
		}
	}
	return out
}

// usageError marks an error in how the program was called.
type usageError struct{ error }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "bearcat",
		Short: "a guard for Linux hosts",
		Long: `Bearcat watches what processes on this host do, from inside the kernel, and
says what of it is suspicious.

  bearcat run            watch, and print alerts
  bearcat simulate run --all
                         set off its rules, harmlessly, in another shell
  bearcat doctor         what this kernel offers and what is missing
  bearcat rules check F  look for mistakes in a rule file
  bearcat alerts tail    the last alerts of the agent that runs`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("bearcat {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(runCommand(), rulesCommand(), doctorCommand(), statusCommand(), alertsCommand(), simulateCommand(), fieldsCommand(), fwCommand(), showCommand(), scanCommand(), histCommand(), dropsCommand(), flameCommand(), topCommand(), recordCommand(), replayCommand(), traceCommand())
	return root
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
