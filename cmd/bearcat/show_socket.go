package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/table"
	"github.com/bearcat-hids/bearcat/internal/snapshot/task"
	"github.com/spf13/cobra"
)

// sockRow is a socket as JSON has it.
type sockRow struct {
	Family     string   `json:"family"`
	Type       string   `json:"type"`
	Proto      string   `json:"proto,omitempty"`
	State      string   `json:"state,omitempty"`
	Local      string   `json:"local,omitempty"`
	LocalPort  uint16   `json:"local_port,omitempty"`
	Remote     string   `json:"remote,omitempty"`
	RemotePort uint16   `json:"remote_port,omitempty"`
	Inode      uint64   `json:"inode,omitempty"`
	Owners     []string `json:"owners,omitempty"`
	// What the kernel told of its queues; its fields stand beside the others.
	*host.SocketState
}

func sockOf(s *event.Socket) *sockRow {
	if s == nil {
		return nil
	}
	return &sockRow{Family: s.Family, Type: s.Type, Proto: s.Proto, State: s.State, Local: s.Local, LocalPort: s.LocalPort, Remote: s.Remote, RemotePort: s.RemotePort}
}

// end writes one end of a socket.
func (s *sockRow) end(addr string, port uint16) string {
	if s.Family != "ipv4" && s.Family != "ipv6" {
		return orDash(addr)
	}
	if addr == "" {
		addr = "*"
	}
	if port == 0 {
		return addr + ":*"
	}
	return net.JoinHostPort(addr, strconv.Itoa(int(port)))
}

func (s *sockRow) protocol() string {
	if s.Proto != "" {
		return s.Proto
	}
	return s.Type
}

func (s *sockRow) text() string {
	t := s.Family + " " + s.protocol()
	if s.State != "" {
		t += " " + s.State
	}
	if s.Local != "" || s.LocalPort != 0 {
		t += " " + s.end(s.Local, s.LocalPort)
	}
	if s.Remote != "" || s.RemotePort != 0 {
		t += " -> " + s.end(s.Remote, s.RemotePort)
	}
	return t
}

type socketAnswer struct {
	taskAnswer
	Sockets []sockRow `json:"sockets"`
}

func socketNoun() *cobra.Command {
	cmd, f := taskNoun("socket [INODE]", "sockets, the processes that hold them, queues and round trips",
		`Lists sockets that processes hold, with both ends, the state and the owners, or
all that is known of one. --wide, --json and the page of one add what waits in
its queues, the backlog of a listener, and round trips, congestion window and
retransmits of TCP, as the kernel's sock_diag tells them. Sockets that nobody
holds any more, such as connections in TIME_WAIT, are not among them.`,
		"  bearcat show socket\n  bearcat show socket --listen --wide\n  bearcat show socket 482211\n  bearcat show socket --where 'fd.rport = 443' --json",
		1, true, showSocket)
	f.pidFlag(cmd)
	cmd.Flags().Uint64Var(&f.netns, "netns", 0, "of processes in the network namespace of this `NUMBER`,\nas bearcat show ns lists it")
	cmd.Flags().BoolVar(&f.listen, "listen", false, "those that wait for others: TCP in LISTEN, UDP\nwithout a peer, unix sockets with a name")
	return cmd
}

func listens(s *event.Socket) bool {
	switch s.Family {
	case "ipv4", "ipv6":
		return s.State == "listen" || s.Proto != "tcp" && s.LocalPort != 0 && s.RemotePort == 0
	case "unix":
		return s.Local != "" && s.Remote == ""
	}
	return false
}

// socketTable is the table of sockets, without its rows.
var socketTable = host.Table{More: len(socketNumbers), Minor: []string{"FAMILY", "PROTO", "STATE"}, Columns: append([]string{"FAMILY", "PROTO", "STATE", "LOCAL", "REMOTE", "OWNERS"}, socketNumbers...)}

func showSocket(f *taskFlags, args []string) (answer, error) {
	var inode uint64
	if len(args) > 0 {
		var err error
		if inode, err = strconv.ParseUint(args[0], 10, 64); err != nil || inode == 0 {
			return nil, usageError{fmt.Errorf("%q is no socket: give its inode, which bearcat show socket --wide lists", args[0])}
		}
	}
	s, all, kept, err := files(f)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var list []task.Socket
	for _, x := range task.Sockets(all, kept) {
		if (inode == 0 || x.Inode == inode) && (!f.listen || listens(x.Sock)) {
			list = append(list, x)
		}
	}
	if inode != 0 && len(list) == 0 {
		return nil, fmt.Errorf("no process holds a socket %d: bearcat show socket --wide lists those that there are", inode)
	}
	numbers := f.view.Wide || f.view.Uses(socketNumbers...)
	if numbers || f.json || inode != 0 {
		s.AddStates(list)
	}
	out := &socketAnswer{Sockets: []sockRow{}}
	out.Notes = s.Notes
	t := socketTable
	if f.json {
		t.Of = &out.Sockets
	}
	for _, x := range list {
		r := *sockOf(x.Sock)
		r.Inode, r.Owners, r.SocketState = x.Inode, holders(x.Holders, 0), x.State
		if f.json {
			out.Sockets = append(out.Sockets, r)
		}
		if inode != 0 {
			t = socketPage(&r)
			break
		}
		if !f.needsCells() {
			continue
		}
		row := []string{r.Family, r.protocol(), orDash(r.State), r.end(r.Local, r.LocalPort), r.end(r.Remote, r.RemotePort), table.List(r.Owners)}
		if numbers {
			row = append(row, r.numbers()...)
		}
		t.Rows = append(t.Rows, row)
	}
	out.tables = []host.Table{t}
	return out, nil
}

// socketNumbers are the columns of --wide.
var socketNumbers = []string{"INODE", "NET NS", "RECEIVE", "SEND", "BACKLOG", "BACKLOG MAX", "RTT", "CWND", "RETRANSMITS", "DROPS"}

// numbers are the cells of socketNumbers, with a dash for what is not known or does not apply.
func (s *sockRow) numbers() []string {
	out := []string{strconv.FormatUint(s.Inode, 10), "-", "-", "-", "-", "-", "-", "-", "-", "-"}
	st := s.SocketState
	if st == nil {
		return out
	}
	put := func(at int, n uint64) { out[at] = strconv.FormatUint(n, 10) }
	put(1, st.NetNS)
	put(9, st.Drops)
	if b := st.Backlog; b != nil {
		put(4, b.Waiting)
		if b.Max != nil {
			put(5, *b.Max)
		}
		return out
	}
	put(2, st.Receive)
	put(3, st.Send)
	if t := st.TCP; t != nil {
		out[6] = micros(t.RTT)
		put(7, uint64(t.Window))
		put(8, uint64(t.Retransmitted))
	}
	return out
}

func micros(n uint32) string { return (time.Duration(n) * time.Microsecond).String() }

// socketPage tells all of one socket.
func socketPage(r *sockRow) host.Table {
	t := host.Table{}
	add := func(name, format string, args ...any) {
		t.Rows = append(t.Rows, []string{name, fmt.Sprintf(format, args...)})
	}
	add("socket", "%d", r.Inode)
	add("kind", "%s %s", r.Family, r.protocol())
	if r.State != "" {
		add("state", "%s", r.State)
	}
	add("local", "%s", r.end(r.Local, r.LocalPort))
	add("remote", "%s", r.end(r.Remote, r.RemotePort))
	for i, o := range r.Owners {
		name := ""
		if i == 0 {
			name = "held by"
		}
		add(name, "%s", o)
	}
	st := r.SocketState
	if st == nil {
		return t
	}
	add("network namespace", "%d", st.NetNS)
	if b := st.Backlog; b != nil {
		if b.Max != nil {
			add("backlog", "%d of %d connections wait to be accepted", b.Waiting, *b.Max)
		} else {
			add("backlog", "%d connections wait to be accepted", b.Waiting)
		}
	} else {
		add("to be read", "%d bytes", st.Receive)
		add("to be sent", "%d bytes", st.Send)
	}
	add("drops", "%d", st.Drops)
	if m := st.TCP; m != nil {
		add("round trip", "%s, varies by %s, at least %s", micros(m.RTT), micros(m.RTTVar), micros(m.MinRTT))
		add("congestion window", "%d segments of %d bytes", m.Window, m.SegmentSize)
		add("in flight", "%d segments, %d taken for lost", m.Unacked, m.Lost)
		add("retransmits", "%d segments, %d timeouts in a row", m.Retransmitted, m.TimedOut)
	}
	return t
}
