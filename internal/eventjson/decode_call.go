package eventjson

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// call reads a call. A name that is not known here, from a newer version, gives
// a description without arguments; the event's type is set by whoever calls.
func (d *decoder) call() (*event.Call, error) {
	c := new(event.Call)
	err := d.object(func(name string) (err error) {
		switch name {
		case "name":
			var s string
			if s, err = d.str(); err == nil {
				if c.Spec = event.CallNamed(s); c.Spec == nil {
					c.Spec = &event.CallSpec{Name: s}
				}
			}
		case "ret":
			c.Ret, err = d.signed()
		case "via":
			c.Via, err = d.str()
		case "compat":
			c.Compat, err = d.boolean()
		case "raw":
			err = d.rawArgs(c)
		case "path":
			c.Path, err = d.fileRef()
		case "path2":
			c.Path2, err = d.fileRef()
		case "fd":
			c.FD, err = d.descriptor()
		case "fd2":
			c.FD2, err = d.descriptor()
		case "addr":
			c.Addr, err = d.socket()
		case "target":
			c.Target, err = d.target()
		case "text":
			c.Text, err = d.str()
		default:
			err = d.callParts(name, c)
		}
		return err
	})
	if c.Spec == nil {
		c.Spec = new(event.CallSpec) // whoever reads a call relies on one
	}
	return c, err
}

// callParts reads the members that only some types have.
func (d *decoder) callParts(name string, c *event.Call) (err error) {
	switch name {
	case "text2":
		c.Text2, err = d.str()
	case "dns":
		c.DNS, err = d.dns()
	case "bpf":
		c.BPF, err = d.bpf()
	case "tcp":
		c.TCP, err = d.tcp()
	case "old_cred":
		c.OldCred, err = d.creds()
	case "new_cred":
		c.NewCred, err = d.creds()
	default:
		err = d.skip() // args and errno follow from the rest
	}
	return err
}

func (d *decoder) rawArgs(c *event.Call) error {
	i := 0
	return d.list(func() error {
		var n uint64
		if err := d.hex(&n); err != nil {
			return err
		}
		if i < len(c.Args) {
			c.Args[i] = n
		}
		i++
		return nil
	})
}

// fileMember reads one member of a file.
func (d *decoder) fileMember(name string, f *event.File) (err error) {
	switch name {
	case "path":
		f.Path, err = d.str()
	case "host_path":
		f.HostPath, err = d.str()
	case "root_path":
		f.RootPath, err = d.str()
	case "unreachable":
		f.Unreachable, err = d.boolean()
	case "path_cut":
		f.PathCut, err = d.boolean()
	case "dev":
		var major, minor uint32
		major, minor, err = d.dev()
		f.Dev = uint64(major)<<32 | uint64(minor)
	case "inode":
		f.Inode, err = d.unsigned(64)
	case "nlink":
		err = d.uint32(&f.Nlink)
	case "mode":
		err = d.octal(&f.Mode)
	case "uid":
		err = d.uint32(&f.UID)
	case "gid":
		err = d.uint32(&f.GID)
	case "mtime":
		err = d.nanos(&f.Mtime)
	case "ctime":
		err = d.nanos(&f.Ctime)
	case "memfd":
		f.Memfd, err = d.boolean()
	case "deleted":
		f.Deleted, err = d.boolean()
	case "overlay":
		f.Overlay, err = d.boolean()
	case "upper":
		f.Upper, err = d.boolean()
	default:
		err = d.skip()
	}
	return err
}

func (d *decoder) fileRef() (*event.FileRef, error) {
	f := new(event.FileRef)
	err := d.object(func(name string) (err error) {
		switch name {
		case "raw":
			f.Raw, err = d.str()
		case "raw_cut":
			f.RawCut, err = d.boolean()
		case "resolved":
			f.Resolved, err = d.boolean()
		case "created":
			f.Created, err = d.boolean()
		default:
			err = d.fileMember(name, &f.File)
		}
		return err
	})
	return f, err
}

func (d *decoder) descriptor() (*event.FD, error) {
	f := new(event.FD)
	err := d.object(func(name string) (err error) {
		switch name {
		case "num":
			err = d.int32(&f.Num)
		case "kind":
			f.Kind, err = d.kind()
		case "socket":
			f.Sock, err = d.socket()
		default:
			err = d.fileMember(name, &f.File)
		}
		return err
	})
	return f, err
}

func (d *decoder) target() (*event.Process, error) {
	p := &event.Process{Cred: unsetCred()}
	err := d.object(func(name string) (err error) {
		switch name {
		case "pid":
			err = d.uint32(&p.Pid)
		case "start":
			p.Start, err = d.unsigned(64)
		case "comm":
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
	p.Cmdline = p.Comm
	return p, err
}

func (d *decoder) creds() (*event.Cred, error) {
	c := unsetCred()
	err := d.object(func(name string) error {
		if known, err := d.cred(name, &c); known {
			return err
		}
		return d.skip()
	})
	return &c, err
}

func (d *decoder) dns() (*event.DNSInfo, error) {
	x := new(event.DNSInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "id":
			err = d.uint16(&x.ID)
		case "response":
			x.Response, err = d.boolean()
		case "name":
			x.Name, err = d.str()
		case "type":
			x.Type, err = d.str()
		case "rcode":
			x.Rcode, err = d.str()
		case "answers":
			err = d.list(func() error { return d.dnsAnswer(x) })
		case "latency_ns":
			var n uint64
			n, err = d.unsigned(64)
			x.Latency = time.Duration(n)
		case "tcp":
			x.TCP, err = d.boolean()
		case "cut":
			x.Cut, err = d.boolean()
		default:
			err = d.skip()
		}
		return err
	})
	return x, err
}

func (d *decoder) dnsAnswer(x *event.DNSInfo) error {
	var a event.DNSAnswer
	err := d.object(func(name string) (err error) {
		switch name {
		case "name":
			a.Name, err = d.str()
		case "type":
			a.Type, err = d.str()
		case "ttl":
			err = d.uint32(&a.TTL)
		case "data":
			a.Data, err = d.str()
		default:
			err = d.skip()
		}
		return err
	})
	x.Answers = append(x.Answers, a)
	return err
}

func (d *decoder) bpf() (*event.BPFInfo, error) {
	b := new(event.BPFInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "cmd":
			b.Cmd, err = d.str()
		case "prog_type":
			b.ProgType, err = d.str()
		case "attach_type":
			b.AttachType, err = d.str()
		case "name":
			b.Name, err = d.str()
		case "insns":
			err = d.uint32(&b.Insns)
		case "helpers":
			err = d.list(func() error {
				var n uint32
				err := d.uint32(&n)
				b.Helpers = append(b.Helpers, n)
				return err
			})
		case "scan_cut":
			b.ScanCut, err = d.boolean()
		case "path":
			b.Path, err = d.str()
		default:
			err = d.skip()
		}
		return err
	})
	return b, err
}

func (d *decoder) tcp() (*event.TCPInfo, error) {
	t := new(event.TCPInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "old":
			t.Old, err = d.str()
		case "new":
			t.New, err = d.str()
		case "sent":
			t.Sent, err = d.unsigned(64)
		case "received":
			t.Received, err = d.unsigned(64)
		case "duration_ns":
			var n uint64
			n, err = d.unsigned(64)
			t.Duration = time.Duration(n)
		default:
			err = d.skip()
		}
		return err
	})
	return t, err
}
