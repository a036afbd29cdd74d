package event

import (
	"net/netip"
	"strconv"
	"strings"
)

// Ref is a field bound to its argument. Its accessors do not allocate unless
// they say so; false means that the event has no such value.
type Ref struct {
	f       *Field
	name    string
	arg     string
	index   int
	isIndex bool
	several bool
	src     source
	// alias is set where an argument of evt.arg names another field, in
	// events of aliasTypes.
	alias      *Ref
	aliasTypes TypeSet
	// call is set where calls have an argument of the name.
	call *callArg
}

// Field returns the field's description.
func (r *Ref) Field() *Field { return r.f }

// Name returns the name as written, with the argument: "proc.aname[2]".
func (r *Ref) Name() string { return r.name }

// Type returns the type of the values.
func (r *Ref) Type() FieldType {
	switch {
	case r.call == nil && r.alias == nil:
		return r.f.Type
	case r.call == nil && (r.raw() || r.alias.Type() == FieldFlags):
		return r.alias.Type()
	case r.call != nil && r.raw() && r.call.number && (r.alias == nil || r.alias.number()):
		return FieldInt
	}
	return FieldString // evt.arg is text, also where the value is a number
}

// OfProgram reports whether the value depends on nothing but the Image, the Comm
// and the Cmdline of the event's process, so that it is the same for all events of
// a program.
func (r *Ref) OfProgram() bool { return r.f.src.program && r.alias == nil && r.call == nil }

// raw reports whether the reference is one of evt.rawarg.
func (r *Ref) raw() bool { return r.f.Name == "evt.rawarg" }

// number reports whether Num gives the field's value, or its bits.
func (r *Ref) number() bool {
	t := r.Type()
	return t.Numeric() || t == FieldBool || t == FieldFlags
}

// Waiting is empty where the field has values today; see Field.Waiting.
func (r *Ref) Waiting() string {
	if r.call != nil {
		return ""
	}
	if r.alias != nil {
		return r.alias.Waiting()
	}
	if r.f.Name == "evt.arg" || r.f.Name == "evt.rawarg" {
		return "the arguments of events that no sensor reports yet"
	}
	return r.f.Waiting
}

// Events returns the types of events in which the field can have a value.
func (r *Ref) Events() TypeSet {
	switch {
	case r.call != nil:
		return r.call.types.Or(r.aliasTypes)
	case r.alias != nil:
		return r.aliasTypes
	}
	return r.f.Events
}

// List reports whether the reference has a list of values, all of which an
// "in" check looks at.
func (r *Ref) List() bool { return r.several && r.f.List }

// AnyOf reports whether the reference stands for several values, of which
// one has to satisfy a check.
func (r *Ref) AnyOf() bool { return r.several && r.f.AnyOf }

// Composed reports whether the value is text put together on demand: Str then
// allocates, AppendText does not.
func (r *Ref) Composed() bool {
	if r.call != nil {
		return true
	}
	if r.alias != nil {
		return r.alias.src.str == nil
	}
	return r.several || r.src.str == nil && (r.src.text != nil || r.src.bits != nil)
}

// Flags returns the names of a FieldFlags field's bits, nil for other types.
func (r *Ref) Flags() *FlagSet {
	if r.call != nil {
		return nil
	}
	if r.alias != nil {
		return r.alias.Flags()
	}
	return r.src.flags
}

// Str returns the value of a text field; of a reference that has several
// values, what an output shows.
func (r *Ref) Str(ev *Event) (string, bool) {
	switch {
	case r.call != nil:
	case r.alias != nil && r.alias.src.str != nil:
		if !r.aliasTypes.Has(ev.Type) {
			return "", false
		}
		return r.alias.Str(ev)
	case r.alias == nil && !r.several && r.src.str != nil:
		return r.src.str(ev, r)
	}
	b, ok := r.AppendText(ev, nil)
	return string(b), ok
}

// Num returns the value of a numeric or boolean field (0 or 1).
func (r *Ref) Num(ev *Event) (int64, bool) {
	switch {
	case r.call != nil && ev.Call != nil:
		return r.call.num(ev)
	case r.alias != nil:
		if !r.aliasTypes.Has(ev.Type) {
			return 0, false
		}
		if r.call != nil && r.alias.Type() == FieldFlags {
			b, ok := r.alias.Bits(ev)
			return int64(b), ok
		}
		return r.alias.Num(ev)
	case r.src.num != nil && !r.several:
		return r.src.num(ev, r)
	}
	return 0, false
}

// Bits returns the value of a FieldFlags field.
func (r *Ref) Bits(ev *Event) (uint64, bool) {
	switch {
	case r.alias != nil:
		if !r.aliasTypes.Has(ev.Type) {
			return 0, false
		}
		return r.alias.Bits(ev)
	case r.src.bits != nil:
		return r.src.bits(ev, r)
	}
	return 0, false
}

// AppendList appends the values of a reference that has several, or the one
// value of another text field. It appends nothing where there is none.
func (r *Ref) AppendList(ev *Event, dst []string) []string {
	if r.several {
		if r.src.list != nil {
			dst = r.src.list(ev, r, dst)
		}
		return dst
	}
	if s, ok := r.Str(ev); ok {
		dst = append(dst, s)
	}
	return dst
}

// AppendNums is AppendList for numeric fields.
func (r *Ref) AppendNums(ev *Event, dst []int64) []int64 {
	if r.several {
		if r.src.nums != nil {
			dst = r.src.nums(ev, r, dst)
		}
		return dst
	}
	if n, ok := r.Num(ev); ok {
		dst = append(dst, n)
	}
	return dst
}

// AppendAddrs appends the addresses of a field of type FieldIP or FieldNet.
func (r *Ref) AppendAddrs(ev *Event, dst []netip.Addr) []netip.Addr {
	if r.src.addrs != nil {
		dst = r.src.addrs(ev, dst)
	}
	return dst
}

// AppendText appends the value as an output shows it.
func (r *Ref) AppendText(ev *Event, dst []byte) ([]byte, bool) {
	switch {
	case r.call != nil && ev.Call != nil:
		if r.raw() {
			return r.call.text(ev, dst, argRaw)
		}
		return r.call.text(ev, dst, argWords)
	case r.call != nil && r.raw() && r.alias != nil && r.Type() == FieldInt:
		n, ok := r.Num(ev)
		if !ok {
			return dst, false
		}
		return strconv.AppendInt(dst, n, 10), true
	case r.alias != nil:
		if !r.aliasTypes.Has(ev.Type) {
			return dst, false
		}
		return r.alias.AppendText(ev, dst)
	case r.several:
		return r.appendSeveral(ev, dst)
	case r.src.text != nil:
		return r.src.text(ev, r, dst)
	case r.src.str != nil:
		s, ok := r.src.str(ev, r)
		return append(dst, s...), ok
	case r.src.bits != nil:
		b, ok := r.src.bits(ev, r)
		if !ok {
			return dst, false
		}
		return r.src.flags.Append(dst, b), true
	}
	n, ok := r.Num(ev)
	switch {
	case !ok:
		return dst, false
	case r.Type() == FieldBool:
		return strconv.AppendBool(dst, n != 0), true
	}
	return strconv.AppendInt(dst, n, 10), true
}

// appendSeveral writes a list as Falco does: "(a,b,c)".
func (r *Ref) appendSeveral(ev *Event, dst []byte) ([]byte, bool) {
	start := len(dst)
	dst = append(dst, '(')
	if r.src.nums != nil {
		for _, n := range r.src.nums(ev, r, nil) {
			dst = append(strconv.AppendInt(dst, n, 10), ',')
		}
	} else if r.src.list != nil {
		for _, s := range r.src.list(ev, r, nil) {
			dst = append(append(dst, s...), ',')
		}
	}
	if len(dst) == start+1 {
		return dst[:start], false
	}
	dst[len(dst)-1] = ')'
	return dst, true
}

// OutputField returns the value for an alert.
func (r *Ref) OutputField(ev *Event) OutputField {
	out := OutputField{Name: r.name}
	t := r.Type()
	if !r.several && (t.Numeric() || t == FieldBool) {
		n, ok := r.Num(ev)
		out.Num, out.IsNum, out.IsBool, out.Null = n, ok, ok && t == FieldBool, !ok
		return out
	}
	b, ok := r.AppendText(ev, nil)
	out.Str, out.Null = string(b), !ok
	return out
}

// FlagSet names the bits of a FieldFlags field.
type FlagSet struct {
	// Names holds the name of bit N at N; an empty name has none.
	Names []string
	// Sep stands between the names of set bits.
	Sep string
}

// Append writes the names of the bits that are set in b.
func (s *FlagSet) Append(dst []byte, b uint64) []byte {
	first := true
	for i, name := range s.Names {
		if name == "" || b&(1<<uint(i)) == 0 {
			continue
		}
		if !first {
			dst = append(dst, s.Sep...)
		}
		dst, first = append(dst, name...), false
	}
	return dst
}

// Mask returns the bits whose names contain part, so that testing them is the
// same as searching the text. ok is false where part could also span names.
func (s *FlagSet) Mask(part string, fold bool) (mask uint64, ok bool) {
	if part == "" || strings.Contains(part, s.Sep) {
		return 0, false
	}
	if fold {
		part = strings.ToUpper(part)
	}
	for i, name := range s.Names {
		if fold {
			name = strings.ToUpper(name)
		}
		if name != "" && strings.Contains(name, part) {
			mask |= 1 << uint(i)
		}
	}
	return mask, true
}

// capabilities returns the names of Linux's capabilities by number.
func capabilities() *FlagSet {
	return &FlagSet{Sep: " ", Names: strings.Fields(`
		CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID
		CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW
		CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT
		CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD
		CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG
		CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE`)}
}
