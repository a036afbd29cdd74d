package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/explain"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/pcap"
	"github.com/bearcat-hids/bearcat/internal/firewall/setup"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

// maxPolicy bounds the files that are read.
const maxPolicy = 64 << 20

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPolicy+1))
	if err == nil && len(b) > maxPolicy {
		err = fmt.Errorf("the file has more than %d MiB", maxPolicy>>20)
	}
	return b, err
}

func fwApply(p *fwPlaces) *cobra.Command {
	var confirm time.Duration
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "make a file the policy, at once and as a whole",
		Long: `Every packet meets either the policy before or this one. With --confirm the
policy before comes back unless bearcat fw confirm is called in time, best from
a new connection: it proves that one can still be made. Closing the terminal
does not stop the clock; Ctrl-C goes back at once. docs/fw.md describes the
file. Of countries and autonomous systems that it names it is said how many
prefixes their databases have; new databases are read when it is applied again.`,
		Example: "  bearcat fw apply policy.yaml --confirm 60s",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readFile(cmd, args[0])
			if err != nil {
				return err
			}
			return p.applyText(cmd, args[0], text, confirm)
		},
	}
	cmd.Flags().DurationVar(&confirm, "confirm", 0, "go back after this long unless confirmed")
	return cmd
}

// applyText makes a text the policy in use. name is its file's.
func (p *fwPlaces) applyText(cmd *cobra.Command, name string, text []byte, confirm time.Duration) error {
	var trial *setup.Trial
	if confirm > 0 {
		signals := make(chan os.Signal, 1)
		signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		stop := make(chan struct{})
		go func() { <-signals; close(stop) }()
		trial = &setup.Trial{For: confirm, Stop: stop, Applied: func() {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "applied; bearcat fw confirm within %s keeps it\n", confirm)
		}}
	}
	regions, err := p.host(cmd).Apply(name, text, trial)
	if err != nil || len(regions) == 0 {
		return err
	}
	return p.print(cmd, regions, func(w *tabwriter.Writer) {
		for _, x := range regions {
			_, _ = fmt.Fprintf(w, "%s\t%d prefixes\n", x.Name, x.Prefixes)
		}
	})
}

func fwConfirm(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "confirm", Short: "keep the policy that waits to be confirmed", Example: "  bearcat fw confirm", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return host.State{Dir: p.state}.Confirm() },
	}
}

func fwExport(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "print the policy in use", Example: "  bearcat fw export > policy.yaml", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := host.State{Dir: p.state}.Policy()
			if err != nil {
				return err
			}
			if p.asJSON {
				return p.print(cmd, map[string]string{"policy": string(text)}, nil)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func fwDiff(p *fwPlaces) *cobra.Command {
	return &cobra.Command{
		Use: "diff FILE", Short: "say what applying a file would change", Example: "  bearcat fw diff policy.yaml",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := p.inUse()
			if err != nil {
				return err
			}
			text, err := readFile(cmd, args[0])
			if err != nil {
				return err
			}
			next, err := firewall.Parse(args[0], text, firewall.Host{Places: setup.OnHost().Places})
			if err != nil {
				return err
			}
			changes := firewall.Diff(old, next)
			return p.print(cmd, changes, func(w *tabwriter.Writer) {
				for _, c := range changes {
					_, _ = fmt.Fprintln(w, termtext.String(c))
				}
			})
		},
	}
}

func fwTest(p *fwPlaces) *cobra.Command {
	var file, dev string
	var established, out bool
	cmd := &cobra.Command{
		Use: "test FRAME|PCAP", Short: "say what would happen to frames, without sending any",
		Long: `Judges a frame in hexadecimal, or the frames of a capture, by the model that
the kernel's program is tested against. It needs no root and knows the policy
only, not the lists. A capture's frames are taken to arrive at one moment.`,
		Example: "  bearcat fw test capture.pcap --policy policy.yaml\n  bearcat fw test ffffffffffff0200000000010806...",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, err := p.inUse()
			on := setup.OnHost()
			if dev == "" {
				on.Device = nil
			}
			if file != "" {
				var text []byte
				if text, err = readFile(cmd, file); err == nil {
					policy, err = firewall.Parse(file, text, on)
				}
			}
			if err != nil {
				return err
			}
			index := uint32(1)
			if dev != "" {
				if index, err = host.Device(dev); err != nil {
					return fmt.Errorf("device %q: %w", dev, err)
				}
			}
			judge := explain.NewJudge(policy, index, established, out)
			if b, hexErr := hex.DecodeString(args[0]); hexErr == nil && len(b) > 0 {
				err = judge.Frame(b)
			} else {
				var text []byte
				if text, err = readFile(cmd, args[0]); err == nil {
					err = pcap.Read(bytes.NewReader(text), judge.Frame)
				}
			}
			if err != nil {
				return err
			}
			return p.print(cmd, judge.Frames, func(w *tabwriter.Writer) {
				for _, j := range judge.Frames {
					_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", j.Frame, j.Verdict, j.Reason, termtext.String(j.Rule), termtext.String(strings.Join(j.Would, " ")))
				}
			})
		},
	}
	cmd.Flags().StringVar(&file, "policy", "", "the policy to judge by; without it the one in use")
	cmd.Flags().BoolVar(&established, "established", false, "take frames for those that a socket expects")
	cmd.Flags().BoolVar(&out, "out", false, "take frames for those that go out")
	cmd.Flags().StringVar(&dev, "device", "", "the device that frames come from, or leave by")
	return cmd
}
