package packet

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

const (
	// grace is how long after its end more is awaited of a life, as the call's end.
	grace = 30 * time.Millisecond
	// swallowed is after how long a packet that the protocols took, and of which no
	// more is seen, is over: an answer to a SYN has no socket to be read from.
	swallowed = 300 * time.Millisecond
	// held is how long a life that is over waits for others that began before.
	held = 2 * swallowed
	// forgotten is after how long without news any packet is over.
	forgotten = 8 * time.Second
	// remembered is of how many segments of TCP it is known which life they had.
	remembered = 4096
)

// notes gathers what the programs tell, by life.
type gatherer struct {
	open  map[uint64]*growing
	over  []*growing // but one that began before is not
	done  []*Life
	count uint64
	// sockets are the datagrams that wait in each, oldest first.
	sockets map[uint64][]*growing
	sent    map[segment]uint64
	order   []segment // of sent
	// choose has only packets of chosen processes told.
	choose bool
	// origin is when the kernel's clock was 0.
	origin  time.Time
	reasons map[uint32]string
	names   kernel.Symbols
	paths   map[int32][]string // by the number of a stack
	// stack returns addresses, innermost first.
	stack func(id int32) []uint64
}

// segment is a piece of a TCP stream.
type segment struct {
	src, dst    netip.AddrPort
	seq, length uint32
}

// growing is a life that is not over.
type growing struct {
	life   Life
	points []point
	first  uint64 // when, in the kernel's time
	ended  uint64
	last   uint64
	socket uint64
	what   uint16
	reader uint32 // the thread
	chosen bool   // a process that is asked for has to do with it
}

// point is when and where something happened.
type point struct {
	at           uint64
	cpu          uint32
	name, source string
	detail       string
	tid          uint32 // of woken and on cpu: whose
}

func newGatherer(origin time.Time) *gatherer {
	return &gatherer{open: map[uint64]*growing{}, sockets: map[uint64][]*growing{}, sent: map[segment]uint64{}, paths: map[int32][]string{}, origin: origin, stack: func(int32) []uint64 { return nil }}
}

// begin takes the first note of a life.
func (g *gatherer) begin(b *progBirth) {
	n := &b.Note
	w := &growing{first: n.At, last: n.At, what: n.What, chosen: chosen(n)}
	l := &w.life
	l.Sent = n.How&uint16(progHowLIFE_SENT) != 0
	l.Length, l.Segments, l.family = b.Length, b.Segments, b.Family
	l.Device, l.Net = kernel.Text(n.Device[:]), n.Net
	l.read(slices.Clone(b.Bytes[:min(int(b.Has), len(b.Bytes))]))
	if l.Sent {
		l.Sender = process(n)
		l.Path = g.path(n.Stack)
		l.Again = slices.ContainsFunc(l.Path, func(f string) bool { return strings.Contains(f, "tcp_retransmit") })
	}
	w.before(b)
	detail := "from " + l.Device + ", to the protocols"
	name := "protocols"
	switch n.What {
	case uint16(progWhatSEND_QUEUED):
		name, detail = "sending", "to "+l.Device
	case uint16(progWhatRECV_QUEUED):
		name, detail = "backlog", "in a processor's backlog, from "+l.Device
	}
	if l.Segments > 1 {
		detail += fmt.Sprintf(", %d segments in one", l.Segments)
	}
	w.add(n, name, detail)
	g.open[n.Life] = w
}

// before adds what was known before the packet was seen.
func (w *growing) before(b *progBirth) {
	n := &b.Note
	put := func(at uint64, name, source, detail string) {
		if at != 0 && at <= n.At {
			w.points = append(w.points, point{at: at, cpu: n.Cpu, name: name, source: source, detail: detail})
		}
	}
	put(b.CallAt, "call", "sys_enter", fmt.Sprintf("%s() fd %d", callName(b.Call), int32(b.Fd)))
	route := "table " + tableName(b.RouteTable)
	if b.RouteError != 0 {
		route += fmt.Sprintf(" says %d", b.RouteError)
	}
	if d := kernel.Text(b.RouteDevice[:]); d != "" {
		route += " through " + d
	}
	if b.Gateway != 0 {
		route += " by " + address4(b.Gateway)
	}
	put(b.RouteAt, "route", "fib_table_lookup", route)
	put(b.NeighbourAt, "neighbour", "neigh_event_send_done", address4(b.Neighbour)+" is asked for its hardware address")
	put(b.IrqAt, "interrupt", "irq_handler_entry", "number "+itoa(uint64(b.Irq)))
	put(b.RaisedAt, "softirq raised", "softirq_raise", "NET_RX")
	put(b.SoftirqAt, "softirq", "softirq_entry", "NET_RX begins")
	put(b.GroAt, "gro", "napi_gro_receive_entry", "to be merged with others")
}

func address4(a uint32) string {
	return netip.AddrFrom4([4]byte{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24)}).String()
}

// chosen is whether the process of a note is asked for.
func chosen(n *progNote) bool { return n.How&uint16(progHowCHOSEN) != 0 }

func process(n *progNote) *Process {
	if n.Tgid == 0 {
		return nil
	}
	return &Process{n.Tgid, kernel.Text(n.Comm[:])}
}

func (w *growing) add(n *progNote, name, detail string) {
	w.points = append(w.points, point{at: n.At, cpu: n.Cpu, name: name, source: source[n.What], detail: detail})
}

// source are the tracepoints, by what they tell.
var source = map[uint16]string{
	uint16(progWhatSEND_QUEUED): "net_dev_queue", uint16(progWhatQDISC_IN): "qdisc_enqueue", uint16(progWhatQDISC_OUT): "qdisc_dequeue",
	uint16(progWhatDRIVER): "net_dev_start_xmit", uint16(progWhatDRIVER_BACK): "net_dev_xmit", uint16(progWhatRECV_QUEUED): "netif_rx",
	uint16(progWhatGRO): "napi_gro_receive_entry", uint16(progWhatRECEIVED): "netif_receive_skb", uint16(progWhatTCP): "tcp_probe",
	uint16(progWhatSOCKET): "sk_data_ready", uint16(progWhatWOKEN): "sched_waking", uint16(progWhatON_CPU): "sched_switch", uint16(progWhatOFF_CPU): "sched_switch",
	uint16(progWhatCOPIED): "skb_copy_datagram_iovec", uint16(progWhatREAD): "sock_recv_length", uint16(progWhatSENT): "sys_exit",
	uint16(progWhatDONE): "consume_skb", uint16(progWhatTAKEN): "consume_skb", uint16(progWhatDROPPED): "kfree_skb",
}

// add takes a note that is no first one.
func (g *gatherer) add(n *progNote) {
	if n.What == uint16(progWhatREAD) {
		g.read(n)
		return
	}
	w := g.open[n.Life]
	if w == nil {
		return // it was over, or its beginning was lost
	}
	w.last = n.At
	w.chosen = w.chosen || chosen(n)
	if n.What != uint16(progWhatSENT) && n.What != uint16(progWhatDRIVER_BACK) {
		w.what = n.What
	}
	device := kernel.Text(n.Device[:])
	switch progWhat(n.What) {
	case progWhatSEND_QUEUED:
		w.add(n, "sending", "to "+device)
	case progWhatQDISC_IN:
		w.add(n, "queue in", fmt.Sprintf("%s, %d in it", device, n.A))
	case progWhatQDISC_OUT:
		w.add(n, "queue out", fmt.Sprintf("%s, %d left", device, n.A))
	case progWhatDRIVER:
		w.add(n, "driver", fmt.Sprintf("of %s, queue %d", device, n.A))
	case progWhatDRIVER_BACK:
		w.add(n, "driver back", driverSays(n.A))
	case progWhatRECV_QUEUED:
		w.add(n, "backlog", "in a processor's backlog")
	case progWhatGRO:
		w.add(n, "gro", "to be merged with others")
	case progWhatRECEIVED:
		detail := "from " + device + ", to the protocols"
		if n.A > 1 {
			detail += fmt.Sprintf(", %d segments in one", n.A)
		}
		w.add(n, "protocols", detail)
	case progWhatTCP:
		w.add(n, "tcp", fmt.Sprintf("window %d, round trip %s", n.A, time.Duration(n.B)*time.Microsecond))
	case progWhatSOCKET:
		g.socket(w, n)
	case progWhatWOKEN:
		w.points = append(w.points, point{n.At, n.Cpu, "woken", source[n.What], who(process(n)) + " is woken", n.Tid})
		if w.life.Arrival == nil && n.Stack >= 0 {
			w.life.Arrival = g.path(n.Stack)
		}
	case progWhatON_CPU:
		detail := who(process(n)) + " runs"
		if n.A != 0 {
			detail += fmt.Sprintf(", %s[%d] ran instead", device, n.A)
		}
		w.points = append(w.points, point{n.At, n.Cpu, "on cpu", source[n.What], detail, n.Tid})
	case progWhatOFF_CPU:
		w.points = append(w.points, point{n.At, n.Cpu, "off cpu", source[n.What], fmt.Sprintf("%s has not read yet, and %s[%d] runs", who(process(n)), device, n.A), n.Tid})
	case progWhatSENT:
		w.add(n, "call done", fmt.Sprintf("%s() = %d", callName(n.B), int32(n.A)))
	default:
		g.end(w, n)
	}
}

func driverSays(rc uint32) string {
	switch rc {
	case 0:
		return "it took it"
	case 0x10:
		return "it is busy"
	}
	return "it says " + strconv.Itoa(int(int32(rc)))
}

func who(p *Process) string {
	if p == nil {
		return "the kernel"
	}
	return fmt.Sprintf("%s[%d]", p.Comm, p.Pid)
}

// socket notes that a packet waits for its reader.
func (g *gatherer) socket(w *growing, n *progNote) {
	detail := fmt.Sprintf("%.1f of %.1f KB are in its queue", float64(n.A)/1024, float64(n.B)/1024)
	if p := process(n); p != nil {
		w.life.Reader = p
		detail = "of " + who(p) + ", " + detail
	}
	w.add(n, "socket", detail)
	w.life.Arrival = g.path(n.Stack)
	w.socket = n.Sock
	if w.life.Proto == "udp" {
		g.sockets[n.Sock] = append(g.sockets[n.Sock], w)
	}
}

// read finds the datagram that a call has read: the oldest of the length that the call
// returned, or the oldest.
func (g *gatherer) read(n *progNote) {
	waiting := g.sockets[n.Sock]
	i := slices.IndexFunc(waiting, func(w *growing) bool { return w.ended == 0 && w.life.payload() == int(n.A) })
	if i < 0 {
		i = slices.IndexFunc(waiting, func(w *growing) bool { return w.ended == 0 && w.life.payload() > int(n.A) })
	}
	if i >= 0 {
		g.end(waiting[i], n)
	}
}

// end notes how a life ends. The first end counts.
func (g *gatherer) end(w *growing, n *progNote) {
	if w.ended != 0 {
		return
	}
	w.ended, w.last = n.At, n.At
	w.chosen = w.chosen || chosen(n)
	l := &w.life
	switch progWhat(n.What) {
	case progWhatCOPIED, progWhatREAD:
		l.End = "copied"
		if p := process(n); p != nil {
			l.Reader = p
		}
		w.reader = n.Tid
		w.add(n, "copied", "to "+who(process(n)))
	case progWhatDONE:
		l.End = "done"
		w.add(n, "done", "the device has sent it")
	case progWhatDROPPED:
		l.End = "dropped"
		l.Drop = &Drop{Place: g.names.Name(n.Where)}
		if g.reasons != nil {
			if l.Drop.Reason = g.reasons[n.A]; l.Drop.Reason == "" {
				l.Drop.Reason = "reason " + itoa(uint64(n.A))
			}
			l.Drop.Advice = drop.Advice(l.Drop.Reason)
		}
		if p := process(n); p != nil {
			l.Reader = p
		}
		w.add(n, "dropped", cmp.Or(l.Drop.Reason, "for no reason that this kernel tells")+" at "+l.Drop.Place)
	case progWhatTCP:
		l.End = "taken"
	default:
		l.End = "taken"
		w.add(n, "taken", "by the kernel itself")
	}
}

// sweep ends lives that are over, and moves those to done before which none began that
// is not over. Now is in the kernel's time; 0 is the end of all.
func (g *gatherer) sweep(now uint64) {
	oldest := uint64(math.MaxUint64)
	for id, w := range g.open {
		if !w.over(now) {
			if now-w.first < uint64(held) {
				oldest = min(oldest, w.first)
			}
			continue
		}
		delete(g.open, id)
		g.over = append(g.over, w)
	}
	slices.SortFunc(g.over, func(a, b *growing) int { return cmp.Compare(a.first, b.first) })
	n := 0
	for n < len(g.over) && g.over[n].first < oldest {
		g.finish(g.over[n])
		n++
	}
	g.over = slices.Delete(g.over, 0, n)
}

// over is whether no more is to be expected of a life.
func (w *growing) over(now uint64) bool {
	if now == 0 {
		return true
	}
	if now <= w.last {
		return false
	}
	since := time.Duration(now - w.last)
	if w.ended != 0 || since > forgotten {
		return since > grace
	}
	empty := w.life.Proto == "tcp" && w.life.payload() == 0 // it is not read by anybody
	if inside := w.what == uint16(progWhatRECEIVED) || w.what == uint16(progWhatTCP) || empty && w.what >= uint16(progWhatRECEIVED); inside && since > swallowed {
		w.life.End = "taken"
		return true
	}
	return false
}

// finish makes stages of points.
func (g *gatherer) finish(w *growing) {
	l := &w.life
	if l.End == "" {
		l.End = "open"
	}
	slices.SortStableFunc(w.points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	w.points = slices.DeleteFunc(w.points, func(p point) bool {
		late := w.ended != 0 && p.at > w.ended
		other := p.tid != 0 && w.reader != 0 && p.tid != w.reader
		return late || other
	})
	if w.socket != 0 {
		g.unqueue(w)
	}
	if len(w.points) == 0 || g.choose && !w.chosen {
		return
	}
	first := w.points[0].at
	l.At = g.origin.Add(time.Duration(first))
	before := first
	for _, p := range w.points {
		l.Stages = append(l.Stages, waterfall.Stage{Name: p.name, At: time.Duration(p.at - first), Took: time.Duration(p.at - before), CPU: p.cpu, Detail: p.detail, Source: p.source})
		before = p.at
	}
	l.Took = time.Duration(before - first)
	g.count++
	l.ID = g.count
	g.remember(l)
	g.done = append(g.done, l)
}

// unqueue takes a life out of those that wait in its socket.
func (g *gatherer) unqueue(w *growing) {
	left := slices.DeleteFunc(g.sockets[w.socket], func(x *growing) bool { return x == w })
	if len(left) == 0 {
		delete(g.sockets, w.socket)
	} else {
		g.sockets[w.socket] = left
	}
}

// remember finds the life that a segment of TCP repeats.
func (g *gatherer) remember(l *Life) {
	if l.Proto != "tcp" || !l.Sent {
		return
	}
	s := segment{netip.AddrPortFrom(l.Src, l.Sport), netip.AddrPortFrom(l.Dst, l.Dport), l.seq, l.Length}
	before, known := g.sent[s]
	if known && (l.payload() > 0 || strings.ContainsAny(l.Flags, "SF")) { // acknowledgements are alike
		l.Again = true
	}
	if l.Again {
		l.Before = before
	}
	if !known {
		if len(g.order) == remembered {
			delete(g.sent, g.order[0])
			g.order = g.order[1:]
		}
		g.order = append(g.order, s)
	}
	g.sent[s] = l.ID
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
