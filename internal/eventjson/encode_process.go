package eventjson

import (
	"strconv"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// process writes all that is known of a process, whose program the host may have under
// another name.
func (e *Encoder) process(w *writer, p *event.Process, host string) {
	putKey(w, p.Key, e.keyPrefix)
	putIDs(w, p)
	parentOf(p).put(w)
	e.cred.put(w, p.Cred, putCredOf)
	w.addStr("user", p.User)
	w.addStr("group", p.Group)
	w.addStr("login_user", p.LoginUser)
	w.putStr("comm", p.Comm)
	if p.Image != nil {
		e.image(w, p.Image, host)
	}
	if p.Tty.Dev != 0 || p.Tty.Name != "" {
		w.open("tty")
		w.putStr("name", p.Tty.Name)
		major, minor := splitTTY(p.Tty.Dev)
		w.putDev("dev", major, minor)
		w.close()
	}
	if p.Cgroup != nil {
		e.cgroup.put(w, groupOf(p.Cgroup), putGroup)
	}
	if p.NS != nil {
		e.ns.put(w, p.NS, putNamespaces)
	}
	w.addStr("node", p.Node)
	w.addFlag("kthread", p.KThread)
	w.addFlag("seeded", p.Seeded)
	w.addTime("start_time", p.Time)
	w.addUint("exec_ns", p.ExecBoot)
	w.addUint("exit_ns", p.ExitBoot)
}

func putNamespaces(w *writer, ns *event.Namespaces) {
	w.open("ns")
	w.putUint("pid", uint64(ns.Pid))
	w.putUint("mnt", uint64(ns.Mnt))
	w.putUint("net", uint64(ns.Net))
	w.putUint("uts", uint64(ns.Uts))
	w.putUint("user", uint64(ns.User))
	w.putUint("cgroup", uint64(ns.Cgroup))
	w.putUint("ipc", uint64(ns.IPC))
	w.close()
}

func putKey(w *writer, k event.Key, prefix string) {
	w.putUint("pid", uint64(k.Pid))
	w.putUint("start", k.Start)
	w.key("key")
	w.b = append(w.b, prefix...)
	w.b = strconv.AppendUint(w.b, uint64(k.Pid), 10)
	w.b = append(w.b, ':')
	w.b = strconv.AppendUint(w.b, k.Start, 10)
	w.b = append(w.b, '"')
}

// short writes the short form of a process: what tells it from others and says what
// it is. Little of that changes while it runs.
func (e *Encoder) short(w *writer, p *event.Process) {
	k := shortKey{
		prefix: e.keyPrefix, key: p.Key, nsPid: p.NSPid, ppid: p.PPid, uid: p.Cred.UID, euid: p.Cred.EUID, user: p.User, comm: p.Comm,
		parent: parentOf(p), group: groupOf(p.Cgroup), kthread: p.KThread, time: p.Time, exec: p.ExecBoot, exit: p.ExitBoot,
	}
	if i := p.Image; i != nil {
		k.hasExe, k.exe, k.inode, k.memfd, k.deleted = true, i.Exe.Path, i.Exe.Inode, i.Exe.Memfd, i.Exe.Deleted
	}
	m := e.brief.at(uint64(p.Pid))
	if m.has(w, &k) {
		return
	}
	start := len(w.b)
	putShort(w, &k)
	m.keep(&k, w.b[start:])
}

// shortKey is all that putShort writes.
type shortKey struct {
	key                    event.Key
	nsPid, ppid, uid, euid uint32
	exec, exit, inode      uint64
	prefix                 string
	user, comm, exe        string
	parent                 parent
	group                  groupKey
	time                   time.Time

	hasExe, memfd, deleted, kthread bool
}

func putShort(w *writer, k *shortKey) {
	w.open("process")
	putKey(w, k.key, k.prefix)
	w.putUint("ns_pid", uint64(k.nsPid))
	w.putUint("ppid", uint64(k.ppid))
	k.parent.put(w)
	w.putUint("uid", uint64(k.uid))
	w.putUint("euid", uint64(k.euid))
	w.addStr("user", k.user)
	w.putStr("comm", k.comm)
	if k.hasExe {
		w.open("exe")
		w.putStr("path", k.exe)
		w.addUint("inode", k.inode)
		w.addFlag("memfd", k.memfd)
		w.addFlag("deleted", k.deleted)
		w.close()
	}
	if k.group.group != nil {
		putShortGroup(w, k.group)
	}
	w.addFlag("kthread", k.kthread)
	w.addTime("start_time", k.time)
	w.addUint("exec_ns", k.exec)
	w.addUint("exit_ns", k.exit)
	w.close()
}

func putIDs(w *writer, p *event.Process) {
	w.putUint("ppid", uint64(p.PPid))
	w.putUint("ns_pid", uint64(p.NSPid))
	w.putUint("ns_ppid", uint64(p.NSPPid))
	w.putUint("sid", uint64(p.Sid))
	w.putUint("pgid", uint64(p.Pgid))
	w.putUint("ns_sid", uint64(p.NSSid))
	w.putUint("ns_pgid", uint64(p.NSPgid))
}

// parent is a parent's key and, where it is known, enough to read the line by;
// the whole of it is the first of "ancestors".
type parent struct {
	key           event.Key
	comm, exe     string
	known, hasExe bool
}

func parentOf(p *event.Process) parent {
	o := parent{key: parentKey(p)}
	if q := p.Parent; q != nil {
		o.known, o.comm = true, q.Comm
		if q.Image != nil {
			o.hasExe, o.exe = true, q.Image.Exe.Path
		}
	}
	return o
}

func (o parent) put(w *writer) {
	if o.key.IsZero() {
		return
	}
	w.open("parent")
	w.putUint("pid", uint64(o.key.Pid))
	w.putUint("start", o.key.Start)
	if o.known {
		w.putStr("comm", o.comm)
	}
	if o.hasExe {
		w.putStr("exe", o.exe)
	}
	w.close()
}

func parentKey(p *event.Process) event.Key {
	if p.Parent != nil {
		return p.Parent.Key
	}
	return p.ParentKey
}

func putCredOf(w *writer, c event.Cred) { putCred(w, &c) }

func putCred(w *writer, c *event.Cred) {
	w.putUint("uid", uint64(c.UID))
	w.putUint("gid", uint64(c.GID))
	w.putUint("euid", uint64(c.EUID))
	w.putUint("egid", uint64(c.EGID))
	w.putUint("suid", uint64(c.SUID))
	w.putUint("sgid", uint64(c.SGID))
	w.putUint("fsuid", uint64(c.FSUID))
	w.putUint("fsgid", uint64(c.FSGID))
	// 4294967295 is "not set", and absent says that better
	if c.LoginUID != event.Unset {
		w.putUint("login_uid", uint64(c.LoginUID))
	}
	if c.SessionID != event.Unset {
		w.putUint("session_id", uint64(c.SessionID))
	}
	w.open("caps")
	w.putHex("effective", c.Effective)
	w.putHex("permitted", c.Permitted)
	w.putHex("inheritable", c.Inheritable)
	w.putHex("bounding", c.Bounding)
	w.putHex("ambient", c.Ambient)
	w.close()
	w.addFlag("no_new_privs", c.NoNewPrivs)
}

func (e *Encoder) image(w *writer, i *event.Image, host string) {
	exe := i.Exe
	exe.HostPath = host
	e.exe.put(w, exe, putFile)
	w.addStr("filename", i.Filename)
	w.addStr("script", i.Script)
	w.addStr("interp", i.Interp)
	w.putList("argv", i.Argv)
	w.putInt("argc", int64(i.Argc))
	w.addFlag("argv_cut", i.ArgvCut)
	if len(i.Env) > 0 {
		e.env.put(w, envOf(i.Env), putEnv)
	}
	w.addFlag("env_cut", i.EnvCut)
	w.addStr("cwd", i.Cwd)
	e.stdio.put(w, i.Stdio, putFds)
	w.addFlag("setuid", i.SetUID)
	w.addFlag("setgid", i.SetGID)
	w.addFlag("filecaps", i.FileCaps)
	w.addFlag("secure_exec", i.SecureExec)
}

func putEnv(w *writer, k envKey) { w.putList("env", k.strings()) }

func putFds(w *writer, fds [3]event.Stdio) {
	w.key("fds")
	w.b = append(w.b, '[')
	for fd := range fds {
		w.sep()
		w.b = append(w.b, '{')
		w.putUint("fd", uint64(fd))
		putStdio(w, &fds[fd])
		w.close()
	}
	w.b = append(w.b, ']')
}

func putFile(w *writer, f event.File) {
	w.open("exe")
	w.putStr("path", f.Path)
	w.addStr("root_path", f.RootPath)
	w.addStr("host_path", f.HostPath)
	w.addFlag("unreachable", f.Unreachable)
	w.addFlag("path_cut", f.PathCut)
	w.putDev("dev", uint32(f.Dev>>32), uint32(f.Dev))
	w.putUint("inode", f.Inode)
	w.putUint("nlink", uint64(f.Nlink))
	w.key("mode")
	w.b = append(w.b, '"', '0')
	w.b = strconv.AppendUint(w.b, uint64(f.Mode), 8)
	w.b = append(w.b, '"')
	w.putUint("uid", uint64(f.UID))
	w.putUint("gid", uint64(f.GID))
	w.addNanos("mtime", f.Mtime)
	w.addNanos("ctime", f.Ctime)
	w.addFlag("memfd", f.Memfd)
	w.addFlag("deleted", f.Deleted)
	w.addFlag("overlay", f.Overlay)
	w.addFlag("upper", f.Upper)
	w.close()
}

func putStdio(w *writer, s *event.Stdio) {
	w.putStr("kind", s.Kind.String())
	w.addUint("inode", s.Inode)
	w.addStr("path", s.Path)
	if s.Sock != nil {
		putSocket(w, "socket", s.Sock)
	}
}

func putSocket(w *writer, name string, k *event.Socket) {
	w.open(name)
	w.addStr("family", k.Family)
	w.addStr("proto", k.Proto)
	w.addStr("type", k.Type)
	w.addStr("local", k.Local)
	w.addUint("local_port", uint64(k.LocalPort))
	w.addStr("remote", k.Remote)
	w.addUint("remote_port", uint64(k.RemotePort))
	w.addStr("remote_name", k.RemoteName)
	w.addStr("state", k.State)
	w.close()
}
