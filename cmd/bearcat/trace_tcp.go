package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/observe/connection"
	"github.com/bearcat-hids/bearcat/internal/observe/filter"
	"github.com/spf13/cobra"
)

// tcpTrace is a run of `trace tcp`.
type tcpTrace struct {
	tracing
	connection.Options
	in choiceFlags
}

func traceTCP() *cobra.Command {
	r := tcpTrace{Options: connection.Options{Rate: connection.DefaultRate}}
	cmd := &cobra.Command{
		Use: "tcp [FILTER...]", Short: "the life of TCP connections: states, times, bytes, whose",
		Long: `Follows TCP connections from their first state to their last: whose they are,
how long connecting took, when they came to which state, bytes both ways, the
round trip, what was sent again, and how they end: closed, reset, refused or
timed out. No packet is looked at.

FILTER is in the language of tcpdump, as for trace packet; src is this end, dst
the other. Each connection is printed when it ends, and those that are left when
the trace does: when interrupted, after --for, or after --count connections.
Connections from before are not followed.`,
		Example: "  bearcat trace tcp dst port 443 --for 1m\n  bearcat trace tcp --slower 1s\n  bearcat trace tcp net 10.0.0.0/8 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(strings.Join(args, " ")); err != nil {
				return err
			}
			return r.start(cmd, r.run)
		},
	}
	fl := cmd.Flags()
	r.flags(fl, "connections")
	fl.Uint32Var(&r.Rate, "rate", r.Rate, "follow at most so many new `CONNECTIONS` a second")
	r.in.flags(fl, "connections of")
	return cmd
}

// check reads the flags before anything is loaded.
func (r *tcpTrace) check(text string) error {
	if err := r.tracing.check(r.Rate); err != nil {
		return err
	}
	var err error
	if r.Filter, err = filter.Parse(text); err != nil {
		return usageError{err}
	}
	if r.Choice, err = r.in.choice(); err != nil {
		return err
	}
	r.Net = r.Choice.Net
	return r.Choice.Check()
}

func (r *tcpTrace) run(ctx context.Context, footer io.Writer) error {
	t, err := connection.Open(r.Options)
	if err != nil {
		return err
	}
	defer t.Close()
	ctx, stop := r.limit(ctx)
	defer stop()
	if err := errors.Join(t.Run(ctx, r.show), r.err); err != nil {
		return err
	}
	n, err := t.Totals()
	if err != nil {
		return err
	}
	left := fmt.Sprintf("%d connections shown, %d followed; left out: %d by --rate, %d for want of room", r.shown, n.Followed, n.Sampled, n.Full)
	return traceFooter(footer, left, t.Tracer, n.Cost)
}

// show writes one connection; false where it was the last.
func (r *tcpTrace) show(l *connection.Life) bool {
	if l.Took < r.slower {
		return true
	}
	return r.write(l, connectionStory(l))
}
