package ehframe

import (
	"cmp"
	"errors"
	"slices"
)

// Bounds on what is made of one file, which may be anybody's.
const (
	maxSection = 64 << 20
	maxRows    = 1 << 22
	maxCIEs    = 1 << 16
	// padding is how many bytes between two functions are taken to be filled up, and
	// not to be a function without a rule.
	padding = 16
)

// ErrTooLarge is returned for files that would take more memory than is given to one.
var ErrTooLarge = errors.New("the file describes more places than are kept of one")

// cie is what the descriptions of several functions have in common.
type cie struct {
	state
	codeAlign uint64
	dataAlign int64
	encoding  uint8
	augmented bool // their descriptions have a length of further data
}

// span is the code of one function, with its rows.
type span struct {
	start, end uint32
	first, n   int
}

// section reads the records of .eh_frame.
type section struct {
	data  []byte
	addr  uint64 // of its beginning
	open  bool   // its end is not known: the first empty record is the last
	base  uint64 // of what rows count from
	cies  map[int]*cie
	rows  []Row
	spans []span
	m     machine
}

// read goes through the records once: each byte of them is looked at a bounded number
// of times, whatever it says.
func (s *section) read() error {
	c := cursor{b: s.data}
	for c.left() >= 4 {
		begin := c.at
		length := uint64(c.u32())
		if length == 0 { // an end; linkers put one in the middle too
			if s.open {
				return nil
			}
			continue
		}
		wide := length == 0xffffffff
		if wide {
			length = c.u64()
		}
		body := c.at
		if c.take(length); c.bad {
			return nil // cut off: what is before holds
		}
		r := cursor{b: s.data[:c.at], at: body}
		var id uint64
		if wide {
			id = r.u64()
		} else {
			id = uint64(r.u32())
		}
		if id == 0 {
			if len(s.cies) < maxCIEs {
				s.cies[begin] = s.readCIE(&r)
			}
			continue
		}
		if e := s.cies[body-int(min(id, uint64(body)))]; e != nil {
			s.readFDE(&r, e)
		}
		if len(s.rows) > maxRows {
			return ErrTooLarge
		}
	}
	return nil
}

// readCIE returns nil for one that cannot be understood.
func (s *section) readCIE(c *cursor) *cie {
	version := c.u8()
	var augmentation []byte
	for b := c.u8(); b != 0 && !c.bad; b = c.u8() {
		augmentation = append(augmentation, b)
	}
	if version == 4 { // sizes of addresses and of segments
		c.take(2)
	}
	e := &cie{codeAlign: c.uleb(), dataAlign: c.sleb()}
	ra := uint64(0)
	if version == 1 {
		ra = uint64(c.u8())
	} else {
		ra = c.uleb()
	}
	if c.bad || ra != registerRIP || version != 1 && version != 3 && version != 4 || len(augmentation) > 8 {
		return nil
	}
	if len(augmentation) > 0 {
		if augmentation[0] != 'z' || !e.augment(c, augmentation[1:], s.addr) {
			return nil
		}
	}
	s.m = machine{codeAlign: e.codeAlign, dataAlign: e.dataAlign, encoding: e.encoding}
	s.m.cfa.kind = Unsupported
	for c.left() > 0 && !c.bad {
		if advance, ok := s.m.step(c, s.addr, 0); !ok || advance != 0 {
			return nil
		}
	}
	e.state = s.m.state
	return e
}

// augment reads what the letters announce.
func (e *cie) augment(c *cursor, letters []byte, addr uint64) bool {
	e.augmented = true
	n := c.uleb()
	at := c.at
	if c.take(n); c.bad {
		return false
	}
	d := cursor{b: c.b[:c.at], at: at}
	for _, l := range letters {
		switch l {
		case 'R':
			e.encoding = d.u8()
		case 'L':
			d.u8()
		case 'P':
			how := d.u8()
			d.pointer(how&pointerForm, addr)
		case 'S', 'B':
		default:
			return false
		}
	}
	return !d.bad
}

// readFDE makes the rows of one function. Where its instructions make no sense, it has
// one that says so.
func (s *section) readFDE(c *cursor, e *cie) {
	start := c.pointer(e.encoding, s.addr)
	size := c.pointer(e.encoding&pointerForm, s.addr)
	if e.augmented {
		c.take(c.uleb())
	}
	if c.bad || start < s.base || size == 0 || start-s.base >= 1<<32-1 || size >= 1<<32-1-(start-s.base) {
		return
	}
	loc, end := start, start+size
	f := span{uint32(start - s.base), uint32(end - s.base), len(s.rows), 0}
	m := &s.m
	m.state, m.initial, m.depth, m.dirty = e.state, e.state, 0, true
	m.codeAlign, m.dataAlign, m.encoding = e.codeAlign, e.dataAlign, e.encoding
	for c.left() > 0 && loc < end {
		before := m.dirty
		advance, ok := m.step(c, s.addr, loc)
		if !ok || c.bad {
			s.rows = append(s.rows[:f.first], Row{f.start, Rule(Unsupported)})
			loc = end
			break
		}
		if advance == 0 {
			continue
		}
		if before {
			s.put(f.first, uint32(loc-s.base))
		}
		if advance > end-loc {
			advance = end - loc
		}
		loc += advance
	}
	if loc < end {
		s.put(f.first, uint32(loc-s.base))
	}
	f.n = len(s.rows) - f.first
	s.spans = append(s.spans, f)
}

// put adds what holds from a place on, where that is anything new.
func (s *section) put(first int, pc uint32) {
	s.m.dirty = false
	r := s.m.rule()
	if n := len(s.rows); n > first && s.rows[n-1].Rule == r {
		return
	}
	s.rows = append(s.rows, Row{pc, r})
}

// table puts the functions in order, and says where there is none.
func (s *section) table() []Row {
	slices.SortStableFunc(s.spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	out := make([]Row, 0, len(s.rows)+len(s.spans)/8)
	put := func(r Row) {
		if n := len(out); n == 0 || out[n-1].Rule != r.Rule {
			out = append(out, r)
		}
	}
	for i, f := range s.spans {
		next := ^uint32(0)
		if i+1 < len(s.spans) {
			next = s.spans[i+1].start
		}
		if f.start == next {
			continue // two of one function: the later holds
		}
		for _, r := range s.rows[f.first : f.first+f.n] {
			if r.PC < next {
				put(r)
			}
		}
		if f.end < next && next-f.end >= padding {
			put(Row{f.end, Rule(Pointer)})
		}
	}
	return slices.Clip(out)
}
