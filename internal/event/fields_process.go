package event

import "time"

// maxAncestors bounds every walk up the lineage.
const maxAncestors = 128

// ancestor returns the process n generations up; 0 is the event's own.
func ancestor(ev *Event, n int) *Process {
	p := ev.Proc
	if n > maxAncestors {
		return nil
	}
	for ; n > 0 && p != nil; n-- {
		p = p.Parent
	}
	return p
}

// A strAttr, numAttr or textAttr is one attribute of a process; the same one
// serves the field of the process itself, of its parent and of its ancestors.
type (
	strAttr  func(*Process) (string, bool)
	numAttr  func(*Process) (int64, bool)
	textAttr func(*Process, []byte) ([]byte, bool)
)

// at makes a source of an attribute of the ancestor gen generations up.
func (a strAttr) at(gen int) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		if p := ancestor(ev, gen); p != nil {
			return a(p)
		}
		return "", false
	}}
}

// lineage makes a source for FIELD[n] and, without n, for every ancestor.
func (a strAttr) lineage() source {
	return source{
		str: func(ev *Event, r *Ref) (string, bool) {
			if p := ancestor(ev, r.index); p != nil {
				return a(p)
			}
			return "", false
		},
		list: func(ev *Event, _ *Ref, dst []string) []string {
			p := ancestor(ev, 1)
			for n := 0; p != nil && n < maxAncestors; n++ {
				if s, ok := a(p); ok {
					dst = append(dst, s)
				}
				p = p.Parent
			}
			return dst
		},
	}
}

func (a numAttr) at(gen int) source {
	return source{num: func(ev *Event, _ *Ref) (int64, bool) {
		if p := ancestor(ev, gen); p != nil {
			return a(p)
		}
		return 0, false
	}}
}

func (a numAttr) lineage() source {
	return source{
		num: func(ev *Event, r *Ref) (int64, bool) {
			if p := ancestor(ev, r.index); p != nil {
				return a(p)
			}
			return 0, false
		},
		nums: func(ev *Event, _ *Ref, dst []int64) []int64 {
			p := ancestor(ev, 1)
			for n := 0; p != nil && n < maxAncestors; n++ {
				if v, ok := a(p); ok {
					dst = append(dst, v)
				}
				p = p.Parent
			}
			return dst
		},
	}
}

func (a textAttr) at(gen int) source {
	return source{text: func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
		if p := ancestor(ev, gen); p != nil {
			return a(p, dst)
		}
		return dst, false
	}}
}

// imageStr is an attribute of the running program; kernel threads have none.
func imageStr(get func(*Image) (string, bool)) strAttr {
	return func(p *Process) (string, bool) {
		if p.Image == nil {
			return "", false
		}
		return get(p.Image)
	}
}

func imageNum(get func(*Image) (int64, bool)) numAttr {
	return func(p *Process) (int64, bool) {
		if p.Image == nil {
			return 0, false
		}
		return get(p.Image)
	}
}

func imageFlag(get func(*Image) bool) numAttr {
	return imageNum(func(i *Image) (int64, bool) { return boolNum(get(i)), true })
}

// nonEmpty turns the empty string into "no value".
func nonEmpty(s string) (string, bool) { return s, s != "" }

// nonZero turns 0 into "no value".
func nonZero[T ~uint32 | ~uint64 | ~int64](n T) (int64, bool) { return int64(n), n != 0 }

func boolNum(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// The attributes that several fields share.

func procName(p *Process) (string, bool) { return nonEmpty(p.Comm) }
func procPid(p *Process) (int64, bool)   { return int64(p.Pid), true }
func procVpid(p *Process) (int64, bool)  { return nonZero(p.NSPid) }

func procExe(p *Process) (string, bool) {
	if p.Image == nil || len(p.Image.Argv) == 0 {
		return "", false
	}
	return p.Image.Argv[0], true
}

func procExepath(p *Process) (string, bool) {
	if p.Image == nil {
		return "", false
	}
	return nonEmpty(p.Image.Exe.Path)
}

func procCmdline(p *Process) (string, bool) {
	if p.Cmdline == "" {
		return nonEmpty(p.Comm)
	}
	return p.Cmdline, true
}

func procStart(p *Process) (int64, bool) {
	if p.Time.IsZero() {
		return 0, false
	}
	return p.Time.UnixNano(), true
}

// appendEnv writes the recorded variables, joined by blanks.
func appendEnv(p *Process, dst []byte) ([]byte, bool) {
	if p.Image == nil {
		return dst, false
	}
	for i, kv := range p.Image.Env {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, kv...)
	}
	return dst, true
}

// envValue returns the value of one recorded variable.
func envValue(p *Process, key string) (string, bool) {
	if p.Image == nil {
		return "", false
	}
	for _, kv := range p.Image.Env {
		if len(kv) > len(key) && kv[len(key)] == '=' && kv[:len(key)] == key {
			return kv[len(key)+1:], true
		}
	}
	return "", false
}

// sinceStart is the age of a process at the time of the event.
func sinceStart(ev *Event, p *Process) (int64, bool) {
	if p == nil || p.Start == 0 || ev.Boot < p.Start {
		return 0, false
	}
	return int64(ev.Boot - p.Start), true
}

func processFields() []Field {
	return []Field{
		{Name: "proc.pid", Type: FieldInt, Doc: "process id", src: numAttr(procPid).at(0)},
		{Name: "proc.vpid", Type: FieldInt, Doc: "process id in the process's own pid namespace", src: numAttr(procVpid).at(0)},
		{Name: "proc.name", Doc: "the kernel's name of the process (comm, at most 15 bytes)", src: ofProgram(strAttr(procName).at(0))},
		{Name: "proc.exe", Doc: "the first argument, argv[0]: whatever the caller chose", src: ofProgram(strAttr(procExe).at(0))},
		{Name: "proc.exepath", Doc: "canonical path of the file that runs; for a script, of its interpreter", src: ofProgram(strAttr(procExepath).at(0))},
		{Name: "proc.args", Doc: "the arguments after argv[0], joined by blanks",
			src: ofProgram(imageStr(func(i *Image) (string, bool) { return i.Args(), true }).at(0))},
		{Name: "proc.cmdline", Doc: "proc.name and proc.args, joined by a blank", src: ofProgram(strAttr(procCmdline).at(0))},
		{Name: "proc.exeline", Doc: "proc.exe and proc.args, joined by a blank",
			src: ofProgram(imageStr(func(i *Image) (string, bool) { return i.Cmdline(), true }).at(0))},
		{Name: "proc.cmdnargs", Type: FieldUint, Doc: "number of arguments after argv[0]",
			src: imageNum(func(i *Image) (int64, bool) { return int64(max(0, len(i.Argv)-1)), true }).at(0)},
		{Name: "proc.cmdlenargs", Type: FieldUint, Doc: "length of the arguments after argv[0], without blanks between them", src: imageNum(lenArgs).at(0)},
		{Name: "proc.env", Arg: ArgOptionalKey, Doc: "the recorded environment variables joined by blanks, or the value of one: proc.env[KEY]", src: envSource()},
		{Name: "proc.cwd", Doc: "working directory at exec time, with a slash at its end", src: textAttr(appendCwd).at(0)},
		{Name: "proc.tty", Type: FieldUint, Doc: "device number of the controlling terminal, 0 for none",
			src: numAttr(func(p *Process) (int64, bool) { return int64(p.Tty.Dev), true }).at(0)},
		{Name: "proc.duration", Type: FieldDuration, Doc: "age of the process",
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) { return sinceStart(ev, ev.Proc) }}},
		{Name: "proc.pid.ts", Type: FieldAbsTime, Doc: "start of the process", src: numAttr(procStart).at(0)},
		{Name: "proc.is_exe_writable", Type: FieldBool, Doc: "the process's user may write to the file that it runs", src: numAttr(exeWritable).at(0)},
		{Name: "proc.is_exe_upper_layer", Type: FieldBool, Doc: "the file is in the writable layer of an overlay", src: imageFlag(func(i *Image) bool { return i.Exe.Upper }).at(0)},
		{Name: "proc.is_exe_lower_layer", Type: FieldBool, Doc: "the file is in a read-only layer of an overlay", src: imageFlag(func(i *Image) bool { return i.Exe.Overlay && !i.Exe.Upper }).at(0)},
		{Name: "proc.is_exe_from_memfd", Type: FieldBool, Doc: "the file exists in memory only (memfd_create)", src: imageFlag(func(i *Image) bool { return i.Exe.Memfd }).at(0)},
		{Name: "proc.exe_ino", Type: FieldInt, Doc: "inode number of the file", src: imageNum(func(i *Image) (int64, bool) { return nonZero(i.Exe.Inode) }).at(0)},
		{Name: "proc.exe_ino.ctime", Type: FieldAbsTime, Doc: "last change of the file's contents or attributes", src: imageNum(func(i *Image) (int64, bool) { return nonZero(i.Exe.Ctime) }).at(0)},
		{Name: "proc.exe_ino.mtime", Type: FieldAbsTime, Doc: "last change of the file's contents", src: imageNum(func(i *Image) (int64, bool) { return nonZero(i.Exe.Mtime) }).at(0)},
		{Name: "proc.exe_ino.ctime_duration_proc_start", Type: FieldDuration, Doc: "from the file's last change to the start of the process", src: numAttr(ctimeToStart).at(0)},
		{Name: "proc.stdin.type", Doc: "kind of file descriptor 0 at exec time, as in fd.type", src: stdioStr(0, stdioType)},
		{Name: "proc.stdin.name", Doc: "what file descriptor 0 was at exec time", src: stdioStr(0, stdioName)},
		{Name: "proc.stdout.type", Doc: "kind of file descriptor 1 at exec time, as in fd.type", src: stdioStr(1, stdioType)},
		{Name: "proc.stdout.name", Doc: "what file descriptor 1 was at exec time", src: stdioStr(1, stdioName)},
		{Name: "proc.stderr.type", Doc: "kind of file descriptor 2 at exec time, as in fd.type", src: stdioStr(2, stdioType)},
		{Name: "proc.stderr.name", Doc: "what file descriptor 2 was at exec time", src: stdioStr(2, stdioName)},
	}
}

func envSource() source {
	return source{text: func(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
		if ev.Proc == nil {
			return dst, false
		}
		if r.arg == "" {
			return appendEnv(ev.Proc, dst)
		}
		v, ok := envValue(ev.Proc, r.arg)
		return append(dst, v...), ok
	}}
}

func appendCwd(p *Process, dst []byte) ([]byte, bool) {
	if p.Image == nil || p.Image.Cwd == "" {
		return dst, false
	}
	dst = append(dst, p.Image.Cwd...)
	if dst[len(dst)-1] != '/' {
		dst = append(dst, '/')
	}
	return dst, true
}

func lenArgs(i *Image) (int64, bool) {
	n := 0
	for k := 1; k < len(i.Argv); k++ {
		n += len(i.Argv[k])
	}
	return int64(n), true
}

// exeWritable follows the kernel's permission check for the mode bits and the
// capability that overrides them.
func exeWritable(p *Process) (int64, bool) {
	if p.Image == nil {
		return 0, false
	}
	const capDACOverride = 1
	f := &p.Image.Exe
	switch {
	case p.Cred.Effective&(1<<capDACOverride) != 0:
		return 1, true
	case p.Cred.FSUID == f.UID:
		return boolNum(f.Mode&0o200 != 0), true
	case p.Cred.FSGID == f.GID:
		return boolNum(f.Mode&0o020 != 0), true
	}
	return boolNum(f.Mode&0o002 != 0), true
}

func ctimeToStart(p *Process) (int64, bool) {
	if p.Image == nil || p.Image.Exe.Ctime == 0 || p.Time.IsZero() {
		return 0, false
	}
	d := p.Time.Sub(time.Unix(0, p.Image.Exe.Ctime))
	return int64(d), d >= 0
}
