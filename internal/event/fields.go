package event

import (
	"fmt"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// FieldType is the type of a field's value.
type FieldType uint8

// The types. Duration and AbsTime are nanoseconds; AbsTime counts from 1970.
const (
	FieldString FieldType = iota
	FieldInt
	FieldUint
	FieldBool
	FieldDuration
	FieldAbsTime
	FieldIP
	FieldNet
	FieldPort
	// FieldFlags is a set of bits, written as names with a separator.
	FieldFlags
	// FieldFloat exists only for fields that never have a value.
	FieldFloat
	numFieldTypes
)

var fieldTypeNames = [numFieldTypes]string{
	"string", "int", "uint", "bool", "duration", "abstime", "ip", "net", "port", "flags", "float",
}

// String returns the type's name, such as "string".
func (t FieldType) String() string {
	if t < numFieldTypes {
		return fieldTypeNames[t]
	}
	return "unknown"
}

// Numeric reports whether values of the type are whole numbers (Ref.Num).
func (t FieldType) Numeric() bool {
	switch t {
	case FieldInt, FieldUint, FieldDuration, FieldAbsTime, FieldPort:
		return true
	}
	return false
}

// ArgKind says what may stand in brackets behind a field's name.
type ArgKind uint8

// The kinds. An index is a whole number from 0, a key is any text.
const (
	ArgNone ArgKind = iota
	ArgOptionalIndex
	ArgRequiredIndex
	ArgOptionalKey
	ArgRequiredKey
)

// String describes the kind in the field list.
func (k ArgKind) String() string {
	return [...]string{"", "[index]?", "[index]", "[key]?", "[key]"}[min(k, ArgRequiredKey)]
}

func (k ArgKind) required() bool { return k == ArgRequiredIndex || k == ArgRequiredKey }
func (k ArgKind) index() bool    { return k == ArgOptionalIndex || k == ArgRequiredIndex }

// TypeSet is a set of event types; the zero value means all of them.
type TypeSet [2]uint64

// TypesOf returns the set of the given types. One of TypeNone alone is a set
// that is not zero and holds no type that an event can have.
func TypesOf(types ...Type) TypeSet {
	var s TypeSet
	for _, t := range types {
		s[t/64] |= 1 << (t % 64)
	}
	return s
}

// IsZero reports whether s is the zero set, which stands for all types.
func (s TypeSet) IsZero() bool { return s == TypeSet{} }

// Has reports whether the set holds t; the zero set holds every type.
func (s TypeSet) Has(t Type) bool { return s.IsZero() || s[t/64]&(1<<(t%64)) != 0 }

// HasAny reports whether the set holds one of the types of another.
func (s TypeSet) HasAny(o TypeSet) bool { return s.IsZero() || !s.And(o).IsZero() }

// Or returns the types that are in either set, which may be empty here.
func (s TypeSet) Or(o TypeSet) TypeSet { return TypeSet{s[0] | o[0], s[1] | o[1]} }

// And returns the types that are in both sets.
func (s TypeSet) And(o TypeSet) TypeSet { return TypeSet{s[0] & o[0], s[1] & o[1]} }

// Minus returns the types of s that are not in the other set.
func (s TypeSet) Minus(o TypeSet) TypeSet { return TypeSet{s[0] &^ o[0], s[1] &^ o[1]} }

// Add puts types into the set.
func (s *TypeSet) Add(o TypeSet) { *s = s.Or(o) }

// String lists the types, or "any".
func (s TypeSet) String() string {
	if s.IsZero() {
		return "any"
	}
	var names []string
	for t := TypeNone + 1; t < NumTypes; t++ {
		if s.Has(t) {
			names = append(names, t.String())
		}
	}
	return strings.Join(names, ", ")
}

// Field describes one field of the table.
type Field struct {
	// Name is as in rules, such as "proc.name".
	Name string
	Type FieldType
	// Doc is one line for the reference.
	Doc string
	Arg ArgKind
	// List says that the field without argument has a list of values.
	List bool
	// AnyOf says that the field without argument stands for several values
	// (one for each ancestor), of which one has to satisfy a check.
	AnyOf bool
	// Ends says that the values are those of both ends of a connection: a
	// check for inequality wants all of them to differ.
	Ends bool
	// Events are the types of events in which it can have a value.
	Events TypeSet
	// Waiting is empty for a field that has values today; otherwise it says
	// what brings them, such as "file events".
	Waiting string
	// OutputOnly marks a field that stands in outputs but not in conditions.
	OutputOnly bool

	src source
}

// source holds a field's accessors: str, num, bits or text for single values,
// list or nums for several.
type source struct {
	str   func(*Event, *Ref) (string, bool)
	num   func(*Event, *Ref) (int64, bool)
	bits  func(*Event, *Ref) (uint64, bool)
	text  func(*Event, *Ref, []byte) ([]byte, bool)
	list  func(*Event, *Ref, []string) []string
	nums  func(*Event, *Ref, []int64) []int64
	addrs func(*Event, []netip.Addr) []netip.Addr
	flags *FlagSet
	// program: see Ref.OfProgram.
	program bool
}

// ofProgram marks a source as one of Ref.OfProgram.
func ofProgram(s source) source {
	s.program = true
	return s
}

// Live reports whether the field has values today.
func (f *Field) Live() bool { return f.Waiting == "" }

// Own reports whether the field is Bearcat's own, unknown to Falco.
func (f *Field) Own() bool { return strings.HasPrefix(f.Name, "bc.") }

type fieldTable struct {
	byName map[string]*Field
	sorted []*Field
	// prefixes are names after which the argument follows behind a dot,
	// such as "evt.arg" in evt.arg.flags.
	prefixes []string
}

// table builds the table once; it is never changed afterwards.
var table = sync.OnceValue(buildTable)

func buildTable() *fieldTable {
	t := &fieldTable{
		byName:   map[string]*Field{},
		prefixes: []string{"evt.type.is", "evt.arg", "evt.rawarg", "evt.abspath"},
	}
	for _, group := range [][]Field{
		processFields(), lineageFields(), sessionFields(), userFields(), eventFields(), resultFields(),
		ownProcessFields(), ownStdioFields(), ownEventFields(), credsFields(), firewallFields(), findingFields(), containerFields(),
		containerMetaFields(), guarded(fdFields()), guarded(socketFields()), guarded(pathFields()), guarded(ownCallFields()), guarded(shellFields()), guarded(namedFields()), guarded(hostFields()),
		sshFields(), ioFields(), namespaceFields(), credFields(), neverFields(), waitingFields(),
	} {
		for i := range group {
			f := &group[i]
			t.byName[f.Name] = f
			t.sorted = append(t.sorted, f)
		}
	}
	args := argsSource(t)
	t.byName["evt.args"].src, t.byName["evt.info"].src = args, args
	sort.Slice(t.sorted, func(i, j int) bool { return t.sorted[i].Name < t.sorted[j].Name })
	return t
}

// guarded makes fields absent in events of types that they do not name.
func guarded(fields []Field) []Field {
	for i := range fields {
		types, s := fields[i].Events, &fields[i].src
		if types.IsZero() {
			continue
		}
		if get := s.str; get != nil {
			s.str = func(ev *Event, r *Ref) (string, bool) {
				if !types.Has(ev.Type) {
					return "", false
				}
				return get(ev, r)
			}
		}
		if get := s.num; get != nil {
			s.num = func(ev *Event, r *Ref) (int64, bool) {
				if !types.Has(ev.Type) {
					return 0, false
				}
				return get(ev, r)
			}
		}
		if get := s.list; get != nil {
			s.list = func(ev *Event, r *Ref, dst []string) []string {
				if !types.Has(ev.Type) {
					return dst
				}
				return get(ev, r, dst)
			}
		}
		if get := s.nums; get != nil {
			s.nums = func(ev *Event, r *Ref, dst []int64) []int64 {
				if !types.Has(ev.Type) {
					return dst
				}
				return get(ev, r, dst)
			}
		}
		if get := s.addrs; get != nil {
			s.addrs = func(ev *Event, dst []netip.Addr) []netip.Addr {
				if !types.Has(ev.Type) {
					return dst
				}
				return get(ev, dst)
			}
		}
		if get := s.text; get != nil {
			s.text = func(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
				if !types.Has(ev.Type) {
					return dst, false
				}
				return get(ev, r, dst)
			}
		}
	}
	return fields
}

// Fields returns the whole table, sorted by name. Callers must not change it.
func Fields() []*Field { return table().sorted }

// Lookup finds a field by its name and the argument in brackets ("" for none).
// A name may carry its argument behind a dot where Falco writes it so, as in
// evt.arg.flags. The error names the nearest known field.
func Lookup(name, arg string) (Ref, error) { return table().lookup(name, arg) }

func (t *fieldTable) lookup(name, arg string) (Ref, error) {
	f := t.byName[name]
	dotted := false
	if f == nil && arg == "" {
		for _, p := range t.prefixes {
			if strings.HasPrefix(name, p+".") {
				f, arg, dotted = t.byName[p], name[len(p)+1:], true
				break
			}
		}
	}
	if f == nil {
		return Ref{}, unknownField(t, name)
	}
	r := Ref{f: f, arg: arg, name: name, src: f.src}
	if arg != "" && !dotted {
		r.name = name + "[" + arg + "]"
	}
	if err := r.bindArg(t); err != nil {
		return Ref{}, err
	}
	return r, nil
}

func (r *Ref) bindArg(t *fieldTable) error {
	f := r.f
	switch {
	case r.arg == "" && f.Arg.required():
		return fmt.Errorf("field %s needs an argument: write %s[...]", f.Name, f.Name)
	case r.arg == "":
		r.several = f.List || f.AnyOf
		return nil
	case f.Arg == ArgNone:
		return fmt.Errorf("field %s takes no argument: write %s", f.Name, f.Name)
	}
	n, err := strconv.Atoi(r.arg)
	r.isIndex = err == nil && n >= 0
	if f.Arg.index() && !r.isIndex {
		return fmt.Errorf("argument %q of field %s is not an index: use a whole number from 0", r.arg, f.Name)
	}
	if r.isIndex {
		r.index = n
	}
	if f.Name == "evt.arg" || f.Name == "evt.rawarg" {
		return r.bindEventArg(t)
	}
	return nil
}

func unknownField(t *fieldTable, name string) error {
	names := make([]string, 0, len(t.sorted))
	for _, f := range t.sorted {
		names = append(names, f.Name)
	}
	if s := Nearest(name, names); s != "" {
		return fmt.Errorf("unknown field %s: did you mean %s?", name, s)
	}
	return fmt.Errorf("unknown field %s: see the list of fields", name)
}

// Nearest returns the candidate that is most like name, or "" where none is
// near enough for a hint.
func Nearest(name string, candidates []string) string {
	if len(name) > 128 {
		return ""
	}
	best, bestDist := "", 1+max(1, len(name)/3)
	for _, c := range candidates {
		if c == name || c == "" || len(c)-len(name) >= bestDist || len(name)-len(c) >= bestDist {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(c)); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
