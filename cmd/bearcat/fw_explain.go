package main

import (
	"fmt"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// step is one thing that decides on a source's packets, in the order in which the
// firewall looks.
type step struct {
	What    string `json:"what"`
	Says    string `json:"says"`
	Verdict string `json:"verdict,omitempty"` // pass or drop where it decides
}

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
				steps, err := p.explain(fw, policy, addr.Unmap().WithZone(""))
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

func (p *fwPlaces) explain(fw *xdp.Firewall, policy *firewall.Policy, a netip.Addr) ([]step, error) {
	var out []step
	found, err := host.Find("/")
	if err != nil {
		return nil, err
	}
	for _, x := range found {
		if x.Addr == a {
			out = append(out, step{What: "protected", Says: x.Why})
		}
	}
	comments, err := p.comments()
	if err != nil {
		return nil, err
	}
	for _, l := range []struct {
		list    host.List
		read    func() ([]xdp.Entry, error)
		verdict string
	}{{host.AllowList, fw.Allowed, "pass"}, {host.BlockList, fw.Blocked, "drop"}, {host.BanList, fw.Bans, "drop"}} {
		entries, err := l.read()
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.Prefix.Contains(a) {
				continue
			}
			says := e.Prefix.String()
			if l.list == host.AllowList {
				says += ": nothing well formed is dropped, whatever follows"
			}
			if e.Left > 0 {
				says += fmt.Sprintf(", for %s more", e.Left.Round(time.Second))
			}
			if e.By != "" {
				says += ", by " + e.By
			}
			if c := comments[string(l.list)+" "+e.Prefix.String()]; c != "" {
				says += ": " + c
			}
			out = append(out, step{string(l.list), says, l.verdict})
		}
	}
	return append(out, explainRules(policy, a)...), nil
}

// explainRules names the rules that may hold for packets from a, up to the first that
// holds for all of them.
func explainRules(policy *firewall.Policy, a netip.Addr) []step {
	var out []step
	for _, r := range policy.Active() {
		if r.Out {
			continue
		}
		m := r.Match
		if m.Has&firewall.Src != 0 {
			in := false
			for _, x := range m.Src {
				in = in || x.Contains(a)
			}
			if in == (m.Not&firewall.Src != 0) {
				continue
			}
		}
		rest := m.Has &^ firewall.Src
		s := step{What: "rule", Says: r.Name + ": " + r.Action.String()}
		if rest != 0 {
			s.Says += ", where " + rest.String() + " fit"
		}
		if r.Monitor {
			s.Says += " (monitor: only counted)"
		}
		final := rest == 0 && !r.Monitor && (r.Action == firewall.Pass || r.Action == firewall.Drop)
		if final {
			s.Verdict = r.Action.String()
		}
		if out = append(out, s); final {
			return out
		}
	}
	return append(out, step{"default", "no rule decided", policy.Default.String()})
}
