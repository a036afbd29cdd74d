package main

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/model"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

// firewallStage says what Bearcat's firewall does to packets that come in, by its policy
// and its lists as they were when the trace began.
type firewallStage struct {
	model   *model.Model
	devices []string
	net     uint32
}

// stage reads the policy; nil where no firewall is loaded.
func (p *fwPlaces) stage() (*firewallStage, error) {
	if !xdp.Loaded(p.pins) {
		return nil, nil
	}
	policy, err := p.inUse()
	if err != nil {
		return nil, err
	}
	s := &firewallStage{}
	var lists model.Lists
	err = p.open(func(fw *xdp.Firewall) error {
		attached, err := fw.Attached()
		if err != nil {
			return err
		}
		for _, a := range attached {
			s.devices = append(s.devices, a.Device)
		}
		allow, allowErr := fw.Allowed()
		block, blockErr := fw.Blocked()
		ban, banErr := fw.Bans()
		lists = model.Lists{Allow: prefixes(allow), Block: prefixes(block), Ban: prefixes(ban)}
		return errors.Join(allowErr, blockErr, banErr)
	})
	if err != nil {
		return nil, err
	}
	s.model = model.New(policy, lists)
	s.net, err = kernel.NetOf(uint32(os.Getpid()))
	return s, err
}

func prefixes(entries []xdp.Entry) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Prefix)
	}
	return out
}

// put adds a stage to a packet that came in where the firewall is: before the protocols,
// or before the drop that is its own. It takes no time of its own, as XDP programs run
// before the packet is seen first, or within the stage that follows.
func (s *firewallStage) put(l *packet.Life) {
	if l.Sent || l.Net != s.net || !slices.Contains(s.devices, l.Device) {
		return
	}
	index, err := host.Device(l.Device)
	if err != nil {
		return // the device is gone
	}
	frame := make([]byte, 14+max(int(l.Length), len(l.Headers)))
	frame[12], frame[13] = byte(l.Family()>>8), byte(l.Family())
	copy(frame[14:], l.Headers)
	v := s.model.Judge(frame, index, time.Hour)
	detail := "passes: " + v.Reason.String()
	if v.Drop {
		detail = "drops: " + v.Reason.String()
	}
	if v.Rule != "" {
		detail += ", rule " + v.Rule
	}
	i := slices.IndexFunc(l.Stages, func(x waterfall.Stage) bool { return x.Name == "protocols" })
	if l.Drop != nil && (l.Drop.Reason == "XDP" || strings.Contains(l.Drop.Place, "xdp")) {
		i = len(l.Stages) - 1
	}
	if i < 0 {
		return
	}
	if v.Drop && l.Drop == nil && l.End == "taken" {
		// In generic mode the kernel may hand the program a copy: then this one is
		// taken after the protocols have seen it, or nothing more is seen of it.
		l.End, l.Drop = "dropped", &packet.Drop{Reason: "FIREWALL", Place: "bearcat fw", Advice: "bearcat fw explain"}
		for j := range l.Stages {
			if l.Stages[j].Name == "taken" {
				l.Stages[j].Name, l.Stages[j].Detail = "dropped", "as a copy for the firewall"
			}
		}
	}
	stage := waterfall.Stage{Name: "firewall", CPU: l.Stages[i].CPU, Detail: detail, Source: "the policy"}
	if i > 0 {
		stage.At = l.Stages[i-1].At
	}
	l.Stages = slices.Insert(l.Stages, i, stage)
}
