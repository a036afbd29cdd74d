package eventjson

import (
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// imageParts gathers the members of a process's object that belong to its
// image, which may come in any order.
type imageParts struct {
	event.Image
	seen bool // there is an "exe", so there is an image
	argc int
}

// finish gives p its image and the command line that follows from it.
func (i *imageParts) finish(p *event.Process) {
	p.Cmdline = p.Comm
	if !i.seen {
		return
	}
	img := i.Image
	if img.Argc = i.argc; i.argc < 0 {
		img.Argc = len(img.Argv)
	}
	p.Image = img.Seal()
	if args := img.Args(); args != "" {
		p.Cmdline += " " + args
	}
}

func unsetCred() event.Cred {
	return event.Cred{LoginUID: event.Unset, SessionID: event.Unset}
}

// parent reads a parent's key and, where the line says what it is, makes a
// process of that; the chain of ancestors, where there is one, knows more.
func (d *decoder) parent() (event.Key, *event.Process, error) {
	var p event.Process
	known := false
	err := d.object(func(name string) (err error) {
		switch name {
		case "pid":
			err = d.uint32(&p.Pid)
		case "start":
			p.Start, err = d.unsigned(64)
		case "comm":
			known = true
			p.Comm, err = d.str()
		case "exe":
			var path string
			path, err = d.str()
			p.Image = (&event.Image{Exe: event.File{Path: path}}).Seal()
		default:
			err = d.skip()
		}
		return err
	})
	if !known {
		return p.Key, nil, err
	}
	p.Cred = unsetCred()
	return p.Key, &p, err
}

func (d *decoder) process() (*event.Process, error) {
	p := &event.Process{Cred: unsetCred()}
	img := imageParts{argc: -1}
	var group, container *event.Cgroup
	err := d.object(func(name string) (err error) {
		if known, err := d.ids(name, p); known {
			return err
		}
		if known, err := d.cred(name, &p.Cred); known {
			return err
		}
		if known, err := d.image(name, &img); known {
			return err
		}
		switch name {
		case "user":
			p.User, err = d.str()
		case "group":
			p.Group, err = d.str()
		case "login_user":
			p.LoginUser, err = d.str()
		case "comm":
			p.Comm, err = d.str()
		case "tty":
			err = d.tty(&p.Tty)
		case "cgroup":
			group, err = d.cgroup()
		case "container":
			container, err = d.container()
		case "ns":
			p.NS, err = d.namespaces()
		case "node":
			p.Node, err = d.str()
		case "kthread":
			p.KThread, err = d.boolean()
		case "seeded":
			p.Seeded, err = d.boolean()
		case "start_time":
			p.Time, err = d.time()
		default:
			err = d.skip()
		}
		return err
	})
	if group != nil && container != nil {
		container.ID, container.Path = group.ID, group.Path
	}
	if p.Cgroup = container; container == nil {
		p.Cgroup = group
	}
	img.finish(p)
	return p, err
}

// ids reads the member called name if it is one of the process's numbers,
// and reports whether it is.
func (d *decoder) ids(name string, p *event.Process) (bool, error) {
	var err error
	switch name {
	case "pid":
		err = d.uint32(&p.Pid)
	case "start":
		p.Start, err = d.unsigned(64)
	case "parent":
		p.ParentKey, p.Parent, err = d.parent()
	case "ppid":
		err = d.uint32(&p.PPid)
	case "ns_pid":
		err = d.uint32(&p.NSPid)
	case "ns_ppid":
		err = d.uint32(&p.NSPPid)
	case "sid":
		err = d.uint32(&p.Sid)
	case "pgid":
		err = d.uint32(&p.Pgid)
	case "ns_sid":
		err = d.uint32(&p.NSSid)
	case "ns_pgid":
		err = d.uint32(&p.NSPgid)
	case "exec_ns":
		p.ExecBoot, err = d.unsigned(64)
	case "exit_ns":
		p.ExitBoot, err = d.unsigned(64)
	default:
		return false, nil
	}
	return true, err
}

func (d *decoder) cred(name string, c *event.Cred) (bool, error) {
	var err error
	switch name {
	case "uid":
		err = d.uint32(&c.UID)
	case "gid":
		err = d.uint32(&c.GID)
	case "euid":
		err = d.uint32(&c.EUID)
	case "egid":
		err = d.uint32(&c.EGID)
	case "suid":
		err = d.uint32(&c.SUID)
	case "sgid":
		err = d.uint32(&c.SGID)
	case "fsuid":
		err = d.uint32(&c.FSUID)
	case "fsgid":
		err = d.uint32(&c.FSGID)
	case "login_uid":
		err = d.uint32(&c.LoginUID)
	case "session_id":
		err = d.uint32(&c.SessionID)
	case "caps":
		err = d.caps(c)
	case "no_new_privs":
		c.NoNewPrivs, err = d.boolean()
	default:
		return false, nil
	}
	return true, err
}

func (d *decoder) caps(c *event.Cred) error {
	return d.object(func(name string) error {
		switch name {
		case "effective":
			return d.hex(&c.Effective)
		case "permitted":
			return d.hex(&c.Permitted)
		case "inheritable":
			return d.hex(&c.Inheritable)
		case "bounding":
			return d.hex(&c.Bounding)
		case "ambient":
			return d.hex(&c.Ambient)
		}
		return d.skip()
	})
}

func (d *decoder) hex(to *uint64) error {
	s, err := d.str()
	if err != nil {
		return err
	}
	digits, ok := strings.CutPrefix(s, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil {
		return d.fail("%q is not a number such as 0x1f", s)
	}
	*to = n
	return nil
}

func (d *decoder) image(name string, i *imageParts) (bool, error) {
	var err error
	switch name {
	case "exe":
		i.seen = true
		err = d.file(&i.Exe)
	case "filename":
		i.Filename, err = d.str()
	case "script":
		i.Script, err = d.str()
	case "interp":
		i.Interp, err = d.str()
	case "argv":
		i.Argv, err = d.strings()
	case "argc":
		err = d.count(&i.argc)
	case "argv_cut":
		i.ArgvCut, err = d.boolean()
	case "env":
		i.Env, err = d.strings()
	case "env_cut":
		i.EnvCut, err = d.boolean()
	case "cwd":
		i.Cwd, err = d.str()
	case "fds":
		err = d.fds(&i.Stdio)
	case "setuid":
		i.SetUID, err = d.boolean()
	case "setgid":
		i.SetGID, err = d.boolean()
	case "filecaps":
		i.FileCaps, err = d.boolean()
	case "secure_exec":
		i.SecureExec, err = d.boolean()
	default:
		return false, nil
	}
	return true, err
}

func (d *decoder) file(f *event.File) error {
	return d.object(func(name string) error { return d.fileMember(name, f) })
}

func (d *decoder) dev() (major, minor uint32, err error) {
	s, err := d.str()
	if err != nil {
		return 0, 0, err
	}
	left, right, ok := strings.Cut(s, ":")
	a, err1 := strconv.ParseUint(left, 10, 32)
	b, err2 := strconv.ParseUint(right, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, d.fail("%q is not a device such as 8:1", s)
	}
	return uint32(a), uint32(b), nil
}

func (d *decoder) octal(to *uint32) error {
	s, err := d.str()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return d.fail("%q is not a file mode such as 0100755", s)
	}
	*to = uint32(n)
	return nil
}

func (d *decoder) nanos(to *int64) error {
	t, err := d.time()
	if err != nil {
		return err
	}
	if *to = t.UnixNano(); !time.Unix(0, *to).Equal(t) {
		return d.fail("a file's time is in the year %d: 64 bits of nanoseconds hold 1678 to 2261", t.Year())
	}
	return nil
}

func (d *decoder) fds(stdio *[3]event.Stdio) error {
	return d.list(func() error {
		var fd uint64
		var s event.Stdio
		err := d.object(func(name string) (err error) {
			switch name {
			case "fd":
				fd, err = d.unsigned(32)
			case "kind":
				s.Kind, err = d.kind()
			case "inode":
				s.Inode, err = d.unsigned(64)
			case "path":
				s.Path, err = d.str()
			case "socket":
				s.Sock, err = d.socket()
			default:
				err = d.skip()
			}
			return err
		})
		if err == nil && fd < uint64(len(stdio)) {
			stdio[fd] = s
		}
		return err
	})
}

func (d *decoder) kind() (event.StdioKind, error) {
	s, err := d.str()
	if err != nil {
		return 0, err
	}
	for k := event.StdioClosed; k.String() != "unknown"; k++ {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, d.fail("unknown kind of file descriptor %q", s)
}

func (d *decoder) socket() (*event.Socket, error) {
	k := new(event.Socket)
	err := d.object(func(name string) (err error) {
		switch name {
		case "family":
			k.Family, err = d.str()
		case "proto":
			k.Proto, err = d.str()
		case "type":
			k.Type, err = d.str()
		case "local":
			k.Local, err = d.str()
		case "local_port":
			err = d.uint16(&k.LocalPort)
		case "remote":
			k.Remote, err = d.str()
		case "remote_port":
			err = d.uint16(&k.RemotePort)
		case "remote_name":
			k.RemoteName, err = d.str()
		case "state":
			k.State, err = d.str()
		default:
			err = d.skip()
		}
		return err
	})
	return k, err
}

func (d *decoder) tty(t *event.Tty) error {
	return d.object(func(name string) (err error) {
		switch name {
		case "name":
			t.Name, err = d.str()
		case "dev":
			var major, minor uint32
			if major, minor, err = d.dev(); err != nil {
				return err
			}
			if major > 0xfff || minor > 0xfffff {
				return d.fail("%d:%d is not a terminal's device", major, minor)
			}
			t.Dev = joinTTY(major, minor)
		default:
			err = d.skip()
		}
		return err
	})
}

func (d *decoder) cgroup() (*event.Cgroup, error) {
	c := new(event.Cgroup)
	err := d.object(func(name string) (err error) {
		switch name {
		case "id":
			c.ID, err = d.unsigned(64)
		case "path":
			c.Path, err = d.str()
		default:
			err = d.skip()
		}
		return err
	})
	return c, err
}

func (d *decoder) namespaces() (*event.Namespaces, error) {
	n := new(event.Namespaces)
	err := d.object(func(name string) error {
		switch name {
		case "pid":
			return d.uint32(&n.Pid)
		case "mnt":
			return d.uint32(&n.Mnt)
		case "net":
			return d.uint32(&n.Net)
		case "uts":
			return d.uint32(&n.Uts)
		case "user":
			return d.uint32(&n.User)
		case "cgroup":
			return d.uint32(&n.Cgroup)
		case "ipc":
			return d.uint32(&n.IPC)
		}
		return d.skip()
	})
	return n, err
}
