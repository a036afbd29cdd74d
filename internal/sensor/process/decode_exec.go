package process

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor"
)

// sections cuts the variable part of a record into its pieces, in order.
type sections struct {
	rest []byte
	bad  bool
}

func (s *sections) next(n uint32) []byte {
	if uint64(n) > uint64(len(s.rest)) {
		s.bad = true
		n = uint32(len(s.rest))
	}
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

func (d *decoder) decodeExec(raw []byte, rec *event.TaskRecord) error {
	e := &d.exec
	if !sensor.Fixed(raw, e) {
		return tooShort("an exec", len(raw))
	}
	s := sections{rest: raw[unsafe.Sizeof(*e):]}
	img := d.common(e, &s, rec)
	filename, interp := s.next(e.FilenameLen), s.next(e.InterpLen)
	img.Filename = d.strings.Get(filename)
	if e.InterpLen > 0 {
		img.Interp = d.strings.Get(interp)
		img.Script = absolute(img.Filename, img.Cwd)
	}
	img.SecureExec = e.Flags&execSecure != 0
	rec.ExecBoot = e.ExecBoot
	rec.ExecInfo = event.ExecInfo{At: e.Flags&execAt != 0, OldTid: e.OldTid}
	d.argvEnv(e, &s, rec, img)
	if s.bad {
		return fmt.Errorf("decoding an exec of pid %d: its parts are longer than the record of %d bytes", rec.Key.Pid, len(raw))
	}
	gains(e, img)
	rec.Image = img.Seal()
	return nil
}

// argvEnv takes argv and environment from the record or from the pieces that
// came before it.
func (d *decoder) argvEnv(e *progBcExec, s *sections, rec *event.TaskRecord, img *event.Image) {
	var argv, env []byte
	unreadable := e.Flags&execUnreadable != 0
	if e.Flags&execChunked != 0 {
		if p := d.take(rec.CPU, rec.Key); p != nil {
			argv, env, unreadable = p.argv, p.env, p.unreadable
		}
	} else {
		argv, env = s.next(e.ArgvLen), s.next(e.EnvLen)
	}
	img.Argc = int(e.Argc)
	img.Argv = splitArgs(argv)
	img.ArgvCut = unreadable || len(argv) < int(e.ArgvFull)
	img.EnvCut = unreadable || len(env) < int(e.EnvFull)
	img.Env = d.env.get(env)
}

// gains works out what the exec gave by set-uid and set-gid bits and by file
// capabilities. A process that is root already gains nothing.
func gains(e *progBcExec, img *event.Image) {
	c, f := &e.Cred, &e.Exe
	if f.Nosuid == 0 {
		img.SetUID = f.Mode&sISUID != 0 && c.Euid == f.Uid && c.Uid != c.Euid
		img.SetGID = f.Mode&(sISGID|sIXGRP) == sISGID|sIXGRP && c.Egid == f.Gid && c.Gid != c.Egid
	}
	// For all but root, exec leaves only ambient capabilities and those that
	// the file grants.
	img.FileCaps = c.Euid != 0 && c.Uid != 0 && c.Permitted&^c.Ambient != 0
}

// common decodes what exec records and the task iterator share, up to and
// including the cgroup's path.
func (d *decoder) common(e *progBcExec, s *sections, rec *event.TaskRecord) *event.Image {
	t := &e.Task
	rec.Key = event.Key{Pid: t.Key.Pid, Start: t.Key.Start}
	rec.Parent = event.Key{Pid: t.Parent.Pid, Start: t.Parent.Start}
	rec.PPid, rec.NSPid, rec.NSPPid = t.Ppid, t.NsPid, t.NsPpid
	rec.Sid, rec.Pgid, rec.NSSid, rec.NSPgid = t.Sid, t.Pgid, t.NsSid, t.NsPgid
	rec.Comm = d.strings.Get(sensor.UntilNul(t.Comm[:]))
	rec.KThread = t.Kthread != 0
	c := &e.Cred
	rec.Cred = event.Cred{
		UID: c.Uid, GID: c.Gid, EUID: c.Euid, EGID: c.Egid, SUID: c.Suid, SGID: c.Sgid,
		FSUID: c.Fsuid, FSGID: c.Fsgid, LoginUID: c.Loginuid, SessionID: c.Sessionid,
		Effective: c.Effective, Permitted: c.Permitted, Inheritable: c.Inheritable,
		Bounding: c.Bounding, Ambient: c.Ambient, NoNewPrivs: c.NoNewPrivs != 0,
	}
	n := &e.Ns
	rec.NS = event.Namespaces{Pid: n.Pid, Mnt: n.Mnt, Net: n.Net, Uts: n.Uts, User: n.User, Cgroup: n.Cgroup, IPC: n.Ipc}
	rec.Tty = event.Tty{Name: d.strings.Get(sensor.UntilNul(e.Tty[:])), Dev: e.TtyDev}
	rec.Node = d.strings.Get(sensor.UntilNul(e.Nodename[:]))
	img := &event.Image{}
	d.exeFile(e, s.next(e.ExePath.Len), &img.Exe)
	img.Cwd, _, _ = d.strings.Path(s.next(e.Cwd.Len), e.Cwd.RootAt, e.Cwd.Flags)
	for i := range e.Fd {
		img.Stdio[i] = d.stdio(&e.Fd[i], s)
	}
	for i := range e.Fd {
		if same := e.Fd[i].Open; same >= 2 && int(same-2) < i {
			img.Stdio[i] = img.Stdio[same-2]
		}
	}
	rec.CgroupID = e.CgroupId
	rec.CgroupPath = d.strings.Get(d.strings.Reverse(s.next(e.CgroupLen), false))
	return img
}

func (d *decoder) exeFile(e *progBcExec, raw []byte, f *event.File) {
	x := &e.Exe
	if x.Inode == 0 && len(raw) == 0 {
		return
	}
	f.Path, f.RootPath, f.Unreachable = d.strings.Path(raw, e.ExePath.RootAt, e.ExePath.Flags)
	f.PathCut = e.ExePath.Flags&sensor.PathCut != 0
	f.Dev = (x.Dev>>20)<<32 | x.Dev&0xfffff
	f.Inode, f.Nlink, f.Mode = x.Inode, x.Nlink, x.Mode
	f.UID, f.GID = x.Uid, x.Gid
	f.Mtime, f.Ctime = x.Mtime, x.Ctime
	f.Memfd = e.ExePath.Flags&sensor.PathPseudo != 0 && (x.Magic == sensor.TmpfsMagic || x.Magic == sensor.HugetlbfsMagic) &&
		strings.HasPrefix(f.Path, "memfd:")
	// A memfd never had a name; a file without links, or whose name was
	// removed while others remain, is deleted under the name it was run by.
	f.Deleted = !f.Memfd && (x.Nlink == 0 || e.ExePath.Flags&sensor.PathUnlinked != 0)
	f.Overlay = x.Magic == sensor.OverlayMagic
	f.Upper = x.Upper != 0
}

func (d *decoder) stdio(o *progBcStdio, s *sections) event.Stdio {
	st := event.Stdio{Inode: o.Inode}
	name := s.next(o.Path.Len)
	if o.Open == 0 {
		return event.Stdio{}
	}
	major, minor := o.Rdev>>20, o.Rdev&0xfffff
	switch o.Mode & sensor.ModeType {
	case 0o100000:
		st.Kind = event.StdioFile
	case 0o040000:
		st.Kind = event.StdioDir
	case 0o060000:
		st.Kind = event.StdioBlock
	case 0o010000:
		st.Kind = event.StdioFifo
		if o.Magic == sensor.PipefsMagic {
			st.Kind = event.StdioPipe
		}
	case 0o140000:
		st.Kind = event.StdioSocket
		st.Sock = d.socket(&o.Sock, s)
	case 0o020000:
		st.Kind = sensor.CharKind(major, minor)
	default:
		st.Kind = event.StdioAnon
	}
	if o.Magic == sensor.AnonInodeMagic {
		st.Kind = event.StdioAnon
	}
	if len(name) > 0 || o.Path.Flags != 0 {
		st.Path, _, _ = d.strings.Path(name, o.Path.RootAt, o.Path.Flags)
	}
	if st.Kind == event.StdioAnon && !strings.HasPrefix(st.Path, "anon_inode:") {
		st.Path = "anon_inode:" + st.Path
	}
	return st
}

func (d *decoder) socket(o *progBcSock, s *sections) *event.Socket {
	sock := &event.Socket{Type: sensor.SockType(o.Type), Family: sensor.SockFamily(o.Family)}
	switch o.Family {
	case 2:
		sock.Local, sock.Remote = d.strings.Addr4(o.Laddr), d.strings.Addr4(o.Raddr)
	case 10:
		sock.Local, sock.Remote = d.strings.Addr6(o.Laddr), d.strings.Addr6(o.Raddr)
	case 1:
		sock.Local, sock.Remote = d.strings.UnixName(s.next(uint32(o.Llen))), d.strings.UnixName(s.next(uint32(o.Rlen)))
		return sock
	default:
		return sock
	}
	sock.LocalPort, sock.RemotePort = o.Lport, o.Rport
	sock.Proto = sensor.SockProto(o.Proto)
	if sock.Proto == "tcp" {
		sock.State = sensor.TCPState(o.State)
	}
	return sock
}

// absolute makes a typed name absolute without looking at the file system.
func absolute(name, cwd string) string {
	if strings.HasPrefix(name, "/") {
		return path.Clean(name)
	}
	return path.Join(cwd, name)
}

// exitInfo reads the kernel's exit code: a status in the second byte, or a
// signal in the low seven bits with 0x80 for a core.
func exitInfo(x *progBcExit) event.ExitInfo {
	info := event.ExitInfo{
		CPUTime: time.Duration(x.CpuNs), User: time.Duration(x.UtimeNs), System: time.Duration(x.StimeNs),
		MaxRSS: x.MaxrssPages * pageSize,
	}
	if sig := int(x.Code & 0x7f); sig != 0 {
		info.Signal = sig
		info.CoreDumped = x.Code&0x80 != 0
	} else {
		info.Code = int(x.Code>>8) & 0xff
	}
	return info
}

// inventory decodes what the task iterator wrote: records one behind another.
func (d *decoder) inventory(raw []byte, fn func(*event.TaskRecord)) error {
	for len(raw) > 0 {
		e := &d.exec
		if !sensor.Fixed(raw, e) {
			return tooShort("a task", len(raw))
		}
		var rec event.TaskRecord
		rec.Boot, rec.Tid = e.Hdr.Boot, e.Hdr.Tid
		s := sections{rest: raw[unsafe.Sizeof(*e):]}
		img := d.common(e, &s, &rec)
		if s.bad || e.Hdr.Kind != kindTask {
			return fmt.Errorf("decoding the inventory at pid %d: its parts are longer than the %d bytes left", rec.Key.Pid, len(raw))
		}
		if !rec.KThread {
			rec.Image = img
			img.ArgvCut, img.EnvCut = e.ArgvFull > 0, e.EnvFull > 0
			img.Seal()
		}
		fn(&rec)
		raw = s.rest
	}
	return nil
}
