package drop

import (
	"slices"
	"strings"
)

// Balance compares what was seen with what the kernel counts.
type Balance struct {
	// Events is how many drops explain a counter, Counters how much the counters
	// rose, each packet once. Unexplained is what is left of the counters, and
	// Uncounted the drops that are in none.
	Events      uint64 `json:"events"`
	Counters    uint64 `json:"counters"`
	Unexplained uint64 `json:"unexplained"`
	Uncounted   uint64 `json:"uncounted"`
}

// cause says which drops a counter counts: by reason, and before 5.17 by the function.
type cause struct {
	counter string
	proto   string // "" for any
	v6      bool
	any     bool // of both IPs
	reasons []string
	places  []string
}

// causes lists the counters, those first whose drops are told apart best.
func causes() []cause {
	var out []cause
	for _, ip := range []struct {
		udp, ip string
		v6      bool
		receive []string
	}{
		{"Udp.", "Ip.", false, []string{"__udp4_lib_rcv", "udp_rcv"}},
		{"Udp6", "Ip6", true, []string{"__udp6_lib_rcv", "udpv6_rcv"}},
	} {
		queue := []string{"udp_queue_rcv", "__udp_queue_rcv", "udpv6_queue_rcv", "__udp_enqueue_schedule"}
		out = append(out,
			cause{counter: ip.udp + "RcvbufErrors", proto: "udp", v6: ip.v6, reasons: []string{"SOCKET_RCVBUFF"}, places: queue},
			cause{counter: ip.udp + "MemErrors", proto: "udp", v6: ip.v6, reasons: []string{"PROTO_MEM"}, places: queue},
			cause{counter: ip.udp + "InCsumErrors", proto: "udp", v6: ip.v6, reasons: []string{"UDP_CSUM"}, places: append(queue, ip.receive...)},
			cause{counter: ip.udp + "NoPorts", proto: "udp", v6: ip.v6, reasons: []string{"NO_SOCKET"}, places: ip.receive},
			cause{counter: ip.udp + "InErrors", proto: "udp", v6: ip.v6, reasons: []string{"SOCKET_FILTER", "XFRM_POLICY", "UDP_CSUM"}, places: queue},
			cause{counter: ip.ip + "InHdrErrors", v6: ip.v6, reasons: []string{"IP_INHDR", "IP_CSUM", "IPV6_BAD_EXTHDR"}, places: []string{"ip_rcv", "ip6_rcv"}},
			cause{counter: ip.ip + "InAddrErrors", v6: ip.v6, reasons: []string{"IP_INADDRERRORS", "IP_INVALID_DEST"}, places: []string{"ip_error", "ip6_pkt_drop"}},
			cause{counter: ip.ip + "InUnknownProtos", v6: ip.v6, reasons: []string{"IP_NOPROTO", "UNHANDLED_PROTO"}, places: []string{"ip_protocol_deliver", "ip6_protocol_deliver"}},
			cause{counter: ip.ip + "InNoRoutes", v6: ip.v6, reasons: []string{"IP_INNOROUTES"}, places: []string{"ip_error", "ip6_pkt_drop"}},
			cause{counter: ip.ip + "OutNoRoutes", v6: ip.v6, reasons: []string{"IP_OUTNOROUTES"}, places: []string{"ip_error", "ip6_pkt_drop"}},
		)
	}
	for _, c := range []cause{
		{counter: "IpExt.InNoRoutes", reasons: []string{"IP_INNOROUTES"}},
		{counter: "TcpExt.ListenOverflows", reasons: []string{"TCP_LISTEN_OVERFLOW"}},
		{counter: "TcpExt.ListenDrops", reasons: []string{"TCP_LISTEN_OVERFLOW"}},
		{counter: "Tcp.InCsumErrors", reasons: []string{"TCP_CSUM"}},
		{counter: "TcpExt.TCPBacklogDrop", reasons: []string{"SOCKET_BACKLOG"}, places: []string{"tcp_add_backlog"}},
		{counter: "TcpExt.TCPRcvQDrop", reasons: []string{"PROTO_MEM", "SOCKET_RCVBUFF"}},
		{counter: "TcpExt.TCPZeroWindowDrop", reasons: []string{"TCP_ZEROWINDOW"}},
		{counter: "TcpExt.TCPMinTTLDrop", reasons: []string{"TCP_MINTTL"}},
		{counter: "TcpExt.TCPOFODrop", reasons: []string{"TCP_OFO_DROP"}},
		{counter: "TcpExt.OfoPruned", reasons: []string{"TCP_OFO_QUEUE_PRUNE"}},
	} {
		c.proto, c.any = "tcp", true
		out = append(out, c)
	}
	return append(out,
		cause{counter: "TcpExt.IPReversePathFilter", any: true, reasons: []string{"IP_RPFILTER"}, places: []string{"ip_rcv_finish_core", "ip_rcv_finish"}},
		cause{counter: "softnet.dropped", any: true, reasons: []string{"CPU_BACKLOG"}, places: []string{"enqueue_to_backlog"}},
	)
}

// sums are counters that hold others.
var sums = map[string][]string{
	"Udp.InErrors":       {"Udp.RcvbufErrors", "Udp.MemErrors", "Udp.InCsumErrors"},
	"Udp6InErrors":       {"Udp6RcvbufErrors", "Udp6MemErrors", "Udp6InCsumErrors"},
	"Tcp.InErrs":         {"Tcp.InCsumErrors"},
	"Icmp.InErrors":      {"Icmp.InCsumErrors"},
	"Icmp6InErrors":      {"Icmp6InCsumErrors"},
	"TcpExt.ListenDrops": {"TcpExt.ListenOverflows"},
}

func (c *cause) covers(r *Row) bool {
	if c.proto != "" && c.proto != r.Proto || !c.any && c.v6 != r.v6 {
		return false
	}
	if r.Reason != "" {
		return slices.Contains(c.reasons, r.Reason)
	}
	function, _, _ := strings.Cut(r.Place, "+")
	return slices.ContainsFunc(c.places, func(p string) bool { return strings.HasPrefix(function, p) })
}

// balance finds for each counter the drops that it counts. A drop explains one counter.
func (r *Result) balance() {
	at := map[string]*Counter{}
	for i := range r.Counters {
		at[r.Counters[i].Name] = &r.Counters[i]
	}
	for name, parts := range sums {
		if c := at[name]; c != nil {
			for _, part := range parts {
				if p := at[part]; p != nil {
					c.Parts = min(c.Rose, c.Parts+p.Rose)
				}
			}
		}
	}
	left := make([]uint64, len(r.Rows))
	for i, row := range r.Rows {
		left[i] = row.Packets
	}
	for _, x := range causes() {
		c := at[x.counter]
		if c == nil {
			continue
		}
		for i := range r.Rows {
			row := &r.Rows[i]
			n := min(left[i], c.Rose-c.Parts-c.Explained)
			if n == 0 || !x.covers(row) {
				continue
			}
			left[i], c.Explained = left[i]-n, c.Explained+n
			by := row.Reason
			if by == "" {
				by, _, _ = strings.Cut(row.Place, "+")
			}
			if !slices.Contains(c.By, by) {
				c.By = append(c.By, by)
			}
		}
	}
	r.Balance = Balance{}
	for _, c := range r.Counters {
		r.Balance.Events += c.Explained
		r.Balance.Counters += c.Rose - c.Parts
	}
	r.Balance.Unexplained = r.Balance.Counters - r.Balance.Events
	for _, n := range left {
		r.Balance.Uncounted += n
	}
}
