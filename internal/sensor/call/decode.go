package call

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor"
)

// Numbers of record.h.
const (
	kindCall = 7

	opCall   = 0
	opDNS    = 1
	opPassFD = 2
	opTCP    = 3
	opModule = 4
	opURing  = 5

	flagCompat = 1
	flagIn     = 2
	flagStream = 4
	flagURing  = 8

	secText  = 1
	secBase  = 2
	secFD    = 3
	secAddr  = 4
	secData  = 5
	secCred  = 6
	secInsns = 7

	secCut        = 1
	secUnreadable = 2

	fmodeCreated = 0x100000
)

// A decoder turns the bytes of records into event.TaskRecords. It trusts
// nothing in them: lengths are checked against the bytes there are, and what
// does not fit is refused and counted.
type decoder struct {
	strings sensor.Strings
	specs   [2 * tableSize]*event.CallSpec
	dns     dnsDecoder
	refused *atomic.Uint64
	streams [256]stream
	// reuse makes all events of the same parts.
	reuse bool
	parts *eventParts
}

// stream is what StreamType says.
type stream struct {
	typ   event.Type
	class event.Class
}

func newDecoder() decoder {
	d := decoder{strings: sensor.NewStrings(), refused: new(atomic.Uint64), dns: newDNSDecoder()}
	for i := range d.streams {
		s := &d.streams[i]
		s.typ, s.class = StreamType(uint8(i))
	}
	n64, n32 := numbers64(), numbers32()
	for _, s := range event.Calls() {
		if nr, ok := n64[s.Name]; ok && nr < tableSize {
			d.specs[nr] = s
		}
		if nr, ok := n32[s.Name]; ok {
			d.specs[tableSize+nr] = s
		}
	}
	return d
}

// Decoder decodes the sensor's records without a sensor.
type Decoder struct{ decoder }

// NewDecoder returns a decoder. With reuse a record's call, and what it points to,
// is there only until the next record is decoded.
func NewDecoder(reuse bool) *Decoder {
	d := &Decoder{newDecoder()}
	d.reuse = reuse
	return d
}

// Refused counts records that were not understood.
func (d *decoder) Refused() uint64 { return d.refused.Load() }

// Kinds returns the kind of record that Decode takes.
func (d *decoder) Kinds() []uint8 { return []uint8{kindCall} }

// Decode turns one record of a ring into rec.
func (d *decoder) Decode(raw []byte, rec *event.TaskRecord) (bool, error) {
	ok, err := d.decode(raw, rec)
	if err != nil {
		d.refused.Add(1)
	}
	return ok, err
}

// parts are the sections of a record, as far as they are needed together.
type parts struct {
	raw       [2]string
	rawThere  [2]bool
	rawCut    [2]bool
	base      [2]string
	baseRoot  [2]string
	baseThere [2]bool
	names     [2]string
	fd        [2]*event.FD
	created   bool
	addr      []byte
	data      []byte
	dataCut   bool
	insns     *progBcInsns
}

func (d *decoder) decode(raw []byte, rec *event.TaskRecord) (bool, error) {
	var h progBcCall
	if !sensor.Fixed(raw, &h) {
		return false, fmt.Errorf("decoding a call: %d bytes are too few for its fixed part", len(raw))
	}
	if rec.Call == nil || !d.reuse { // else the last record was a call too, and has set no more than this one will
		*rec = event.TaskRecord{}
	}
	s := &d.streams[h.Hdr.Stream]
	rec.Boot, rec.Seq, rec.CPU, rec.Tid = h.Hdr.Boot, h.Hdr.Seq, h.Hdr.Cpu, h.Hdr.Tid
	rec.Class, rec.Stream, rec.StreamType = s.class, h.Hdr.Stream, s.typ
	rec.Key = event.Key{Pid: h.Key.Pid, Start: h.Key.Start}
	rec.MntNS = h.MntNs
	rec.Comm = d.strings.Get(sensor.UntilNul(h.Comm[:]))
	rec.Type, rec.Call = event.TypeNone, nil
	if h.Hdr.Kind != kindCall {
		return false, fmt.Errorf("decoding a call: kind %d is another sensor's", h.Hdr.Kind)
	}
	k := &rec.Cred
	k.UID, k.GID, k.EUID, k.EGID, k.Effective = h.Uid, h.Gid, h.Euid, h.Egid, h.Caps
	if d.reuse && d.parts == nil {
		d.parts = new(eventParts)
	}
	c := d.parts.begin()
	c.Ret, c.Args, c.Compat = h.Ret, h.Args, h.Flags&flagCompat != 0
	if h.Flags&flagURing != 0 {
		c.Via = "io_uring"
	}
	rec.Call = c
	if c.Spec = d.spec(&h); c.Spec == nil {
		return false, fmt.Errorf("decoding a call: number %d, kind %d is none that is known", h.Nr, h.Op)
	}
	rec.Type = c.Spec.Type
	for i := range c.Spec.Args {
		if c.Spec.Args[i].Kind == event.ArgEnum { // the kernel looks at no more of the register
			c.Args[i] = uint64(uint32(c.Args[i]))
		}
	}
	var p parts
	err := d.sections(raw[unsafe.Sizeof(h):], &p, rec)
	ok := err == nil
	if ok {
		d.files(c, &p)
		ok, err = d.rest(&h, c, &p, rec)
	}
	return ok, err
}

// spec finds what the record tells of.
func (d *decoder) spec(h *progBcCall) *event.CallSpec {
	switch h.Op {
	case opCall:
		if int(h.Nr) < len(d.specs) {
			return d.specs[h.Nr]
		}
	case opDNS:
		return event.CallNamed("dns")
	case opPassFD:
		return event.CallNamed("scm_rights")
	case opTCP:
		return event.CallNamed("tcp_state")
	case opModule:
		return event.CallNamed("module_load")
	case opURing:
		return event.CallNamed("io_uring_op")
	}
	return nil
}

// sections takes the record's sections apart.
func (d *decoder) sections(raw []byte, p *parts, rec *event.TaskRecord) error {
	for at := 0; ; {
		at = (at + 7) &^ 7
		if at >= len(raw) {
			return nil
		}
		var h progBcSec
		if !sensor.Fixed(raw[at:], &h) {
			return fmt.Errorf("decoding a call: %d bytes are too few for a section's head", len(raw)-at)
		}
		at += int(unsafe.Sizeof(h))
		if uint64(h.Len) > uint64(len(raw)-at) {
			return fmt.Errorf("decoding a call: a section of %d bytes is longer than the %d that are left", h.Len, len(raw)-at)
		}
		if err := d.section(&h, raw[at:at+int(h.Len)], p, rec); err != nil {
			return err
		}
		at += int(h.Len)
	}
}

func (d *decoder) section(h *progBcSec, b []byte, p *parts, rec *event.TaskRecord) error {
	switch h.Tag {
	case secText:
		cut := h.Flags != 0
		switch {
		case h.Slot < 2:
			p.raw[h.Slot], p.rawThere[h.Slot], p.rawCut[h.Slot] = d.strings.Get(b), h.Flags&secUnreadable == 0, cut
		case h.Slot < 4:
			p.names[h.Slot-2] = d.strings.Get(sensor.UntilNul(b))
		}
	case secBase:
		var at progBcPath
		if !sensor.Fixed(b, &at) || h.Slot > 1 {
			return fmt.Errorf("decoding a call: %d bytes are too few for a directory", len(b))
		}
		b = b[unsafe.Sizeof(at):]
		if int(at.Len) < len(b) {
			b = b[:at.Len]
		}
		p.base[h.Slot], p.baseRoot[h.Slot], _ = d.strings.Path(b, at.RootAt, at.Flags)
		p.baseThere[h.Slot] = true
	case secFD:
		if h.Slot > 1 {
			return fmt.Errorf("decoding a call: there is no descriptor %d", h.Slot)
		}
		fd, created, err := d.fd(b)
		if err != nil {
			return err
		}
		p.fd[h.Slot] = fd
		p.created = p.created || created && h.Slot == 0
	case secAddr:
		p.addr = b
	case secData:
		p.data, p.dataCut = b, h.Flags != 0
	case secCred:
		var c progBcCred
		if !sensor.Fixed(b, &c) {
			return fmt.Errorf("decoding a call: %d bytes are too few for credentials", len(b))
		}
		rec.Call.NewCred = cred(&c)
	case secInsns:
		p.insns = new(progBcInsns)
		if !sensor.Fixed(b, p.insns) {
			return fmt.Errorf("decoding a call: %d bytes are too few for the scan of a program", len(b))
		}
	default:
		return fmt.Errorf("decoding a call: section %d is unknown", h.Tag)
	}
	return nil
}

func cred(c *progBcCred) *event.Cred {
	return &event.Cred{
		UID: c.Uid, GID: c.Gid, EUID: c.Euid, EGID: c.Egid, SUID: c.Suid, SGID: c.Sgid,
		FSUID: c.Fsuid, FSGID: c.Fsgid, LoginUID: c.Loginuid, SessionID: c.Sessionid,
		Effective: c.Effective, Permitted: c.Permitted, Inheritable: c.Inheritable,
		Bounding: c.Bounding, Ambient: c.Ambient, NoNewPrivs: c.NoNewPrivs != 0,
	}
}

// fd decodes a descriptor; nil where nothing stands behind it. created says
// that the open behind it made the file.
func (d *decoder) fd(b []byte) (fd *event.FD, created bool, err error) {
	var o progBcFd
	if !sensor.Fixed(b, &o) {
		return nil, false, fmt.Errorf("decoding a call: %d bytes are too few for a descriptor", len(b))
	}
	fd = d.parts.fd()
	if err := d.fill(fd, &o, b[unsafe.Sizeof(o):]); err != nil {
		return nil, false, err
	}
	return fd, o.Open != 0 && o.Fmode&fmodeCreated != 0, nil
}

// fill describes what stands behind a descriptor; its path or names are in b.
func (d *decoder) fill(fd *event.FD, o *progBcFd, b []byte) (err error) {
	fd.Num = o.Num
	if o.Open == 0 {
		return nil
	}
	x, f := &o.File, &fd.File
	f.Dev = (x.Dev>>20)<<32 | x.Dev&0xfffff
	f.Inode, f.Nlink, f.Mode, f.UID, f.GID = x.Inode, x.Nlink, x.Mode, x.Uid, x.Gid
	f.Overlay, f.Upper = x.Magic == sensor.OverlayMagic, x.Upper != 0
	fd.Kind = kindOf(x.Mode, x.Rdev, uint64(x.Magic))
	if fd.Kind == event.StdioSocket {
		fd.Sock, err = d.socket(&o.Sock, b)
		return err
	}
	if uint64(o.Path.Len) > uint64(len(b)) {
		return fmt.Errorf("decoding a call: a path of %d bytes is longer than the %d that are left", o.Path.Len, len(b))
	}
	if o.Path.Len > 0 || o.Path.Flags != 0 {
		f.Path, f.RootPath, f.Unreachable = d.strings.Path(b[:o.Path.Len], o.Path.RootAt, o.Path.Flags)
		f.PathCut = o.Path.Flags&sensor.PathCut != 0
		pseudo := o.Path.Flags&sensor.PathPseudo != 0
		f.Memfd = pseudo && (x.Magic == sensor.TmpfsMagic || x.Magic == sensor.HugetlbfsMagic) && strings.HasPrefix(f.Path, "memfd:")
		f.Deleted = !f.Memfd && !pseudo && (x.Nlink == 0 || o.Path.Flags&sensor.PathUnlinked != 0)
	}
	if fd.Kind == event.StdioAnon && !strings.HasPrefix(f.Path, "anon_inode:") {
		f.Path = d.strings.Get([]byte("anon_inode:" + f.Path))
	}
	return nil
}

func kindOf(mode, rdev uint32, magic uint64) event.StdioKind {
	if magic == sensor.AnonInodeMagic {
		return event.StdioAnon
	}
	switch mode & sensor.ModeType {
	case 0o100000:
		return event.StdioFile
	case 0o040000:
		return event.StdioDir
	case 0o060000:
		return event.StdioBlock
	case 0o010000:
		if magic == sensor.PipefsMagic {
			return event.StdioPipe
		}
		return event.StdioFifo
	case 0o140000:
		return event.StdioSocket
	case 0o020000:
		return sensor.CharKind(rdev>>20, rdev&0xfffff)
	}
	return event.StdioAnon
}

func (d *decoder) socket(o *progBcSock, names []byte) (*event.Socket, error) {
	s := d.parts.socket()
	s.Type, s.Family = sensor.SockType(o.Type), sensor.SockFamily(o.Family)
	switch o.Family {
	case 2:
		s.Local, s.Remote = d.strings.Addr4(o.Laddr), d.strings.Addr4(o.Raddr)
	case 10:
		s.Local, s.Remote = d.strings.Addr6(o.Laddr), d.strings.Addr6(o.Raddr)
	case 1:
		if int(o.Llen)+int(o.Rlen) > len(names) {
			return nil, fmt.Errorf("decoding a call: a socket's names of %d bytes are longer than the %d that are left", int(o.Llen)+int(o.Rlen), len(names))
		}
		s.Local, s.Remote = d.strings.UnixName(names[:o.Llen]), d.strings.UnixName(names[o.Llen:int(o.Llen)+int(o.Rlen)])
		return s, nil
	default:
		return s, nil
	}
	s.LocalPort, s.RemotePort = o.Lport, o.Rport
	s.Proto = sensor.SockProto(o.Proto)
	if s.Proto == "tcp" {
		s.State = sensor.TCPState(o.State)
	}
	return s, nil
}

// files makes the call's paths of what the kernel found and the caller said.
func (d *decoder) files(c *event.Call, p *parts) {
	c.FD, c.FD2 = p.fd[0], p.fd[1]
	for i, to := range []**event.FileRef{&c.Path, &c.Path2} {
		if !p.rawThere[i] && !p.rawCut[i] {
			continue
		}
		f := d.parts.ref(i)
		f.Raw, f.RawCut = p.raw[i], p.rawCut[i]
		base, root := p.base[i], p.baseRoot[i]
		switch {
		case i == 0 && c.Spec.Type == event.Open && c.FD != nil && c.FD.File.Path != "":
			f.File, f.Resolved, f.Created = c.FD.File, true, p.created
		case strings.HasPrefix(f.Raw, "/") && p.baseThere[i] && c.Spec.Type == event.Chroot && !c.Failed():
			f.Path, f.Resolved = base, true // the root is the new one already
		case strings.HasPrefix(f.Raw, "/") && p.baseThere[i]: // the base is the process's root
			f.Path, f.RootPath = d.join(base, f.Raw[1:]), path.Clean(f.Raw)
		case strings.HasPrefix(f.Raw, "/"):
			f.Path = path.Clean(f.Raw)
		case p.baseThere[i]:
			f.Path = d.join(base, f.Raw)
			f.Resolved = f.Raw == "" // AT_EMPTY_PATH
			if root != "" {
				f.RootPath = d.join(root, f.Raw)
			}
		}
		if f.RootPath == f.Path {
			f.RootPath = ""
		}
		*to = f
	}
	if c.Path == nil && c.FD != nil && c.FD.File.Path != "" && c.Spec.Arg(event.ArgPath) < 0 && c.FD.Kind != event.StdioSocket {
		if i := c.Spec.Arg(event.ArgFD); i >= 0 && !c.Spec.RetFD || c.Spec.Type == event.Open {
			c.Path = d.parts.ref(0)
			c.Path.File, c.Path.Resolved = c.FD.File, true
		}
	}
}

// join puts a path together that starts from a directory.
func (d *decoder) join(base, raw string) string {
	if raw == "" {
		return path.Join(base)
	}
	return d.strings.Join(base, raw)
}

// rest fills in what is particular to some types.
func (d *decoder) rest(h *progBcCall, c *event.Call, p *parts, rec *event.TaskRecord) (bool, error) {
	c.Text, c.Text2 = p.names[0], p.names[1]
	if len(p.addr) > 0 {
		c.Addr = d.address(p.addr)
	}
	switch c.Spec.Type {
	case event.BPF:
		c.BPF = bpfInfo(c, p)
	case event.TCP:
		c.TCP = d.parts.tcp(h)
	case event.DNS:
		return d.dns.decode(h, c, p, rec)
	}
	return true, nil
}

// address reads a struct sockaddr.
func (d *decoder) address(b []byte) *event.Socket {
	if len(b) < 2 {
		return nil
	}
	family := binary.LittleEndian.Uint16(b)
	if family == 0 {
		return nil
	}
	s := d.parts.socket()
	s.Family = sensor.SockFamily(family)
	switch {
	case family == 2 && len(b) >= 8:
		s.Remote, s.RemotePort = d.strings.Addr4([16]byte{b[4], b[5], b[6], b[7]}), binary.BigEndian.Uint16(b[2:])
	case family == 10 && len(b) >= 24:
		s.Remote, s.RemotePort = d.strings.Addr6([16]byte(b[8:24])), binary.BigEndian.Uint16(b[2:])
	case family == 1:
		s.Remote = d.strings.UnixName(b[2:])
	}
	return s
}
