package event

import "path"

// pathTypes are the types of events that name a file; pairTypes those that name
// two.
var (
	pathTypes = TypesOf(Open, Unlink, Rmdir, Mkdir, Mknod, Chmod, Chown, Setxattr, Truncate, Utimes, Chattr, Umount, Chroot, Swapon)
	pairTypes = TypesOf(Rename, Link, Symlink, Mount)
)

func pathStr(get func(*Call) (string, bool)) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		if ev.Call == nil {
			return "", false
		}
		return get(ev.Call)
	}}
}

// done returns the call where it succeeded: as Falco's, the fields of fs.path
// say what was done, not what was tried.
func (c *Call) done() *Call {
	if c.Failed() || c.Spec == nil {
		return nil
	}
	return c
}

// single returns the file that a call with one name is about.
func (c *Call) single() (name, raw string) {
	if f := c.Path.or(c.Path2); f != nil {
		return f.Path, f.Raw
	}
	if c.FD != nil && c.FD.Kind != StdioSocket {
		return c.FD.File.Path, ""
	}
	return "", ""
}

// source returns the first of a call's two names, as Falco has them: of links
// the new name comes first.
func (c *Call) source() (name, raw string) {
	f := c.Path
	switch {
	case c.Spec.Type == Link:
		f = c.Path2
	case c.Spec.Name == "mount":
		return c.Text, c.Text
	}
	if f == nil {
		return "", ""
	}
	return f.Path, f.Raw
}

// target returns the second one: what a link leads to.
func (c *Call) target() (name, raw string) {
	f := c.Path2
	switch c.Spec.Type {
	case Link:
		f = c.Path
	case Symlink: // a relative one is put together by appendTarget
		return c.Text, c.Text
	}
	if f == nil {
		return "", ""
	}
	return f.Path, f.Raw
}

// appendTarget writes what the second name leads to; that of a symbolic link
// starts in the link's own directory.
func appendTarget(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
	if ev.Call == nil || ev.Call.done() == nil {
		return dst, false
	}
	c := ev.Call
	name, _ := c.target()
	if c.Spec.Type == Symlink && c.Path != nil && c.Path.Path != "" && name != "" && name[0] != '/' {
		return append(dst, path.Join(path.Dir(c.Path.Path), name)...), true
	}
	return append(dst, name...), name != ""
}

// named makes sources of a name of a call, whole and raw.
func named(get func(*Call) (name, raw string)) (name, raw source) {
	name = pathStr(func(c *Call) (string, bool) {
		if c = c.done(); c == nil {
			return "", false
		}
		s, _ := get(c)
		return nonEmpty(s)
	})
	raw = pathStr(func(c *Call) (string, bool) {
		if c = c.done(); c == nil {
			return "", false
		}
		_, s := get(c)
		return nonEmpty(s)
	})
	return name, raw
}

// pathFields are about the files that a call names.
func pathFields() []Field {
	both := pathTypes.Or(pairTypes)
	isOpen := func(test func(*Call) bool) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Type != Open || ev.Call == nil {
				return 0, false
			}
			return boolNum(test(ev.Call)), true
		}}
	}
	ref := func(get func(*FileRef) bool) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || ev.Call.Path == nil {
				return 0, false
			}
			return boolNum(get(ev.Call.Path)), true
		}}
	}
	name, nameRaw := named((*Call).single)
	from, fromRaw := named((*Call).source)
	_, toRaw := named((*Call).target)
	return []Field{
		{Name: "fs.path.name", Doc: "canonical path of the file that the call worked on; absent where it failed", Events: pathTypes, src: name},
		{Name: "fs.path.nameraw", Doc: "the same as the caller passed it", Events: pathTypes, src: nameRaw},
		{Name: "fs.path.source", Doc: "of rename the old name, of links the new one, of mount the device; absent where the call failed", Events: pairTypes, src: from},
		{Name: "fs.path.sourceraw", Doc: "the same as the caller passed it", Events: pairTypes, src: fromRaw},
		{Name: "fs.path.target", Doc: "of rename the new name, of links what they lead to, of mount the directory; absent where the call failed", Events: pairTypes, src: source{text: appendTarget}},
		{Name: "fs.path.targetraw", Doc: "the same as the caller passed it", Events: pairTypes, src: toRaw},
		{Name: "evt.abspath", Arg: ArgOptionalKey, Doc: "path that the call names, in full, also where it failed; evt.abspath.src and evt.abspath.dst for calls with two", Events: both,
			src: source{str: absPath}},
		{Name: "bc.path.name", Doc: "path of the first file that the call names, in full, also where it failed", Events: both, src: pathStr(func(c *Call) (string, bool) {
			if c.Path == nil {
				return "", false
			}
			return nonEmpty(c.Path.Path)
		})},
		{Name: "bc.path.name2", Doc: "path of the second file, such as the new name of rename", Events: pairTypes, src: pathStr(func(c *Call) (string, bool) {
			if c.Path2 == nil {
				return "", false
			}
			return nonEmpty(c.Path2.Path)
		})},
		{Name: "bc.file.layer", Doc: "upper or lower layer of overlayfs that the file is in; absent elsewhere", Events: both.Or(fdTypes), src: pathStr(fileLayer)},
		{Name: "evt.is_open_read", Type: FieldBool, Doc: "the file was to be opened for reading", Events: openTypes, src: isOpen(func(c *Call) bool {
			return c.openFlags()&3 != 1
		})},
		{Name: "evt.is_open_write", Type: FieldBool, Doc: "the file was to be opened for writing", Events: openTypes, src: isOpen(func(c *Call) bool {
			return c.openFlags()&3 != 0
		})},
		{Name: "evt.is_open_exec", Type: FieldBool, Doc: "the file was to be created as one that can be run", Events: openTypes, src: isOpen(func(c *Call) bool {
			return c.openFlags()&0o20000100 != 0 && c.openMode()&0o111 != 0
		})},
		{Name: "evt.is_open_create", Type: FieldBool, Doc: "the open made the file", Events: openTypes, src: isOpen(func(c *Call) bool { return c.Path != nil && c.Path.Created })},
		{Name: "bc.path.resolved", Type: FieldBool, Doc: "the path comes from the kernel's own structures, not from the raw path", Events: both, src: ref(func(f *FileRef) bool { return f.Resolved })},
		{Name: "bc.path.created", Type: FieldBool, Doc: "the call made the file", Events: both, src: ref(func(f *FileRef) bool { return f.Created })},
		{Name: "bc.path.root", Doc: "the path as seen from the process's own root, where that differs", Events: both, src: pathStr(func(c *Call) (string, bool) {
			if c.Path == nil {
				return "", false
			}
			return nonEmpty(c.Path.RootPath)
		})},
		{Name: "bc.path.owner", Type: FieldUint, Doc: "owner of the file, where it was opened", Events: both, src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || ev.Call.Path == nil || ev.Call.Path.Inode == 0 {
				return 0, false
			}
			return int64(ev.Call.Path.UID), true
		}}},
		{Name: "bc.path.mode", Type: FieldUint, Doc: "permission bits of the file, where it was opened", Events: both, src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || ev.Call.Path == nil || ev.Call.Path.Inode == 0 {
				return 0, false
			}
			return int64(ev.Call.Path.Mode & 0o7777), true
		}}},
	}
}

// or returns f, or o where f names nothing.
func (f *FileRef) or(o *FileRef) *FileRef {
	if f != nil {
		return f
	}
	return o
}

// openFlags are the flags of an open, as O_ bits.
func (c *Call) openFlags() uint64 {
	if c.Spec == nil {
		return 0
	}
	switch c.Spec.Name {
	case "creat":
		return 0o1101
	case "open":
		return c.Args[1]
	case "openat", "openat2", "open_by_handle_at": // the sensor puts openat2's there
		return c.Args[2]
	}
	return 0
}

// openMode is the mode for a file that an open makes.
func (c *Call) openMode() uint64 {
	if c.Spec == nil {
		return 0
	}
	switch c.Spec.Name {
	case "creat":
		return c.Args[1]
	case "open":
		return c.Args[2]
	case "openat", "openat2":
		return c.Args[3]
	}
	return 0
}

// absPath returns the first or the second name of a call in full.
func absPath(ev *Event, r *Ref) (string, bool) {
	if ev.Call == nil {
		return "", false
	}
	f := ev.Call.Path
	switch r.arg {
	case "":
		f = f.or(ev.Call.Path2)
	case "src":
	case "dst":
		f = ev.Call.Path2
	default:
		return "", false
	}
	if f == nil {
		return "", false
	}
	return nonEmpty(f.Path)
}

// fileLayer tells in which layer of overlayfs the file of a call is.
func fileLayer(c *Call) (string, bool) {
	upper, lower := false, false
	if c.Path != nil {
		upper, lower = c.Path.Upper, c.Path.Overlay
	}
	if c.FD != nil {
		upper, lower = upper || c.FD.File.Upper, lower || c.FD.File.Overlay
	}
	switch {
	case upper:
		return "upper", true
	case lower:
		return "lower", true
	}
	return "", false
}
