package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// SocketState is what the kernel keeps of a socket beside its ends.
type SocketState struct {
	// NetNS is the number of the network namespace that the socket is in.
	NetNS uint64 `json:"net_ns"`
	// Receive are the bytes that wait to be read. Of UDP they are what the kernel counts
	// against the buffer, with its own overhead, as of raw, packet and netlink sockets and
	// all others; of a unix datagram socket they are those of the first message.
	Receive uint64 `json:"receive_bytes"`
	// Send are the bytes that were written and not sent or, with TCP, not acknowledged.
	// Of all sockets but TCP overhead is counted.
	Send uint64 `json:"send_bytes"`
	// Backlog is set for one that listens.
	Backlog *Backlog `json:"backlog,omitempty"`
	// Drops are packets that did not reach the reader, most often as its buffer was full.
	Drops uint64 `json:"drops"`
	// TCP is set for TCP sockets that do not listen.
	TCP *TCPState `json:"tcp,omitempty"`
}

// Backlog counts the connections that wait to be accepted.
type Backlog struct {
	Waiting uint64  `json:"waiting"`
	Max     *uint64 `json:"max,omitempty"` // nil where the kernel does not tell
}

// TCPState is what TCP measures of a connection.
type TCPState struct {
	RTT           uint32 `json:"rtt_us"`     // smoothed round trip
	RTTVar        uint32 `json:"rtt_var_us"` // how much it varies
	MinRTT        uint32 `json:"min_rtt_us"`
	Window        uint32 `json:"cwnd_segments"` // congestion window
	SegmentSize   uint32 `json:"mss_bytes"`
	Unacked       uint32 `json:"unacked_segments"`
	Lost          uint32 `json:"lost_segments"`   // taken for lost now
	Retransmitted uint32 `json:"retransmits"`     // segments sent again since it began
	TimedOut      uint8  `json:"timeouts_in_row"` // retransmissions of the same segment by the timer
}

type socketKey struct{ ns, inode uint64 }

// SocketStates are the states of sockets by namespace and inode.
type SocketStates struct {
	found  map[socketKey]SocketState
	spaces []uint64
}

// Of finds a socket's state. The kernel hands out inodes of sockets for all namespaces
// from one counter, so that ns only decides where that has gone round: a socket may be in
// another namespace than the process that holds it.
func (s *SocketStates) Of(inode, ns uint64) *SocketState {
	if st, ok := s.found[socketKey{ns, inode}]; ok {
		return &st
	}
	for _, n := range s.spaces {
		if st, ok := s.found[socketKey{n, inode}]; ok {
			return &st
		}
	}
	return nil
}

// socketQuestion is one kind of socket that the kernel is asked for.
type socketQuestion struct {
	family, protocol uint8
	name, file       string // what it is called, and its file in /proc/net
}

var socketQuestions = [...]socketQuestion{
	{unix.AF_INET, unix.IPPROTO_TCP, "TCP sockets (IPv4)", "tcp"},
	{unix.AF_INET6, unix.IPPROTO_TCP, "TCP sockets (IPv6)", "tcp6"},
	{unix.AF_INET, unix.IPPROTO_UDP, "UDP sockets (IPv4)", "udp"},
	{unix.AF_INET6, unix.IPPROTO_UDP, "UDP sockets (IPv6)", "udp6"},
	{unix.AF_UNIX, 0, "unix sockets", ""},
}

// ReadSocketStates asks for the sockets of network namespaces, each named by its number
// with some of the processes in it. Where the kernel refuses, /proc/net stands in, which
// has the queues of internet sockets only.
func ReadSocketStates(spaces map[uint64][]int) (*SocketStates, Notes) {
	return readSocketStates(spaces, dump)
}

func readSocketStates(spaces map[uint64][]int, ask dumper) (*SocketStates, Notes) {
	r := &socketReader{ask: ask, states: &SocketStates{found: map[socketKey]SocketState{}, spaces: slices.Sorted(maps.Keys(spaces))}, refused: map[string]int{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends here, with the namespace that it is in
		here := linkInode("/proc/thread-self/ns/net")
		for _, ns := range r.states.spaces {
			err := error(nil)
			if ns != here {
				if err = enter(ns, spaces[ns]); err == nil {
					here = ns
				}
			}
			r.read(ns, spaces[ns], err)
		}
	}()
	<-done
	var notes Notes
	for _, why := range slices.Sorted(maps.Keys(r.refused)) {
		notes = append(notes, fmt.Sprintf("%s (in %d network namespaces)", why, r.refused[why]))
	}
	return r.states, notes
}

var errLeft = errors.New("its processes have left it")

// enter moves this thread into a network namespace, by way of a process that is in it.
func enter(ns uint64, pids []int) error {
	err := errors.New("its processes have ended")
	for _, pid := range pids {
		var f *os.File
		if f, err = os.Open(procPath(pid, "ns/net")); err != nil {
			continue
		}
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		if err == nil && st.Ino != ns {
			err = errLeft
		}
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		f.Close()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("entering a network namespace: %w", err)
}

// socketReader reads one namespace after the other.
type socketReader struct {
	ask     dumper
	states  *SocketStates
	refused map[string]int // sentences, with how many namespaces each is true for
}

// read asks for the sockets of the namespace that this thread is in, or, where it could
// not enter, takes what the files of a process in it tell.
func (r *socketReader) read(ns uint64, pids []int, entered error) {
	for _, q := range &socketQuestions {
		err := entered
		if err == nil {
			err = r.question(ns, q)
		}
		if err == nil {
			continue
		}
		why := fmt.Sprintf("queues of %s are not known: asking sock_diag: %v", q.name, err)
		if q.file != "" && r.files(ns, pids, q) {
			why = fmt.Sprintf("queues of %s are from /proc/net, without limits, round trips and retransmits: asking sock_diag: %v", q.name, err)
		}
		r.refused[why]++
	}
}

// Numbers of linux/sock_diag.h, inet_diag.h and unix_diag.h.
const (
	sockDiagByFamily = 20
	diagInfo         = 2 // INET_DIAG_INFO
	diagMemory       = 7 // INET_DIAG_SKMEMINFO
	unixDiagQueue    = 4 // UNIX_DIAG_RQLEN
	unixShowQueue    = 0x10
	stateListen      = 10
	// those without a socket that a descriptor could name: requests and TIME_WAIT
	ownerless = 1<<3 | 1<<6 | 1<<12
)

func (r *socketReader) question(ns uint64, q socketQuestion) error {
	parse := parseInetDiag
	var body []byte
	if q.family == unix.AF_UNIX {
		parse = parseUnixDiag
		body = make([]byte, 24) // unix_diag_req
		body[0] = q.family
		native.PutUint32(body[4:], ^uint32(0))
		native.PutUint32(body[12:], unixShowQueue)
	} else {
		body = make([]byte, 56) // inet_diag_req_v2
		body[0], body[1] = q.family, q.protocol
		body[2] = 1<<(diagInfo-1) | 1<<(diagMemory-1)
		native.PutUint32(body[4:], ^uint32(ownerless))
	}
	return r.ask(unix.NETLINK_SOCK_DIAG, sockDiagByFamily, body, func(typ uint16, data []byte) {
		inode, st, ok := parse(data)
		if !ok || typ != sockDiagByFamily {
			return
		}
		st.NetNS = ns
		r.states.found[socketKey{ns, inode}] = st
	})
}

// parseInetDiag reads an inet_diag_msg and its attributes.
func parseInetDiag(b []byte) (inode uint64, s SocketState, ok bool) {
	const size = 72
	if len(b) < size || native.Uint32(b[68:]) == 0 {
		return 0, s, false
	}
	receive, send := uint64(native.Uint32(b[56:])), uint64(native.Uint32(b[60:]))
	listens := b[1] == stateListen
	if listens {
		s.Backlog = &Backlog{Waiting: receive, Max: &send}
	} else {
		s.Receive, s.Send = receive, send
	}
	for typ, v := range attributes(b[size:]) {
		switch {
		case typ == diagInfo && !listens:
			s.TCP = parseTCPInfo(v)
			if s.TCP != nil {
				s.TCP.TimedOut = b[3]
			}
		case typ == diagMemory && len(v) >= 36:
			s.Drops = uint64(native.Uint32(v[32:]))
		}
	}
	return uint64(native.Uint32(b[68:])), s, true
}

// parseTCPInfo reads a tcp_info, which grew over the years; what a kernel does not have
// yet stays 0.
func parseTCPInfo(b []byte) *TCPState {
	const until = 104 // what every kernel has that Bearcat runs on
	if len(b) < until {
		return nil
	}
	at := func(off int) uint32 { return native.Uint32(b[off:]) }
	t := &TCPState{SegmentSize: at(16), Unacked: at(24), Lost: at(32), RTT: at(68), RTTVar: at(72), Window: at(80), Retransmitted: at(100)}
	if len(b) >= 152 && at(148) != ^uint32(0) { // all ones: not measured yet
		t.MinRTT = at(148)
	}
	return t
}

// parseUnixDiag reads a unix_diag_msg and its attributes.
func parseUnixDiag(b []byte) (inode uint64, s SocketState, ok bool) {
	const size = 16
	if len(b) < size || native.Uint32(b[4:]) == 0 {
		return 0, s, false
	}
	for typ, v := range attributes(b[size:]) {
		if typ != unixDiagQueue || len(v) < 8 {
			continue
		}
		receive, send := uint64(native.Uint32(v)), uint64(native.Uint32(v[4:]))
		if b[2] == stateListen {
			s.Backlog = &Backlog{Waiting: receive, Max: &send}
		} else {
			s.Receive, s.Send = receive, send
		}
	}
	return uint64(native.Uint32(b[4:])), s, true
}

// files reads a namespace's sockets from /proc, and reports whether that went well.
func (r *socketReader) files(ns uint64, pids []int, q socketQuestion) bool {
	for _, pid := range pids {
		text, err := os.ReadFile(procPath(pid, "net/"+q.file))
		if err != nil || linkInode(procPath(pid, "ns/net")) != ns {
			continue
		}
		for _, l := range parseSocketQueues(q.file, string(text)) {
			if l.Inode == 0 {
				continue
			}
			s := SocketState{NetNS: ns, Receive: l.Receive, Send: l.Send, Drops: l.Drops}
			if l.listens {
				s.Receive, s.Backlog = 0, &Backlog{Waiting: l.Receive}
			}
			r.states.found[socketKey{ns, l.Inode}] = s
		}
		return true
	}
	return false
}
