package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// appendCall appends what a call did: its name where that says more than the
// type of event, what it acted on, and how it ended.
func appendCall(dst []byte, ev *event.Event) []byte {
	c := ev.Call
	dst = append(dst, "  "...)
	switch {
	case c.DNS != nil:
		dst = appendDNS(dst, c)
	case c.TCP != nil:
		dst = appendTCP(dst, c)
	default:
		start := len(dst)
		if c.Spec != nil && c.Spec.Name != ev.Type.String() {
			dst = termtext.Append(dst, c.Spec.Name)
		}
		dst = appendPaths(blank(dst, start), ev)
		dst = appendDescriptors(blank(dst, start), ev)
		dst = appendAddress(blank(dst, start), c)
		dst = appendTarget(blank(dst, start), c)
		dst = appendBPF(blank(dst, start), c)
		dst = appendArgs(blank(dst, start), ev)
		dst = appendCreds(blank(dst, start), c)
		switch { // the result has its own blanks before it
		case len(dst) == start:
			dst = dst[:start-len("  ")]
		case dst[len(dst)-1] == ' ':
			dst = dst[:len(dst)-1]
		}
		dst = appendResult(dst, c)
	}
	if c.Via != "" {
		dst = termtext.AppendQuoted(append(dst, " via "...), c.Via)
	}
	if c.Compat {
		dst = append(dst, " (32-bit call)"...)
	}
	return dst
}

// blank ends what stands since start, if anything, with one blank.
func blank(dst []byte, start int) []byte {
	if len(dst) > start && dst[len(dst)-1] != ' ' {
		return append(dst, ' ')
	}
	return dst
}

// appendPaths appends the files that a call names, with the text that belongs
// to them: as ls does it, a link points to what is in it.
func appendPaths(dst []byte, ev *event.Event) []byte {
	c := ev.Call
	if ev.Type == event.Symlink && c.Path != nil {
		dst = append(appendPath(dst, c.Path), " -> "...)
		return termtext.AppendQuoted(dst, c.Text)
	}
	start := len(dst)
	if c.Text != "" {
		dst = termtext.AppendQuoted(dst, c.Text)
	}
	if c.Text2 != "" && ev.Type != event.Mount {
		dst = termtext.AppendQuoted(blank(dst, start), c.Text2)
	}
	if c.Path != nil {
		dst = appendPath(blank(dst, start), c.Path)
	}
	if c.Path2 != nil {
		if len(dst) > start {
			dst = append(dst, " -> "...)
		}
		dst = appendPath(dst, c.Path2)
	}
	if c.Text2 != "" && ev.Type == event.Mount { // the file system's type
		dst = append(blank(dst, start), "type "...)
		dst = termtext.AppendQuoted(dst, c.Text2)
	}
	return dst
}

func appendPath(dst []byte, f *event.FileRef) []byte {
	name := f.Path
	if name == "" {
		name = f.Raw
	}
	dst = termtext.AppendQuoted(dst, name)
	if f.RawCut && !f.Resolved {
		dst = append(dst, "..."...)
	}
	if f.Created {
		dst = append(dst, " (new)"...)
	}
	return dst
}

// appendDescriptors appends the descriptors, and between two of them which way
// it goes. One that is the file which stands before it is left out.
func appendDescriptors(dst []byte, ev *event.Event) []byte {
	c := ev.Call
	if c.FD != nil && c.Path == nil {
		dst = appendFD(dst, c.FD)
	}
	if c.FD2 == nil {
		return dst
	}
	if c.FD != nil {
		arrow := "<- "
		switch ev.Type {
		case event.Splice:
			arrow = "-> "
		case event.Socketpair:
			arrow = "<-> "
		case event.Kexec:
			arrow = "with "
		}
		dst = append(blank(dst, 0), arrow...)
	}
	return appendFD(dst, c.FD2)
}

func appendFD(dst []byte, f *event.FD) []byte {
	dst = append(dst, "fd "...)
	dst = strconv.AppendInt(dst, int64(f.Num), 10)
	switch {
	case f.Sock != nil:
		dst = appendSocket(append(dst, ' '), f.Sock)
	case f.File.Path != "":
		dst = termtext.AppendQuoted(append(dst, ' '), f.File.Path)
	default:
		dst = append(append(dst, ' '), f.Kind.String()...)
		if f.File.Inode != 0 {
			dst = append(strconv.AppendUint(append(dst, '['), f.File.Inode, 10), ']')
		}
	}
	return dst
}

func appendSocket(dst []byte, s *event.Socket) []byte {
	if s.Family == "" {
		dst = append(dst, "socket"...)
	} else {
		dst = termtext.AppendQuoted(dst, s.Family)
	}
	if s.Proto != "" {
		dst = termtext.AppendQuoted(append(dst, '/'), s.Proto)
	}
	if s.Local != "" || s.LocalPort != 0 {
		dst = appendEnd(append(dst, ' '), s.Local, s.LocalPort)
	}
	if s.Remote != "" || s.RemotePort != 0 {
		dst = appendEnd(append(dst, "->"...), s.Remote, s.RemotePort)
	}
	if s.RemoteName != "" {
		dst = append(termtext.AppendQuoted(append(dst, " ("...), s.RemoteName), ')')
	}
	return dst
}

func appendEnd(dst []byte, addr string, port uint16) []byte {
	switch {
	case addr == "":
		dst = append(dst, '*')
	case port != 0 && strings.Contains(addr, ":"):
		dst = append(termtext.AppendQuoted(append(dst, '['), addr), ']')
	default:
		dst = termtext.AppendQuoted(dst, addr)
	}
	if port != 0 {
		dst = strconv.AppendUint(append(dst, ':'), uint64(port), 10)
	}
	return dst
}

// appendAddress appends the address that was passed, where the socket does not
// show it already.
func appendAddress(dst []byte, c *event.Call) []byte {
	a := c.Addr
	if a == nil {
		return dst
	}
	if f := c.FD; f != nil && f.Sock != nil {
		s := f.Sock
		if s.Remote == a.Remote && s.RemotePort == a.RemotePort || s.Local == a.Remote && s.LocalPort == a.RemotePort {
			return dst
		}
	}
	return appendEnd(append(dst, "to "...), a.Remote, a.RemotePort)
}

// appendTarget appends the process that the call acts on.
func appendTarget(dst []byte, c *event.Call) []byte {
	t := c.Target
	if t == nil {
		return dst
	}
	dst = termtext.AppendQuoted(dst, t.Comm)
	return append(strconv.AppendUint(append(dst, '('), uint64(t.Pid), 10), ')')
}

func appendBPF(dst []byte, c *event.Call) []byte {
	b := c.BPF
	if b == nil {
		return dst
	}
	start := len(dst)
	for _, s := range [...]string{b.Cmd, b.ProgType, b.Name} {
		if s != "" {
			dst = termtext.AppendQuoted(blank(dst, start), s)
		}
	}
	return dst
}

// appendArgs appends the arguments that are flags, words or ids, and the
// numbers that mean something to a reader.
func appendArgs(dst []byte, ev *event.Event) []byte {
	c := ev.Call
	if c.Spec == nil {
		return dst
	}
	args := c.Spec.Args
	if at := event.CallNamed("openat"); c.Spec.Name == "openat2" && at != nil {
		args = at.Args // the flags and the mode of its structure stand in their place
	}
	start := len(dst)
	for i := range min(len(args), len(c.Args)) {
		if worthReading(c, args, i) {
			dst = append(append(blank(dst, start), args[i].Name...), '=')
			dst, _ = c.AppendArg(i, dst)
		}
	}
	return dst
}

func worthReading(c *event.Call, args []event.CallArg, i int) bool {
	a := &args[i]
	switch a.Kind {
	case event.ArgFlags:
		if a.Names == nil {
			return false
		}
		return uint32(c.Args[i]) != 0 || a.Names.Values[0] != ""
	case event.ArgMode: // of an open that cannot make a file it means nothing
		const makes = 0x400040 // O_CREAT, O_TMPFILE
		return i == 0 || args[i-1].Name != "flags" || c.Args[i-1]&makes != 0
	case event.ArgPid, event.ArgPidFD:
		return c.Target == nil
	case event.ArgEnum:
		return c.BPF == nil // which says it in its own words
	case event.ArgUID, event.ArgGID:
		return true
	case event.ArgInt, event.ArgUint, event.ArgHex:
		switch a.Name {
		case "backlog", "length", "level", "from", "num", "turn_on", "arg2", "cmd", "advice", "entries", "taints":
			return true
		case "dev":
			return c.Args[i] != 0
		}
	}
	return false
}

// appendCreds appends what a call changed in the credentials.
func appendCreds(dst []byte, c *event.Call) []byte {
	was, is := c.OldCred, c.NewCred
	if was == nil || is == nil {
		return dst
	}
	start := len(dst)
	for _, id := range [...]struct {
		name    string
		was, is uint32
	}{{"uid", was.UID, is.UID}, {"euid", was.EUID, is.EUID}, {"gid", was.GID, is.GID}, {"egid", was.EGID, is.EGID}} {
		if id.was != id.is {
			dst = append(append(blank(dst, start), id.name...), ' ')
			dst = strconv.AppendUint(dst, uint64(id.was), 10)
			dst = strconv.AppendUint(append(dst, "->"...), uint64(id.is), 10)
		}
	}
	if gained := is.Effective &^ was.Effective; gained != 0 {
		dst = strconv.AppendUint(append(blank(dst, start), "caps +0x"...), gained, 16)
	}
	if lost := was.Effective &^ is.Effective; lost != 0 {
		dst = strconv.AppendUint(append(blank(dst, start), "caps -0x"...), lost, 16)
	}
	return dst
}

func appendResult(dst []byte, c *event.Call) []byte {
	switch {
	case c.Failed():
		dst = append(append(dst, "  "...), event.ErrnoName(-c.Ret)...)
	case c.Spec != nil && c.Spec.RetFD:
		dst = strconv.AppendInt(append(dst, "  fd "...), c.Ret, 10)
	}
	return dst
}

func appendDNS(dst []byte, c *event.Call) []byte {
	d, way := c.DNS, " to "
	if d.Response {
		dst, way = append(dst, "answer "...), " from "
	} else {
		dst = append(dst, "query "...)
	}
	switch {
	case d.Name == "" && d.Type == "":
		dst = append(dst, "that is no DNS message"...)
	case d.Name == "":
		dst = append(termtext.AppendQuoted(dst, d.Type), " ."...)
	default:
		dst = append(termtext.AppendQuoted(dst, d.Type), ' ')
		dst = termtext.AppendQuoted(dst, d.Name)
	}
	if d.Rcode != "" {
		dst = termtext.AppendQuoted(append(dst, ' '), d.Rcode)
	}
	for i := range d.Answers {
		dst = termtext.AppendQuoted(append(dst, ' '), d.Answers[i].Data)
	}
	if d.Cut && d.Name != "" {
		dst = append(dst, " ..."...)
	}
	if f := c.FD; f != nil && f.Sock != nil && f.Sock.Remote != "" {
		dst = appendEnd(append(dst, way...), f.Sock.Remote, f.Sock.RemotePort)
	} else if c.Addr != nil && c.Addr.Remote != "" {
		dst = appendEnd(append(dst, way...), c.Addr.Remote, c.Addr.RemotePort)
	}
	if d.Latency > 0 {
		dst = append(append(dst, " in "...), short(d.Latency).String()...)
	}
	return dst
}

func appendTCP(dst []byte, c *event.Call) []byte {
	if f := c.FD; f != nil && f.Sock != nil {
		dst = appendEnd(dst, f.Sock.Local, f.Sock.LocalPort)
		if f.Sock.Remote != "" {
			dst = appendEnd(append(dst, "->"...), f.Sock.Remote, f.Sock.RemotePort)
		}
		dst = append(dst, ' ')
	}
	t := c.TCP
	dst = append(termtext.AppendQuoted(dst, t.Old), " -> "...)
	dst = termtext.AppendQuoted(dst, t.New)
	if t.New == "close" {
		dst = strconv.AppendUint(append(dst, "  sent "...), t.Sent, 10)
		dst = strconv.AppendUint(append(dst, ", received "...), t.Received, 10)
		dst = append(append(dst, " bytes in "...), short(max(t.Duration, time.Microsecond)).String()...)
	}
	return dst
}
