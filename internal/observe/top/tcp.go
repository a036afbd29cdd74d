package top

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cilium/ebpf/link"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

var (
	tcpPrograms = []string{"tcp_state", "tcp_destroy", "tcp_reset_in", "tcp_reset_out", "tcp_list"}
	tcpOptional = map[string]string{"tcp_sends": noUse, "tcp_receives": noUse}
)

const noUse = "this kernel does not tell who uses a connection: one that comes in and is reset within an interval is counted for who listens"

// What a connection is known by (the enum in tcp.h).
const (
	tcpOut = 1
	tcpIn  = 2
)

// tcpStates are the kernel's, by number.
var tcpStates = []string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"}

const (
	synSent   = 2
	listening = 10
)

// traffic is what an interval had of one connection.
type traffic struct {
	whose                      progTcpWhose
	seen                       progTcpSeen
	opened, accepted           bool
	ended                      bool
	in, out                    uint64
	retrans, resetIn, resetOut uint64
	connect                    uint64
}

// tcpKey tells a connection from others, also from those at the same address.
type tcpKey struct{ sk, born uint64 }

// tcpKnown is what is remembered of a connection from one interval to the next.
type tcpKnown struct {
	last  progTcpSeen
	whose progTcpWhose
	at    uint32 // the interval in which it was seen
}

// tcpWatch makes intervals of the kernel's counts.
type tcpWatch struct {
	t       *Top
	list    *link.Iter
	byConn  bool
	known   map[tcpKey]*tcpKnown
	now     map[tcpKey][]progTcpSeen
	first   bool
	refused uint64
	// listeners are those that take connections, by network and port.
	listeners map[tcpPort]progTcpWhose
}

type tcpPort struct {
	net  uint32
	port uint16
}

func openTCP(t *Top) (watch, error)  { return newTCPWatch(t, false) }
func openConn(t *Top) (watch, error) { return newTCPWatch(t, true) }

func newTCPWatch(t *Top, byConn bool) (watch, error) {
	it, err := link.AttachIter(link.IterOptions{Program: t.coll.Programs["tcp_list"]})
	if err != nil {
		return nil, fmt.Errorf("listing the connections: %w", err)
	}
	t.links = append(t.links, it)
	return &tcpWatch{t: t, list: it, byConn: byConn, known: map[tcpKey]*tcpKnown{}, first: true}, nil
}

// mark lists the connections that have a descriptor, each once for each that has it.
func (w *tcpWatch) mark() error {
	f, err := w.list.Open()
	if err != nil {
		return fmt.Errorf("listing the connections: %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("listing the connections: %w", err)
	}
	all, err := decodeSeen(raw)
	if err != nil {
		return err
	}
	w.now, w.listeners = map[tcpKey][]progTcpSeen{}, map[tcpPort]progTcpWhose{}
	for _, s := range all {
		if s.State == listening {
			w.listeners[tcpPort{s.Net, s.LocalPort}] = s.Holder
			continue
		}
		k := tcpKey{s.Sk, s.Conn.Born}
		w.now[k] = append(w.now[k], s)
	}
	if w.first { // what they did before is not told
		for k, holders := range w.now {
			w.known[k] = &tcpKnown{last: holders[0], whose: ownerAmong(holders)}
		}
		w.first = false
	}
	return nil
}

func decodeSeen(raw []byte) ([]progTcpSeen, error) {
	size := binary.Size(progTcpSeen{})
	if size <= 0 || len(raw)%size != 0 {
		return nil, fmt.Errorf("the kernel's list of connections has %d bytes, which is no multiple of %d", len(raw), size)
	}
	all := make([]progTcpSeen, len(raw)/size)
	if err := binary.Read(bytes.NewReader(raw), binary.NativeEndian, all); err != nil {
		return nil, fmt.Errorf("reading the kernel's list of connections: %w", err)
	}
	return all, nil
}

// ownerAmong chooses whose a connection is: who opened or first used it, as long as that
// one has it, or else the last of those that have it, which has it from the others.
func ownerAmong(holders []progTcpSeen) progTcpWhose {
	for _, h := range holders {
		if h.Holder.Tgid == h.Conn.Whose.Tgid {
			return h.Holder
		}
	}
	return holders[len(holders)-1].Holder
}

// forgetAfter is how many intervals a connection is remembered that is in no list and of
// whose end nothing is heard.
const forgetAfter = 1000

// interval joins the list to the ends of the last interval.
func (w *tcpWatch) interval() (map[tcpKey]*traffic, error) {
	out := map[tcpKey]*traffic{}
	for k, holders := range w.now {
		s := holders[0]
		x := w.add(out, k, s)
		x.whose = ownerAmong(holders)
		w.known[k].whose = x.whose
	}
	err := take(w.t, "ends", func(k progTcpEndKey) uint32 { return k.Epoch }, func(e progTcpEndKey, s progTcpSeen) {
		k := tcpKey{e.Sk, e.Born}
		whose := s.Conn.Whose
		if n := w.known[k]; n != nil && n.whose.Tgid != 0 {
			whose = n.whose
		}
		if whose.Tgid == 0 && s.Conn.Flags&tcpIn != 0 { // who accepted it has not used it
			whose = w.listeners[tcpPort{s.Net, s.LocalPort}]
		}
		if (whose.Tgid != 0 && whose.Wanted == 0) || (whose.Tgid == 0 && w.t.chooses()) {
			delete(w.known, k)
			return
		}
		x := w.add(out, k, s)
		x.whose, x.ended = whose, true
		delete(w.known, k)
	})
	for k, n := range w.known {
		if w.t.epoch-n.at > forgetAfter {
			delete(w.known, k)
		}
	}
	return out, err
}

// add adds what came to a connection since it was last seen.
func (w *tcpWatch) add(out map[tcpKey]*traffic, k tcpKey, s progTcpSeen) *traffic {
	x := out[k]
	if x == nil {
		x = &traffic{}
		out[k] = x
	}
	n := w.known[k]
	if n == nil {
		n = &tcpKnown{}
		if s.Conn.Flags&(tcpOut|tcpIn) == 0 { // it is from before
			n.last = s
		}
		x.opened, x.accepted = s.Conn.Flags&tcpOut != 0, s.Conn.Flags&tcpIn != 0
		w.known[k] = n
	}
	x.seen = s
	x.in += since(s.Received, n.last.Received)
	x.out += since(s.Sent, n.last.Sent)
	x.retrans += since(uint64(s.Retransmits), uint64(n.last.Retransmits))
	x.resetIn += since(uint64(s.Conn.ResetsIn), uint64(n.last.Conn.ResetsIn))
	x.resetOut += since(uint64(s.Conn.ResetsOut), uint64(n.last.Conn.ResetsOut))
	x.connect = max(x.connect, since(s.Conn.Connecting, n.last.Conn.Connecting))
	n.last, n.at = s, w.t.epoch
	return x
}

// since is how much a count has risen; one that was reset has risen by nothing.
func since(now, before uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

func (w *tcpWatch) read(f *Frame) error {
	all, err := w.interval()
	if err != nil {
		return err
	}
	var refused uint64
	if err := w.t.coll.Maps["refusals"].Lookup(uint32(0), &refused); err != nil {
		return fmt.Errorf("reading the resets that belong to no connection: %w", err)
	}
	f.Host = fmt.Sprintf("%d connections, %d resets sent where there was none", len(w.now), refused-w.refused)
	w.refused = refused
	if w.byConn {
		connTable.fill(f, connRows(all, f.Took), w.t.o.Sort)
		return nil
	}
	tcpTable.fill(f, tcpRows(all, f.Took), w.t.o.Sort)
	return nil
}

// tcpRows adds connections up by process.
func tcpRows(all map[tcpKey]*traffic, took float64) []TCP {
	rows := map[uint32]*TCP{}
	trips := map[uint32]uint64{}
	for _, x := range all {
		r := rows[x.whose.Tgid]
		if r == nil {
			r = &TCP{Pid: x.whose.Tgid, Comm: kernel.Text(x.whose.Comm[:]), took: took}
			rows[x.whose.Tgid] = r
		}
		r.add(x)
		if x.seen.RttUs > 0 {
			trips[r.Pid]++
			r.RTT += uint64(x.seen.RttUs) * 1000
		}
	}
	out := make([]TCP, 0, len(rows))
	for pid, r := range rows {
		r.RTT /= max(trips[pid], 1)
		out = append(out, *r)
	}
	return out
}

func (r *TCP) add(x *traffic) {
	switch {
	case !x.ended:
		r.Connections++
	case x.seen.Before == synSent:
		r.Failed++
	default:
		r.Ended++
	}
	if x.opened {
		r.Opened++
	}
	if x.accepted {
		r.Accepted++
	}
	r.In += x.in
	r.Out += x.out
	r.RTTMax = max(r.RTTMax, uint64(x.seen.RttUs)*1000)
	r.Connect = max(r.Connect, x.connect)
	r.Retransmits += x.retrans
	r.ResetsIn += x.resetIn
	r.ResetsOut += x.resetOut
	if !x.ended {
		r.QueueIn += uint64(x.seen.QueueIn)
		r.QueueOut += uint64(x.seen.QueueOut)
	}
}

// connRows makes a row of each connection.
func connRows(all map[tcpKey]*traffic, took float64) []Conn {
	out := make([]Conn, 0, len(all))
	for k, x := range all {
		s := &x.seen
		state := s.State
		if x.ended {
			state = s.Before
		}
		r := Conn{
			Pid: x.whose.Tgid, Comm: kernel.Text(x.whose.Comm[:]), Local: address(s.Family, s.Local, s.LocalPort), Remote: address(s.Family, s.Remote, s.RemotePort),
			State: stateName(state), Walk: walkOf(s.Conn.Walk), Ended: x.ended, In: x.in, Out: x.out, RTT: uint64(s.RttUs) * 1000, Connect: x.connect, Retransmits: x.retrans,
			ResetsIn: x.resetIn, ResetsOut: x.resetOut, took: took, id: k.born,
		}
		if !x.ended {
			r.QueueIn, r.QueueOut = uint64(s.QueueIn), uint64(s.QueueOut)
		}
		out = append(out, r)
	}
	return out
}

func stateName(state uint8) string {
	if int(state) < len(tcpStates) {
		return tcpStates[state]
	}
	return "state " + strconv.Itoa(int(state))
}

// walkOf names the states that a connection came to, the last ones if there were many.
func walkOf(walk uint64) []string {
	out := []string{}
	for ; walk > 0; walk >>= 4 {
		out = append(out, stateName(uint8(walk&15)))
	}
	slices.Reverse(out)
	return out
}

const familyInet = 2

// address writes an end of a connection.
func address(family uint16, ip [16]uint8, port uint16) string {
	a := netip.AddrFrom16(ip).Unmap()
	if family == familyInet {
		a = netip.AddrFrom4([4]byte(ip[:4]))
	}
	return netip.AddrPortFrom(a, port).String()
}
