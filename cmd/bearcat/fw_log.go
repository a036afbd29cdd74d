package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"encoding/json"

	"github.com/bearcat-hids/bearcat/internal/firewall/explain"
	"github.com/bearcat-hids/bearcat/internal/firewall/pcap"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/spf13/cobra"
)

func fwLog(p *fwPlaces) *cobra.Command {
	var file string
	var rate, count int
	var d time.Duration
	cmd := &cobra.Command{
		Use: "log", Short: "show what is dropped and who is banned, live",
		Long: `Has the kernel say what it drops, up to a rate for each processor; what the rate
leaves out is counted, and fw stats counts everything in any case. Nothing is
said while no log is open. With --pcap the first 256 bytes of each frame go to a
pcapng file with rule and reason as comment, for Wireshark and tshark.`,
		Example: "  bearcat fw log\n  bearcat fw log --pcap drops.pcapng --for 1m",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.open(func(fw *xdp.Firewall) error {
				l, err := fw.OpenLog(rate)
				if err != nil {
					return err
				}
				r := logRun{out: cmd.OutOrStdout(), asJSON: p.asJSON, count: count}
				if file != "" {
					f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
					if err == nil {
						defer f.Close() //nolint:errcheck // each write was checked
						r.capture, err = pcap.NewWriter(f, pcap.Ethernet)
					}
					if err != nil {
						return errors.Join(fmt.Errorf("opening the capture: %w", err), l.Close())
					}
				}
				err = r.run(l, d)
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%d shown, %d left out by the rate, %d lost\n", r.shown, r.unsaid, l.Lost)
				return errors.Join(err, l.Close())
			})
		},
	}
	cmd.Flags().StringVar(&file, "pcap", "", "also write frames to this pcapng `file`")
	cmd.Flags().IntVar(&rate, "rate", 100, "drops a second and processor, at most")
	cmd.Flags().IntVar(&count, "count", 0, "end after this many lines")
	cmd.Flags().DurationVar(&d, "for", 0, "end after this long")
	return cmd
}

type logRun struct {
	out     io.Writer
	asJSON  bool
	capture *pcap.Writer
	count   int
	shown   int
	unsaid  uint64
}

// run shows records until a signal, the time or the count ends it.
func (r *logRun) run(l *xdp.Log, d time.Duration) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	end := time.Now().Add(d)
	for d == 0 || time.Now().Before(end) {
		select {
		case <-signals:
			return nil
		default:
		}
		rec, err := l.Next(time.Now().Add(100 * time.Millisecond))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.show(rec); err != nil {
			return err
		}
		if r.count > 0 && r.shown >= r.count {
			return nil
		}
	}
	return nil
}

func (r *logRun) show(rec *xdp.Logged) error {
	x := explain.Record(rec, func(index uint32) string {
		if dev, err := net.InterfaceByIndex(int(index)); err == nil {
			return dev.Name
		}
		return strconv.Itoa(int(index))
	})
	r.shown++
	r.unsaid += rec.Unsaid
	if r.capture != nil && x.What == "drop" {
		if err := r.capture.Frame(x.Device, rec.Time, rec.Frame, int(rec.Length), x.Why()); err != nil {
			return err
		}
	}
	return r.print(x)
}

func (r *logRun) print(x *explain.Logged) error {
	if r.asJSON {
		b, err := json.Marshal(x)
		if err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		_, err = fmt.Fprintf(r.out, "%s\n", b)
		return err
	}
	at := x.Time.Format("15:04:05.000")
	var err error
	if x.What == "ban" {
		again := ""
		if x.Strikes > 0 {
			again = ", its " + ordinal(x.Strikes+1) + " in a row"
		}
		_, err = fmt.Fprintf(r.out, "%s ban %s for %s by %s%s\n", at, x.Source, x.For, termtext.String(x.Rule), again)
		return err
	}
	device := termtext.String(x.Device)
	if x.Out {
		device += " out"
	}
	_, err = fmt.Fprintf(r.out, "%s drop %s protocol %d %s > %s, %d bytes: %s\n", at, device, x.Protocol, x.Source, x.Destination, x.Length, termtext.String(x.Why()))
	return err
}
