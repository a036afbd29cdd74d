package agent

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

// firewallLook is how often floods are looked for, and whether another firewall is
// pinned or nobody wants its events any more.
const firewallLook = 2 * time.Second

// firewallEvents makes events of what the host's firewall does, while somebody wants
// them. The firewall may come, go and be replaced.
type firewallEvents struct {
	pins   string
	wanted func() bool
	emit   func(*event.FirewallInfo, time.Time)
	warn   func(format string, args ...any)
	said   string // the last problem: told once
}

// wantsFirewall reports whether a rule or an output asks for events of the firewall.
func (a *Agent) wantsFirewall() bool {
	set, _ := a.pipe.rules()
	return a.written(event.Firewall) || slices.Contains(set.Types(), event.Firewall)
}

// loop reads until ctx ends.
func (e *firewallEvents) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if e.wanted() && xdp.Loaded(e.pins) {
			if err := e.watch(ctx); err != nil && err.Error() != e.said {
				e.said = err.Error()
				e.warn("there are no events of the firewall: %v", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(firewallLook):
		}
	}
}

// watch reads the events of the firewall that is there now, until it is another.
func (e *firewallEvents) watch(ctx context.Context) error {
	fw, err := xdp.Open(e.pins)
	if errors.Is(err, xdp.ErrNotThere) {
		return nil
	}
	if err != nil {
		return err
	}
	defer fw.Close() //nolint:errcheck // what is pinned stays
	events, err := fw.OpenEvents()
	if err != nil {
		return err
	}
	defer events.Close() //nolint:errcheck // only read
	stop := context.AfterFunc(ctx, func() { _ = events.Close() })
	defer stop()
	floods := fw.NewFloods()
	look := time.Now()
	for ctx.Err() == nil {
		rec, err := events.Next(look)
		switch {
		case err == nil:
			if rec.Scan {
				e.emit(scanned(rec), rec.Time)
			} else {
				e.emit(banned(rec), rec.Time)
			}
			continue
		case errors.Is(err, os.ErrClosed) || ctx.Err() != nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		look = time.Now().Add(firewallLook)
		if fw.Replaced() || !e.wanted() {
			return nil
		}
		f, err := floods.Look()
		if err != nil {
			return err
		}
		if f != nil {
			e.emit(&event.FirewallInfo{Kind: "flood", Rule: f.Rule, Reason: f.Reason, Rate: f.Rate}, time.Now())
		}
	}
	return nil
}

// banned is what an event says of a ban.
func banned(rec *xdp.Logged) *event.FirewallInfo {
	return &event.FirewallInfo{Kind: "ban", Rule: rec.Rule, Source: short(rec.Source), For: rec.Ban, Strikes: int(rec.Strikes)}
}

// scanned is what an event says of a scan.
func scanned(rec *xdp.Logged) *event.FirewallInfo {
	reason := rec.Reason.String()
	if rec.Refused {
		reason = "refused"
	}
	return &event.FirewallInfo{
		Kind: "scan", Source: short(rec.Source), Ports: int(rec.Ports), Addresses: int(rec.Addresses), Reason: reason, Rule: rec.Rule,
	}
}

// short writes a source without the length of its prefix where that is one address.
func short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
