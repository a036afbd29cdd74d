package eventjson

import (
	"strconv"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// call writes a call. Its arguments stand twice: by name, in words, and raw.
func (e *Encoder) call(w *writer, ev *event.Event) {
	c := ev.Call
	m := e.callMemo(c.Spec)
	w.sep()
	w.b = strconv.AppendInt(append(w.b, m.head...), c.Ret, 10)
	if c.Failed() {
		w.putStr("errno", event.ErrnoName(-c.Ret))
	}
	w.addStr("via", c.Via)
	w.addFlag("compat", c.Compat)
	m.putArgs(w, c)
	putRaw(w, &c.Args)
	e.fileRef(w, "path", c.Path, ev)
	e.fileRef(w, "path2", c.Path2, ev)
	e.fd(w, "fd", c.FD, ev)
	e.fd(w, "fd2", c.FD2, ev)
	if a := c.Addr; a != nil {
		putSocket(w, "addr", a)
	}
	if t := c.Target; t != nil {
		w.open("target")
		w.putUint("pid", uint64(t.Pid))
		w.putUint("start", t.Start)
		w.putStr("comm", t.Comm)
		if t.Image != nil {
			w.putStr("exe", t.Image.Exe.Path)
		}
		w.close()
	}
	w.addStr("text", c.Text)
	w.addStr("text2", c.Text2)
	putDNS(w, c.DNS)
	putBPF(w, c.BPF)
	if t := c.TCP; t != nil {
		w.open("tcp")
		w.putStr("old", t.Old)
		w.putStr("new", t.New)
		w.addUint("sent", t.Sent)
		w.addUint("received", t.Received)
		w.addUint("duration_ns", uint64(t.Duration))
		w.close()
	}
	for i, cred := range []*event.Cred{c.OldCred, c.NewCred} {
		if cred != nil {
			w.open([2]string{"old_cred", "new_cred"}[i])
			putCred(w, cred)
			w.close()
		}
	}
	w.close()
}

func putRaw(w *writer, args *[6]uint64) {
	b := append(w.b, `,"raw":["`...)
	for i, v := range args {
		if i > 0 {
			b = append(b, `","`...)
		}
		b = appendHex(b, v)
	}
	w.b = append(b, `"]`...)
}

// CallArgs lists a call's arguments in the places of Call.Args. The flags and the
// mode of openat2's structure stand where its address and its size were.
func CallArgs(s *event.CallSpec) []event.CallArg {
	switch {
	case s == nil:
		return nil
	case s.Name == "openat2":
		if at := event.CallNamed("openat"); at != nil {
			return at.Args
		}
	}
	return s.Args
}

func putArg(w *writer, c *event.Call, i int, a *event.CallArg) {
	w.key(a.Name)
	switch a.Kind {
	case event.ArgFlags, event.ArgEnum, event.ArgMode, event.ArgHex, event.ArgDirFD, event.ArgDirFD2:
		w.b = append(w.b, '"') // names and digits need no escaping
		w.b, _ = c.AppendArg(i, w.b)
		w.b = append(w.b, '"')
	default:
		n, _ := c.ArgNumber(i)
		w.b = strconv.AppendInt(w.b, n, 10)
	}
}

func (e *Encoder) fileRef(w *writer, name string, f *event.FileRef, ev *event.Event) {
	if f == nil {
		return
	}
	w.open(name)
	w.addStr("raw", f.Raw)
	w.addFlag("raw_cut", f.RawCut)
	w.addFlag("resolved", f.Resolved)
	w.addFlag("created", f.Created)
	e.file(w, &f.File, ev.PathOnHost(f))
	w.close()
}

// file writes what is known of a file, which the host may have under another name, among an
// object's members.
func (e *Encoder) file(w *writer, f *event.File, host string) {
	if host != f.HostPath {
		there := *f
		there.HostPath = host
		f = &there
	}
	if f.Inode == 0 {
		putFileOf(w, f)
		return
	}
	w.sep()
	m := e.files.at(f.Inode)
	if m.has(w, f) {
		return
	}
	start := len(w.b)
	putFileOf(w, f)
	if w.b[start] == ',' { // sep has written one
		w.b = append(w.b[:start], w.b[start+1:]...)
	}
	m.keep(f, w.b[start:])
}

// putFileOf writes what is known of a file; of one that was not opened, its
// path only.
func putFileOf(w *writer, f *event.File) {
	w.addStr("path", f.Path)
	w.addStr("root_path", f.RootPath)
	w.addStr("host_path", f.HostPath)
	w.addFlag("unreachable", f.Unreachable)
	w.addFlag("path_cut", f.PathCut)
	if f.Inode != 0 || f.Dev != 0 || f.Nlink|f.Mode|f.UID|f.GID != 0 {
		w.putDev("dev", uint32(f.Dev>>32), uint32(f.Dev))
		w.putUint("inode", f.Inode)
		w.putUint("nlink", uint64(f.Nlink))
		w.key("mode")
		w.b = append(w.b, '"', '0')
		w.b = strconv.AppendUint(w.b, uint64(f.Mode), 8)
		w.b = append(w.b, '"')
		w.putUint("uid", uint64(f.UID))
		w.putUint("gid", uint64(f.GID))
	}
	w.addFlag("memfd", f.Memfd)
	w.addFlag("deleted", f.Deleted)
	w.addFlag("overlay", f.Overlay)
	w.addFlag("upper", f.Upper)
}

func (e *Encoder) fd(w *writer, name string, f *event.FD, ev *event.Event) {
	if f == nil {
		return
	}
	w.open(name)
	w.putInt("num", int64(f.Num))
	w.putStr("kind", f.Kind.String())
	e.file(w, &f.File, ev.FDOnHost(f))
	if f.Sock != nil {
		putSocket(w, "socket", f.Sock)
	}
	w.close()
}

func putDNS(w *writer, d *event.DNSInfo) {
	if d == nil {
		return
	}
	w.open("dns")
	w.putUint("id", uint64(d.ID))
	w.addFlag("response", d.Response)
	w.putStr("name", d.Name)
	w.putStr("type", d.Type)
	w.addStr("rcode", d.Rcode)
	if len(d.Answers) > 0 {
		w.key("answers")
		w.b = append(w.b, '[')
		for i := range d.Answers {
			a := &d.Answers[i]
			w.sep()
			w.b = append(w.b, '{')
			w.putStr("name", a.Name)
			w.putStr("type", a.Type)
			w.putUint("ttl", uint64(a.TTL))
			w.putStr("data", a.Data)
			w.close()
		}
		w.b = append(w.b, ']')
	}
	w.addUint("latency_ns", uint64(d.Latency))
	w.addFlag("tcp", d.TCP)
	w.addFlag("cut", d.Cut)
	w.close()
}

func putBPF(w *writer, b *event.BPFInfo) {
	if b == nil {
		return
	}
	w.open("bpf")
	w.putStr("cmd", b.Cmd)
	w.addStr("prog_type", b.ProgType)
	w.addStr("attach_type", b.AttachType)
	w.addStr("name", b.Name)
	w.addUint("insns", uint64(b.Insns))
	if len(b.Helpers) > 0 {
		w.key("helpers")
		w.b = append(w.b, '[')
		for i, h := range b.Helpers {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.b = strconv.AppendUint(w.b, uint64(h), 10)
		}
		w.b = append(w.b, ']')
	}
	w.addFlag("scan_cut", b.ScanCut)
	w.addStr("path", b.Path)
	w.close()
}
