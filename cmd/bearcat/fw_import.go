package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdpfw"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// importFlags are those of fw import; all but comment are for configurations.
type importFlags struct {
	comment        string
	print, replace bool
	confirm        time.Duration
}

func fwImport(p *fwPlaces) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "import FILE", Short: "take over a feed, ipset save, nft list set, or XDP-Firewall's file",
		Long: `Addresses and prefixes go to the block list. Lines that it does not understand
are counted and shown, the rest is taken. What would shut out a protected
address is left out.

A configuration of XDP-Firewall becomes the policy, at once and as a whole. What
has no counterpart is refused if it filters, and said if it does not. With
--print the policy is only shown. docs/fw-moving.md says what becomes of each
key. A name of - is standard input.`,
		Example: `  bearcat fw import drop.txt --comment drops
  ipset save blocklist | bearcat fw import -
  bearcat fw import /etc/xdpfw/xdpfw.conf --print > policy.yaml
  bearcat fw import /etc/xdpfw/xdpfw.conf --confirm 60s`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readFile(cmd, args[0])
			if err != nil {
				return err
			}
			if xdpfw.Is(string(text)) {
				if f.comment != "" {
					return errors.New("--comment is for addresses on the block list, and this file becomes a policy")
				}
				return p.importConfig(cmd, args[0], string(text), f)
			}
			if f.print || f.replace || f.confirm != 0 {
				return errors.New("--print, --replace and --confirm are for configurations of XDP-Firewall, which this file is not: " +
					"those have interface or filters")
			}
			return p.importFeed(cmd, string(text), f.comment)
		},
	}
	cmd.Flags().StringVar(&f.comment, "comment", "", "why; fw list shows it")
	cmd.Flags().BoolVar(&f.print, "print", false, "only show the policy that a configuration becomes")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "also where a policy with rules is in use")
	cmd.Flags().DurationVar(&f.confirm, "confirm", 0, "go back after this long unless confirmed")
	return cmd
}

// importConfig makes a configuration of XDP-Firewall the policy.
func (p *fwPlaces) importConfig(cmd *cobra.Command, name, text string, f importFlags) error {
	c, err := xdpfw.Read(name, text)
	if err != nil {
		return fmt.Errorf("nothing is imported:\n%w", err)
	}
	if !f.print {
		if !f.replace {
			if err := p.refuseReplacing(); err != nil {
				return err
			}
		}
		if err := p.applyText(cmd, name+" as a policy", []byte(c.Policy), f.confirm); err != nil {
			return err
		}
	}
	if !p.asJSON {
		for _, n := range c.Notes { // beside the policy, which goes into a file
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), termtext.String(n))
		}
	}
	out := struct {
		*xdpfw.Config
		Applied bool `json:"applied"`
	}{c, !f.print}
	return p.print(cmd, out, func(w *tabwriter.Writer) {
		if f.print {
			_, _ = fmt.Fprint(w, c.Policy)
			return
		}
		_, _ = fmt.Fprintln(w, "the policy is in use: bearcat fw rule list shows its rules")
	})
}

// refuseReplacing gives an error where a policy is in use that decides on something.
func (p *fwPlaces) refuseReplacing() error {
	now, err := p.inUse()
	if err != nil {
		return err
	}
	if n := len(now.Rules) + len(now.Guards); n > 0 {
		return fmt.Errorf("a policy with %d rules and guards is in use: --replace puts this one in its place, --print shows it", n)
	}
	return nil
}

// importFeed puts addresses on the block list.
func (p *fwPlaces) importFeed(cmd *cobra.Command, text, comment string) error {
	prefixes, refused := firewall.Feed(text)
	protected, err := host.Find("/")
	if err != nil {
		return err
	}
	return p.open(func(fw *xdp.Firewall) error {
		taken, kept := host.Sift(protected, prefixes)
		n, err := fw.BlockAll(taken)
		var done []host.Change
		for _, x := range taken[:n] {
			done = append(done, host.Change{List: host.BlockList, Prefix: x, Comment: comment})
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%d of %d added: %w", n, len(taken), err), p.note(done))
		}
		if err := p.note(done); err != nil {
			return err
		}
		out := map[string]any{"added": len(done), "refused": refused, "left_out": kept}
		return p.print(cmd, out, func(w *tabwriter.Writer) {
			_, _ = fmt.Fprintf(w, "%d added, %d lines not understood\n", len(done), len(refused))
			for _, r := range refused[:min(10, len(refused))] {
				_, _ = fmt.Fprintf(w, "line %d: %s\n", r.Line, termtext.String(r.Text))
			}
			for _, k := range kept {
				_, _ = fmt.Fprintln(w, k)
			}
		})
	})
}
