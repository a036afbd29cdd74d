package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/respond"
	"github.com/bearcat-hids/bearcat/internal/status"
)

// pinned is the firewall that is pinned on this host. It is opened for each ban: a
// millisecond, and always the one that is there.
type pinned struct {
	pins  string
	state host.State
}

// Ban implements respond.Firewall.
func (p pinned) Ban(a netip.Addr, d time.Duration) error {
	fw, err := xdp.Open(p.pins)
	if err != nil {
		return err
	}
	defer fw.Close() //nolint:errcheck // what is pinned stays
	return fw.Ban(netip.PrefixFrom(a, a.BitLen()), d)
}

// Protected implements respond.Firewall.
func (p pinned) Protected(a netip.Addr) (string, error) {
	l, err := host.Find("/")
	if err != nil {
		return "", err
	}
	if hit := host.Covered(l, netip.PrefixFrom(a, a.BitLen())); len(hit) > 0 {
		return hit[0].Why + ", which stays reachable", nil
	}
	return "", nil
}

// Note implements respond.Firewall.
func (p pinned) Note(a netip.Addr, d time.Duration, why string) error {
	return p.state.Note(host.Change{
		List: host.BanList, Prefix: netip.PrefixFrom(a, a.BitLen()), Until: time.Now().Add(d), Comment: why,
	})
}

// firewallStatus is what the host's firewall says of itself; nil where there is none.
func (a *Agent) firewallStatus() *status.Firewall {
	if !xdp.Loaded(a.cfg.Response.Pins) {
		return nil
	}
	out := &status.Firewall{Devices: []string{}}
	if r := a.pipe.respond; r != nil {
		n := r.Stats()
		out.Blocked, out.Refused = n.Blocked, n.Refused
	}
	if err := readFirewall(a.cfg.Response.Pins, out); err != nil {
		out.Problem = err.Error()
	}
	return out
}

func readFirewall(pins string, out *status.Firewall) error {
	fw, err := xdp.Open(pins)
	if err != nil {
		return err
	}
	defer fw.Close() //nolint:errcheck // what is pinned stays
	at, err := fw.Attached()
	if err != nil {
		return err
	}
	for _, x := range at {
		out.Devices = append(out.Devices, x.Device)
	}
	bans, err := fw.Bans()
	if err != nil {
		return err
	}
	out.Bans = len(bans)
	s, err := fw.Stats()
	if err != nil {
		return err
	}
	counts := func(l []xdp.Counts) []status.Packets {
		p := make([]status.Packets, 0, len(l))
		for _, c := range l {
			p = append(p, status.Packets{Name: c.Name, Verdict: c.Verdict, Packets: c.Packets, Bytes: c.Bytes, Over: c.Over})
		}
		return p
	}
	out.Reasons, out.Rules = counts(s.Reasons), counts(s.Rules)
	return nil
}

// newResponder makes what acts on rules' responses; nil where that is switched off.
func newResponder(ctx context.Context, c config.Response, p *pipeline, log *slog.Logger) *respond.Responder {
	if !c.Block {
		return nil
	}
	return respond.New(ctx, pinned{c.Pins, host.State{Dir: c.State}}, func(id, text string) {
		p.alerts.Respond(id, text)
		log.Info(fmt.Sprintf("response to alert %s: %s", id, text))
	})
}
