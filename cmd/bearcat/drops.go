package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func dropsCommand() *cobra.Command {
	var o drop.Options
	var in choiceFlags
	var asJSON bool
	var fw fwPlaces
	n := 20
	d := 10 * time.Second
	cmd := &cobra.Command{
		Use: "drops", Short: "the packets that the kernel drops, and why",
		Long: `Counts the packets that the kernel drops, by reason, place in the kernel,
device, protocol, port and the process whose socket it was, with what to do
about reasons that have a usual cause; what Bearcat's firewall drops, by rule;
and the kernel's own counters that rose meanwhile, each with the drops that
explain it and what is left unexplained.

It ends after --for, or earlier when interrupted, and prints what it has.
Reasons are there from Linux 5.17 on; before, the place has to tell.`,
		Example: "  bearcat drops --for 30s\n  bearcat drops --netns 4242\n  bearcat drops --comm statsd\n  bearcat drops --json | jq '.drops[] | select(.reason == \"SOCKET_RCVBUFF\")'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d <= 0 {
				return usageError{fmt.Errorf("--for %s is no time to count in", d)}
			}
			var err error
			if o.Choice, err = in.choice(); err != nil {
				return err
			}
			o.Net = o.Choice.Net
			o.Member = in.netns
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			before, firewallErr := fw.counts()
			r, err := drop.Count(ctx, o)
			if err != nil {
				return err
			}
			if r.Chosen { // no process has what the firewall drops
				firewallErr = nil
			} else if firewallErr == nil {
				firewallErr = fw.addDrops(r, before)
			}
			if firewallErr != nil {
				r.Notes = append(r.Notes, "the firewall's drops are not told: "+firewallErr.Error())
			}
			if asJSON {
				return writeHostJSON(cmd.OutOrStdout(), r)
			}
			return writeDrops(cmd.OutOrStdout(), r, n)
		},
	}
	in.flags(cmd.Flags(), "of sockets of")
	cmd.Flags().DurationVar(&d, "for", d, "how long to count")
	cmd.Flags().IntVarP(&n, "lines", "n", n, "print this many lines; 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&fw.pins, "pins", xdp.DefaultDir, "where the firewall is pinned")
	cmd.Flags().StringVar(&fw.state, "state", host.DefaultState, "folder for the firewall's policy in use")
	return cmd
}

func writeDrops(w io.Writer, r *drop.Result, lines int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Rows) > 0 {
		fmt.Fprintln(t, "PACKETS\tREASON\tPROTO\tTO\tDEVICE\tPROCESS\tPLACE\tWHAT TO DO")
	}
	for i, row := range r.Rows {
		if lines > 0 && i == lines {
			break
		}
		port := "-"
		if row.Port != 0 {
			port = ":" + strconv.Itoa(int(row.Port))
		}
		owner := "-"
		if row.Pid != 0 {
			owner = fmt.Sprintf("%s[%d]", termtext.String(row.Process), row.Pid)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Packets, orDash(row.Reason), row.Proto, port, termtext.String(orDash(row.Device)), owner, termtext.String(row.Place), row.Advice)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	if lines > 0 && len(r.Rows) > lines {
		fmt.Fprintf(&b, "and %d lines more: -n 0 prints all\n", len(r.Rows)-lines)
	}
	if r.Chosen {
		b.WriteString("of the chosen sockets only: the kernel's counters count all, and are not compared\n")
	} else {
		writeBalance(&b, r)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", termtext.String(n))
	}
	fmt.Fprintf(&b, "%d packets dropped in %.1f s, from kfree_skb", r.Packets, r.Took)
	if r.Firewall > 0 {
		fmt.Fprintf(&b, ", and %d by the firewall", r.Firewall)
	}
	fmt.Fprintf(&b, "; lost %d", r.Lost)
	if r.Missed > 0 {
		fmt.Fprintf(&b, ", skipped by the kernel %d", r.Missed)
	}
	if r.BPF > 0 {
		fmt.Fprintf(&b, "; the programs took %s", nanoseconds(uint64(r.BPF)))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// writeBalance writes the kernel's counters, and what of them the drops explain.
func writeBalance(b *strings.Builder, r *drop.Result) {
	if len(r.Counters) > 0 {
		b.WriteString("the kernel's counters rose:")
		for _, c := range r.Counters {
			fmt.Fprintf(b, " %s +%d", c.Name, c.Rose)
		}
		b.WriteByte('\n')
	}
	sign := "="
	if r.Balance.Unexplained > 0 {
		sign = "<"
	}
	fmt.Fprintf(b, "events %d %s counters %d (unexplained %d", r.Balance.Events, sign, r.Balance.Counters, r.Balance.Unexplained)
	before := ": "
	for _, c := range r.Counters {
		if left := c.Rose - c.Parts - c.Explained; left > 0 {
			fmt.Fprintf(b, "%s%s %d", before, c.Name, left)
			before = ", "
		}
	}
	b.WriteByte(')')
	if r.Balance.Uncounted > 0 {
		fmt.Fprintf(b, "; %d drops are in no counter", r.Balance.Uncounted)
	}
	b.WriteByte('\n')
}
