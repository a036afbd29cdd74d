package main

import (
	"errors"
	"fmt"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/explain"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// listed is what a command did to one entry of a list.
type listed struct {
	list    host.List
	gone    bool
	d       *time.Duration // nil: for ever
	comment *string
}

func (l listed) change(x netip.Prefix) host.Change {
	c := host.Change{List: l.list, Prefix: x, Gone: l.gone}
	if l.d != nil && *l.d > 0 {
		c.Until = time.Now().Add(*l.d)
	}
	if l.comment != nil {
		c.Comment = *l.comment
	}
	return c
}

// each makes a command that does something for every address or prefix it is given,
// and notes it. All are read before the first is acted on.
func (p *fwPlaces) each(use, short, example string, l listed, do func(*xdp.Firewall, netip.Prefix) error) *cobra.Command {
	mask := false
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			var prefixes []netip.Prefix
			read := firewall.Prefix
			if mask {
				read = firewall.Network
			}
			for _, s := range args {
				x, err := read(s)
				if err != nil {
					return err
				}
				prefixes = append(prefixes, x)
			}
			return p.open(func(fw *xdp.Firewall) error {
				var done []host.Change
				for _, x := range prefixes {
					if err := do(fw, x); err != nil {
						return errors.Join(err, p.note(done))
					}
					done = append(done, l.change(x))
				}
				return p.note(done)
			})
		},
	}
	cmd.Flags().BoolVar(&mask, "mask", false, "of 192.0.2.7/24 take 192.0.2.0/24, where else it is refused")
	return cmd
}

func (p *fwPlaces) note(done []host.Change) error {
	if len(done) == 0 {
		return nil
	}
	return host.State{Dir: p.state}.Note(done...)
}

// careful refuses to shut out what is protected.
func careful(x netip.Prefix) error {
	l, err := host.Find("/")
	if err != nil {
		return err
	}
	return host.Refuse(l, x)
}

func fwAdd(p *fwPlaces) *cobra.Command {
	var d time.Duration
	var override bool
	var comment string
	cmd := p.each("add ADDR...", "drop what comes from addresses or prefixes",
		"  bearcat fw add 198.51.100.7 --for 10m\n  bearcat fw add 203.0.113.0/24 2001:db8:bad::/48 --comment scanners",
		listed{list: host.BlockList, d: &d, comment: &comment}, func(fw *xdp.Firewall, x netip.Prefix) error {
			if !override {
				if err := careful(x); err != nil {
					return err
				}
			}
			return fw.Block(x, d)
		})
	cmd.Flags().DurationVar(&d, "for", 0, "for this long; without it until it is removed")
	cmd.Flags().StringVar(&comment, "comment", "", "why; fw list shows it")
	cmd.Flags().BoolVar(&override, "override", false, "also where that shuts out what is protected")
	return cmd
}

func fwRemove(p *fwPlaces) *cobra.Command {
	return p.each("remove ADDR...", "take addresses or prefixes from the block list", "  bearcat fw remove 198.51.100.7",
		listed{list: host.BlockList, gone: true}, func(fw *xdp.Firewall, x netip.Prefix) error {
			there, err := fw.Unblock(x)
			if err == nil && !there {
				err = fmt.Errorf("%s is not on the block list: bearcat fw list shows it", x)
			}
			return err
		})
}

func fwAllow(p *fwPlaces) *cobra.Command {
	var comment string
	cmd := p.each("allow ADDR...", "never drop what comes from addresses or prefixes, unless it is malformed",
		"  bearcat fw allow 192.0.2.10", listed{list: host.AllowList, comment: &comment},
		func(fw *xdp.Firewall, x netip.Prefix) error { return fw.Allow(x) })
	cmd.Flags().StringVar(&comment, "comment", "", "why; fw list shows it")
	return cmd
}

func fwUnallow(p *fwPlaces) *cobra.Command {
	return p.each("unallow ADDR...", "take addresses or prefixes from the allow list", "  bearcat fw unallow 192.0.2.10",
		listed{list: host.AllowList, gone: true}, func(fw *xdp.Firewall, x netip.Prefix) error {
			there, err := fw.Unallow(x)
			if err == nil && !there {
				err = fmt.Errorf("%s is not on the allow list", x)
			}
			return err
		})
}

func fwBan(p *fwPlaces) *cobra.Command {
	var d time.Duration
	var override bool
	var comment string
	cmd := p.each("ban ADDR...", "drop what comes from addresses for a time", "  bearcat fw ban 198.51.100.7 --for 1h",
		listed{list: host.BanList, d: &d, comment: &comment}, func(fw *xdp.Firewall, x netip.Prefix) error {
			if !override {
				if err := careful(x); err != nil {
					return err
				}
			}
			return fw.Ban(x, d)
		})
	cmd.Flags().DurationVar(&d, "for", 10*time.Minute, "how long, up to a week")
	cmd.Flags().StringVar(&comment, "comment", "", "why; fw bans shows it")
	cmd.Flags().BoolVar(&override, "override", false, "also where that shuts out what is protected")
	return cmd
}

func fwUnban(p *fwPlaces) *cobra.Command {
	return p.each("unban ADDR...", "end bans", "  bearcat fw unban 198.51.100.7",
		listed{list: host.BanList, gone: true}, func(fw *xdp.Firewall, x netip.Prefix) error {
			there, err := fw.Unban(x)
			if err == nil && !there {
				err = fmt.Errorf("%s is not banned", x)
			}
			return err
		})
}

// shown prints entries of a list.
func (p *fwPlaces) shown(use, short string, of ...func(*xdp.Firewall) (string, []xdp.Entry, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: "  bearcat fw " + use + " --json", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.open(func(fw *xdp.Firewall) error {
				comments, err := host.State{Dir: p.state}.Comments()
				if err != nil {
					return err
				}
				causes, err := host.State{Dir: p.state}.Causes()
				if err != nil {
					return err
				}
				all := map[string][]commented{}
				var names []string
				for _, read := range of {
					name, l, err := read(fw)
					if err != nil {
						return err
					}
					names = append(names, name)
					all[name] = []commented{}
					for _, e := range l {
						c := commented{Entry: e, Comment: comments[name+" "+e.Prefix.String()]}
						if name == string(host.BanList) {
							c.Alert = causes[e.Prefix]
						}
						all[name] = append(all[name], c)
					}
				}
				return p.print(cmd, all, func(w *tabwriter.Writer) {
					for _, name := range names {
						for _, e := range all[name] {
							left := "for ever"
							if e.Left > 0 {
								left = e.Left.Round(time.Second).String() + " left"
							}
							by := ""
							if e.By != "" {
								by = fmt.Sprintf("by %s", termtext.String(e.By))
							}
							if e.Strikes > 0 {
								by += fmt.Sprintf(", the %s in a row", ordinal(e.Strikes+1))
							}
							_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d hits\t%s\t%s\n", name, explain.Short(e.Prefix), left, e.Hits, by, termtext.String(e.Comment))
						}
					}
				})
			})
		},
	}
}

// commented is an entry with what was said when it was added.
type commented struct {
	xdp.Entry
	Comment string      `json:"comment,omitempty"`
	Alert   *host.Cause `json:"alert,omitempty"`
}

func ordinal(n uint32) string {
	switch {
	case n%10 == 2 && n%100 != 12:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3 && n%100 != 13:
		return fmt.Sprintf("%drd", n)
	case n%10 == 1 && n%100 != 11:
		return fmt.Sprintf("%dst", n)
	}
	return fmt.Sprintf("%dth", n)
}

func fwList(p *fwPlaces) *cobra.Command {
	return p.shown("list", "show the block list and the allow list",
		func(fw *xdp.Firewall) (string, []xdp.Entry, error) { l, err := fw.Blocked(); return "block", l, err },
		func(fw *xdp.Firewall) (string, []xdp.Entry, error) { l, err := fw.Allowed(); return "allow", l, err })
}

func fwBans(p *fwPlaces) *cobra.Command {
	return p.shown("bans", "show who is banned, and for how long",
		func(fw *xdp.Firewall) (string, []xdp.Entry, error) { l, err := fw.Bans(); return "ban", l, err })
}

func fwFlush(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "flush", Short: "empty the block list and the bans", Example: "  bearcat fw flush", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.open(func(fw *xdp.Firewall) error {
				n, err := fw.Flush()
				if err := errors.Join(err, p.note([]host.Change{{List: host.BlockList, Gone: true}, {List: host.BanList, Gone: true}})); err != nil {
					return err
				}
				return p.print(cmd, map[string]int{"removed": n}, func(w *tabwriter.Writer) { _, _ = fmt.Fprintf(w, "%d removed\n", n) })
			})
		},
	}
}
