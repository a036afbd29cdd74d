package host

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PortUse is how many of the local ports that the kernel gives to connections are taken
// between one address of this host and one destination. Where none is left, connecting
// there fails.
type PortUse struct {
	NetNS uint64 `json:"net_ns"`
	Local string `json:"local"`
	// Destination is an address with a port.
	Destination string `json:"destination"`
	Ports       int    `json:"ports"`
	// TimeWait are those of them whose connection has ended: they are held for a minute.
	TimeWait int `json:"time_wait"`
	// Of is how many there are; 0 where the kernel does not tell.
	Of int `json:"of"`
}

func (u *PortUse) percent() float64 { return 100 * float64(u.Ports) / float64(max(u.Of, 1)) }

// Ports are the local ports in use, those destinations first that have the most.
type Ports struct {
	Uses  []PortUse `json:"ports"`
	Notes `json:"notes,omitempty"`
}

// Tables gives one line for each destination.
func (p *Ports) Tables() []Table {
	t := Table{Of: &p.Uses, Columns: []string{"NETNS", "LOCAL", "DESTINATION", "PORTS", "TIME WAIT", "OF", "PERCENT"}}
	for _, u := range p.Uses {
		of, percent := "-", "-"
		if u.Of > 0 {
			of, percent = decimal(u.Of), strconv.FormatFloat(u.percent(), 'f', 1, 64)
		}
		t.Rows = append(t.Rows, []string{decimal(u.NetNS), u.Local, u.Destination, decimal(u.Ports), decimal(u.TimeWait), of, percent})
	}
	return []Table{t}
}

// ReadPorts counts the local ports of TCP connections in all network namespaces that a
// process is in, also of those that have ended and wait.
func ReadPorts() (*Ports, error) {
	spaces, unread := networkSpaces()
	if len(spaces) == 0 {
		return nil, fmt.Errorf("no process's network namespace can be seen: run as root")
	}
	out := &Ports{Uses: []PortUse{}, Notes: hidden("ports in network namespaces of other users' processes")}
	out.Notes = append(out.Notes, refusals("network namespaces", unread)...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends here, with the namespace that it is in
		here := linkInode("/proc/thread-self/ns/net")
		for ns, pids := range spaces {
			if ns != here {
				if err := enter(ns, pids); err != nil {
					out.Notes = append(out.Notes, fmt.Sprintf("ports in network namespace %d are not known: %v", ns, err))
					continue
				}
				here = ns
			}
			if err := out.read(ns); err != nil {
				out.Notes = append(out.Notes, fmt.Sprintf("ports in network namespace %d are not known: %v", ns, err))
			}
		}
	}()
	<-done
	slices.SortFunc(out.Uses, func(a, b PortUse) int {
		return cmp.Or(cmp.Compare(b.percent(), a.percent()), cmp.Compare(b.Ports, a.Ports), cmp.Compare(a.NetNS, b.NetNS), cmp.Compare(a.Local, b.Local), cmp.Compare(a.Destination, b.Destination))
	})
	slices.Sort(out.Notes)
	return out, nil
}

// networkSpaces finds network namespaces with some processes of each, and counts the processes
// that it may not look at.
func networkSpaces() (spaces map[uint64][]int, unread int) {
	const enough = 8 // some may end before they are asked
	spaces = map[uint64][]int{}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range procs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		link, err := os.Readlink(procPath(pid, "ns/net"))
		if refused(pid, err) {
			unread++
		}
		if _, ns := parseNamespace(link); ns != 0 && len(spaces[ns]) < enough {
			spaces[ns] = append(spaces[ns], pid)
		}
	}
	return spaces, unread
}

// States of TCP, as sock_diag numbers them.
const (
	stateTimeWait = 6
	// those of connections that a local port is taken for
	connected = 1<<1 | 1<<2 | 1<<4 | 1<<5 | 1<<stateTimeWait | 1<<8 | 1<<9 | 1<<11
)

// between is what a port can be taken once for.
type between struct {
	local netip.Addr
	to    netip.AddrPort
}

// read asks for the connections of the namespace that this thread is in.
func (p *Ports) read(ns uint64) error {
	given, err := givenPorts("/proc/sys/net/ipv4/")
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("which ports network namespace %d gives to connections is not known, all are counted: %v", ns, err))
	}
	listening := map[uint16]bool{}
	taken := map[between]map[uint16]uint8{} // by port: the state
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		body := make([]byte, 56) // inet_diag_req_v2
		body[0], body[1] = family, unix.IPPROTO_TCP
		native.PutUint32(body[4:], connected|1<<stateListen)
		err := dump(unix.NETLINK_SOCK_DIAG, sockDiagByFamily, body, func(typ uint16, data []byte) {
			local, remote, state, ok := parseEnds(data)
			switch {
			case !ok || typ != sockDiagByFamily:
			case state == stateListen:
				listening[local.Port()] = true
			case given == nil || given[local.Port()]:
				k := between{local.Addr(), remote}
				if taken[k] == nil {
					taken[k] = map[uint16]uint8{}
				}
				if was, known := taken[k][local.Port()]; !known || was == stateTimeWait {
					taken[k][local.Port()] = state
				}
			}
		})
		if err != nil {
			return fmt.Errorf("asking sock_diag for connections: %w", err)
		}
	}
	for k, ports := range taken {
		u := PortUse{NetNS: ns, Local: k.local.String(), Destination: k.to.String(), Of: len(given)}
		for port, state := range ports {
			if listening[port] { // it came in
				continue
			}
			u.Ports++
			if state == stateTimeWait {
				u.TimeWait++
			}
		}
		if u.Ports > 0 {
			p.Uses = append(p.Uses, u)
		}
	}
	return nil
}

// parseEnds reads both ends and the state of an inet_diag_msg.
func parseEnds(b []byte) (local, remote netip.AddrPort, state uint8, ok bool) {
	const size = 72
	if len(b) < size {
		return local, remote, 0, false
	}
	end := func(addr, port []byte) netip.AddrPort {
		n := 16
		if b[0] == unix.AF_INET {
			n = 4
		}
		ip, _ := netip.AddrFromSlice(addr[:n])
		return netip.AddrPortFrom(ip.Unmap(), uint16(port[0])<<8|uint16(port[1]))
	}
	return end(b[8:], b[4:]), end(b[24:], b[6:]), b[1], true
}

// givenPorts are the ports that the kernel gives to connections that ask for none: a range
// without those that are reserved.
func givenPorts(dir string) (map[uint16]bool, error) {
	text, err := os.ReadFile(dir + "ip_local_port_range")
	if err != nil {
		return nil, fmt.Errorf("reading the range of local ports: %w", err)
	}
	out := map[uint16]bool{}
	w := strings.Fields(string(text))
	if len(w) != 2 {
		return nil, fmt.Errorf("the range of local ports reads %q", strings.TrimSpace(string(text)))
	}
	low, high, err := portRange(w[0] + "-" + w[1])
	if err != nil {
		return nil, err
	}
	for port := low; port <= high; port++ {
		out[uint16(port)] = true
	}
	text, err = os.ReadFile(dir + "ip_local_reserved_ports")
	if err != nil {
		return out, nil //nolint:nilerr // a kernel without the setting reserves none
	}
	for _, part := range strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' || r == '\n' }) {
		low, high, err := portRange(part)
		if err != nil {
			return nil, err
		}
		for port := low; port <= high; port++ {
			delete(out, uint16(port))
		}
	}
	return out, nil
}

// portRange reads "32768-60999" or one port.
func portRange(text string) (low, high int, err error) {
	a, b, two := strings.Cut(text, "-")
	if !two {
		b = a
	}
	x, err1 := strconv.ParseUint(a, 10, 16)
	y, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || x > y {
		return 0, 0, fmt.Errorf("%q is no range of ports", text)
	}
	return int(x), int(y), nil
}
