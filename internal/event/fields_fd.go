package event

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// fdTypes are the types of events that have a descriptor.
var fdTypes = TypesOf(Open, Close, Chmod, Chown, Setxattr, Truncate, Chattr, Mount, Memfd, Splice, MakeSocket, Connect, Bind, Listen, Accept, Send,
	Shutdown, TCP, DNS, Dup, Pipe, Socketpair, GetFD, PassFD, Setns, Mmap, Module, Kexec, Userfaultfd, PerfEvent, IoUring)

// sockTypes are those whose descriptor can be a socket.
var sockTypes = TypesOf(MakeSocket, Connect, Bind, Listen, Accept, Send, Shutdown, TCP, DNS, Dup, Socketpair, GetFD, PassFD, Splice)

// openTypes are opens alone.
var openTypes = TypesOf(Open)

// descriptor returns the descriptor that rules call fd.
func (c *Call) descriptor() *FD {
	if c == nil {
		return nil
	}
	return c.FD
}

func fdStr(get func(*Call, *FD) (string, bool)) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		if fd := ev.Call.descriptor(); fd != nil {
			return get(ev.Call, fd)
		}
		return "", false
	}}
}

func fdNum(get func(*Call, *FD) (int64, bool)) source {
	return source{num: func(ev *Event, _ *Ref) (int64, bool) {
		if fd := ev.Call.descriptor(); fd != nil {
			return get(ev.Call, fd)
		}
		return 0, false
	}}
}

// failedOpen reports whether the call is an open that made no descriptor. Its
// fields are those of the file that it named.
func (c *Call) failedOpen() bool {
	return c != nil && c.FD == nil && c.Spec != nil && c.Spec.Type == Open && c.Path != nil
}

// fdFields describe the descriptor of a call.
func fdFields() []Field {
	return []Field{
		{Name: "fd.num", Type: FieldInt, Doc: "number of the descriptor; of an open that failed the negative error number", Events: fdTypes, src: source{num: fdNumber}},
		{Name: "fd.type", Doc: "file, directory, ipv4, ipv6, unix, netlink, pipe, event, eventpoll, inotify, signalfd, timerfd, memfd, bpf, io_uring, pidfd and so on", Events: fdTypes, src: source{str: fdType}},
		{Name: "fd.typechar", Doc: "f file, d directory, 4 and 6 internet sockets, u unix socket, n netlink socket, p pipe, e eventfd, l epoll, i inotify, s signalfd, t timerfd, m memfd, b bpf, r io_uring, P pidfd, o other",
			Events: fdTypes, src: source{str: fdTypeChar}},
		{Name: "fd.types", Arg: ArgOptionalIndex, List: true, Doc: "types of the descriptors behind 0, 1, 2 when the program was started, as fd.type has them", src: stdioTypes()},
		{Name: "fd.name", Doc: "canonical path of a file; of a socket its ends, as client->server", Events: fdTypes, src: source{text: fdName}},
		{Name: "fd.nameraw", Doc: "path as the caller passed it", Events: openTypes, src: source{str: func(ev *Event, _ *Ref) (string, bool) {
			if ev.Call == nil || ev.Call.Path == nil {
				return "", false
			}
			return nonEmpty(ev.Call.Path.Raw)
		}}},
		{Name: "fd.directory", Doc: "directory of the file", Events: fdTypes, src: source{str: fdDirectory}},
		{Name: "fd.filename", Doc: "name of the file without its directory", Events: fdTypes, src: source{str: func(ev *Event, _ *Ref) (string, bool) {
			p, ok := fdFileName(ev, nil)
			return p[strings.LastIndexByte(p, '/')+1:], ok
		}}},
		{Name: "fd.containername", Doc: "the container's id and the name, joined by a colon", Events: fdTypes, src: source{text: fdInContainer(fdFileName)}},
		{Name: "fd.containerdirectory", Doc: "the container's id and the directory, joined by a colon", Events: fdTypes, src: source{text: fdInContainer(fdDirectory)}},
		{Name: "fd.ino", Type: FieldInt, Doc: "inode; the same number on both ends of a pipe", Events: fdTypes,
			src: fdNum(func(_ *Call, f *FD) (int64, bool) { return nonZero(f.File.Inode) })},
		{Name: "fd.dev", Type: FieldUint, Doc: "device: major << 32 | minor", Events: fdTypes, src: fdNum(func(_ *Call, f *FD) (int64, bool) { return nonZero(f.File.Dev) })},
		{Name: "fd.dev.major", Type: FieldUint, Doc: "major number of the device", Events: fdTypes, src: fdNum(func(_ *Call, f *FD) (int64, bool) { return int64(f.File.Dev >> 32), f.File.Dev != 0 })},
		{Name: "fd.dev.minor", Type: FieldUint, Doc: "minor number of the device", Events: fdTypes,
			src: fdNum(func(_ *Call, f *FD) (int64, bool) { return int64(f.File.Dev & 0xffffffff), f.File.Dev != 0 })},
		{Name: "fd.uid", Doc: "the process's thread and the descriptor's number", Events: fdTypes, src: source{text: func(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
			n, ok := fdNumber(ev, r)
			if !ok || n < 0 {
				return dst, false
			}
			dst = strconv.AppendUint(dst, uint64(ev.Tid), 10)
			return strconv.AppendInt(dst, n, 10), true
		}}},
		{Name: "fd.is_upper_layer", Type: FieldBool, Doc: "the file is in overlayfs's upper layer", Events: fdTypes, src: fdNum(func(_ *Call, f *FD) (int64, bool) { return boolNum(f.File.Upper), true })},
		{Name: "fd.is_lower_layer", Type: FieldBool, Doc: "the file is in a lower layer of overlayfs", Events: fdTypes,
			src: fdNum(func(_ *Call, f *FD) (int64, bool) { return boolNum(f.File.Overlay && !f.File.Upper), true })},
		{Name: "fdlist.nums", Type: FieldInt, List: true, Doc: "never present: poll makes no events", src: source{nums: func(_ *Event, _ *Ref, dst []int64) []int64 { return dst }}},
		{Name: "fdlist.names", List: true, Doc: "never present: poll makes no events", src: source{list: func(_ *Event, _ *Ref, dst []string) []string { return dst }}},
	}
}

func fdNumber(ev *Event, _ *Ref) (int64, bool) {
	c := ev.Call
	switch {
	case c == nil:
		return 0, false
	case c.failedOpen():
		return c.Ret, true
	case c.FD != nil:
		return int64(c.FD.Num), true
	}
	return 0, false
}

// fdType names what stands behind the descriptor as Falco does.
func fdType(ev *Event, _ *Ref) (string, bool) {
	c := ev.Call
	if c.failedOpen() {
		return "file", true
	}
	fd := c.descriptor()
	if fd == nil {
		return "", false
	}
	if fd.File.Memfd {
		return "memfd", true
	}
	return stdioType(&Stdio{Kind: fd.Kind, Path: fd.File.Path, Sock: fd.Sock})
}

func fdTypeChar(ev *Event, r *Ref) (string, bool) {
	t, ok := fdType(ev, r)
	if !ok {
		return "", false
	}
	return typeChar(t), true
}

// typeChar abbreviates a type of descriptor as Falco does.
func typeChar(t string) string {
	switch t {
	case "file", "directory", "unix", "pipe", "event", "inotify", "bpf", "memfd", "netlink", "signalfd", "timerfd", "userfaultfd":
		return t[:1]
	case "ipv4", "ipv6":
		return t[3:]
	case "eventpoll":
		return "l"
	case "io_uring":
		return "r"
	case "pidfd":
		return "P"
	}
	return "o"
}

// fdFileName returns the path behind the descriptor, where it is a file.
func fdFileName(ev *Event, _ *Ref) (string, bool) {
	c := ev.Call
	if c.failedOpen() {
		return nonEmpty(c.Path.Path)
	}
	fd := c.descriptor()
	if fd == nil || fd.Kind == StdioSocket {
		return "", false
	}
	if fd.File.Path == "" && ev.Type == Open && c.Path != nil {
		return nonEmpty(c.Path.Path)
	}
	return nonEmpty(fd.File.Path)
}

// fdDirectory returns the directory of a file.
func fdDirectory(ev *Event, r *Ref) (string, bool) {
	p, ok := fdFileName(ev, r)
	if !ok || !strings.HasPrefix(p, "/") {
		return "", false
	}
	return path.Dir(p), true
}

// fdName writes the path, or the two ends of a socket.
func fdName(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
	if p, ok := fdFileName(ev, r); ok {
		return append(dst, p...), true
	}
	e, ok := endsOf(ev)
	if !ok {
		return dst, false
	}
	family := ""
	switch c := ev.Call; {
	case c.FD != nil && c.FD.Sock != nil:
		family = c.FD.Sock.Family
	case c.Addr != nil:
		family = c.Addr.Family
	}
	return appendEnds(dst, family, e)
}

// appendEnds writes the ends of a socket: client->server, or a unix path.
func appendEnds(dst []byte, family string, e ends) ([]byte, bool) {
	if family == "unix" {
		name := e.remote.text
		if name == "" {
			name = e.local.text
		}
		return append(dst, name...), name != ""
	}
	client, server := e.local, e.remote
	if e.server {
		client, server = server, client
	}
	start := len(dst)
	dst = client.append(dst)
	if server.text != "" {
		if len(dst) > start {
			dst = append(dst, "->"...)
		}
		dst = server.append(dst)
	}
	return dst, len(dst) > start
}

func fdInContainer(get func(*Event, *Ref) (string, bool)) func(*Event, *Ref, []byte) ([]byte, bool) {
	return func(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
		p, ok := get(ev, r)
		if !ok {
			return dst, false
		}
		id := "host"
		if ev.Proc != nil && ev.Proc.Cgroup != nil && ev.Proc.Cgroup.ContainerID != "" {
			id = ev.Proc.Cgroup.ContainerID
		}
		return append(append(append(dst, id...), ':'), p...), true
	}
}

func stdioTypes() source {
	one := func(ev *Event, n int) (string, bool) {
		if ev.Proc == nil || ev.Proc.Image == nil || n > 2 {
			return "", false
		}
		return stdioType(&ev.Proc.Image.Stdio[n])
	}
	return source{
		str: func(ev *Event, r *Ref) (string, bool) { return one(ev, r.index) },
		list: func(ev *Event, _ *Ref, dst []string) []string {
			for n := range 3 {
				if t, ok := one(ev, n); ok {
					dst = append(dst, t)
				}
			}
			return dst
		},
	}
}

// end is one end of a socket.
type end struct {
	text string // an address without port, or a unix path
	port uint16
}

func (e end) append(dst []byte) []byte {
	if e.text == "" {
		return dst
	}
	if strings.IndexByte(e.text, ':') >= 0 {
		dst = append(append(append(dst, '['), e.text...), ']')
	} else {
		dst = append(dst, e.text...)
	}
	return strconv.AppendUint(append(dst, ':'), uint64(e.port), 10)
}

func (e end) addr() (netip.Addr, bool) {
	if e.text == "" || e.text[0] == '/' || e.text[0] == '@' {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(e.text)
	return a.Unmap(), err == nil
}

// ends are both ends of the socket of a call.
type ends struct {
	local, remote end
	server        bool // the local end is the server's
}

// endsOf finds the ends: what the socket knows, and where it knows nothing yet,
// the address that the caller passed.
func endsOf(ev *Event) (ends, bool) {
	var e ends
	c := ev.Call
	if c == nil || c.FD == nil && c.Addr == nil {
		return e, false
	}
	typ := ev.Type
	if c.FD != nil && c.FD.Sock != nil {
		s := c.FD.Sock
		e.local, e.remote = end{s.Local, s.LocalPort}, end{s.Remote, s.RemotePort}
	} else if c.Addr == nil {
		return e, false
	}
	if a := c.Addr; a != nil {
		switch {
		case typ == Bind && e.local.text == "" && e.local.port == 0:
			e.local = end{a.Remote, a.RemotePort}
		case typ == Connect:
			e.remote.text, e.remote.port = c.Peer()
		case typ != Bind && (e.remote.text == "" || typ == Send):
			if a.Remote != "" || a.RemotePort != 0 {
				e.remote = end{a.Remote, a.RemotePort}
			}
		}
	}
	e.server = c.isServer(typ, &e)
	return e, true
}

// isServer guesses which end the own one is. The calls that make a connection
// tell; of another socket the ports do: clients have those that the system
// picks, from 32768 on.
func (c *Call) isServer(typ Type, e *ends) bool {
	switch typ {
	case Accept, Listen, Bind:
		return true
	case Connect, Send:
		return false
	case TCP:
		if t := c.TCP; t != nil {
			switch {
			case t.Old == "syn_recv", t.New == "syn_recv", t.Old == "listen", t.New == "listen":
				return true
			case t.Old == "syn_sent", t.New == "syn_sent":
				return false
			}
		}
	}
	const ephemeral = 32768
	if c.FD != nil && c.FD.Sock != nil && c.FD.Sock.State == "listen" {
		return true
	}
	return e.local.port != 0 && e.local.port < ephemeral && e.remote.port >= ephemeral
}
