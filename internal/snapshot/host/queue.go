package host

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Softnet is what one CPU has taken from network cards, in packets since boot.
type Softnet struct {
	CPU       int    `json:"cpu"`
	Processed uint64 `json:"processed"`
	Dropped   uint64 `json:"dropped"`  // its backlog was full
	Squeezed  uint64 `json:"squeezed"` // times that work was left when budget or time was up
	RPS       uint64 `json:"rps"`      // times that another CPU woke it
	Backlog   uint64 `json:"backlog"`  // now; 0 on kernels that do not tell
}

// Qdisc is one queueing discipline.
type Qdisc struct {
	Interface string `json:"interface"`
	Kind      string `json:"kind"`
	Handle    string `json:"handle"`
	Parent    string `json:"parent"`
	Bytes     uint64 `json:"bytes"`
	Packets   uint32 `json:"packets"`
	Queued    uint32 `json:"queued"`   // packets now
	Backlog   uint32 `json:"backlog"`  // bytes now
	Dropped   uint32 `json:"dropped"`  // packets
	Requeues  uint32 `json:"requeues"` // times that the driver was busy
	Overlimit uint32 `json:"over_limits"`
}

// Ring is the size of an interface's rings, in descriptors.
type Ring struct {
	Interface string `json:"interface"`
	RX        uint32 `json:"rx"`
	RXMax     uint32 `json:"rx_max"`
	TX        uint32 `json:"tx"`
	TXMax     uint32 `json:"tx_max"`
}

// SocketQueue is a socket with something in a queue, or that has dropped packets.
type SocketQueue struct {
	Protocol string `json:"protocol"`
	Local    string `json:"local"`
	Remote   string `json:"remote"`
	Inode    uint64 `json:"inode"`
	Receive  uint64 `json:"receive"` // bytes; of a TCP listener: connections to accept
	Send     uint64 `json:"send"`    // bytes
	Drops    uint64 `json:"drops"`   // packets, of UDP
	listens  bool   // a TCP listener
}

// Queues are the queues of this network namespace.
type Queues struct {
	Softnet []Softnet     `json:"softnet"`
	Qdiscs  []Qdisc       `json:"qdiscs"`
	Rings   []Ring        `json:"rings"`
	Sockets []SocketQueue `json:"sockets"`
	Notes   `json:"notes,omitempty"`
}

// ReadQueues reads the queues that packets wait in, from the card to the socket.
func ReadQueues() (*Queues, error) {
	out := &Queues{Softnet: []Softnet{}, Qdiscs: []Qdisc{}, Rings: []Ring{}, Sockets: []SocketQueue{}}
	note := func(err error) {
		if err != nil {
			out.Notes = append(out.Notes, err.Error())
		}
	}
	var err error
	text, err := os.ReadFile("/proc/thread-self/net/softnet_stat")
	note(err)
	out.Softnet, err = parseSoftnet(string(text))
	note(err)
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	names := map[int]string{}
	for _, i := range interfaces {
		names[i.Index] = i.Name
	}
	out.Qdiscs, err = readQdiscs(names)
	note(err)
	note(out.readRings(interfaces))
	for _, p := range [...]string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + p)
		if err != nil {
			continue // the protocol is not built in
		}
		for _, s := range parseSocketQueues(p, string(text)) {
			if s.Receive+s.Send+s.Drops > 0 {
				out.Sockets = append(out.Sockets, s)
			}
		}
	}
	return out, nil
}

// parseSoftnet reads softnet_stat: hexadecimal columns, which grew over the years.
func parseSoftnet(text string) ([]Softnet, error) {
	out := []Softnet{}
	for l := range strings.Lines(text) {
		var n []uint64
		for _, f := range strings.Fields(l) {
			v, err := strconv.ParseUint(f, 16, 64)
			if err != nil {
				return out, fmt.Errorf("line %q of softnet_stat is not understood", strings.TrimSpace(l))
			}
			n = append(n, v)
		}
		if len(n) < 10 {
			return out, fmt.Errorf("line %q of softnet_stat is too short", strings.TrimSpace(l))
		}
		s := Softnet{CPU: len(out), Processed: n[0], Dropped: n[1], Squeezed: n[2], RPS: n[9]}
		if len(n) > 12 {
			s.Backlog, s.CPU = n[11], int(n[12])
		}
		out = append(out, s)
	}
	return out, nil
}

// readQdiscs asks the kernel for all disciplines of this network namespace.
func readQdiscs(names map[int]string) ([]Qdisc, error) {
	out := []Qdisc{}
	const tcmsg = 20
	err := dump(unix.NETLINK_ROUTE, unix.RTM_GETQDISC, make([]byte, tcmsg), func(typ uint16, data []byte) {
		if q, ok := parseQdisc(data, names); ok && typ == unix.RTM_NEWQDISC {
			out = append(out, q)
		}
	})
	if err != nil {
		return out, fmt.Errorf("queueing disciplines are not known: %w", err)
	}
	return out, nil
}

// parseQdisc reads a tcmsg and its attributes.
func parseQdisc(b []byte, names map[int]string) (Qdisc, bool) {
	const size, kind, stats2, statsBasic, statsQueue = 20, 1, 7, 1, 3
	if len(b) < size {
		return Qdisc{}, false
	}
	index := int(int32(native.Uint32(b[4:])))
	q := Qdisc{Interface: names[index], Handle: handle(native.Uint32(b[8:])), Parent: handle(native.Uint32(b[12:]))}
	if q.Interface == "" {
		q.Interface = strconv.Itoa(index)
	}
	for typ, v := range attributes(b[size:]) {
		switch typ {
		case kind:
			q.Kind = strings.TrimRight(string(v), "\x00")
		case stats2:
			for typ, v := range attributes(v) {
				switch {
				case typ == statsBasic && len(v) >= 12:
					q.Bytes, q.Packets = native.Uint64(v), native.Uint32(v[8:])
				case typ == statsQueue && len(v) >= 20:
					q.Queued, q.Backlog, q.Dropped = native.Uint32(v), native.Uint32(v[4:]), native.Uint32(v[8:])
					q.Requeues, q.Overlimit = native.Uint32(v[12:]), native.Uint32(v[16:])
				}
			}
		}
	}
	return q, true
}

func handle(n uint32) string {
	switch n {
	case 0xffffffff:
		return "root"
	case 0xfffffff1:
		return "ingress"
	}
	return fmt.Sprintf("%x:%x", n>>16, n&0xffff)
}

// readRings asks each driver. Most virtual interfaces have no rings.
func (q *Queues) readRings(interfaces []net.Interface) error {
	const getRingParam = 0x10
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("rings are not known: %w", err)
	}
	defer unix.Close(s)
	var without []string
	for _, i := range interfaces {
		ring := struct{ cmd, rxMax, miniMax, jumboMax, txMax, rx, mini, jumbo, tx uint32 }{cmd: getRingParam}
		req := struct {
			name [16]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&ring)}
		copy(req.name[:15], i.Name)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
			without = append(without, i.Name)
			continue
		}
		q.Rings = append(q.Rings, Ring{i.Name, ring.rx, ring.rxMax, ring.tx, ring.txMax})
	}
	if len(without) > 0 {
		return fmt.Errorf("these interfaces have no rings that their driver tells of: %s", strings.Join(without, ", "))
	}
	return nil
}

// Tables gives the queues in the order in which a packet that arrives meets them.
func (q *Queues) Tables() []Table {
	rings := Table{Title: "rings", Of: &q.Rings, Columns: []string{"INTERFACE", "RX", "RX MAX", "TX", "TX MAX"}}
	for _, r := range q.Rings {
		rings.Rows = append(rings.Rows, []string{r.Interface, decimal(r.RX), decimal(r.RXMax), decimal(r.TX), decimal(r.TXMax)})
	}
	soft := Table{Title: "softnet", Of: &q.Softnet, Minor: []string{"RPS"}, Columns: []string{"CPU", "PROCESSED", "DROPPED", "SQUEEZED", "RPS", "BACKLOG"}}
	for _, s := range q.Softnet {
		soft.Rows = append(soft.Rows, []string{decimal(s.CPU), decimal(s.Processed), decimal(s.Dropped), decimal(s.Squeezed), decimal(s.RPS), decimal(s.Backlog)})
	}
	disc := Table{Title: "queueing disciplines", Of: &q.Qdiscs, Minor: []string{"REQUEUES", "HANDLE", "PARENT", "PACKETS", "BYTES"}, Columns: []string{"INTERFACE", "KIND", "HANDLE", "PARENT", "BYTES", "PACKETS", "QUEUED", "BACKLOG", "DROPPED", "REQUEUES", "OVER LIMITS"}}
	for _, d := range q.Qdiscs {
		disc.Rows = append(disc.Rows, []string{d.Interface, d.Kind, d.Handle, d.Parent, decimal(d.Bytes), decimal(d.Packets), decimal(d.Queued), size(uint64(d.Backlog)), decimal(d.Dropped), decimal(d.Requeues), decimal(d.Overlimit)})
	}
	sock := Table{Title: "sockets with queued data or drops", Of: &q.Sockets, Minor: []string{"INODE", "PROTOCOL"}, Columns: []string{"PROTOCOL", "LOCAL", "REMOTE", "RECEIVE", "SEND", "DROPS", "INODE"}}
	for _, s := range q.Sockets {
		sock.Rows = append(sock.Rows, []string{s.Protocol, s.Local, s.Remote, decimal(s.Receive), decimal(s.Send), decimal(s.Drops), decimal(s.Inode)})
	}
	return []Table{rings, soft, disc, sock}
}
