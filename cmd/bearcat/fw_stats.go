package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// fwRates is one refresh of bearcat fw stats --watch.
type fwRates struct {
	Time    time.Time   `json:"time"`
	Reasons []xdp.Rated `json:"reasons"`
	Out     []xdp.Rated `json:"out,omitempty"`
	Rules   []xdp.Rated `json:"rules"`
}

func fwStats(p *fwPlaces) *cobra.Command {
	var every time.Duration
	var count int
	cmd := &cobra.Command{
		Use: "stats", Short: "packets by reason and by rule",
		Long:    "Counts since the firewall was loaded; those of what goes out have \"out\" before\nthem. The last column is what a rule in monitor\nwould have dropped, what was over a limit, or what a guard banned for. With\n--watch also what comes a second.",
		Example: "  bearcat fw stats\n  bearcat fw stats --watch 2s",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.open(func(fw *xdp.Firewall) error {
				if every != 0 {
					return p.watchStats(cmd, fw, every, count)
				}
				s, err := fw.Stats()
				if err != nil {
					return err
				}
				return p.print(cmd, s, func(w *tabwriter.Writer) {
					_, _ = fmt.Fprintln(w, "\t\tpackets\tbytes\tover")
					for _, c := range s.Reasons {
						_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", c.Verdict, c.Name, c.Packets, c.Bytes, c.Over)
					}
					for _, c := range s.Out {
						_, _ = fmt.Fprintf(w, "out %s\t%s\t%d\t%d\t%d\n", c.Verdict, c.Name, c.Packets, c.Bytes, c.Over)
					}
					for _, c := range s.Rules {
						_, _ = fmt.Fprintf(w, "rule\t%s\t%d\t%d\t%d\n", termtext.String(c.Name), c.Packets, c.Bytes, c.Over)
					}
				})
			})
		},
	}
	cmd.Flags().DurationVar(&every, "watch", 0, "print again after each such time, with rates")
	cmd.Flags().IntVar(&count, "count", 0, "with --watch: end after this many times")
	return cmd
}

func (p *fwPlaces) watchStats(cmd *cobra.Command, fw *xdp.Firewall, every time.Duration, count int) error {
	if every < 100*time.Millisecond {
		return fmt.Errorf("--watch %s is too often: 100ms is the least", every)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	before, err := fw.Stats()
	if err != nil {
		return err
	}
	last := time.Now()
	for n := 0; count == 0 || n < count; n++ {
		select {
		case <-signals:
			return nil
		case <-time.After(every):
		}
		now, err := fw.Stats()
		if err != nil {
			return err
		}
		at := time.Now()
		passed := at.Sub(last).Seconds()
		out := fwRates{at, xdp.RatesOf(now.Reasons, before.Reasons, passed), xdp.RatesOf(now.Out, before.Out, passed), xdp.RatesOf(now.Rules, before.Rules, passed)}
		before, last = now, at
		err = p.print(cmd, out, func(w *tabwriter.Writer) {
			_, _ = fmt.Fprintf(w, "%s\t\tpackets/s\tbits/s\tpackets\tover\n", at.Format("15:04:05"))
			line := func(kind string, r xdp.Rated) {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%d\t%d\n", kind, termtext.String(r.Name), r.PacketsPerSecond, r.BitsPerSecond, r.Packets, r.Over)
			}
			for _, r := range out.Reasons {
				line(r.Verdict, r)
			}
			for _, r := range out.Out {
				line("out "+r.Verdict, r)
			}
			for _, r := range out.Rules {
				line("rule", r)
			}
			_, _ = fmt.Fprintln(w)
		})
		if errors.Is(err, syscall.EPIPE) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func fwUnit(p *fwPlaces) *cobra.Command {
	var egress bool
	cmd := &cobra.Command{
		Use: "unit DEV...", Short: "print a systemd service that attaches at boot",
		Long: `The service runs before the network is up, so that no packet gets by; the policy
and the lists come back from the state folder. It does nothing while the kill
switch is there.`,
		Example: "  bearcat fw unit eth0 > /etc/systemd/system/bearcat-fw.service\n  systemctl enable bearcat-fw",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("looking for this program: %w", err)
			}
			u := host.Unit{Binary: binary, Kill: p.kill, Devices: args, Egress: egress}
			for _, f := range []struct{ name, value, usual string }{
				{"--pins", p.pins, xdp.DefaultDir}, {"--state", p.state, host.DefaultState}, {"--kill-switch", p.kill, host.KillSwitch},
			} {
				if f.value != f.usual {
					u.Flags = append(u.Flags, [2]string{f.name, f.value})
				}
			}
			text, err := u.Text()
			if err != nil {
				return err
			}
			if p.asJSON {
				return p.print(cmd, map[string]string{"unit": text}, nil)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().BoolVar(&egress, "egress", false, "have it judge what goes out too")
	return cmd
}
