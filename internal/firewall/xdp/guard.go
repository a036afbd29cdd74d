package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// nobody stands where a counter would, for what no rule did.
const nobody = 0xffffffff

// wantedCounters gives the names of the counters that a policy needs.
func wantedCounters(p *firewall.Policy) []string {
	var out []string
	for _, r := range p.Active() {
		out = append(out, r.Name)
	}
	for i := range p.Guards {
		out = append(out, p.Guards[i].Opened())
	}
	return out
}

// flagBans tells the program to look for bans that a policy may make.
func (f *Firewall) flagBans(p *firewall.Policy) error {
	bit := uint64(0)
	if len(p.Guards) > 0 {
		bit = flagBan | flagBanNet
	}
	for _, r := range p.Rules {
		if r.Ban > 0 {
			bit |= flagBan
		}
	}
	if bit == 0 {
		return nil
	}
	return f.flag(bit)
}

// fillGuards writes a policy's guards into a slot.
func (f *Firewall) fillGuards(slot uint32, p *firewall.Policy, ids map[string]uint32) error {
	var all progFwGuards
	for i := range p.Guards {
		g := &p.Guards[i]
		k := progFwGuard{CostNs: uint64(g.Per / time.Duration(g.Connections)), BanNs: uint64(g.Ban), Counter: ids[g.Opened()]}
		k.BurstNs = k.CostNs * uint64(g.Connections)
		if g.Grow {
			k.Grow = 1
		}
		if g.Monitor || p.Monitor {
			k.BanNs = 0
		}
		for _, r := range g.Ports {
			if int(all.Count) == len(all.Guard) {
				return fmt.Errorf("the guards have more than %d ranges of ports", len(all.Guard))
			}
			k.PortLo, k.PortHi = r.Lo, r.Hi
			all.Guard[all.Count] = k
			all.Count++
		}
	}
	if err := f.objs.Guards.Put(slot, &all); err != nil {
		return fmt.Errorf("writing the guards: %w", err)
	}
	return nil
}

func (f *Firewall) guardPath() string { return filepath.Join(f.dir, "guard") }

func (f *Firewall) guarded() bool {
	if f.dir == "" {
		return f.guard != nil
	}
	_, err := os.Stat(f.guardPath())
	return err == nil
}

// setGuard has connections watched while the policy of a slot has guards, and only
// then.
func (f *Firewall) setGuard(slot uint32) error {
	var all progFwGuards
	if err := f.objs.Guards.Lookup(slot, &all); err != nil {
		return fmt.Errorf("reading the guards: %w", err)
	}
	switch {
	case all.Count > 0 && !f.guarded():
		return f.startGuard()
	case all.Count == 0 && f.guarded():
		return f.stopGuard()
	}
	return nil
}

func (f *Firewall) startGuard() error {
	var objs guardObjects
	m := &f.objs
	err := loadGuardObjects(&objs, &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		"active": m.Active, "control": m.Control, "allow4": m.Allow4, "allow6": m.Allow6, "bans": m.Bans, "buckets": m.Buckets,
		"counters": m.Counters, "guards": m.Guards, "drops": m.Drops, "log_paid": m.LogPaid,
		"marks": m.Marks, "events": m.Events,
	}})
	if err != nil {
		return fmt.Errorf("loading the guard (the rest of the policy is in use): %w", err)
	}
	defer objs.Close() //nolint:errcheck // the link holds the program, f the maps
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "inet_sock_set_state", Program: objs.FwGuard})
	if err != nil {
		return fmt.Errorf("watching connections (the rest of the policy is in use): %w", err)
	}
	if f.dir == "" {
		f.guard = l
		return nil
	}
	defer l.Close() //nolint:errcheck // pinned
	if err := l.Pin(f.guardPath()); err != nil {
		return fmt.Errorf("pinning the guard: %w", err)
	}
	return nil
}

func (f *Firewall) stopGuard() error {
	if f.dir == "" {
		l := f.guard
		f.guard = nil
		return l.Close()
	}
	if err := os.Remove(f.guardPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("taking the guard away: %w", err)
	}
	return nil
}

// replaceGuard puts this version's guard where another's was. For that moment no
// connection is counted; two guards at once would count each twice.
func (f *Firewall) replaceGuard() error {
	if !f.guarded() {
		return nil
	}
	if err := f.stopGuard(); err != nil {
		return err
	}
	return f.startGuard()
}
