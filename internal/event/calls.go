package event

import (
	"strings"
	"sync"
)

// ArgKind of a call says what one of its arguments is.
type CallArgKind uint8

// The kinds. Those that name a thing (path, descriptor, process) are followed
// in the kernel; the others are numbers.
const (
	ArgInt CallArgKind = iota
	ArgUint
	ArgHex
	ArgMode
	// ArgFlags is a set of bits, ArgEnum one of some names; see CallArg.Names.
	ArgFlags
	ArgEnum
	// ArgFD and ArgFD2 are descriptors.
	ArgFD
	ArgFD2
	// ArgDirFD and ArgDirFD2 are the directories from which the paths start.
	ArgDirFD
	ArgDirFD2
	// ArgPath and ArgPath2 are paths in the caller's memory.
	ArgPath
	ArgPath2
	// ArgText is a string in the caller's memory that is no path.
	ArgText
	// ArgAddr is a socket address, ArgLen the size of what stands before it.
	ArgAddr
	ArgLen
	// ArgFDs is a pointer to two descriptors that the call made.
	ArgFDs
	// ArgPid is a process, ArgPidFD a descriptor of one.
	ArgPid
	ArgPidFD
	ArgUID
	ArgGID
	// ArgData is a block of the caller's memory that the sensor knows how to
	// read: a message, a bpf attribute.
	ArgData
	// ArgPtr is a pointer that nothing follows.
	ArgPtr
	numCallArgKinds
)

var callArgKinds = [numCallArgKinds]string{
	"int", "uint", "hex", "mode", "flags", "enum", "fd", "fd2", "dirfd", "dirfd2", "path", "path2", "text", "addr", "len",
	"fds", "pid", "pidfd", "uid", "gid", "data", "ptr",
}

// String returns the kind's name, such as "path".
func (k CallArgKind) String() string {
	if k < numCallArgKinds {
		return callArgKinds[k]
	}
	return "unknown"
}

// CallArg is one argument of a call.
type CallArg struct {
	// Name is what evt.arg and the JSON call it; Falco's name where it has one.
	Name string
	Kind CallArgKind
	// Names gives words to the values of ArgFlags and ArgEnum.
	Names *CallNames
}

// CallSpec describes a system call.
type CallSpec struct {
	Name string
	// Index is its place among Calls.
	Index int
	Type  Type
	Args  []CallArg
	// RetFD says that the result is a descriptor.
	RetFD bool
}

// Arg returns the index of the first argument of a kind, or -1.
func (s *CallSpec) Arg(k CallArgKind) int {
	for i := range s.Args {
		if s.Args[i].Kind == k {
			return i
		}
	}
	return -1
}

// ArgNamed returns the index of the argument with a name, or -1.
func (s *CallSpec) ArgNamed(name string) int {
	for i := range s.Args {
		if s.Args[i].Name == name {
			return i
		}
	}
	return -1
}

type callTable struct {
	byName map[string]*CallSpec
	byType [NumTypes][]*CallSpec
	all    []*CallSpec
}

var calls = sync.OnceValue(buildCalls)

// buildCalls reads callLines: "call type arg:kind[=names] … [-> fd]".
func buildCalls() *callTable {
	t := &callTable{byName: map[string]*CallSpec{}}
	types := map[string]Type{}
	for i, n := range typeNames {
		types[n] = Type(i)
	}
	kinds := map[string]CallArgKind{}
	for i, n := range callArgKinds {
		kinds[n] = CallArgKind(i)
	}
	names := callNames()
	for line := range strings.Lines(callLines) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		s := &CallSpec{Name: f[0], Type: types[f[1]], Index: len(t.all)}
		for i, a := range f[2:] {
			if a == "->" {
				s.RetFD = f[2+i+1] == "fd"
				break
			}
			name, kind, _ := strings.Cut(a, ":")
			kind, set, _ := strings.Cut(kind, "=")
			s.Args = append(s.Args, CallArg{Name: name, Kind: kinds[kind], Names: names[set]})
		}
		t.byName[s.Name] = s
		t.byType[s.Type] = append(t.byType[s.Type], s)
		t.all = append(t.all, s)
	}
	return t
}

// Calls lists all calls that there are events of.
func Calls() []*CallSpec { return calls().all }

// CallsOf lists the calls whose events have a type.
func CallsOf(t Type) []*CallSpec {
	if t >= NumTypes {
		return nil
	}
	return calls().byType[t]
}

// CallNamed returns the call with a name, or nil.
func CallNamed(name string) *CallSpec { return calls().byName[name] }
