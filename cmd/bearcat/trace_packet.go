package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/pcap"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/observe/filter"
	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/spf13/cobra"
)

// packetTrace is a run of `trace packet`.
type packetTrace struct {
	tracing
	packet.Options
	in       choiceFlags
	pcapng   string
	capture  *pcap.Writer
	fw       fwPlaces
	firewall *firewallStage
}

func tracePacket() *cobra.Command {
	r := packetTrace{Options: packet.Options{Rate: packet.DefaultRate}}
	cmd := &cobra.Command{
		Use: "packet [FILTER...]", Short: "the life of packets, sent and received",
		Long: `Follows packets from the call that sends them, or the interrupt that brings
them, through route, queue, driver, softirq and protocols, to the device that
has sent them, the process that reads them, or the place where they are dropped.
Each stage has its time since the stage before, and the times add up.

FILTER is in the language of tcpdump: host, net, port, portrange with src and
dst; ip, ip6, arp, tcp, udp, sctp, icmp, icmp6; len; bytes as tcp[13] & 2 != 0;
inbound and outbound; and, or, not. Names of hosts are not looked up. It runs in
the kernel. Without it all packets are followed, up to --rate a second.
--pid, --comm, --cgroup and --container show packets that such a process sent,
read, or has in its socket.

It ends when interrupted, after --for, or after --count packets. The last line,
on standard error, says what was left out or lost.`,
		Example: "  bearcat trace packet udp and dst port 53 --count 1\n  bearcat trace packet 'tcp[tcpflags] & tcp-syn != 0' --for 10s\n  bearcat trace packet host 10.0.0.9 --slower 1ms --pcapng slow.pcapng",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(strings.Join(args, " ")); err != nil {
				return err
			}
			return r.start(cmd, r.run)
		},
	}
	fl := cmd.Flags()
	r.flags(fl, "packets")
	fl.Uint32Var(&r.Rate, "rate", r.Rate, "follow at most so many `PACKETS` a second")
	r.in.flags(fl, "sent or read by")
	fl.StringVar(&r.fw.pins, "pins", xdp.DefaultDir, "where the firewall is pinned")
	fl.StringVar(&r.fw.state, "state", host.DefaultState, "folder for the firewall's policy in use")
	fl.StringVar(&r.pcapng, "pcapng", "", "also write them to this `FILE` for Wireshark")
	return cmd
}

// check reads the flags before anything is loaded.
func (r *packetTrace) check(text string) error {
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

func (r *packetTrace) run(ctx context.Context, footer io.Writer) error {
	if r.pcapng != "" {
		f, err := r.create(r.pcapng)
		if err != nil {
			return err
		}
		if r.capture, err = pcap.NewWriter(f, pcap.LinuxSLL); err != nil {
			return err
		}
	}
	t, err := packet.Open(r.Options)
	if err != nil {
		return err
	}
	if r.firewall, err = r.fw.stage(); err != nil {
		t.Notes = append(t.Notes, "what the firewall does is not told: "+err.Error())
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
	left := fmt.Sprintf("%d packets shown, %d followed; left out: %d by --rate, %d for want of room", r.shown, n.Followed, n.Sampled, n.Full)
	return traceFooter(footer, left, t.Tracer, n.Cost)
}

// show writes one packet; false where it was the last.
func (r *packetTrace) show(l *packet.Life) bool {
	if l.Took < r.slower {
		return true
	}
	if r.firewall != nil {
		r.firewall.put(l)
	}
	if r.capture != nil {
		frame := l.Frame()
		r.err = r.capture.Frame(l.Device, l.At, frame, len(frame)-len(l.Headers)+int(l.Length), l.Comment())
	}
	return r.write(l, packetStory(l))
}
