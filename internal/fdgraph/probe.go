package fdgraph

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Bounds on what is read of one process.
const (
	maxFDs     = 512
	maxInetLen = 8 << 20 // of /proc/PID/net/tcp and its like
	maxInfoLen = 4096
	// startSlack is how far the start in /proc may be from the exact one: it
	// counts in ticks of 10 ms.
	startSlack = 20_000_000
	tick       = 10_000_000
)

// FD is a descriptor as the kernel has it.
type FD struct {
	Num   int
	Inode uint64
	// Path is set for FIFOs and terminals.
	Path string
	// Pipe, Fifo, Socket, Ptmx or none of them.
	Pipe, Fifo, Socket, Ptmx bool
	// Read and Write say what it was opened for.
	Read, Write bool
	// Terminal is the number of the terminal whose other end Ptmx is.
	Terminal uint64
}

func (f *FD) hold() hold {
	x := hold{read: f.Read, write: f.Write}
	switch {
	case f.Pipe:
		x.object = object{kind: pipe, id: f.Inode}
	case f.Fifo:
		x.object = object{kind: fifo, id: f.Inode, path: f.Path}
	default:
		x.object = ptyObject(f.Path)
	}
	if x.kind == none {
		return hold{}
	}
	return x
}

// Conn is a connected internet socket.
type Conn struct {
	Inode   uint64
	Remote  string
	Port    uint16
	Proto   string
	Inbound bool
}

// Probe asks the kernel about a process.
type Probe interface {
	// FDs lists the pipes, FIFOs, sockets and terminals of a process; false
	// where it has gone, another has its number, or it may not be looked at.
	FDs(pid uint32, start uint64) ([]FD, bool)
	// Inet lists the connections of a process's network namespace by inode.
	Inet(pid uint32) map[uint64]Conn
}

// Proc is the Probe that reads a proc file system.
type Proc struct {
	// Root is where it is mounted; "" for /proc.
	Root string
}

var _ Probe = Proc{}

func (p Proc) path(pid uint32, rest string) string {
	root := p.Root
	if root == "" {
		root = "/proc"
	}
	return filepath.Join(root, strconv.FormatUint(uint64(pid), 10), rest)
}

// FDs implements Probe.
func (p Proc) FDs(pid uint32, start uint64) ([]FD, bool) {
	if !p.same(pid, start) {
		return nil, false
	}
	dir, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return nil, false
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(maxFDs)
	if err != nil && err != io.EOF {
		return nil, false
	}
	var out []FD
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if fd, ok := p.fd(pid, n); ok {
			out = append(out, fd)
		}
	}
	// one that is about to end has none any more
	return out, len(names) > 0 && p.same(pid, start)
}

func (p Proc) fd(pid uint32, n int) (FD, bool) {
	name := strconv.Itoa(n)
	target, err := os.Readlink(p.path(pid, "fd/"+name))
	if err != nil {
		return FD{}, false
	}
	fd := FD{Num: n, Read: true, Write: true}
	if inode, ok := inodeOf(target, "socket:["); ok {
		fd.Socket, fd.Inode = true, inode
		return fd, true
	}
	_, terminal := ptyNumber(target)
	switch inode, ok := inodeOf(target, "pipe:["); {
	case ok:
		fd.Pipe, fd.Inode = true, inode
	case isPtmx(target) || strings.HasSuffix(target, "/ptmx"):
		fd.Ptmx = true
	case terminal:
		fd.Path = target
	case strings.HasPrefix(target, "/"):
		var st syscall.Stat_t
		if syscall.Stat(p.path(pid, "fd/"+name), &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
			return FD{}, false
		}
		fd.Fifo, fd.Inode, fd.Path = true, st.Ino, target
	default:
		return FD{}, false
	}
	info, err := readUpTo(p.path(pid, "fdinfo/"+name), maxInfoLen)
	if err != nil {
		return FD{}, false
	}
	fd.readInfo(info)
	return fd, true
}

// readInfo reads the flags, and of the other end of a terminal its number.
func (f *FD) readInfo(b []byte) {
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "flags":
			if n, err := strconv.ParseUint(value, 8, 32); err == nil {
				f.Read, f.Write = n&accessMask != writeOnly, n&accessMask != 0
			}
		case "tty-index":
			f.Terminal, _ = strconv.ParseUint(value, 10, 32)
		}
	}
}

// same reports whether the process is the one that started then.
func (p Proc) same(pid uint32, start uint64) bool {
	b, err := readUpTo(p.path(pid, "stat"), maxInfoLen)
	if err != nil {
		return false
	}
	_, rest, ok := bytes.Cut(b[max(0, bytes.LastIndexByte(b, ')')):], []byte(" "))
	f := bytes.Fields(rest)
	if !ok || len(f) < 20 {
		return false
	}
	n, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return false
	}
	at := n * tick
	return at <= start+startSlack && start <= at+startSlack
}

// Inet implements Probe.
func (p Proc) Inet(pid uint32) map[uint64]Conn {
	out := map[uint64]Conn{}
	for _, proto := range []string{"tcp", "tcp6", "udp", "udp6"} {
		if b, err := readUpTo(p.path(pid, "net/"+proto), maxInetLen); err == nil {
			parseInet(b, strings.TrimSuffix(proto, "6"), out)
		}
	}
	return out
}

// Numbers of TCP states in these files.
const stateListen = "0A"

// parseInet reads a table of sockets. A connection whose own port is one that
// somebody listens on was accepted.
func parseInet(b []byte, proto string, out map[uint64]Conn) {
	listening := map[uint16]bool{}
	own := map[uint64]uint16{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		_, local, ok1 := inetEnd(f[1])
		ip, port, ok2 := inetEnd(f[2])
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if !ok1 || !ok2 || err != nil {
			continue
		}
		if f[3] == stateListen {
			listening[local] = true
			continue
		}
		if port != 0 && inode != 0 {
			out[inode] = Conn{Inode: inode, Remote: ip, Port: port, Proto: proto}
			own[inode] = local
		}
	}
	for inode, port := range own {
		c := out[inode]
		c.Inbound = listening[port]
		out[inode] = c
	}
}

// inetEnd reads ADDRESS:PORT in hexadecimal, in words of the machine's order.
func inetEnd(s string) (string, uint16, bool) {
	a, p, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(a)
	port, err2 := strconv.ParseUint(p, 16, 16)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return "", 0, false
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ip.Unmap().String(), uint16(port), ok
}

func inodeOf(target, prefix string) (uint64, bool) {
	rest, ok := strings.CutPrefix(target, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	return n, err == nil
}

// ptyNumber reads a path such as /dev/pts/3.
func ptyNumber(path string) (uint64, bool) {
	path = strings.TrimSuffix(path, " (deleted)")
	at := strings.LastIndex(path, "/pts/")
	if at < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(path[at+5:], 10, 32)
	return n, err == nil
}

func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}
