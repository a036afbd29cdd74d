package event

import (
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// which picks ends of a socket.
type which uint8

const (
	endLocal which = iota
	endRemote
	endClient
	endServer
)

func (e *ends) pick(w which) end {
	switch {
	case w == endLocal, w == endServer && e.server, w == endClient && !e.server:
		return e.local
	}
	return e.remote
}

// addrs makes a source of the addresses of some ends.
func addrs(which ...which) source {
	return source{
		addrs: func(ev *Event, dst []netip.Addr) []netip.Addr {
			e, ok := endsOf(ev)
			if !ok {
				return dst
			}
			for _, w := range which {
				if a, ok := e.pick(w).addr(); ok {
					dst = append(dst, a)
				}
			}
			return dst
		},
		text: func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
			e, ok := endsOf(ev)
			if !ok {
				return dst, false
			}
			for _, w := range which {
				if x := e.pick(w); x.text != "" {
					if _, ok := x.addr(); ok {
						return append(dst, x.text...), true
					}
				}
			}
			return dst, false
		},
	}
}

func portOf(w which) source {
	return source{num: func(ev *Event, _ *Ref) (int64, bool) {
		e, ok := endsOf(ev)
		if !ok {
			return 0, false
		}
		p := e.pick(w).port
		return int64(p), p != 0
	}}
}

// bothPorts gives the ports of both ends.
func bothPorts() source {
	return source{nums: func(ev *Event, _ *Ref, dst []int64) []int64 {
		if e, ok := endsOf(ev); ok {
			for _, p := range []uint16{e.local.port, e.remote.port} {
				if p != 0 {
					dst = append(dst, int64(p))
				}
			}
		}
		return dst
	}}
}

// services are ports that rules call by name.
func service(port uint16) string {
	switch port {
	case 22:
		return "ssh"
	case 23:
		return "telnet"
	case 25:
		return "smtp"
	case 53:
		return "domain"
	case 80:
		return "http"
	case 443:
		return "https"
	case 3306:
		return "mysql"
	case 5432:
		return "postgresql"
	case 6379:
		return "redis"
	}
	return ""
}

func protoOf(w which) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		e, ok := endsOf(ev)
		if !ok {
			return "", false
		}
		return nonEmpty(service(e.pick(w).port))
	}}
}

// nameOf is the name that led to an end's address; only the remote end's is
// ever known.
func nameOf(w which) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		e, ok := endsOf(ev)
		if !ok || e.pick(w) != e.remote {
			return "", false
		}
		c := ev.Call
		if c.Addr != nil && c.Addr.RemoteName != "" {
			return c.Addr.RemoteName, true
		}
		if c.FD != nil && c.FD.Sock != nil {
			return nonEmpty(c.FD.Sock.RemoteName)
		}
		return "", false
	}}
}

// socketFields describe the socket behind the descriptor of a call.
func socketFields() []Field {
	ip := func(name, doc string, w ...which) Field {
		return Field{Name: name, Type: FieldIP, Doc: doc, Events: sockTypes, src: addrs(w...)}
	}
	net := func(name, doc string, w ...which) Field {
		return Field{Name: name, Type: FieldNet, Doc: doc, Events: sockTypes, src: addrs(w...)}
	}
	port := func(name, doc string, w which) Field {
		return Field{Name: name, Type: FieldPort, Doc: doc, Events: sockTypes, src: portOf(w)}
	}
	str := func(name, doc string, src source) Field {
		return Field{Name: name, Doc: doc, Events: sockTypes, src: src}
	}
	return []Field{
		ip("fd.ip", "address of either end: = and in look for one that fits, != wants that none does", endRemote, endLocal),
		ip("fd.cip", "address of the client", endClient), ip("fd.sip", "address of the server", endServer),
		ip("fd.lip", "address of the own end", endLocal), ip("fd.rip", "address of the other end", endRemote),
		net("fd.net", "network of either end, as fd.ip: fd.net in (10.0.0.0/8)", endRemote, endLocal),
		net("fd.cnet", "network of the client", endClient), net("fd.snet", "network of the server", endServer),
		net("fd.lnet", "network of the own end", endLocal), net("fd.rnet", "network of the other end", endRemote),
		{Name: "fd.port", Type: FieldPort, AnyOf: true, Ends: true, Doc: "port of either end", Events: sockTypes, src: bothPorts()},
		port("fd.cport", "port of the client", endClient), port("fd.sport", "port of the server", endServer),
		port("fd.lport", "port of the own end", endLocal), port("fd.rport", "port of the other end", endRemote),
		str("fd.l4proto", "tcp, udp, icmp or raw", fdStr(func(_ *Call, f *FD) (string, bool) {
			if f.Sock == nil {
				return "", false
			}
			return nonEmpty(f.Sock.Proto)
		})),
		str("fd.sockfamily", "ip for IPv4 and IPv6, unix for unix sockets", fdStr(func(_ *Call, f *FD) (string, bool) {
			switch {
			case f.Sock == nil:
				return "", false
			case strings.HasPrefix(f.Sock.Family, "ipv"):
				return "ip", true
			}
			return f.Sock.Family, f.Sock.Family == "unix"
		})),
		str("fd.proto", "service of the server's port, such as https, where it is a common one", protoOf(endServer)),
		str("fd.cproto", "service of the client's port", protoOf(endClient)), str("fd.sproto", "service of the server's port", protoOf(endServer)),
		str("fd.lproto", "service of the own port", protoOf(endLocal)), str("fd.rproto", "service of the other end's port", protoOf(endRemote)),
		str("fd.cip.name", "name that led to the client's address, from a DNS answer", nameOf(endClient)),
		str("fd.sip.name", "name that led to the server's address, from a DNS answer", nameOf(endServer)),
		str("fd.lip.name", "never present: DNS answers tell of the other end", nameOf(endLocal)),
		str("fd.rip.name", "name that led to the other end's address, from a DNS answer", nameOf(endRemote)),
		{Name: "fd.is_server", Type: FieldBool, Doc: "the own end is the server's", Events: sockTypes, src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
			e, ok := endsOf(ev)
			return boolNum(e.server), ok
		}}},
		{Name: "fd.connected", Type: FieldBool, Doc: "the socket is connected, or its connection was begun", Events: sockTypes, src: source{num: fdConnected}},
		{Name: "fd.name_changed", Type: FieldBool, Doc: "the call gave the descriptor another address, as connect and the first datagram to a destination do",
			Events: sockTypes, src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
				return boolNum(ev.Type == Connect || ev.Type == Send || ev.Type == Accept), ev.Call != nil
			}}},
		{Name: "fdlist.cips", Type: FieldString, List: true, Doc: "never present: poll makes no events", src: source{list: func(_ *Event, _ *Ref, dst []string) []string { return dst }}},
		{Name: "fdlist.sips", Type: FieldString, List: true, Doc: "never present: poll makes no events", src: source{list: func(_ *Event, _ *Ref, dst []string) []string { return dst }}},
		{Name: "fdlist.cports", Type: FieldPort, List: true, Doc: "never present: poll makes no events", src: source{nums: func(_ *Event, _ *Ref, dst []int64) []int64 { return dst }}},
		{Name: "fdlist.sports", Type: FieldPort, List: true, Doc: "never present: poll makes no events", src: source{nums: func(_ *Event, _ *Ref, dst []int64) []int64 { return dst }}},
	}
}

func fdConnected(ev *Event, _ *Ref) (int64, bool) {
	c := ev.Call
	if c == nil || c.FD == nil || c.FD.Sock == nil {
		return 0, false
	}
	if ev.Type == Connect {
		return boolNum(!c.Failed() || c.Ret == -int64(unix.EINPROGRESS)), true
	}
	s := c.FD.Sock
	return boolNum(s.State == "established" || s.Proto != "tcp" && (s.RemotePort != 0 || s.Remote != "")), true
}
