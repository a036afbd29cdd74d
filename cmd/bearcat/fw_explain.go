package main

import (
	"fmt"
	"net/netip"
	"text/tabwriter"

	"github.com/bearcat-hids/bearcat/internal/firewall/explain"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func fwExplain(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "explain ADDR", Short: "say what happens to packets from an address, and why",
		Long: `Goes through protection, lists, bans and rules in the order in which a packet
meets them. Rules with further conditions are named with what they need; fw test
judges a whole frame.`,
		Example: "  bearcat fw explain 198.51.100.7",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddr(args[0])
			if err != nil {
				return fmt.Errorf("%q is not an address such as 192.0.2.7", args[0])
			}
			policy, err := p.inUse()
			if err != nil {
				return err
			}
			return p.open(func(fw *xdp.Firewall) error {
				found, err := host.Find("/")
				if err != nil {
					return err
				}
				comments, err := host.State{Dir: p.state}.Comments()
				if err != nil {
					return err
				}
				steps, err := explain.Source(addr.Unmap().WithZone(""), found, fw, comments, policy)
				if err != nil {
					return err
				}
				return p.print(cmd, steps, func(w *tabwriter.Writer) {
					for _, s := range steps {
						_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.What, termtext.String(s.Says), s.Verdict)
					}
				})
			})
		},
	}
}
