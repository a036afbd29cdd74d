package rule

import "github.com/bearcat-hids/bearcat/internal/event"

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
