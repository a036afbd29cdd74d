package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/bearcat-hids/bearcat/internal/alerts"
	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/firewall"
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
func (p pinned) Ban(source netip.Prefix, d time.Duration) (time.Time, error) {
	fw, err := xdp.Open(p.pins)
	if err != nil {
		return time.Time{}, err
	}
	defer fw.Close() //nolint:errcheck // what is pinned stays
	now, err := fw.Banned(source)
	if err != nil {
		return time.Time{}, err
	}
	if now != nil && now.Left > d { // a guard's ban grows: it is not cut short
		return time.Now().Add(now.Left), nil
	}
	return time.Now().Add(d), fw.Ban(source, d)
}

// Protected implements respond.Firewall.
func (p pinned) Protected(source netip.Prefix) (string, error) {
	l, err := host.Find("/")
	if err != nil {
		return "", err
	}
	if hit := host.Covered(l, source); len(hit) > 0 {
		return hit[0].Why + ", which stays reachable", nil
	}
	return "", nil
}

// Note implements respond.Firewall.
func (p pinned) Note(b respond.Ban) error {
	return p.state.Note(host.Change{
		List: host.BanList, Prefix: b.Source, Until: b.Until,
		Alert: &host.Cause{ID: b.Alert, Rule: b.Rule, Process: b.Process, Chain: b.Chain},
	})
}

// bansNow says of bans whether they still hold.
func (p pinned) bansNow(bans []alerts.Ban) {
	if len(bans) == 0 {
		return
	}
	fw, err := xdp.Open(p.pins)
	if err == nil {
		defer fw.Close() //nolint:errcheck // what is pinned stays
	}
	for i := range bans {
		b := &bans[i]
		if err != nil {
			b.State = err.Error()
			continue
		}
		source, parseErr := firewall.Prefix(b.Source)
		if parseErr != nil {
			b.State = parseErr.Error()
			continue
		}
		now, lookErr := fw.Banned(source)
		switch {
		case lookErr != nil:
			b.State = lookErr.Error()
		case now != nil:
			b.State, b.Left = "holds", now.Left
		case time.Now().Before(b.Until):
			b.State = "ended early"
		default:
			b.State = "over"
		}
	}
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
	return respond.New(ctx, pinned{c.Pins, host.State{Dir: c.State}}, func(id, text string, b *respond.Ban) {
		var ban *alerts.Ban
		if b != nil {
			ban = &alerts.Ban{Source: short(b.Source), Until: b.Until}
		}
		p.alerts.Respond(id, text, ban)
		log.Info(fmt.Sprintf("response to alert %s: %s", id, text))
	})
}
