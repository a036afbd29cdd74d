package event

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// eventFields are about the event itself.
func eventFields() []Field {
	constNum := func(n int64) source {
		return source{num: func(*Event, *Ref) (int64, bool) { return n, true }}
	}
	clock := func(layout string, utc bool) source {
		return source{text: func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
			if ev.Time.IsZero() {
				return dst, false
			}
			t := ev.Time
			if utc {
				t = t.UTC()
			}
			return t.AppendFormat(dst, layout), true
		}}
	}
	rawTime := func(get func(time.Time) int64) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Time.IsZero() {
				return 0, false
			}
			return get(ev.Time), true
		}}
	}
	never := TypesOf(TypeNone)
	returns := returning()
	return []Field{
		{Name: "evt.num", Type: FieldUint, Doc: "number of the event since the agent started",
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) { return int64(ev.Num), true }}},
		{Name: "evt.time", Doc: "local time of day with nanoseconds", src: clock("15:04:05.000000000", false)},
		{Name: "evt.time.s", Doc: "local time of day", src: clock("15:04:05", false)},
		{Name: "evt.time.iso8601", Doc: "UTC date and time with nanoseconds", src: clock("2006-01-02T15:04:05.000000000-0700", true)},
		{Name: "evt.datetime", Doc: "local date and time with nanoseconds", src: clock("2006-01-02 15:04:05.000000000", false)},
		{Name: "evt.datetime.s", Doc: "local date and time", src: clock("2006-01-02 15:04:05", false)},
		{Name: "evt.outputtime", OutputOnly: true, Doc: "local time of day with nanoseconds", src: clock("15:04:05.000000000", false)},
		{Name: "evt.rawtime", Type: FieldAbsTime, Doc: "time in nanoseconds since 1970", src: rawTime(time.Time.UnixNano)},
		{Name: "evt.rawtime.s", Type: FieldAbsTime, Doc: "time in seconds since 1970", src: rawTime(time.Time.Unix)},
		{Name: "evt.rawtime.ns", Type: FieldAbsTime, Doc: "nanoseconds of the second", src: rawTime(func(t time.Time) int64 { return int64(t.Nanosecond()) })},
		{Name: "evt.type", Doc: "name of the event, such as execve", src: source{str: func(ev *Event, _ *Ref) (string, bool) { return nonEmpty(ev.FalcoType()) }}},
		{Name: "evt.type.is", Type: FieldUint, Arg: ArgRequiredKey, Doc: "1 for events of the type, 0 for others: evt.type.is.execve",
			src: source{num: func(ev *Event, r *Ref) (int64, bool) {
				return boolNum(ev.FalcoType() != "" && ev.FalcoType() == CanonicalTypeName(r.arg)), true
			}}},
		{Name: "syscall.type", Doc: "name of the system call; absent for events that are none", Events: returns, src: source{str: syscallType}},
		{Name: "evt.dir", Doc: "always <: events are reported when they are complete", src: constStr("<")},
		{Name: "evt.category", Doc: "process, file, net, ipc, user, memory, system, or internal for events about Bearcat itself", src: source{str: category}},
		{Name: "evt.source", Doc: "always syscall", src: constStr("syscall")},
		{Name: "evt.is_async", Type: FieldBool, Doc: "always false", src: constNum(0)},
		{Name: "evt.asynctype", Doc: "never present", Events: never, src: constStr("")},
		{Name: "evt.pluginname", Doc: "never present", Events: never, src: constStr("")},
		{Name: "evt.plugininfo", Doc: "never present", Events: never, src: constStr("")},
		{Name: "evt.hostname", Doc: "name of the host, from the eldest known ancestor's UTS namespace", src: source{str: hostName}},
		{Name: "evt.cpu", Type: FieldInt, Doc: "processor on which the event happened",
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) { return int64(ev.CPU), true }}},
		{Name: "evt.count", Type: FieldUint, Doc: "always 1", src: constNum(1)},
		{Name: "evt.count.error", Type: FieldUint, Doc: "1 for system calls that returned an error", src: source{num: callFailed}},
		{Name: "evt.count.exit", Type: FieldUint, Doc: "always 1", src: constNum(1)},
		{Name: "evt.args", Doc: "the event's arguments as name=value", src: source{text: noText}},
		{Name: "evt.info", Doc: "the same as evt.args", src: source{text: noText}},
		{Name: "evt.arg", Arg: ArgRequiredKey, Doc: "one argument by name or number: evt.arg.exe or evt.arg[1]", src: source{text: noText}},
		{Name: "evt.rawarg", Arg: ArgRequiredKey, Doc: "one argument by name", src: source{text: noText}},
		{Name: "container.info", OutputOnly: true, Doc: "container_id= and the container's id, or host", src: source{text: containerInfo}},
	}
}

// returning are the types of events that have a result.
func returning() TypeSet {
	out := TypesOf(Exec, Fork, Comm)
	for t := Open; t < NumTypes; t++ {
		if IsSyscall(t) {
			out.Add(TypesOf(t))
		}
	}
	return out
}

func callFailed(ev *Event, _ *Ref) (int64, bool) {
	return boolNum(ev.Call != nil && ev.Call.Failed()), true
}

// resultFields are about what the call returned.
func resultFields() []Field {
	returns := returning()
	result := func(ev *Event) int64 {
		if ev.Call != nil {
			return ev.Call.Ret
		}
		return 0
	}
	return []Field{
		{Name: "evt.res", Doc: "SUCCESS, or the name of the error", Events: returns,
			src: source{str: func(ev *Event, _ *Ref) (string, bool) {
				if ev.Call != nil && ev.Call.Failed() {
					return ErrnoName(-ev.Call.Ret), returns.Has(ev.Type)
				}
				return "SUCCESS", returns.Has(ev.Type)
			}}},
		{Name: "evt.rawres", Type: FieldInt, Doc: "what the system call returned", Events: returns,
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) { return result(ev), returns.Has(ev.Type) }}},
		{Name: "evt.failed", Type: FieldBool, Doc: "the system call returned an error", src: source{num: callFailed}},
	}
}

func constStr(s string) source {
	return source{str: func(*Event, *Ref) (string, bool) { return nonEmpty(s) }}
}

func noText(_ *Event, _ *Ref, dst []byte) ([]byte, bool) { return dst, false }

// FalcoType returns the event's name in rules: the system call's where there
// is one, such as "execve" for Exec and "clone" for Fork.
func (ev *Event) FalcoType() string {
	switch ev.Type {
	case Exec:
		if ev.ExecInfo != nil && ev.ExecInfo.At {
			return "execveat"
		}
		return "execve"
	case Fork:
		return "clone"
	case Exit:
		return "procexit"
	case Comm:
		return "prctl"
	case Gap:
		return "gap"
	case Limit:
		return "limit"
	case Creds:
		return "creds"
	case Firewall:
		return "firewall"
	case Finding:
		return "finding"
	}
	if ev.Call != nil && ev.Call.Spec != nil {
		return ev.Call.Spec.Name
	}
	return ""
}

func syscallType(ev *Event, _ *Ref) (string, bool) {
	if !IsSyscall(ev.Type) {
		return "", false
	}
	return nonEmpty(ev.FalcoType())
}

// IsSyscall reports whether events of the type are system calls.
func IsSyscall(t Type) bool {
	switch t {
	case Exit, Gap, Limit, Creds, Firewall, Finding, TCP, DNS, PassFD, TypeNone:
		return false
	}
	return t < NumTypes
}

func category(ev *Event, _ *Ref) (string, bool) {
	if ev.Type == Gap || ev.Type == Limit {
		return "internal", true
	}
	return ev.Type.Category(), true
}

func hostName(ev *Event, _ *Ref) (string, bool) {
	name := ""
	p := ev.Proc
	for n := 0; p != nil && n < maxAncestors; n++ {
		if p.Node != "" {
			name = p.Node
		}
		p = p.Parent
	}
	return nonEmpty(name)
}

func containerInfo(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
	dst = append(dst, "container_id="...)
	if ev.Proc == nil || ev.Proc.Cgroup == nil || ev.Proc.Cgroup.ContainerID == "" {
		return append(dst, "host"...), true
	}
	return append(dst, ev.Proc.Cgroup.ContainerID...), true
}

func execFlags(ev *Event, _ *Ref) (uint64, bool) {
	if ev.Type != Exec || ev.Proc == nil || ev.Proc.Image == nil {
		return 0, false
	}
	w, _ := exeWritable(ev.Proc)
	f := &ev.Proc.Image.Exe
	return uint64(w | boolNum(f.Upper)<<1 | boolNum(f.Memfd)<<2 | boolNum(f.Overlay && !f.Upper)<<3), true
}

// An argument of an event type and the field that has its value.
type eventArg struct{ name, field string }

// eventArgs lists the arguments that Falco knows of an event type and Bearcat
// has, in Falco's order.
func eventArgs(t Type) []eventArg {
	switch t {
	case Exec:
		return []eventArg{
			{"res", "evt.rawres"}, {"exe", "proc.exe"}, {"args", "proc.args"}, {"tid", "thread.tid"}, {"pid", "proc.pid"},
			{"ptid", "proc.ppid"}, {"cwd", "proc.cwd"}, {"comm", "proc.name"}, {"env", "proc.env"}, {"tty", "proc.tty"},
			{"pgid", "proc.pgid"}, {"loginuid", "user.loginuid"}, {"flags", "bc.exec.flags"}, {"cap_inheritable", "thread.cap_inheritable"},
			{"cap_permitted", "thread.cap_permitted"}, {"cap_effective", "thread.cap_effective"}, {"exe_ino", "proc.exe_ino"},
			{"exe_ino_ctime", "proc.exe_ino.ctime"}, {"exe_ino_mtime", "proc.exe_ino.mtime"}, {"uid", "user.name"},
			{"trusted_exepath", "proc.exepath"}, {"filename", "bc.proc.filename"},
		}
	case Fork:
		return []eventArg{
			{"res", "evt.rawres"}, {"exe", "proc.exe"}, {"args", "proc.args"}, {"tid", "thread.tid"}, {"pid", "proc.pid"},
			{"ptid", "proc.ppid"}, {"cwd", "proc.cwd"}, {"comm", "proc.name"}, {"uid", "user.name"}, {"gid", "group.name"},
			{"vtid", "thread.vtid"}, {"vpid", "proc.vpid"},
		}
	case Exit:
		return []eventArg{{"status", "bc.exit.code"}, {"ret", "bc.exit.code"}, {"sig", "bc.exit.signal"}, {"core", "bc.exit.core"}}
	}
	return nil
}

// bindEventArg resolves an argument of evt.arg to the field that has it.
// The same name may be one of calls too. Arguments of events that no sensor
// reports are known but without value.
func (r *Ref) bindEventArg(t *fieldTable) error {
	r.call = newCallArg(r.arg)
	for _, typ := range []Type{Exec, Fork, Exit} {
		for i, a := range eventArgs(typ) {
			// numbers are positions in the arguments of execve, and of calls
			if a.name != r.arg && (!r.isIndex || typ != Exec || i != r.index) {
				continue
			}
			field := a.field
			if r.raw() { // users and groups are numbers there
				switch field {
				case "user.name":
					field = "user.uid"
				case "group.name":
					field = "group.gid"
				}
			}
			target, err := t.lookup(field, "")
			if err != nil {
				return err
			}
			r.alias = &target
			r.aliasTypes.Add(TypesOf(typ))
		}
	}
	return nil
}

// argsSource makes a source that writes "name=value name=value".
func argsSource(t *fieldTable) source {
	var names [NumTypes][]string
	var refs [NumTypes][]Ref
	for typ := range NumTypes {
		for _, a := range eventArgs(typ) {
			if f := t.byName[a.field]; f != nil && a.name != "env" {
				names[typ] = append(names[typ], a.name)
				refs[typ] = append(refs[typ], Ref{f: f, name: f.Name, src: f.src})
			}
		}
	}
	return source{text: func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
		if ev.Type >= NumTypes {
			return dst, false
		}
		start := len(dst)
		for i := range refs[ev.Type] {
			mark := len(dst)
			if mark > start {
				dst = append(dst, ' ')
			}
			dst = append(append(dst, names[ev.Type][i]...), '=')
			var ok bool
			if dst, ok = refs[ev.Type][i].AppendText(ev, dst); !ok {
				dst = dst[:mark]
			}
		}
		switch {
		case ev.Type == Comm && ev.Proc != nil:
			dst = append(append(dst, "option=PR_SET_NAME name="...), ev.Proc.Comm...)
		case ev.Call != nil && ev.Call.Spec != nil:
			return ev.Call.appendArgs(ev, dst)
		case ev.Type == Gap && ev.GapInfo != nil:
			dst = append(append(dst, "class="...), ev.GapInfo.Class.String()...)
			dst = strconv.AppendUint(append(dst, " n="...), ev.GapInfo.N, 10)
		case ev.Type == Firewall && ev.FirewallInfo != nil:
			dst = append(append(dst, "kind="...), ev.FirewallInfo.Kind...)
			dst = append(append(dst, " rule="...), ev.FirewallInfo.Rule...)
		case ev.Type == Finding && ev.FindingInfo != nil:
			dst = append(append(dst, "check="...), ev.FindingInfo.Check...)
		case ev.Type == Limit && ev.LimitInfo != nil:
			dst = strconv.AppendInt(append(dst, "level="...), int64(ev.LimitInfo.Level), 10)
		}
		return dst, len(dst) > start
	}}
}

// CanonicalTypeName returns the name that FalcoType uses for an event that
// has several: fork, vfork and clone3 are clone, umount is umount2.
func CanonicalTypeName(name string) string {
	switch name {
	case "fork", "vfork", "clone3":
		return "clone"
	case "umount":
		return "umount2"
	}
	return name
}

// typesByName is never changed once it is built.
var typesByName = sync.OnceValue(func() map[string]TypeSet {
	m := map[string]TypeSet{}
	for t := TypeNone + 1; t < NumTypes; t++ {
		for _, n := range NamesOf(t) {
			m[n] = m[n].Or(TypesOf(t))
		}
	}
	return m
})

// TypesNamed returns the types of events that carry the name in evt.type; false
// where no sensor reports such events.
func TypesNamed(name string) (TypeSet, bool) {
	types, ok := typesByName()[CanonicalTypeName(name)]
	return types, ok
}

// NamesOf lists the names that events of a type can carry in evt.type.
func NamesOf(t Type) []string {
	switch t {
	case Exec:
		return []string{"execve", "execveat"}
	case Fork:
		return []string{"clone"}
	case Exit:
		return []string{"procexit"}
	case Comm:
		return []string{"prctl"}
	case Gap:
		return []string{"gap"}
	case Limit:
		return []string{"limit"}
	case Creds:
		return []string{"creds"}
	case Firewall:
		return []string{"firewall"}
	case Finding:
		return []string{"finding"}
	}
	var out []string
	for _, s := range CallsOf(t) {
		out = append(out, s.Name)
	}
	return out
}

// TypeNames returns every name that evt.type may be compared with: Linux's
// system calls and the few events that are none.
func TypeNames() []string { return strings.Fields(syscallNames + otherNames) }
