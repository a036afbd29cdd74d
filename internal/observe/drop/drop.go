// Package drop counts the packets that the kernel drops: why, where in the kernel, on
// which device and what they were, beside the kernel's own counters.
//
// In comes a network namespace or none; out comes, after a while, a list of drops.
// The programs are at kfree_skb, and at the end of the system calls that make and use
// sockets, for the owners. `bearcat drops` calls it.
package drop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Options say what to count.
type Options struct {
	// Net is the number of a network namespace; 0 for all.
	Net uint32
	// Member is a process in it, through which its counters are read.
	Member uint32
	// Choice chooses by the owner of the socket that a packet had, in the kernel; none is
	// for all, also those without. Its Net is not looked at.
	Choice kernel.Choice
	// ready is called when all is in place; nil for nothing.
	ready func()
}

// Row counts the drops that have everything in common.
type Row struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Reason is the kernel's name for why, "" before 5.17, which has none.
	Reason string `json:"reason,omitempty"`
	// Place is the function of the kernel that dropped them, with an offset.
	Place  string `json:"place"`
	Device string `json:"device,omitempty"`
	// Proto is "tcp", "udp", "icmp" and so on, or the Ethernet protocol; Port is
	// where to, 0 where there is none.
	Proto string `json:"proto"`
	Port  uint16 `json:"port,omitempty"`
	// Pid and Process are of the socket's owner, where the packet had a socket.
	Pid     uint32 `json:"pid,omitempty"`
	Process string `json:"process,omitempty"`
	Advice  string `json:"advice,omitempty"`
	v6      bool
}

// Counter is one of the kernel's own counts that rose meanwhile.
type Counter struct {
	Name string `json:"name"`
	Rose uint64 `json:"rose"`
	// Explained is how much of it is found among the drops, by the reasons or
	// places in By.
	Explained uint64   `json:"explained"`
	By        []string `json:"by,omitempty"`
	// Parts is how much of it other counters here count too.
	Parts uint64 `json:"parts,omitempty"`
}

// Result is what was counted.
type Result struct {
	Took float64 `json:"took_s"`
	Rows []Row   `json:"drops"`
	// Packets is their sum.
	Packets uint64 `json:"packets"`
	// Counters are those of this network namespace and of the processors.
	Counters []Counter `json:"counters"`
	Balance  Balance   `json:"balance"`
	// Chosen is whether the drops are those of some sockets' owners. The counters
	// count all, and are left out then.
	Chosen bool `json:"chosen,omitempty"`
	// Firewall is the packets that Bearcat's firewall dropped, which no socket saw.
	Firewall uint64 `json:"firewall"`
	// Lost counts drops that found no room among the groups, Missed calls of the
	// program that the kernel skipped.
	Lost   uint64        `json:"lost"`
	Missed uint64        `json:"missed"`
	BPF    time.Duration `json:"bpf_ns,omitempty"`
	Notes  []string      `json:"notes,omitempty"`
}

// Count runs the programs until ctx ends, and reads what they counted.
func Count(ctx context.Context, o Options) (*Result, error) {
	if err := o.Choice.Check(); err != nil {
		return nil, err
	}
	t, err := kernel.NewTransport(4096, 4096) // lifts the limit on locked memory
	if err != nil {
		return nil, err
	}
	defer t.Close()
	r := &Result{Rows: []Row{}, Counters: []Counter{}, Chosen: o.Choice.Some()}
	types, err := t.Types().Kernel()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	reasons, err := Reasons(types)
	if err != nil {
		r.Notes = append(r.Notes, "this kernel gives no reasons for drops: look at the place")
	}
	coll, err := r.load(t, types, o, reasons != nil)
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		defer func() { _ = stats.Close() }()
	}
	var links []link.Link
	defer func() {
		for _, l := range links {
			_ = l.Close()
		}
	}()
	for name, p := range coll.Programs {
		if name == "owner_list" {
			continue
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return nil, fmt.Errorf("attaching the program %s for drops: %w", name, err)
		}
		links = append(links, l)
	}
	if err := ListOwners(coll.Programs["owner_list"]); err != nil {
		r.Notes = append(r.Notes, err.Error())
	}
	before := o.counters()
	if err := coll.Maps["on"].Put(uint32(0), uint32(1)); err != nil {
		return nil, fmt.Errorf("starting to count drops: %w", err)
	}
	begun := time.Now()
	if o.ready != nil {
		o.ready()
	}
	<-ctx.Done()
	if err := coll.Maps["on"].Put(uint32(0), uint32(0)); err != nil {
		return nil, fmt.Errorf("ending to count drops: %w", err)
	}
	after := o.counters()
	r.Took = time.Since(begun).Seconds()
	for _, p := range coll.Programs {
		if st, err := p.Stats(); err == nil {
			r.BPF, r.Missed = r.BPF+st.Runtime, r.Missed+st.RecursionMisses
		}
	}
	if err := r.read(coll, reasons); err != nil {
		return nil, err
	}
	if r.Chosen {
		return r, nil
	}
	r.Counters = rose(before, after)
	r.balance()
	return r, nil
}

// load loads the programs that this kernel has an occasion for.
func (r *Result) load(t *kernel.Transport, types *btf.Spec, o Options, reasons bool) (*ebpf.Collection, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for drops: %w", err)
	}
	if reasons {
		delete(spec.Programs, "drop_where")
	} else {
		delete(spec.Programs, "drop_why")
	}
	if kernel.TracepointArguments(types, "udp_fail_queue_rcv_skb") == 0 {
		delete(spec.Programs, "owner_full")
	}
	hasSocket := uint8(0)
	if kernel.TracepointArguments(types, "kfree_skb") >= 4 { // packet, place, reason, socket
		hasSocket = 1
	}
	choose := uint8(0)
	if r.Chosen {
		choose = 1
		if err := o.Choice.Tasks().Set(spec); err != nil {
			return nil, err
		}
	}
	for name, v := range map[string]any{"only_net": o.Net, "has_socket": hasSocket, "choose": choose} {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, fmt.Errorf("setting the programs' constant %s: %w", name, err)
		}
	}
	coll, err := t.Load(spec, nil)
	if err != nil {
		return nil, fmt.Errorf("loading the programs for drops: %w", errors.New(kernel.Verdict(err)))
	}
	return coll, nil
}

// ListOwners has the programs learn whose the sockets are that are there already.
func ListOwners(p *ebpf.Program) error {
	it, err := link.AttachIter(link.IterOptions{Program: p})
	if err != nil {
		return fmt.Errorf("the owners of sockets from before are not known: %w", err)
	}
	defer func() { _ = it.Close() }()
	f, err := it.Open()
	if err != nil {
		return fmt.Errorf("the owners of sockets from before are not known: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(io.Discard, f); err != nil {
		return fmt.Errorf("the owners of some sockets from before are not known: %w", err)
	}
	return nil
}

// Reasons are the names of reasons by number; an error where the kernel gives none.
func Reasons(types *btf.Spec) (map[uint32]string, error) {
	var enum *btf.Enum
	if err := types.TypeByName("skb_drop_reason", &enum); err != nil {
		return nil, err
	}
	out := map[uint32]string{}
	for _, v := range enum.Values {
		n := strings.TrimPrefix(v.Name, "SKB_DROP_REASON_")
		if strings.HasPrefix(n, "SUBSYS") || n == "MAX" || n == "SUBSYS_MASK" {
			continue
		}
		out[uint32(v.Value)] = strings.TrimPrefix(n, "SKB_")
	}
	return out, nil
}

func (r *Result) read(coll *ebpf.Collection, reasons map[uint32]string) error {
	if err := coll.Maps["lost"].Lookup(uint32(0), &r.Lost); err != nil {
		return fmt.Errorf("reading what was lost: %w", err)
	}
	symbols, err := kernel.ReadSymbols()
	if err != nil {
		r.Notes = append(r.Notes, err.Error())
	}
	var key progDropKey
	var c progDropCount
	it := coll.Maps["drops"].Iterate()
	for it.Next(&key, &c) {
		row := Row{Packets: c.Packets, Bytes: c.Bytes, Place: symbols.Name(key.Location), Device: kernel.Text(key.Dev[:]), Proto: Protocol(key.Family, key.Proto), Port: key.Port,
			Pid: key.Tgid, Process: kernel.Text(key.Comm[:]), v6: key.Family == familyIPv6}
		if reasons != nil {
			if row.Reason = reasons[key.Reason]; row.Reason == "" {
				row.Reason = "reason " + strconv.FormatUint(uint64(key.Reason), 10)
			}
			row.Advice = Advice(row.Reason)
		}
		r.Packets += c.Packets
		r.Rows = append(r.Rows, row)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the drops: %w", err)
	}
	r.sort()
	return nil
}

func (r *Result) sort() {
	slices.SortFunc(r.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Place, b.Place), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Pid, b.Pid))
	})
}

// AddFirewall adds what Bearcat's firewall dropped, for a rule or a list.
func (r *Result) AddFirewall(by string, packets, bytes uint64) {
	if packets == 0 {
		return
	}
	r.Firewall += packets
	r.Rows = append(r.Rows, Row{Packets: packets, Bytes: bytes, Reason: "FIREWALL", Place: by, Proto: "any", Advice: "bearcat fw stats, bearcat fw explain"})
	r.sort()
}

const familyIPv6 = 0x86dd

// Protocol names what a packet was.
func Protocol(family uint16, proto uint8) string {
	switch family {
	case 0x0800, familyIPv6:
		if name := kernel.ProtocolName(uint16(proto)); name != "" {
			return name
		}
		return "ip " + strconv.Itoa(int(proto))
	case 0x0806:
		return "arp"
	case 0:
		return "none"
	}
	return fmt.Sprintf("0x%04x", family)
}

// Advice says what to do about a reason that has a usual one.
func Advice(reason string) string {
	return map[string]string{
		"NO_SOCKET":            "nobody listens there: a service is down, or somebody scans",
		"SOCKET_RCVBUFF":       "the program reads too slowly: raise net.core.rmem_max and its buffer",
		"PROTO_MEM":            "the protocol is out of memory: net.ipv4.udp_mem, net.ipv4.tcp_mem",
		"NETFILTER_DROP":       "a rule of nftables or iptables: nft list ruleset",
		"XDP":                  "an XDP program: bearcat fw stats, bearcat show bpf",
		"TC_INGRESS":           "a tc filter: tc filter show",
		"QDISC_DROP":           "the device's queue is full: tc -s qdisc",
		"FULL_RING":            "the device's ring is full: ethtool -g",
		"CPU_BACKLOG":          "the processor's backlog is full: net.core.netdev_max_backlog",
		"IP_RPFILTER":          "the way back is another one: net.ipv4.conf.*.rp_filter",
		"TCP_CSUM":             "wrong checksum: a bad cable or offload",
		"UDP_CSUM":             "wrong checksum: a bad cable or offload",
		"IP_CSUM":              "wrong checksum: a bad cable or offload",
		"SOCKET_FILTER":        "a filter on the socket",
		"NEIGH_FAILED":         "no answer to ARP or neighbour discovery: the host is down or in another network",
		"IP_OUTNOROUTES":       "there is no route: ip route get",
		"TCP_OVERWINDOW":       "data beyond the window, as after a lost packet",
		"TCP_OLD_DATA":         "data that came twice",
		"OTHERHOST":            "for another host: the device takes all packets",
		"TCP_LISTEN_OVERFLOW":  "the listener's queue is full: net.core.somaxconn and its backlog",
		"IP_INADDRERRORS":      "an address that is none of this host's",
		"UNHANDLED_PROTO":      "nobody handles the protocol",
		"DEV_READY":            "the device is down",
		"TCP_INVALID_SEQUENCE": "a sequence number outside the window",
		"TCP_INVALID_SYN":      "a SYN within a connection",
		"TCP_RESET":            "a reset ended the connection",
		"IPV6DISABLED":         "IPv6 is off on the device",
		"BPF_CGROUP_EGRESS":    "a BPF program of a control group: bearcat show bpf",
		"IP_NOPROTO":           "nobody handles the protocol",
		"QUEUE_PURGE":          "its socket was closed before it was read",
	}[reason]
}
