package event

import (
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Places of what is no argument but is asked for like one.
const (
	argRes   = -1 // the result
	argFD    = -2 // the descriptor that the call made
	argTuple = -3 // both ends of the socket
	argNone  = -4
)

// argStyle says how an argument is written.
type argStyle uint8

const (
	// argPlain is for events as a whole: paths as passed, modes in octal.
	argPlain argStyle = iota
	// argWords is what rules compare evt.arg with.
	argWords
	// argRaw is what they compare evt.rawarg with: numbers are plain.
	argRaw
)

// openat2Args are openat2's arguments as rules know them: the sensor puts the
// flags and the mode where its structure's address was.
var openat2Args = sync.OnceValue(func() []CallArg {
	args := append([]CallArg(nil), CallNamed("openat").Args...)
	return args[:4]
})

// args lists the arguments as rules know them.
func (s *CallSpec) args() []CallArg {
	if s.Name == "openat2" {
		return openat2Args()
	}
	return s.Args
}

// place returns where a call has an argument by a name, or by its position:
// the first is the result.
func (s *CallSpec) place(name string) int {
	args := s.args()
	for i := range args {
		if args[i].Name == name {
			return i
		}
	}
	switch {
	case name == "res":
		return argRes
	case name == "fd" && s.RetFD:
		return argFD
	case name == "tuple" && (s.Type == Connect || s.Type == Accept || s.Type == Send):
		return argTuple
	}
	switch n, err := strconv.Atoi(name); {
	case err != nil || n < 0 || n > len(args):
		return argNone
	case n == 0:
		return argRes
	default:
		return n - 1
	}
}

// callArg resolves an argument's name for the calls that have it.
type callArg struct {
	places map[*CallSpec]int
	types  TypeSet
	number bool // all are numbers
}

func newCallArg(name string) *callArg {
	a := &callArg{places: map[*CallSpec]int{}, number: true}
	for _, s := range Calls() {
		p := s.place(name)
		if p == argNone || p < 0 && !IsSyscall(s.Type) {
			continue
		}
		a.places[s] = p
		a.types.Add(TypesOf(s.Type))
		if p == argTuple {
			a.number = false
		}
		if p >= 0 {
			switch s.args()[p].Kind {
			case ArgPath, ArgPath2, ArgText, ArgAddr:
				a.number = false
			}
		}
	}
	if len(a.places) == 0 {
		return nil
	}
	return a
}

// num returns the argument as a number.
func (a *callArg) num(ev *Event) (int64, bool) {
	if ev.Call == nil {
		return 0, false
	}
	p, ok := a.places[ev.Call.Spec]
	switch {
	case !ok || p == argTuple:
		return 0, false
	case p < 0:
		return ev.Call.Ret, true
	}
	return numberOf(ev.Call.Spec.args()[p].Kind, ev.Call.Args[p]), true
}

// numberOf gives an argument its sign.
func numberOf(kind CallArgKind, v uint64) int64 {
	switch kind {
	case ArgInt, ArgFD, ArgFD2, ArgDirFD, ArgDirFD2, ArgPid, ArgPidFD:
		return int64(int32(v))
	case ArgUID, ArgGID, ArgMode:
		return int64(uint32(v))
	}
	return int64(v)
}

// text appends the argument as a rule sees it.
func (a *callArg) text(ev *Event, dst []byte, style argStyle) ([]byte, bool) {
	if ev.Call == nil {
		return dst, false
	}
	p, ok := a.places[ev.Call.Spec]
	if !ok {
		return dst, false
	}
	return ev.Call.appendArg(ev, p, dst, style)
}

// ArgNumber returns an argument as a number, with its sign; false where words
// say more.
func (c *Call) ArgNumber(i int) (int64, bool) {
	switch a := &c.Spec.Args[i]; a.Kind {
	case ArgFlags, ArgEnum, ArgMode, ArgHex, ArgDirFD, ArgDirFD2:
		return 0, false
	default:
		return numberOf(a.Kind, c.Args[i]), true
	}
}

// AppendArg appends an argument as an output shows it.
func (c *Call) AppendArg(i int, dst []byte) ([]byte, bool) {
	return c.appendArg(nil, i, dst, argPlain)
}

func (c *Call) appendArg(ev *Event, p int, dst []byte, style argStyle) ([]byte, bool) {
	switch p {
	case argRes, argFD:
		if c.Failed() && style != argRaw {
			return append(dst, ErrnoName(-c.Ret)...), true
		}
		return strconv.AppendInt(dst, c.Ret, 10), true
	case argTuple:
		return fdName(ev, nil, dst)
	}
	a, v := &c.Spec.args()[p], c.Args[p]
	switch a.Kind {
	case ArgPath:
		return c.Path.appendName(dst, style)
	case ArgPath2:
		return c.Path2.appendName(dst, style)
	case ArgText:
		text := c.Text
		if p != c.Spec.Arg(ArgText) {
			text = c.Text2
		}
		return append(dst, text...), text != ""
	case ArgAddr:
		if c.Addr == nil {
			return dst, false
		}
		e := end{c.Addr.Remote, c.Addr.RemotePort}
		if c.Addr.Family == "unix" {
			return append(dst, e.text...), e.text != ""
		}
		return e.append(dst), e.text != ""
	}
	if style != argRaw {
		return c.appendWords(ev, a, v, dst, style), true
	}
	return strconv.AppendInt(dst, numberOf(a.Kind, v), 10), true
}

// appendWords writes a number in the way that says most.
func (c *Call) appendWords(ev *Event, a *CallArg, v uint64, dst []byte, style argStyle) []byte {
	switch a.Kind {
	case ArgMode:
		dst = strconv.AppendUint(append(dst, '0'), v&0xffffffff, 8)
		if bits := v & 0o7777; style == argWords && bits != 0 {
			dst = modeNames().Append(append(dst, '|'), bits)
		}
		return dst
	case ArgFlags, ArgEnum:
		if a.Names != nil {
			return a.Names.Append(dst, v&0xffffffff)
		}
	case ArgHex, ArgPtr, ArgData:
		return strconv.AppendUint(append(dst, "0x"...), v, 16)
	case ArgDirFD, ArgDirFD2:
		if int32(v) == unix.AT_FDCWD {
			return append(dst, "AT_FDCWD"...)
		}
	case ArgUID, ArgGID:
		if name := nameOfID(ev, a.Kind, uint32(v)); name != "" {
			return append(dst, name...)
		}
		return strconv.AppendInt(dst, unsetID(uint32(v)), 10)
	case ArgFD, ArgFD2:
		if ev != nil {
			return c.appendFD(int32(v), dst)
		}
	}
	return strconv.AppendInt(dst, numberOf(a.Kind, v), 10)
}

// appendFD writes a descriptor with what stands behind it: 3(<f>/etc/passwd).
func (c *Call) appendFD(n int32, dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(n), 10)
	for _, fd := range [...]*FD{c.FD, c.FD2} {
		if fd == nil || fd.Num != n {
			continue
		}
		t, ok := stdioType(&Stdio{Kind: fd.Kind, Path: fd.File.Path, Sock: fd.Sock})
		if !ok {
			break
		}
		dst = append(append(dst, "(<"...), typeChar(t)...)
		dst = append(dst, '>')
		if fd.Sock != nil {
			dst, _ = appendEnds(dst, fd.Sock.Family, ends{local: end{fd.Sock.Local, fd.Sock.LocalPort}, remote: end{fd.Sock.Remote, fd.Sock.RemotePort}})
		} else {
			dst = append(dst, fd.File.Path...)
		}
		return append(dst, ')')
	}
	return dst
}

// nameOfID names a user or group, where it is the process's own or that of the
// process that a call acts on.
func nameOfID(ev *Event, kind CallArgKind, id uint32) string {
	if ev == nil {
		return ""
	}
	p := ev.Proc
	for n := 0; p != nil && n < maxAncestors; n++ {
		switch {
		case kind == ArgUID && p.Cred.UID == id && p.User != "":
			return p.User
		case kind == ArgGID && p.Cred.GID == id && p.Group != "":
			return p.Group
		}
		p = p.Parent
	}
	return ""
}

// appendName writes a path as it was passed. Rules see a relative one in full:
// they could not say anything about it otherwise.
func (f *FileRef) appendName(dst []byte, style argStyle) ([]byte, bool) {
	switch {
	case f == nil:
		return dst, false
	case style == argWords && !strings.HasPrefix(f.Raw, "/") && f.Path != "":
		return append(dst, f.Path...), true
	}
	return append(dst, f.Raw...), true
}

// ErrnoName names an error number, such as ENOENT.
func ErrnoName(n int64) string {
	if s := unix.ErrnoName(unix.Errno(n)); s != "" {
		return s
	}
	return strconv.FormatInt(n, 10)
}

// appendArgs appends all arguments as "name=value name=value".
func (c *Call) appendArgs(ev *Event, dst []byte) ([]byte, bool) {
	start := len(dst)
	add := func(name string, p int) {
		mark := len(dst)
		if mark > start {
			dst = append(dst, ' ')
		}
		dst = append(append(dst, name...), '=')
		var ok bool
		if dst, ok = c.appendArg(ev, p, dst, argPlain); !ok {
			dst = dst[:mark]
		}
	}
	if IsSyscall(c.Spec.Type) {
		add("res", argRes)
	}
	args := c.Spec.args()
	for i := range args {
		if i < len(c.Args) {
			add(args[i].Name, i)
		}
	}
	return dst, len(dst) > start
}
