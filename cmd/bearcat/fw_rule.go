package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func fwRule(p *fwPlaces) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rule", Short: "look at single rules and change them",
		Long: `Each change makes a whole new policy of the one in use and applies it, as
fw apply does: every packet meets the old or the new one. Comments in the file
stay.`,
		Example: "  bearcat fw rule list\n  bearcat fw rule disable no-telnet",
		Args:    noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(fwRuleList(p), fwRuleShow(p), fwRuleAdd(p), fwRuleMove(p),
		p.changing("delete NAME...", "take rules out of the policy", "  bearcat fw rule delete no-telnet",
			func(f *firewall.File, name string) error { return f.Delete(name) }),
		p.changing("enable NAME...", "make rules take part again", "  bearcat fw rule enable no-telnet",
			func(f *firewall.File, name string) error { return f.Enable(name, true) }),
		p.changing("disable NAME...", "leave rules in the policy without effect", "  bearcat fw rule disable no-telnet",
			func(f *firewall.File, name string) error { return f.Enable(name, false) }))
	return cmd
}

func (p *fwPlaces) file() (*firewall.File, error) {
	text, err := host.State{Dir: p.state}.Policy()
	if err != nil {
		return nil, err
	}
	return firewall.OpenFile(p.state+"/policy.yaml", text)
}

// change applies the policy in use with a change.
func (p *fwPlaces) change(cmd *cobra.Command, confirm time.Duration, do func(*firewall.File) error) error {
	f, err := p.file()
	if err != nil {
		return err
	}
	if err := do(f); err != nil {
		return err
	}
	text, err := f.Text()
	if err != nil {
		return err
	}
	return p.applyText(cmd, "the changed policy", text, confirm)
}

func (p *fwPlaces) changing(use, short, example string, do func(*firewall.File, string) error) *cobra.Command {
	var confirm time.Duration
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.change(cmd, confirm, func(f *firewall.File) error {
				for _, name := range args {
					if err := do(f, name); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().DurationVar(&confirm, "confirm", 0, "go back after this long unless confirmed")
	return cmd
}

func placeFlags(cmd *cobra.Command, at *firewall.Place) {
	cmd.Flags().StringVar(&at.Before, "before", "", "in front of this `rule`")
	cmd.Flags().StringVar(&at.After, "after", "", "behind this `rule`")
}

func fwRuleAdd(p *fwPlaces) *cobra.Command {
	var at firewall.Place
	var confirm time.Duration
	cmd := &cobra.Command{
		Use: "add RULE|FILE", Short: "put a rule into the policy, last or beside another",
		Long: `RULE is YAML as it stands under rules: in a policy, or the name of a file with a
rule or a list of them; - is standard input.`,
		Example: "  bearcat fw rule add '{name: no-telnet, match: {dport: 23}, action: drop}'\n  bearcat fw rule add new.yaml --before default-web",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := []byte(args[0])
			if !strings.ContainsAny(args[0], "{:\n") {
				var err error
				if text, err = readFile(cmd, args[0]); err != nil {
					return err
				}
			}
			return p.change(cmd, confirm, func(f *firewall.File) error { return f.Add(text, at) })
		},
	}
	placeFlags(cmd, &at)
	cmd.Flags().DurationVar(&confirm, "confirm", 0, "go back after this long unless confirmed")
	return cmd
}

func fwRuleMove(p *fwPlaces) *cobra.Command {
	var at firewall.Place
	cmd := &cobra.Command{
		Use: "move NAME", Short: "put a rule somewhere else in the order", Example: "  bearcat fw rule move ssh --before no-telnet",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.change(cmd, 0, func(f *firewall.File) error { return f.Move(args[0], at) })
		},
	}
	placeFlags(cmd, &at)
	return cmd
}

func fwRuleShow(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "print one rule as it is written", Example: "  bearcat fw rule show no-telnet",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := p.file()
			if err != nil {
				return err
			}
			text, err := f.Show(args[0])
			if err != nil {
				return err
			}
			if p.asJSON {
				return p.print(cmd, map[string]string{"rule": string(text)}, nil)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func fwRuleList(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the rules of the policy in use, in order", Example: "  bearcat fw rule list", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policy, err := p.inUse()
			if err != nil {
				return err
			}
			type line struct {
				Name     string `json:"name"`
				Action   string `json:"action"`
				Disabled bool   `json:"disabled"`
				Monitor  bool   `json:"monitor"`
				Comment  string `json:"comment"`
			}
			lines := []line{}
			for _, g := range policy.Guards {
				lines = append(lines, line{g.Name, "guard", false, g.Monitor, g.Comment})
			}
			for _, r := range policy.Rules {
				lines = append(lines, line{r.Name, r.Action.String(), r.Disabled, r.Monitor, r.Comment})
			}
			return p.print(cmd, lines, func(w *tabwriter.Writer) {
				for _, l := range lines {
					state := ""
					if l.Disabled {
						state = "disabled"
					} else if l.Monitor {
						state = "monitor"
					}
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", termtext.String(l.Name), l.Action, state, termtext.String(l.Comment))
				}
			})
		},
	}
}
