package event

import "strings"

// lineageFields are about parents and other ancestors: the processes that
// forked one another, also after some of them have ended.
func lineageFields() []Field {
	return []Field{
		{Name: "proc.ppid", Type: FieldInt, Doc: "process id of the parent that forked this process", src: source{num: parentPid}},
		{Name: "proc.pvpid", Type: FieldInt, Doc: "the parent's id in the process's own pid namespace",
			src: numAttr(func(p *Process) (int64, bool) { return nonZero(p.NSPPid) }).at(0)},
		{Name: "proc.pname", Doc: "proc.name of the parent", src: strAttr(procName).at(1)},
		{Name: "proc.pexe", Doc: "proc.exe of the parent", src: strAttr(procExe).at(1)},
		{Name: "proc.pexepath", Doc: "proc.exepath of the parent", src: strAttr(procExepath).at(1)},
		{Name: "proc.pcmdline", Doc: "proc.cmdline of the parent", src: strAttr(procCmdline).at(1)},
		{Name: "proc.ppid.duration", Type: FieldDuration, Doc: "age of the parent",
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) { return sinceStart(ev, ancestor(ev, 1)) }}},
		{Name: "proc.ppid.ts", Type: FieldAbsTime, Doc: "start of the parent", src: numAttr(procStart).at(1)},
		{Name: "proc.aname", Arg: ArgOptionalIndex, AnyOf: true, Doc: "proc.name of the ancestor n generations up, or of any ancestor", src: strAttr(procName).lineage()},
		{Name: "proc.aexe", Arg: ArgOptionalIndex, AnyOf: true, Doc: "proc.exe of an ancestor", src: strAttr(procExe).lineage()},
		{Name: "proc.aexepath", Arg: ArgOptionalIndex, AnyOf: true, Doc: "proc.exepath of an ancestor", src: strAttr(procExepath).lineage()},
		{Name: "proc.acmdline", Arg: ArgOptionalIndex, AnyOf: true, Doc: "proc.cmdline of an ancestor", src: strAttr(procCmdline).lineage()},
		{Name: "proc.apid", Type: FieldInt, Arg: ArgOptionalIndex, AnyOf: true, Doc: "process id of an ancestor", src: numAttr(procPid).lineage()},
		{Name: "proc.aenv", Arg: ArgOptionalKey, AnyOf: true, Doc: "environment of an ancestor: proc.aenv[2], or the nearest value of a variable: proc.aenv[KEY]", src: ancestorEnv()},
		{Name: "bc.proc.lineage", Doc: "names from the oldest known ancestor to the process, joined by >", src: textAttr(appendLineage).at(0)},
		{Name: "bc.proc.ppid_kernel", Type: FieldInt, Doc: "the kernel's parent id: 1 or a subreaper once the real parent has ended",
			src: numAttr(func(p *Process) (int64, bool) { return int64(p.PPid), true }).at(0)},
		{Name: "bc.proc.pscript", Doc: "bc.proc.script of the parent", src: imageStr(func(i *Image) (string, bool) { return nonEmpty(i.Script) }).at(1)},
		{Name: "bc.proc.pfilename", Doc: "bc.proc.filename of the parent", src: imageStr(func(i *Image) (string, bool) { return nonEmpty(i.Filename) }).at(1)},
	}
}

func parentPid(ev *Event, _ *Ref) (int64, bool) {
	switch {
	case ev.Proc == nil:
		return 0, false
	case ev.Proc.Parent != nil:
		return int64(ev.Proc.Parent.Pid), true
	case !ev.Proc.ParentKey.IsZero():
		return int64(ev.Proc.ParentKey.Pid), true
	}
	return int64(ev.Proc.PPid), true
}

func ancestorEnv() source {
	return source{
		text: func(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
			if r.isIndex {
				if p := ancestor(ev, r.index); p != nil {
					return appendEnv(p, dst)
				}
				return dst, false
			}
			p := ancestor(ev, 1)
			for n := 0; p != nil && n < maxAncestors; n++ {
				if v, ok := envValue(p, r.arg); ok {
					return append(dst, v...), true
				}
				p = p.Parent
			}
			return dst, false
		},
		list: func(ev *Event, _ *Ref, dst []string) []string {
			p := ancestor(ev, 1)
			for n := 0; p != nil && n < maxAncestors; n++ {
				if p.Image != nil {
					dst = append(dst, strings.Join(p.Image.Env, " "))
				}
				p = p.Parent
			}
			return dst
		},
	}
}

func appendLineage(p *Process, dst []byte) ([]byte, bool) {
	var chain [32]*Process
	n := 0
	for q := p; q != nil && n < len(chain); q = q.Parent {
		chain[n] = q
		n++
	}
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, chain[i].Comm...)
		if i > 0 {
			dst = append(dst, '>')
		}
	}
	return dst, n > 0
}

// eldest walks up from p while same holds and returns the last such process:
// the leader of a session or group, or what is left of its members.
func eldest(p *Process, same func(a, b *Process) bool) *Process {
	found := p
	for n := 0; found.Parent != nil && n < maxAncestors && same(found.Parent, p); n++ {
		found = found.Parent
	}
	return found
}

func sameSession(a, b *Process) bool  { return a.Sid == b.Sid }
func samePgid(a, b *Process) bool     { return a.Pgid == b.Pgid }
func sameNSPgroup(a, b *Process) bool { return a.NSPgid == b.NSPgid && a.Pgid == b.Pgid }
func (a strAttr) leader(same func(a, b *Process) bool) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		if ev.Proc == nil {
			return "", false
		}
		return a(eldest(ev.Proc, same))
	}}
}

// sessionFields are about sessions and process groups.
func sessionFields() []Field {
	num := func(get func(*Process) uint32) source {
		return numAttr(func(p *Process) (int64, bool) { return int64(get(p)), true }).at(0)
	}
	flag := func(get func(*Process) bool) source {
		return numAttr(func(p *Process) (int64, bool) { return boolNum(get(p)), true }).at(0)
	}
	return []Field{
		{Name: "proc.sid", Type: FieldInt, Doc: "session id", src: num(func(p *Process) uint32 { return p.Sid })},
		{Name: "proc.sname", Doc: "name of the session's leader, or of its eldest known member among the ancestors", src: strAttr(procName).leader(sameSession)},
		{Name: "proc.sid.exe", Doc: "proc.exe of the session's leader", src: strAttr(procExe).leader(sameSession)},
		{Name: "proc.sid.exepath", Doc: "proc.exepath of the session's leader", src: strAttr(procExepath).leader(sameSession)},
		{Name: "proc.pgid", Type: FieldInt, Doc: "process group id", src: num(func(p *Process) uint32 { return p.Pgid })},
		{Name: "proc.pgid.name", Doc: "name of the process group's leader", src: strAttr(procName).leader(samePgid)},
		{Name: "proc.pgid.exe", Doc: "proc.exe of the process group's leader", src: strAttr(procExe).leader(samePgid)},
		{Name: "proc.pgid.exepath", Doc: "proc.exepath of the process group's leader", src: strAttr(procExepath).leader(samePgid)},
		{Name: "proc.vpgid", Type: FieldInt, Doc: "process group id in the process's own pid namespace", src: num(func(p *Process) uint32 { return p.NSPgid })},
		{Name: "proc.vpgid.name", Doc: "name of the process group's leader, within the pid namespace", src: strAttr(procName).leader(sameNSPgroup)},
		{Name: "proc.vpgid.exe", Doc: "proc.exe of the process group's leader, within the pid namespace", src: strAttr(procExe).leader(sameNSPgroup)},
		{Name: "proc.vpgid.exepath", Doc: "proc.exepath of the process group's leader, within the pid namespace", src: strAttr(procExepath).leader(sameNSPgroup)},
		{Name: "proc.is_sid_leader", Type: FieldBool, Doc: "the process leads its session", src: flag(func(p *Process) bool { return p.Sid == p.Pid })},
		{Name: "proc.is_pgid_leader", Type: FieldBool, Doc: "the process leads its group", src: flag(func(p *Process) bool { return p.Pgid == p.Pid })},
		{Name: "proc.is_vpgid_leader", Type: FieldBool, Doc: "the process leads its group, as seen in its pid namespace", src: flag(func(p *Process) bool { return p.NSPgid == p.NSPid })},
		{Name: "proc.loginshellid", Type: FieldInt, Doc: "pid of the oldest shell among the process and its ancestors", src: numAttr(loginShell).at(0)},
	}
}

func loginShell(p *Process) (int64, bool) {
	var pid int64
	found := false
	for n := 0; p != nil && n < maxAncestors; n++ {
		if strings.HasSuffix(p.Comm, "sh") {
			pid, found = int64(p.Pid), true
		}
		p = p.Parent
	}
	return pid, found
}
