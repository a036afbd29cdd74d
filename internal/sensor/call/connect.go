package call

import (
	"fmt"
	"net/netip"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds of the tables (connect_nets, connect_ports).
const (
	maxConnectNets  = 131072
	maxConnectPorts = 8192
)

// Parts of a network's value (connect.h).
const (
	wantPorts = 1 << 2
	wantClass = 3
)

// narrowConnects writes the tables of addresses, and says in the settings that they
// hold. While they change all connects are wanted. A filter that is too large for them
// counts as none.
func (s *Sensor) narrowConnects(set *progBcSettings) error {
	nets, ports := connectTables(s.opts.Connects)
	if nets == nil {
		return nil
	}
	if len(nets) > maxConnectNets || len(ports) > maxConnectPorts {
		return nil
	}
	var now progBcSettings
	if err := s.coll.Maps["settings"].Lookup(uint32(0), &now); err != nil {
		return fmt.Errorf("reading the settings of the programs for calls: %w", err)
	}
	if now.Connects != 0 {
		now.Connects = 0
		if err := s.coll.Maps["settings"].Put(uint32(0), now); err != nil {
			return fmt.Errorf("writing the settings of the programs for calls: %w", err)
		}
	}
	if err := replace(s.coll.Maps["connect_ports"], ports); err != nil {
		return fmt.Errorf("writing the ports that connects are wanted to: %w", err)
	}
	if err := replace(s.coll.Maps["connect_nets"], nets); err != nil {
		return fmt.Errorf("writing the networks that connects are wanted to: %w", err)
	}
	s.connects++
	set.Connects = max(1, s.connects)
	set.ConnectOther = uint32(s.opts.Connects.Other)
	return nil
}

// connectTables are a filter as the kernel's tables have it; nil of none.
func connectTables(f *event.ConnectFilter) (nets map[progBcConnectNet]uint32, ports map[progBcConnectPort]uint32) {
	if f == nil {
		return nil, nil
	}
	nets, ports = map[progBcConnectNet]uint32{}, map[progBcConnectPort]uint32{}
	class := uint32(0)
	for p, of := range f.Nets {
		v := uint32(of.Else)
		if len(of.Ports) > 0 {
			class++
			v |= wantPorts | class<<wantClass
			for port, w := range of.Ports {
				ports[progBcConnectPort{Class: class, Port: uint32(port)}] = uint32(w)
			}
		}
		nets[connectNet(p)] = v
	}
	return nets, ports
}

// connectNet is a network with IPv4 as a part of IPv6.
func connectNet(p netip.Prefix) progBcConnectNet {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return progBcConnectNet{Bits: uint32(bits), Addr: p.Addr().As16()}
}
