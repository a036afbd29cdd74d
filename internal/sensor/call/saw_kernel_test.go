package call

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// clockSlack is how far apart the kernel's two ways to read its clock may be.
const clockSlack = 1e6

// is matches the record of exactly this call.
func is(d done) func(*event.TaskRecord) bool {
	args := d.Args
	for i, a := range event.CallNamed(d.Name).Args {
		if a.Kind == event.ArgEnum {
			args[i] = uint64(uint32(args[i]))
		}
	}
	return func(r *event.TaskRecord) bool {
		if r.Boot+clockSlack < d.From || r.Boot > d.To+clockSlack {
			return false
		}
		got := r.Call.Args
		if d.Name == "openat2" { // of its third argument what it points to is told
			got[2], got[3] = args[2], args[3]
		}
		return r.Call.Spec.Name == d.Name && int(r.Key.Pid) == d.Pid && got == args && r.Call.Ret == d.Ret
	}
}

// saw waits for the record of a call and compares all of it that the call's
// entry in the table promises.
func (w *observer) saw(t *testing.T, d done) *event.Call {
	t.Helper()
	spec := event.CallNamed(d.Name)
	r := w.wait(spec.Type, is(d))
	if r == nil {
		t.Errorf("no record came of %s(%v, %#x) = %d", d.Name, d.Strs, d.Args, d.Ret)
		return &event.Call{Spec: spec, Path: &event.FileRef{}, Path2: &event.FileRef{}, FD: &event.FD{Sock: &event.Socket{}},
			FD2: &event.FD{Sock: &event.Socket{}}, NewCred: &event.Cred{}, Addr: &event.Socket{}, BPF: &event.BPFInfo{}}
	}
	c := r.Call
	expect(t, d.Name+": thread", int(r.Tid), d.Tid)
	if d.Mnt != 0 {
		expect(t, d.Name+": mount namespace", r.MntNS, d.Mnt)
	}
	expect(t, d.Name+": failed", c.Failed(), d.failed())
	expect(t, d.Name+": 32 bits", c.Compat, false)
	expect(t, d.Name+": way", c.Via, "")
	expect(t, d.Name+": ring", r.Class, ClassOf(r.Type))
	if r.Key.Start == 0 || r.Boot < r.Key.Start || r.Comm == "" {
		t.Errorf("%s: the process is %+v, %q, at %d", d.Name, r.Key, r.Comm, r.Boot)
	}
	sawStrings(t, d, c)
	sawFDs(t, d, c)
	return c
}

func sawStrings(t *testing.T, d done, c *event.Call) {
	t.Helper()
	texts := 0
	for i, a := range c.Spec.Args {
		s, passed := d.Strs[i]
		if !passed {
			continue
		}
		ref := c.Path
		switch a.Kind {
		case event.ArgText:
			if texts++; texts == 1 {
				expect(t, d.Name+": text", c.Text, s)
			}
			continue
		case event.ArgPath2:
			ref = c.Path2
		case event.ArgPath:
		default:
			continue
		}
		if ref == nil {
			t.Errorf("%s: no path %s in the record", d.Name, a.Name)
			continue
		}
		expect(t, d.Name+": raw "+a.Name, ref.Raw, s)
		expect(t, d.Name+": "+a.Name+" is cut", ref.RawCut, false)
		if strings.HasPrefix(s, "/") && !ref.Resolved && d.Root == "" {
			expect(t, d.Name+": "+a.Name, ref.Path, path.Clean(s))
		} else if strings.HasPrefix(s, "/") && !ref.Resolved {
			expect(t, d.Name+": "+a.Name, ref.Path, path.Join(d.Root, s))
			expect(t, d.Name+": "+a.Name+" below the root", ref.RootPath, path.Clean(s))
		}
	}
}

func sawFDs(t *testing.T, d done, c *event.Call) {
	t.Helper()
	first, second := c.Spec.Arg(event.ArgFD), c.Spec.Arg(event.ArgFD2)
	if c.Spec.RetFD && !d.failed() {
		sameFD(t, d.Name+"'s result", c.FD, d.FDs[-1])
		if first >= 0 {
			second, first = first, -1
		} else {
			first = -1
		}
	}
	if first >= 0 {
		sameFD(t, d.Name+"'s descriptor", c.FD, d.FDs[first])
	}
	if second >= 0 {
		sameFD(t, d.Name+"'s other descriptor", c.FD2, d.FDs[second])
	}
}

// sameFD compares a descriptor of a record with what the kernel says of it.
func sameFD(t *testing.T, what string, fd *event.FD, info fdInfo) {
	t.Helper()
	if info.Link == "" {
		return // not open, or there was no /proc
	}
	if fd == nil {
		t.Errorf("%s (%s) is not in the record", what, info.Link)
		return
	}
	expect(t, what+": number", int(fd.Num), info.Num)
	if !fd.File.Overlay { // whose stat tells those of the layer below
		expect(t, what+": inode", fd.Inode(), info.Ino)
		expect(t, what+": device", fd.File.Dev, info.Dev)
	}
	expect(t, what+": mode", fd.File.Mode, info.Mode)
	expect(t, what+": owner", fmt.Sprint(fd.File.UID, fd.File.GID), fmt.Sprint(info.UID, info.GID))
	name, deleted := info.Link, info.Nlink == 0
	if deleted {
		name = strings.TrimSuffix(name, " (deleted)")
	}
	switch {
	case strings.HasPrefix(info.Link, "pipe:"):
		expect(t, what+": kind", fd.Kind, event.StdioPipe)
		expect(t, what+": path", fd.File.Path, "")
	case strings.HasPrefix(info.Link, "socket:"):
		expect(t, what+": kind", fd.Kind, event.StdioSocket)
		if fd.Sock == nil {
			t.Errorf("%s is no socket", what)
			return
		}
		if info.Local != "" {
			expect(t, what+": local end", sockText(fd.Sock.Local, fd.Sock.LocalPort), info.Local)
		}
		if info.Remote != "" {
			expect(t, what+": remote end", sockText(fd.Sock.Remote, fd.Sock.RemotePort), info.Remote)
		}
	case strings.HasPrefix(info.Link, "anon_inode:"):
		expect(t, what+": kind", fd.Kind, event.StdioAnon)
		expect(t, what+": path", fd.File.Path, info.Link)
	case strings.HasPrefix(info.Link, "/memfd:"):
		expect(t, what+": path", fd.File.Path, name[1:])
		expect(t, what+": memfd", fd.File.Memfd, true)
	case strings.HasPrefix(info.Link, "/"):
		expect(t, what+": path", fd.File.Path, name)
		expect(t, what+": deleted", fd.File.Deleted, deleted)
	}
}
