package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/setup"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// fwPlaces are where the firewall's commands find things, and how they print.
type fwPlaces struct {
	pins, state, kill string
	asJSON            bool
}

func fwCommand() *cobra.Command {
	var p fwPlaces
	cmd := &cobra.Command{
		Use: "fw", Short: "drop packets before the network stack sees them",
		Long: `A firewall at the first instruction of the receive path (XDP). It goes on
filtering when no bearcat runs, until it is detached or the host restarts.

Peers of ssh, the default gateway and resolvers are put on the allow list when
it is attached and with every policy, so that a mistake does not shut you out.
bearcat fw panic takes all of it away at once.`,
		Example: "  bearcat fw attach eth0\n  bearcat fw add 198.51.100.0/24\n  bearcat fw apply policy.yaml --confirm 60s\n  bearcat fw stats",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command \"fw %s\"", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := cmd.PersistentFlags()
	f.StringVar(&p.pins, "pins", xdp.DefaultDir, "where the firewall is pinned")
	f.StringVar(&p.state, "state", host.DefaultState, "folder for the policy in use")
	f.StringVar(&p.kill, "kill-switch", host.KillSwitch, "file that keeps the firewall off")
	f.BoolVar(&p.asJSON, "json", false, "print JSON")
	cmd.AddCommand(fwAttach(&p), fwDetach(&p), fwStatus(&p), fwPanic(&p), fwStats(&p), fwTop(&p), fwProtected(&p),
		fwAdd(&p), fwRemove(&p), fwList(&p), fwAllow(&p), fwUnallow(&p), fwBan(&p), fwUnban(&p), fwBans(&p), fwImport(&p), fwFlush(&p),
		fwApply(&p), fwConfirm(&p), fwExport(&p), fwDiff(&p), fwTest(&p), fwRule(&p), fwLog(&p), fwExplain(&p), fwUnit(&p))
	return cmd
}

// host is this host's firewall for this build, which says on standard error what is not
// as it was.
func (p *fwPlaces) host(cmd *cobra.Command) *setup.Host {
	return &setup.Host{Pins: p.pins, State: p.state, Kill: p.kill, Build: version, Say: func(text string) {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "bearcat: %s\n", termtext.String(text))
	}}
}

// inUse reads the policy in use.
func (p *fwPlaces) inUse() (*firewall.Policy, error) { return (&setup.Host{State: p.state}).InUse() }

// open opens the firewall for the time of f.
func (p *fwPlaces) open(f func(*xdp.Firewall) error) error {
	fw, err := xdp.Open(p.pins)
	if err != nil {
		return err
	}
	defer fw.Close() //nolint:errcheck // what is pinned stays
	return f(fw)
}

// print prints v as JSON, or calls text with a table.
func (p *fwPlaces) print(cmd *cobra.Command, v any, text func(w *tabwriter.Writer)) error {
	out := cmd.OutOrStdout()
	if p.asJSON {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		_, err = fmt.Fprintf(out, "%s\n", b)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	text(w)
	return w.Flush()
}

func fwAttach(p *fwPlaces) *cobra.Command {
	var mode string
	var bare, egress bool
	cmd := &cobra.Command{
		Use: "attach DEV...", Short: "put the firewall in front of devices",
		Long: `Loads the firewall and attaches it. The policy and the lists that were in use
before the host restarted are put back first; fw unit prints a service that does
so. The firewall of another build of bearcat is replaced without missing a
packet: lists, bans, counters and the policy go on, and what cannot be kept is
said. A program of someone else at the device is named and left alone. With
--egress what goes out is judged too, by the rules with direction: out; before
Linux 6.6, which lacks tcx, by a clsact filter.`,
		Example: "  bearcat fw attach eth0\n  bearcat fw attach eth0 eth1 --mode native\n  bearcat fw attach eth0 --egress",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			fw, err := p.host(cmd).Load(bare)
			if err != nil {
				return err
			}
			defer fw.Close() //nolint:errcheck // what is pinned stays
			var done []xdp.Attachment
			for _, dev := range args {
				a, err := fw.Attach(dev, xdp.Mode(mode))
				if err != nil {
					return err
				}
				if egress {
					if a.Egress, err = fw.AttachEgress(dev); err != nil {
						return err
					}
				}
				done = append(done, a)
			}
			return p.print(cmd, done, func(w *tabwriter.Writer) {
				for _, a := range done {
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", termtext.String(a.Device), modes(&a), termtext.String(a.Why))
				}
			})
		},
	}
	cmd.Flags().StringVar(&mode, "mode", string(xdp.Auto), "auto, native or generic; offload says why not")
	cmd.Flags().BoolVar(&egress, "egress", false, "judge what goes out of them too")
	cmd.Flags().BoolVar(&bare, "no-protection", false, "put nothing on the allow list")
	return cmd
}

// modes says how the firewall is at a device.
func modes(a *xdp.Attachment) string {
	if a.Egress == "" {
		return string(a.Mode)
	}
	return fmt.Sprintf("%s, egress by %s", a.Mode, a.Egress)
}

func fwDetach(p *fwPlaces) *cobra.Command {
	var egress bool
	cmd := &cobra.Command{
		Use: "detach DEV...", Short: "take the firewall from devices; lists and policy stay",
		Example: "  bearcat fw detach eth0\n  bearcat fw detach eth0 --egress",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return p.open(func(fw *xdp.Firewall) error {
				detach := fw.Detach
				if egress {
					detach = fw.DetachEgress
				}
				for _, dev := range args {
					if err := detach(dev); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&egress, "egress", false, "only from what goes out of them")
	return cmd
}

func fwPanic(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "panic", Short: "take the firewall away at once, with its lists",
		Long:    "Detaches from every device and forgets lists, bans and counters. The text of\nthe policy stays in the state folder; a file at --kill-switch keeps the\nfirewall off.",
		Example: "  bearcat fw panic && touch /etc/bearcat/fw.off",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return xdp.Panic(p.pins) },
	}
}

func fwStatus(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "where the firewall is and how it finds rules",
		Example: "  bearcat fw status --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.open(func(fw *xdp.Firewall) error {
				s, err := fw.Status()
				if err != nil {
					return err
				}
				out := struct {
					*xdp.Status
					Pending    bool `json:"pending"`
					KillSwitch bool `json:"kill_switch"`
				}{s, host.State{Dir: p.state}.Pending(), host.CheckKillSwitch(p.kill) != nil}
				return p.print(cmd, out, func(w *tabwriter.Writer) {
					for _, a := range s.Attached {
						_, _ = fmt.Fprintf(w, "device\t%s\t%s\n", termtext.String(a.Device), modes(&a))
					}
					if len(s.Attached) == 0 {
						_, _ = fmt.Fprintln(w, "device\tnone: bearcat fw attach DEV")
					}
					_, _ = fmt.Fprintf(w, "rules\t%d\t%s\n", s.Rules, s.Engine)
					_, _ = fmt.Fprintf(w, "default\t%s\t\n", s.Default)
					_, _ = fmt.Fprintf(w, "default of what goes out\t%s\t\n", s.DefaultOut)
					_, _ = fmt.Fprintf(w, "monitor\t%v\t\n", s.Monitor)
					if s.Build != "" {
						_, _ = fmt.Fprintf(w, "loaded by\tbearcat %s\t\n", termtext.String(s.Build))
					}
					_, _ = fmt.Fprintf(w, "waits to be confirmed\t%v\t\n", out.Pending)
					_, _ = fmt.Fprintf(w, "kill switch\t%v\t\n", out.KillSwitch)
				})
			})
		},
	}
}

func fwProtected(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "protected", Short: "which addresses are kept reachable, and why",
		Example: "  bearcat fw protected",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := host.Find("/")
			if err != nil {
				return err
			}
			return p.print(cmd, l, func(w *tabwriter.Writer) {
				for _, x := range l {
					_, _ = fmt.Fprintf(w, "%s\t%s\n", x.Addr, x.Why)
				}
			})
		},
	}
}

// readFile reads a file, or standard input for "-".
func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // only read
	}
	return readAll(f)
}
