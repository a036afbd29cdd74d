package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/pcap"
	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func traceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trace", Short: "follow one thing through the kernel, stage by stage",
		Long: "Follows packets through the kernel, with the time that each stage took and who\nhad it.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tracePacket())
	return cmd
}

// packetTrace is a run of `trace packet`.
type packetTrace struct {
	packet.Options
	pid, netOf      uint32
	count           int
	forTime, slower time.Duration
	json            bool
	pcapng, chrome  string
	out             io.Writer
	capture         *pcap.Writer
	trace           *waterfall.Trace
	files           []*os.File
	shown           int
	err             error
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

It ends when interrupted, after --for, or after --count packets. The last line,
on standard error, says what was left out or lost.`,
		Example: "  bearcat trace packet udp and dst port 53 --count 1\n  bearcat trace packet 'tcp[tcpflags] & tcp-syn != 0' --for 10s\n  bearcat trace packet host 10.0.0.9 --slower 1ms --pcapng slow.pcapng",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.out = cmd.OutOrStdout()
			if err := r.check(strings.Join(args, " ")); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return r.run(ctx, cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&r.count, "count", 0, "end after so many packets; 0 for no end")
	fl.DurationVar(&r.forTime, "for", 0, "end after this long; 0 for no end")
	fl.DurationVar(&r.slower, "slower", 0, "show only packets that took at least this long")
	fl.Uint32Var(&r.pid, "pid", 0, "show only packets that this `PROCESS` sent or read")
	fl.Uint32Var(&r.netOf, "netns", 0, "only in the network namespace of a `PROCESS`")
	fl.Uint32Var(&r.Rate, "rate", r.Rate, "follow at most so many `PACKETS` a second")
	fl.BoolVar(&r.json, "json", false, "print one JSON object for each packet")
	fl.StringVar(&r.pcapng, "pcapng", "", "also write them to this `FILE` for Wireshark")
	fl.StringVar(&r.chrome, "perfetto", "", "also write stages to this `FILE` for ui.perfetto.dev")
	return cmd
}

// check reads the flags before anything is loaded.
func (r *packetTrace) check(filter string) error {
	switch {
	case r.count < 0:
		return usageError{fmt.Errorf("--count %d is no number of packets", r.count)}
	case r.forTime < 0 || r.slower < 0:
		return usageError{errors.New("--for and --slower are times, and not below 0")}
	case r.Rate == 0:
		return usageError{errors.New("--rate 0 would follow no packet")}
	}
	var err error
	if r.Filter, err = packet.ParseFilter(filter); err != nil {
		return usageError{err}
	}
	if r.netOf != 0 {
		r.Net, err = netOf(r.netOf)
	}
	return err
}

func (r *packetTrace) run(ctx context.Context, footer io.Writer) (err error) {
	if err := r.openFiles(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.closeFiles()) }()
	t, err := packet.Open(r.Options)
	if err != nil {
		return err
	}
	defer t.Close()
	if r.forTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.forTime)
		defer cancel()
	}
	if err := t.Run(ctx, r.show); err != nil {
		return err
	}
	if r.err != nil {
		return r.err
	}
	n, err := t.Totals()
	if err != nil {
		return err
	}
	return r.footer(footer, t, n)
}

func (r *packetTrace) openFiles() error {
	for _, name := range []string{r.pcapng, r.chrome} {
		if name == "" {
			continue
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("making the file for packets: %w", err)
		}
		r.files = append(r.files, f)
		if name == r.chrome {
			r.trace = waterfall.NewTrace(f)
		} else if r.capture, err = pcap.NewWriter(f, pcap.LinuxSLL); err != nil {
			return err
		}
	}
	return nil
}

func (r *packetTrace) closeFiles() error {
	var all []error
	if r.trace != nil {
		all = append(all, r.trace.Close())
	}
	for _, f := range r.files {
		if err := f.Close(); err != nil {
			all = append(all, fmt.Errorf("writing packets: %w", err))
		}
	}
	return errors.Join(all...)
}

// show writes one packet; false where it was the last.
func (r *packetTrace) show(l *packet.Life) bool {
	if l.Took < r.slower || r.pid != 0 && !of(l.Sender, r.pid) && !of(l.Reader, r.pid) {
		return true
	}
	r.shown++
	if r.json {
		r.err = writeHostJSON(r.out, l)
	} else {
		r.err = l.WriteText(r.out, termtext.String)
	}
	if r.err == nil && r.capture != nil {
		frame := l.Frame()
		r.err = r.capture.Frame(l.Device, l.At, frame, len(frame)-len(l.Headers)+int(l.Length), l.Comment())
	}
	if r.err == nil && r.trace != nil {
		group := "received packets"
		if l.Sent {
			group = "sent packets"
		}
		r.err = r.trace.Add(group, l.ID, l.Title(), l.At, l.Stages)
	}
	return r.err == nil && (r.count == 0 || r.shown < r.count)
}

func of(p *packet.Process, pid uint32) bool { return p != nil && p.Pid == pid }

func (r *packetTrace) footer(w io.Writer, t *packet.Tracer, n packet.Totals) error {
	var b strings.Builder
	for _, note := range t.Notes {
		fmt.Fprintf(&b, "note: %s\n", termtext.String(note))
	}
	fmt.Fprintf(&b, "%d packets shown, %d followed; left out: %d by --rate, %d for want of room; notes lost %d", r.shown, n.Followed, n.Sampled, n.Full, n.Lost)
	if n.Missed > 0 {
		fmt.Fprintf(&b, ", skipped by the kernel %d", n.Missed)
	}
	fmt.Fprintf(&b, "; sources: %d tracepoints, no function", t.Sources)
	if n.BPF > 0 {
		fmt.Fprintf(&b, "; the programs took %s", nanoseconds(uint64(n.BPF)))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}
