package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/agent"
	"github.com/bearcat-hids/bearcat/internal/alerts"
	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/bearcat-hids/bearcat/internal/status"
	"github.com/spf13/cobra"
)

// followEvery is how often "alerts tail --follow" asks.
const followEvery = 500 * time.Millisecond

func alertsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "alerts", Short: "list the running agent's last alerts, and show one whole",
		Long: `Asks the agent that runs on this host for the alerts that it keeps: those of the
last 30 minutes, unless the setting alerts.keep says otherwise. Each has an ID,
which its line in the outputs has too.`,
		Example: "  bearcat alerts tail\n  bearcat alerts show 3f2a9c01d4e7",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(alertsTailCommand(), alertsShowCommand())
	return cmd
}

// socketFlag adds --socket to a command.
func socketFlag(cmd *cobra.Command) *string {
	socket := config.Default().Status.Socket
	cmd.Flags().StringVar(&socket, "socket", socket, "the agent's status socket")
	return &socket
}

func alertsTailCommand() *cobra.Command {
	var asJSON, follow bool
	n := 20
	cmd := &cobra.Command{
		Use: "tail", Short: "print the last alerts, and with --follow those that come",
		Long: `Prints the last alerts that the agent keeps, oldest first: when, how severe,
which rule, who did what, and how many like it were left out since. With
--follow it goes on with what comes, until it is interrupted.`,
		Example: "  bearcat alerts tail\n  bearcat alerts tail -n 5 --follow\n  bearcat alerts tail --json | jq .id",
		Args:    noArgs,
	}
	socket := socketFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with the alerts that come")
	cmd.Flags().IntVarP(&n, "lines", "n", n, "how many alerts to begin with, 1 to 200")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if n < 1 || n > 200 {
			return usageError{fmt.Errorf("--lines %d is not from 1 to 200", n)}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return tailAlerts(ctx, cmd.OutOrStdout(), *socket, n, follow, asJSON)
	}
	return cmd
}

func tailAlerts(ctx context.Context, w io.Writer, socket string, n int, follow, asJSON bool) error {
	after := uint64(0)
	for {
		var list []alerts.Kept
		if err := status.Ask(socket, "alerts", agent.AlertsArgs{After: after, N: n}, &list); err != nil {
			if after > 0 && errors.Is(err, status.ErrNotRunning) {
				return fmt.Errorf("the agent has ended: %w", err)
			}
			return err
		}
		for i := range list {
			if err := writeAlertLine(w, &list[i], asJSON); err != nil {
				return err
			}
			after = list[i].Seq
		}
		if !follow {
			return nil
		}
		n = 200
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

func writeAlertLine(w io.Writer, k *alerts.Kept, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(k)
	}
	line := k.ID + "  " + k.Time.Local().Format("15:04:05") + "  " + fmt.Sprintf("%-13s", k.Priority) + " " + termtext.String(k.Rule)
	if k.Summary != "" {
		line += ": " + termtext.String(k.Summary)
	}
	if k.Repeats > 0 {
		line += fmt.Sprintf("  (%d more like it)", k.Repeats)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

func alertsShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "print an alert with what happened around it",
		Long: `Prints one alert whole: why it was raised, what to do, the processes that led to
it, its fields, and what else happened in the same tree of processes before and
after. The beginning of an ID is enough where only one begins so.`,
		Example: "  bearcat alerts show 3f2a9c01d4e7\n  bearcat alerts show 3f2a --json | jq .alert.event.process",
		Args:    usageArgs(cobra.ExactArgs(1)),
	}
	socket := socketFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the alert as one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, err := askAlert(*socket, args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(k)
		}
		_, err = io.WriteString(cmd.OutOrStdout(), alertText(k))
		return err
	}
	return cmd
}

func askAlert(socket, id string) (*alerts.Kept, error) {
	if len(id) < 4 {
		return nil, usageError{fmt.Errorf("ID %q is too short: give at least four of its characters", id)}
	}
	k := new(alerts.Kept)
	return k, status.Ask(socket, "alert", agent.AlertArgs{ID: id}, k)
}

// trailText lists the matches that a counting rule's alert is about; "" for another.
func trailText(line json.RawMessage) string {
	var a struct {
		Trail []struct {
			Time         time.Time
			Rule, Output string
			Pid          uint32
		}
		LeftOut uint64 `json:"trail_left_out"`
	}
	if json.Unmarshal(line, &a) != nil || len(a.Trail) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nmatches that were counted")
	if a.LeftOut > 0 {
		fmt.Fprintf(&b, ", the last %d of %d", len(a.Trail), a.LeftOut+uint64(len(a.Trail)))
	}
	b.WriteByte('\n')
	for _, t := range a.Trail {
		fmt.Fprintf(&b, "  %s  %s: %s (process %d)\n", t.Time.Local().Format("15:04:05.000"), termtext.String(t.Rule), termtext.String(t.Output), t.Pid)
	}
	return b.String()
}

// banText says of a ban whether it holds, and where to go on.
func banText(b *alerts.Ban) string {
	s := b.Source
	if b.By != "" {
		s += " by " + b.By
	}
	switch b.State {
	case "holds":
		return s + " holds for " + b.Left.Round(time.Second).String() + " more: bearcat fw bans shows it, bearcat fw unban " + b.Source + " ends it"
	case "over":
		return s + " is over since " + b.Until.Local().Format("2006-01-02 15:04:05")
	case "ended early":
		return s + " does not hold any more: it was ended before its time, " + b.Until.Local().Format("2006-01-02 15:04:05")
	}
	return s + " until " + b.Until.Local().Format("2006-01-02 15:04:05") + "; whether it holds is not known: " + b.State
}

// alertText is an alert for people.
func alertText(k *alerts.Kept) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name, termtext.String(value))
		}
	}
	line("alert", k.ID)
	line("time", k.Time.Local().Format("2006-01-02 15:04:05.000 MST"))
	line("rule", k.Rule)
	line("priority", k.Priority)
	line("what", k.Summary)
	line("why", k.Why)
	line("next", k.Next)
	for _, r := range k.Responses {
		line("response", r)
	}
	for i := range k.Bans {
		line("ban", banText(&k.Bans[i]))
	}
	if k.Repeats > 0 {
		fmt.Fprintf(&b, "%-9s %d more like it were not written\n", "repeats", k.Repeats)
	}
	line("output", k.Output)
	b.WriteString(trailText(k.Alert))
	if len(k.Lineage) > 0 {
		b.WriteString("\nprocesses, oldest first\n")
		for i, p := range k.Lineage {
			fmt.Fprintf(&b, "  %s%s\n", strings.Repeat(" ", min(i, 20)), termtext.String(p))
		}
	}
	if len(k.Around) > 0 {
		b.WriteString("\nwhat else happened there (> marks what came after)\n")
		for i := range k.Around {
			e, mark := &k.Around[i], " "
			if e.After {
				mark = ">"
			}
			fmt.Fprintf(&b, "%s %s  %-8s %s\n", mark, e.Time.Local().Format("15:04:05.000"), e.Type, termtext.String(e.Text))
		}
	}
	fmt.Fprintf(&b, "\nIf this is meant to be: bearcat rules suppress %s --file FILE\n", k.ID)
	return b.String()
}
