package connection

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

// Life is one connection.
type Life struct {
	// ID counts from 1 in the order in which connections end.
	ID   uint64        `json:"id"`
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took_ns"`
	// Outgoing is whether this host connected.
	Outgoing bool           `json:"outgoing"`
	Local    netip.AddrPort `json:"local"`
	Remote   netip.AddrPort `json:"remote"`
	Net      uint32         `json:"netns,omitempty"`
	// Pid and Comm are the process whose socket it is; 0 and "" where nobody took it.
	Pid  uint32 `json:"pid,omitempty"`
	Comm string `json:"comm,omitempty"`
	// Connect is how long it took to be established, 0 where it was not, or where
	// the other end connected.
	Connect time.Duration `json:"connect_ns,omitempty"`
	// Sent are bytes that the other end has acknowledged, Received those that came.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	// RTT is the kernel's smoothed round trip at the end; Again counts segments that
	// were sent once more.
	RTT   time.Duration `json:"rtt_ns,omitempty"`
	Again uint32        `json:"retransmits"`
	// End is closed, reset, refused, timed out, or open where it has not ended.
	End string `json:"end"`
	// Stages are the states that it came to, and: sent again, reset sent, reset
	// received.
	Stages []waterfall.Stage `json:"stages"`
}

// states are TCP's, by the kernel's numbers (include/net/tcp_states.h).
var states = []string{"", "established", "syn sent", "syn received", "fin wait 1", "fin wait 2", "time wait", "closed", "close wait", "last ack", "listen", "closing", "new syn received"}

const (
	stateEstablished = 1
	stateSynSent     = 2
	stateClosed      = 7
)

func stateName(n uint32) string {
	if n == 0 || n >= uint32(len(states)) {
		return fmt.Sprintf("state %d", n)
	}
	return states[n]
}

// growing is a connection that has not ended.
type growing struct {
	life         Life
	first, last  uint64 // in the kernel's time
	reset, again bool   // the last thing that happened to it before its end
	chosen       bool   // its owner is asked for
}

// gatherer puts connections together from what the programs tell.
type gatherer struct {
	origin time.Time
	open   map[uint64]*growing
	done   []*Life
	count  uint64
	choose bool // only connections of chosen owners are told
}

// mostStages is how many are kept of one connection: one may send again for hours.
const mostStages = 200

// forgotten is after how long without any news a connection is given up. It may be open
// for days: then its end is told as that of one that was there before, and not at all.
const forgotten = 24 * time.Hour

// take reads a record; false for what the programs do not write.
func (g *gatherer) take(raw []byte) bool {
	var n progNote
	if !kernel.Decode(raw, &n) {
		return false
	}
	w := g.open[n.Id]
	if w == nil {
		if n.How&uint16(progHowBEGINS) == 0 {
			return true // its beginning was lost, and counted
		}
		w = &growing{first: n.At, last: n.At}
		w.life.Outgoing = n.A == stateClosed
		w.life.At = g.origin.Add(time.Duration(n.At))
		g.open[n.Id] = w
	}
	w.add(&n)
	if progWhat(n.What) == progWhatEND {
		delete(g.open, n.Id)
		g.end(w, how(&n, w))
	}
	return true
}

func (w *growing) add(n *progNote) {
	l := &w.life
	if n.LocalPort != 0 { // it is given back before the last state, and chosen after the first
		l.Local = endpoint(n.Family, n.Local, n.LocalPort)
	}
	l.Remote = endpoint(n.Family, n.Remote, n.RemotePort)
	l.Net, l.Sent, l.Received, l.Again = n.Net, n.Sent, n.Received, n.Again
	if n.RttUs != 0 {
		l.RTT = time.Duration(n.RttUs) * time.Microsecond
	}
	if n.Tgid != 0 {
		l.Pid, l.Comm = n.Tgid, kernel.Text(n.Comm[:])
		w.chosen = n.How&uint16(progHowCHOSEN) != 0
	}
	name, source, detail := stateName(n.B), "inet_sock_set_state", ""
	switch progWhat(n.What) {
	case progWhatSTATE:
		if n.B == stateEstablished && l.Outgoing {
			l.Connect = time.Duration(n.At - w.first)
		}
	case progWhatAGAIN:
		name, source, detail = "sent again", "tcp_retransmit_skb", "while "+stateName(n.A)
	case progWhatRESET_SENT:
		name, source = "reset sent", "tcp_send_reset"
	case progWhatRESET_RECEIVED:
		name, source = "reset received", "tcp_receive_reset"
	}
	what := progWhat(n.What)
	if what == progWhatRESET_SENT || what == progWhatRESET_RECEIVED {
		w.reset = true
	}
	if what == progWhatAGAIN || what == progWhatSTATE {
		w.again = what == progWhatAGAIN
	}
	if n.At < w.last {
		return // two processors told at once
	}
	if len(l.Stages) < mostStages || what == progWhatEND {
		l.Stages = append(l.Stages, waterfall.Stage{Name: name, At: time.Duration(n.At - w.first), Took: time.Duration(n.At - w.last), CPU: n.Cpu, Detail: detail, Source: source})
		w.last = n.At
	}
	l.Took = time.Duration(w.last - w.first)
}

func endpoint(family uint16, b [16]uint8, port uint16) netip.AddrPort {
	if family == 0x86dd {
		return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), port)
}

// how says how a connection ends.
func how(n *progNote, w *growing) string {
	switch {
	case n.A == stateSynSent && w.reset:
		return "refused"
	case w.reset:
		return "reset"
	case n.A == stateSynSent || w.again:
		return "timed out"
	}
	return "closed"
}

func (g *gatherer) end(w *growing, how string) {
	if g.choose && !w.chosen {
		return
	}
	g.count++
	w.life.ID, w.life.End = g.count, how
	g.done = append(g.done, &w.life)
}

// sweep gives up connections of which nothing was heard for very long, and all when it
// is over.
func (g *gatherer) sweep(now uint64, over bool) {
	var ended []*growing
	for id, w := range g.open {
		if over || now > w.last && time.Duration(now-w.last) > forgotten {
			delete(g.open, id)
			ended = append(ended, w)
		}
	}
	slices.SortFunc(ended, func(a, b *growing) int { return cmp.Compare(a.first, b.first) })
	for _, w := range ended {
		g.end(w, "open")
	}
}

// Title is one line that says which connection it is.
func (l *Life) Title() string {
	arrow, who := "<", ""
	if l.Outgoing {
		arrow = ">"
	}
	if l.Pid != 0 {
		who = fmt.Sprintf("  %s[%d]", l.Comm, l.Pid)
	}
	return fmt.Sprintf("#%d tcp %s %s %s%s", l.ID, l.Local, arrow, l.Remote, who)
}

// WriteText writes a connection as a waterfall.
func (l *Life) WriteText(w io.Writer, clean func(string) string) error {
	var b strings.Builder
	b.WriteString(clean(l.Title()) + "\n")
	waterfall.Text(&b, l.Stages, clean)
	fmt.Fprintf(&b, "  %s: %s, %d bytes sent, %d received", waterfall.Micro(l.Took), l.End, l.Sent, l.Received)
	if l.Connect > 0 {
		fmt.Fprintf(&b, ", connected after %s", waterfall.Micro(l.Connect))
	}
	if l.RTT > 0 {
		fmt.Fprintf(&b, ", round trip %s", l.RTT)
	}
	if l.Again > 0 {
		fmt.Fprintf(&b, ", %d segments sent again", l.Again)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}
