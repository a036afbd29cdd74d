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
