package host

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// SocketDifference is a socket that one list of a network namespace has and the other
// lacks.
type SocketDifference struct {
	NetNS uint64
	Inode uint64
	Kind  string // tcp, tcp6, udp, udp6 or unix
	// Ends are its addresses, or the name of a unix socket.
	Ends       string
	Has, Lacks string // "sock_diag" or "/proc/net"
}

// SocketLists compares what sock_diag lists with what /proc/net lists.
type SocketLists struct {
	// Listed has the inodes of all sockets that either has.
	Listed map[uint64]bool
	// Spaces are the network namespaces in which both lists of all kinds were read.
	Spaces      map[uint64]bool
	Differences []SocketDifference
	Notes
}

// listed are the sockets of a list, by inode, with their ends.
type listed map[uint64]string

// CompareSockets reads both lists of the network namespaces, each named by its number
// with some of the processes in it. Where the lists differ they are read once more, so
// that one of them lies between two readings of the other.
func CompareSockets(spaces map[uint64][]int) *SocketLists {
	out := &SocketLists{Listed: map[uint64]bool{}, Spaces: map[uint64]bool{}}
	refused := map[string]int{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends here, with the namespace that it is in
		here := linkInode("/proc/thread-self/ns/net")
		for _, ns := range slices.Sorted(maps.Keys(spaces)) {
			if ns != here {
				if err := enter(ns, spaces[ns]); ended(err) {
					continue
				} else if err != nil {
					refused[err.Error()]++
					continue
				}
				here = ns
			}
			whole := true
			for _, q := range &socketQuestions {
				err := out.compare(ns, spaces[ns], q)
				if err != nil && !ended(err) {
					refused[fmt.Sprintf("%s cannot be compared: %v", q.name, err)]++
				}
				whole = whole && err == nil
			}
			if whole {
				out.Spaces[ns] = true
			}
		}
	}()
	<-done
	for _, why := range slices.Sorted(maps.Keys(refused)) {
		out.Notes = append(out.Notes, fmt.Sprintf("%s (in %d network namespaces)", why, refused[why]))
	}
	return out
}

// ended tells whether an error only means that a namespace's processes have gone.
func ended(err error) bool { return err != nil && (gone(err) || errors.Is(err, errLeft)) }

// compare reads both lists of one kind, in the namespace that this thread is in.
func (s *SocketLists) compare(ns uint64, pids []int, q socketQuestion) error {
	kind := q.file
	if kind == "" {
		kind = "unix"
	}
	var told, written [2]listed
	for i := range 2 {
		var err error
		if written[i], err = listFile(ns, pids, kind); err != nil {
			return err
		}
		if told[i], err = listDiag(q); err != nil {
			return fmt.Errorf("asking sock_diag: %w", err)
		}
		for _, list := range []listed{told[i], written[i]} {
			for inode := range list {
				s.Listed[inode] = true
			}
		}
		if i == 0 && sameKeys(told[0], written[0]) {
			return nil
		}
	}
	for _, d := range differences(told, written) {
		d.NetNS, d.Kind = ns, kind
		s.Differences = append(s.Differences, d)
	}
	return nil
}

func sameKeys(a, b listed) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return true
}

// differences are the sockets that one way told both times and the other neither time.
func differences(told, written [2]listed) []SocketDifference {
	var out []SocketDifference
	missing := func(in, from [2]listed, has, lacks string) {
		for _, inode := range slices.Sorted(maps.Keys(in[0])) {
			_, again := in[1][inode]
			_, one := from[0][inode]
			_, two := from[1][inode]
			if again && !one && !two {
				out = append(out, SocketDifference{Inode: inode, Ends: in[0][inode], Has: has, Lacks: lacks})
			}
		}
	}
	missing(told, written, "sock_diag", "/proc/net")
	missing(written, told, "/proc/net", "sock_diag")
	return out
}

// States of TCP in which both lists have a socket that a descriptor may name: not those
// of ownerless, nor one that is closed, of which new kernels list some to sock_diag only.
const bothList = 1<<1 | 1<<2 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<10 | 1<<11

func listDiag(q socketQuestion) (listed, error) {
	out := listed{}
	if q.family == unix.AF_UNIX {
		body := make([]byte, 24) // unix_diag_req
		body[0] = q.family
		native.PutUint32(body[4:], ^uint32(0))
		native.PutUint32(body[12:], 1) // UDIAG_SHOW_NAME
		err := dump(unix.NETLINK_SOCK_DIAG, sockDiagByFamily, body, func(typ uint16, data []byte) {
			if inode, _, ok := parseUnixDiag(data); ok && typ == sockDiagByFamily {
				out[inode] = unixName(data)
			}
		})
		return out, err
	}
	body := make([]byte, 56) // inet_diag_req_v2
	body[0], body[1] = q.family, q.protocol
	states := ^uint32(0)
	if q.protocol == unix.IPPROTO_TCP {
		states = bothList
	}
	native.PutUint32(body[4:], states)
	err := dump(unix.NETLINK_SOCK_DIAG, sockDiagByFamily, body, func(typ uint16, data []byte) {
		if inode, _, ok := parseInetDiag(data); ok && typ == sockDiagByFamily {
			out[inode] = inetEnds(data)
		}
	})
	return out, err
}

// inetEnds are the addresses in an inet_diag_msg that parseInetDiag has taken.
func inetEnds(b []byte) string {
	end := func(addr, port []byte) string {
		n := 16
		if b[0] == unix.AF_INET {
			n = 4
		}
		ip, _ := netip.AddrFromSlice(addr[:n])
		return netip.AddrPortFrom(ip, uint16(port[0])<<8|uint16(port[1])).String()
	}
	return end(b[8:], b[4:]) + " -> " + end(b[24:], b[6:])
}

// unixName is the name in a unix_diag_msg that parseUnixDiag has taken.
func unixName(b []byte) string {
	for typ, v := range attributes(b[16:]) {
		if typ == 0 { // UNIX_DIAG_NAME
			if name, abstract := strings.CutPrefix(string(v), "\x00"); abstract {
				return "@" + name
			}
			return strings.TrimRight(string(v), "\x00")
		}
	}
	return ""
}

// listFile reads a file of /proc/net as a process of the namespace sees it.
func listFile(ns uint64, pids []int, kind string) (listed, error) {
	err := errors.New("its processes have ended")
	for _, pid := range pids {
		var text []byte
		if text, err = os.ReadFile(procPath(pid, "net/"+kind)); err != nil {
			if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(kind, "6") && linkInode(procPath(pid, "ns/net")) == ns {
				return listed{}, nil // no IPv6, of which sock_diag has nothing either
			}
			continue
		}
		if linkInode(procPath(pid, "ns/net")) != ns {
			err = errLeft
			continue
		}
		return parseSocketList(kind, string(text)), nil
	}
	return nil, fmt.Errorf("reading /proc/net/%s: %w", kind, err)
}

func parseSocketList(kind, text string) listed {
	out := listed{}
	if kind != "unix" {
		for _, s := range parseSocketQueues(kind, text) {
			if s.Inode != 0 {
				out[s.Inode] = s.Local + " -> " + s.Remote
			}
		}
		return out
	}
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) < 7 || !strings.HasSuffix(f[0], ":") {
			continue
		}
		inode, err := strconv.ParseUint(f[6], 10, 64)
		if err != nil || inode == 0 {
			continue
		}
		out[inode] = strings.Join(f[7:], " ")
	}
	return out
}
