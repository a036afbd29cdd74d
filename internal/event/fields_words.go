package event

import (
	"strings"
	"sync"
)

// modeNames gives words to permission bits.
var modeNames = sync.OnceValue(func() *CallNames {
	return bitNames(`S_ISUID=0x800 S_ISGID=0x400 S_ISVTX=0x200 S_IRUSR=0x100 S_IWUSR=0x80 S_IXUSR=0x40 S_IRGRP=0x20 S_IWGRP=0x10 S_IXGRP=8
		S_IROTH=4 S_IWOTH=2 S_IXOTH=1`)
})

// ContainsWord returns a test for a part of an argument's words, that answers
// like a search of the text but does not write it: of evt.arg.flags, whether
// it contains O_TRUNC. It is nil where the text has to be searched.
func (r *Ref) ContainsWord(part string, fold bool) func(*Event) bool {
	if r.call == nil || r.f.Name != "evt.arg" || part == "" || strings.Contains(part, "|") || maybeNumber(part) {
		return nil
	}
	match := func(name string) bool { return strings.Contains(name, part) }
	if fold {
		part = strings.ToUpper(part)
		match = func(name string) bool { return strings.Contains(strings.ToUpper(name), part) }
	}
	tests := map[*CallSpec]func(uint64) bool{}
	for s, p := range r.call.places {
		if p < 0 {
			return nil
		}
		switch a := &s.args()[p]; a.Kind {
		case ArgFlags, ArgEnum:
			if a.Names != nil {
				tests[s] = a.Names.test(match)
			}
		case ArgMode:
			tests[s] = modeNames().test(match)
		case ArgInt, ArgUint, ArgHex, ArgLen, ArgPid, ArgPidFD, ArgPtr, ArgData: // written as numbers
		default:
			return nil
		}
	}
	var mask uint64
	if r.alias != nil && !r.alias.Type().Numeric() { // numbers hold no words
		flags := r.alias.Flags()
		if flags == nil {
			return nil
		}
		var ok bool
		if mask, ok = flags.Mask(part, fold); !ok {
			return nil
		}
	}
	return func(ev *Event) bool {
		if c := ev.Call; c != nil {
			p, ok := r.call.places[c.Spec]
			test := tests[c.Spec]
			return ok && test != nil && test(c.Args[p]&0xffffffff)
		}
		if mask == 0 {
			return false
		}
		b, ok := r.Bits(ev)
		return ok && b&mask != 0
	}
}

// maybeNumber reports whether a text could stand in a number.
func maybeNumber(s string) bool {
	for i := range len(s) {
		if strings.IndexByte("0123456789abcdefxABCDEFX-", s[i]) < 0 {
			return false
		}
	}
	return true
}

// test returns whether Append would write a name that matches for a value. It
// takes the same steps, since a name may hide another.
func (n *CallNames) test(match func(string) bool) func(uint64) bool {
	values := map[uint64]bool{}
	for v, name := range n.Values {
		values[v] = match(name)
	}
	bits := make([]bool, len(n.Bits))
	last := 0 // after the last that matches, nothing need be looked at
	for i := range n.Bits {
		if bits[i] = match(n.Bits[i].Name); bits[i] {
			last = i + 1
		}
	}
	return func(v uint64) bool {
		if len(values) > 0 {
			part := v
			if n.Mask != 0 {
				part &= n.Mask
			}
			if hit, named := values[part]; hit {
				return true
			} else if named {
				if v &^= part; n.Mask == 0 {
					return false
				}
			}
		}
		for i := range last {
			if b := n.Bits[i].Bits; b != 0 && v&b == b {
				if bits[i] {
					return true
				}
				v &^= b
			}
		}
		return false
	}
}
