package event

import "strconv"

// These fields have a program or a file by the name under which it was asked for
// and under which it is found, for rules that know only one of the two: Sigma
// rules are written against logs that have either.

// writtenTypes are the types of events that make a file or give one a name.
var writtenTypes = TypesOf(Open, Rename, Link, Symlink, Mknod, Truncate)

func procInvoked(p *Process) (string, bool) {
	if p.Image == nil {
		return "", false
	}
	return nonEmpty(p.Image.invoked)
}

// namedFields are about what was named.
func namedFields() []Field {
	paths := pathTypes.Or(pairTypes)
	execStr := func(get strAttr) source {
		return source{str: func(ev *Event, _ *Ref) (string, bool) {
			if ev.Proc == nil {
				return "", false
			}
			return get(ev.Proc)
		}}
	}
	return []Field{
		{Name: "bc.proc.invoked", Doc: "absolute path of the program as the caller named it, symbolic links not followed; of a script its own, not the interpreter's",
			src: strAttr(procInvoked).at(0)},
		{Name: "bc.proc.pinvoked", Doc: "bc.proc.invoked of the parent", src: strAttr(procInvoked).at(1)},
		{Name: "bc.proc.pexeline", Doc: "proc.exeline of the parent", src: imageStr(func(i *Image) (string, bool) { return i.Cmdline(), true }).at(1)},
		{Name: "bc.proc.workdir", Doc: "working directory at exec time, without a slash at its end", src: imageStr(func(i *Image) (string, bool) { return nonEmpty(i.Cwd) }).at(0)},
		{Name: "bc.exec.exepath", Doc: "proc.exepath, in events of exec alone", Events: TypesOf(Exec), src: execStr(procExepath)},
		{Name: "bc.exec.invoked", Doc: "bc.proc.invoked, in events of exec alone", Events: TypesOf(Exec), src: execStr(procInvoked)},
		{Name: "bc.file.target", Doc: "path of the file that the call made, opened for writing, truncated or gave a name; absent where it failed", Events: writtenTypes,
			src: pathStr(writtenFile)},
		{Name: "bc.path.nametype", AnyOf: true, Doc: "what the call does with the names that it is about, as audit records have it: CREATE, DELETE or NORMAL", Events: paths.Or(TypesOf(Exec)),
			src: source{list: nameTypes}},
		{Name: "bc.call.arg", Arg: ArgRequiredIndex, Doc: "an argument of the system call, from 0, in hexadecimal without 0x, as audit records have it", Events: syscallTypes(),
			src: source{text: hexArg}},
	}
}

// syscallTypes are the types of calls that are system calls.
func syscallTypes() TypeSet {
	var s TypeSet
	for t := Open; t < NumTypes; t++ {
		if IsSyscall(t) {
			s.Add(TypesOf(t))
		}
	}
	return s
}

// writtenFile is the file that a call has made, written or named.
func writtenFile(c *Call) (string, bool) {
	if c = c.done(); c == nil {
		return "", false
	}
	f := c.Path
	switch c.Spec.Type {
	case Open:
		if c.openFlags()&0o1003 == 0 && (f == nil || !f.Created) {
			return "", false
		}
	case Rename, Link:
		f = c.Path2
	case Truncate:
		if f == nil && c.FD != nil {
			return nonEmpty(c.FD.File.Path)
		}
	}
	if f == nil {
		return "", false
	}
	return nonEmpty(f.Path)
}

func nameTypes(ev *Event, _ *Ref, dst []string) []string {
	switch ev.Type {
	case Unlink, Rmdir:
		return append(dst, "DELETE")
	case Mkdir, Mknod, Symlink, Link:
		return append(dst, "CREATE")
	case Rename:
		return append(dst, "DELETE", "CREATE")
	}
	if ev.Call != nil && ev.Call.Path != nil && ev.Call.Path.Created {
		return append(dst, "CREATE")
	}
	return append(dst, "NORMAL")
}

func hexArg(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
	c := ev.Call
	if c == nil || c.Spec == nil || !IsSyscall(c.Spec.Type) || r.index >= len(c.Spec.args()) || r.index >= len(c.Args) {
		return dst, false
	}
	return strconv.AppendUint(dst, c.Args[r.index], 16), true
}
