package event

import (
	"net/netip"
	"time"
)

// ConnectWant says which connects to an address somebody asks for.
type ConnectWant uint8

// The wants, each more than those before it.
const (
	ConnectNone ConnectWant = iota
	// ConnectOnce is for the first of a process with the same result within
	// ConnectRepeat.
	ConnectOnce
	ConnectAll
)

// ConnectRepeat is how long a process's connect to the same end counts as the same
// where ConnectOnce is asked for.
const ConnectRepeat = time.Second

// ConnectFilter says which connects some rules can be about, by the other end's
// address, in terms that a kernel program can check before it describes an event.
// What it refuses no rule can match; it may let pass what no rule matches.
type ConnectFilter struct {
	// Other is about families other than IPv4 and IPv6: none or all.
	Other ConnectWant
	// Nets are networks of the other end, with IPv4 ones as such. The longest that
	// holds an address decides; an address that none holds is wanted.
	Nets map[netip.Prefix]*ConnectPorts
}

// ConnectPorts says which ports of a network are wanted: those in Ports as they say
// and the others as Else.
type ConnectPorts struct {
	Else  ConnectWant
	Ports map[uint16]ConnectWant
}

// Port returns what is wanted of a port. Port 0 is not narrowed.
func (p *ConnectPorts) Port(port uint16) ConnectWant {
	if port == 0 {
		return ConnectAll
	}
	if w, ok := p.Ports[port]; ok {
		return w
	}
	return p.Else
}

// AtLeast asks for no less than w of all internet addresses.
func (f *ConnectFilter) AtLeast(w ConnectWant) {
	for _, p := range f.Nets {
		p.Else = max(p.Else, w)
		for port, old := range p.Ports {
			if p.Ports[port] = max(old, w); p.Ports[port] == p.Else {
				delete(p.Ports, port)
			}
		}
	}
}

// Want asks for no less than w of one port of one address.
func (f *ConnectFilter) Want(a netip.Addr, port uint16, w ConnectWant) {
	a = a.Unmap()
	old := f.net(a)
	if old == nil || old.Port(port) >= w {
		return
	}
	fresh := &ConnectPorts{Else: old.Else, Ports: map[uint16]ConnectWant{port: w}}
	for p, have := range old.Ports {
		if p != port {
			fresh.Ports[p] = have
		}
	}
	f.Nets[netip.PrefixFrom(a, a.BitLen())] = fresh
}

// Wants returns what is wanted of connects to an address and port. It is what the
// kernel program computes, which tests compare with it. Addresses of all zeros, by
// which a program means its own host, are not narrowed.
func (f *ConnectFilter) Wants(a netip.Addr, port uint16) ConnectWant {
	a = a.Unmap()
	if p := f.net(a); p != nil && !a.IsUnspecified() {
		return p.Port(port)
	}
	return ConnectAll
}

// net returns what holds for an address: what its longest network says.
func (f *ConnectFilter) net(a netip.Addr) *ConnectPorts {
	for bits := a.BitLen(); bits >= 0; bits-- {
		p, err := a.Prefix(bits)
		if err != nil {
			return nil
		}
		if ports := f.Nets[p]; ports != nil {
			return ports
		}
	}
	return nil
}
