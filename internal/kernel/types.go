package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/btf"
)

// Kinds of types, of include/uapi/linux/btf.h.
const (
	kindInt = iota + 1
	kindPtr
	kindArray
	kindStruct
	kindUnion
	kindEnum
	kindFwd
	kindTypedef
	kindVolatile
	kindConst
	kindRestrict
	kindFunc
	kindFuncProto
	kindVar
	kindDatasec
	kindFloat
	kindDeclTag
	kindTypeTag
	kindEnum64
)

const (
	btfMagic     = 0xeb9f
	btfHeaderLen = 24
	btfTypeLen   = 12 // what all types have
	btfTypes     = "/sys/kernel/btf"
)

var errTypes = errors.New("the kernel's list of types is damaged, or of a newer form")

// typeList is a list of types as the kernel gives it. To index all of it costs more
// than all else that a short look does: it is gone over once, for the names that are wanted.
type typeList struct {
	types, strings []byte
	base           []byte   // the strings that those of a module come after
	at             []uint32 // of each type by its number; 0 is void
	found          map[string][]uint32
}

// findTypes goes over a list and finds the types that have one of the names. base are
// the strings of the kernel where the list is of a module.
func findTypes(raw, base []byte, names map[string]bool) (*typeList, error) {
	if len(raw) < btfHeaderLen || binary.LittleEndian.Uint16(raw) != btfMagic {
		return nil, errTypes
	}
	word := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(raw[at:])) }
	begin, size := word(4), uint64(len(raw))
	typeAt, stringAt := begin+word(8), begin+word(16)
	if typeAt+word(12) > size || stringAt+word(20) > size {
		return nil, errTypes
	}
	l := &typeList{
		types: raw[typeAt : typeAt+word(12)], strings: raw[stringAt : stringAt+word(20)], base: base,
		at: make([]uint32, 1, word(12)/20+1), found: map[string][]uint32{},
	}
	// Most names are told apart by how they begin.
	var begins [1 << 10]bool
	for n := range names {
		begins[beginning(append([]byte(n), 0, 0, 0, 0))] = true
	}
	for at := 0; at < len(l.types); {
		n, err := l.length(at)
		if err != nil {
			return nil, err
		}
		text := l.text(binary.LittleEndian.Uint32(l.types[at:]))
		if len(text) >= 4 && begins[beginning(text)] {
			l.note(text, names)
		}
		l.at = append(l.at, uint32(at))
		at += n
	}
	return l, nil
}

// beginning is a number for how a name begins: by four bytes, or two with the end of it.
func beginning(name []byte) uint32 {
	n := binary.LittleEndian.Uint32(name)
	if n&0xff0000 == 0 || n&0xff00 == 0 {
		n &= 0xff
	}
	return (n * 0x9e3779b1) >> 22
}

// note keeps the type that comes next where its name is one of the names: as in the
// kernel, what is behind three underscores tells versions of one type apart.
func (l *typeList) note(text []byte, names map[string]bool) {
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	if i := bytes.LastIndex(text, []byte("___")); i > 0 {
		text = text[:i]
	}
	if names[string(text)] {
		l.found[string(text)] = append(l.found[string(text)], uint32(len(l.at)))
	}
}

// text is the strings from an offset on.
func (l *typeList) text(at uint32) []byte {
	from := uint64(at)
	if from < uint64(len(l.base)) {
		return l.base[from:]
	}
	if from -= uint64(len(l.base)); from < uint64(len(l.strings)) {
		return l.strings[from:]
	}
	return nil
}

// length is how many bytes the type at an offset has.
func (l *typeList) length(at int) (int, error) {
	if len(l.types)-at < btfTypeLen {
		return 0, errTypes
	}
	info := binary.LittleEndian.Uint32(l.types[at+4:])
	n, vlen := btfTypeLen, int(info&0xffff)
	switch info >> 24 & 0x1f {
	case kindInt, kindVar, kindDeclTag:
		n += 4
	case kindArray:
		n += 12
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		n += 12 * vlen
	case kindEnum, kindFuncProto:
		n += 8 * vlen
	case kindPtr, kindFwd, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindFloat, kindTypeTag:
	default:
		return 0, errTypes
	}
	if len(l.types)-at < n {
		return 0, errTypes
	}
	return n, nil
}

// kind is the kind of a type; 0 where there is none of that number.
func (l *typeList) kind(id uint32) uint32 {
	if id == 0 || int(id) >= len(l.at) {
		return 0
	}
	return binary.LittleEndian.Uint32(l.types[l.at[id]+4:]) >> 24 & 0x1f
}

// function is the number of the one function with a name; 0 where there is none.
func (l *typeList) function(name string) (uint32, error) {
	var one uint32
	for _, id := range l.found[name] {
		if l.kind(id) != kindFunc {
			continue
		}
		if one != 0 {
			return 0, fmt.Errorf("the kernel has several functions %s", name)
		}
		one = id
	}
	return one, nil
}

// typePart is a part of the kernel's types as a list of its own.
type typePart struct {
	list    *typeList
	ids     []uint32          // of the kernel, by the part's own
	own     map[uint32]uint32 // the other way round
	strings []byte
}

// part makes a list of the types that were found, with all that lies inside of them. What
// a pointer leads to is left out: how a field is reached does not depend on it.
func (l *typeList) part() (*btf.Spec, []uint32, error) {
	p := &typePart{list: l, ids: []uint32{0}, own: map[uint32]uint32{}, strings: []byte{0}}
	for _, ids := range l.found {
		for _, id := range ids {
			p.id(id)
		}
	}
	var types []byte
	for next := 1; next < len(p.ids); next++ {
		types = p.add(types, p.ids[next])
	}
	raw := make([]byte, btfHeaderLen, btfHeaderLen+len(types)+len(p.strings))
	binary.LittleEndian.PutUint16(raw, btfMagic)
	raw[2] = 1
	for i, n := range []int{btfHeaderLen, 0, len(types), len(types), len(p.strings)} {
		binary.LittleEndian.PutUint32(raw[4+4*i:], uint32(n))
	}
	spec, err := btf.LoadSplitSpecFromReader(bytes.NewReader(append(append(raw, types...), p.strings...)), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("taking a part of the kernel's types: %w", err)
	}
	return spec, p.ids, nil
}

// id is the number that a type of the kernel has in the part; what describes no data is void.
func (p *typePart) id(id uint32) uint32 {
	switch p.list.kind(id) {
	case 0, kindFunc, kindFuncProto, kindVar, kindDatasec, kindDeclTag:
		return 0
	}
	own, ok := p.own[id]
	if !ok {
		own = uint32(len(p.ids))
		p.own[id] = own
		p.ids = append(p.ids, id)
	}
	return own
}

// add appends a type, with the part's own numbers and strings.
func (p *typePart) add(out []byte, id uint32) []byte {
	at := int(p.list.at[id])
	n, _ := p.list.length(at) // it was right in findTypes
	begin := len(out)
	out = append(out, p.list.types[at:at+n]...)
	t := out[begin:]
	name := func(at int) {
		binary.LittleEndian.PutUint32(t[at:], p.name(binary.LittleEndian.Uint32(t[at:])))
	}
	refer := func(at int) { binary.LittleEndian.PutUint32(t[at:], p.id(binary.LittleEndian.Uint32(t[at:]))) }
	name(0)
	switch p.list.kind(id) {
	case kindPtr:
		binary.LittleEndian.PutUint32(t[8:], 0)
	case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
		refer(8)
	case kindArray:
		refer(btfTypeLen)
		refer(btfTypeLen + 4)
	case kindStruct, kindUnion:
		for m := btfTypeLen; m < n; m += 12 {
			name(m)
			refer(m + 4)
		}
	case kindEnum:
		for m := btfTypeLen; m < n; m += 8 {
			name(m)
		}
	case kindEnum64:
		for m := btfTypeLen; m < n; m += 12 {
			name(m)
		}
	}
	return out
}

// name puts a string of the kernel among the part's own.
func (p *typePart) name(at uint32) uint32 {
	text := p.list.text(at)
	end := bytes.IndexByte(text, 0)
	if at == 0 || end <= 0 {
		return 0
	}
	own := uint32(len(p.strings))
	p.strings = append(p.strings, text[:end+1]...)
	return own
}

// inModules tells whether a module has a type of one of the names.
func (l *typeList) inModules(names map[string]bool) (bool, error) {
	entries, err := os.ReadDir(btfTypes)
	if err != nil || len(names) == 0 {
		return false, err
	}
	for _, e := range entries {
		if e.Name() == "vmlinux" {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(btfTypes, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // unloaded meanwhile
		}
		if err != nil {
			return false, err
		}
		m, err := findTypes(raw, l.strings, names)
		if err != nil {
			return false, err
		}
		if len(m.found) > 0 {
			return true, nil
		}
	}
	return false, nil
}
