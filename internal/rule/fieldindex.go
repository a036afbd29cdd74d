package rule

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// fieldIndex files rules under the values of one field.
type fieldIndex struct {
	ref   *event.Ref
	whole map[string][]uint32
	nums  map[int64][]uint32
	// short and long hold the parts of three bytes and those of more.
	short, long *gramIndex
	parts       map[part][]uint32 // until finish
}

func newFieldIndex(ref *event.Ref) *fieldIndex {
	return &fieldIndex{ref: ref, whole: map[string][]uint32{}, nums: map[int64][]uint32{}, parts: map[part][]uint32{}}
}

// add files a rule; rules come in rising order.
func (f *fieldIndex) add(n *need, rule uint32) {
	for p := range n.texts {
		if p.where == whole && !p.fold {
			f.whole[p.text] = append(f.whole[p.text], rule)
		} else {
			f.parts[p] = append(f.parts[p], rule)
		}
	}
	for v := range n.nums {
		f.nums[v] = append(f.nums[v], rule)
	}
}

func (f *fieldIndex) finish() {
	var short, long []gramEntry
	for p, rules := range f.parts {
		e := gramEntry{part: p, rules: rules}
		if len(p.text) < longGram {
			short = append(short, e)
		} else {
			long = append(long, e)
		}
	}
	f.short, f.long = newGramIndex(gramMin, short), newGramIndex(longGram, long)
	f.parts = nil
}

// find adds to found the rules whose need of this field an event meets; some may be
// there more than once. buf is for fields whose text is put together.
func (f *fieldIndex) find(ev *event.Event, found []uint32, buf *[]byte) []uint32 {
	if len(f.nums) > 0 {
		if v, ok := f.ref.Num(ev); ok {
			found = append(found, f.nums[v]...)
		}
		return found
	}
	v, ok := f.text(ev, buf)
	if !ok {
		return found
	}
	if len(f.whole) > 0 {
		found = append(found, f.whole[v]...)
	}
	return f.long.find(v, f.short.find(v, found))
}

func (f *fieldIndex) text(ev *event.Event, buf *[]byte) (string, bool) {
	if !f.ref.Composed() {
		return f.ref.Str(ev)
	}
	var ok bool
	*buf, ok = f.ref.AppendText(ev, (*buf)[:0])
	return view(*buf), ok
}

// Sizes of finds.
const (
	findSlots   = 128
	longestFind = 512
)

// finds remembers the rules of some texts of a field: the same files are opened and
// the same programs run again and again. Each text has its place, where it takes that
// of another.
type finds [findSlots]struct {
	text  string
	known bool
	rules []uint32
}

// find is f.find, from what is remembered where it can be.
func (e *Engine) find(f *fieldIndex, kept **finds, ev *event.Event) []uint32 {
	if len(f.nums) > 0 || f.ref.Composed() || f.short == nil && f.long == nil {
		e.found = f.find(ev, e.found[:0], &e.text)
		return e.found
	}
	text, ok := f.ref.Str(ev)
	if !ok {
		return nil
	}
	if *kept == nil {
		*kept = new(finds)
	}
	s := &(*kept)[place(text)%findSlots]
	if s.known && s.text == text {
		return s.rules
	}
	e.found = f.find(ev, e.found[:0], &e.text)
	if s.known = len(text) <= longestFind; s.known {
		s.text, s.rules = strings.Clone(text), append(s.rules[:0], e.found...)
	}
	return e.found
}

// place mixes the length and the last bytes of a text, in which paths differ.
func place(s string) uint {
	h := uint(len(s))
	for i := max(0, len(s)-12); i < len(s); i++ {
		h = h*31 + uint(s[i])
	}
	return h
}
