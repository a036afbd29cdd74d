package main

import (
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
)

// counts reads the firewall's counters; nil where there is no firewall.
func (p *fwPlaces) counts() (s *xdp.Stats, err error) {
	if !xdp.Loaded(p.pins) {
		return nil, nil
	}
	err = p.open(func(fw *xdp.Firewall) error {
		s, err = fw.Stats()
		return err
	})
	return s, err
}

// addDrops adds what the firewall dropped since it had the counts before.
func (p *fwPlaces) addDrops(r *drop.Result, before *xdp.Stats) error {
	now, err := p.counts()
	if err != nil || now == nil {
		return err
	}
	if before == nil { // it came meanwhile, and its counters from 0
		before = &xdp.Stats{}
	}
	policy, err := p.inUse()
	if err != nil {
		policy = nil // then it is known that a rule dropped, and not which
	}
	for _, d := range now.DropsSince(before, policy) {
		r.AddFirewall(d.Name, d.Packets, d.Bytes)
	}
	return nil
}
