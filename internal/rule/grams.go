package rule

import (
	"math/bits"
	"slices"
	"strings"
)

// Sizes of a gram in bytes.
const (
	gramMin  = 3
	longGram = 4
)

// gramIndex finds which of many texts are part of another one. Each text is filed
// under one of its grams, which are pieces of a few bytes: one that few of the
// others have. The grams of a value are then looked up as they come; nearly all of
// them end at a bit that is not set. The price goes with the value's length and
// hardly with the number of texts.
type gramIndex struct {
	size  int
	shift uint
	bits  []uint64
	table map[uint32][]gramEntry
}

type gramEntry struct {
	part
	at    int // where in the text its gram is
	rules []uint32
}

// newGramIndex makes an index of texts of at least size bytes; nil of none.
func newGramIndex(size int, entries []gramEntry) *gramIndex {
	if len(entries) == 0 {
		return nil
	}
	// so large that about one of 30 bits is set
	n := max(10, bits.Len(uint(len(entries)))+5)
	g := &gramIndex{size: size, shift: uint(32 - n), bits: make([]uint64, 1<<n/64), table: map[uint32][]gramEntry{}}
	count := map[uint32]int{}
	for _, e := range entries {
		for i := 0; i+size <= len(e.text); i++ {
			count[g.gram(e.text[i:])]++
		}
	}
	slices.SortFunc(entries, func(a, b gramEntry) int { return strings.Compare(a.text, b.text) })
	for _, e := range entries {
		best := 0
		for i := 1; i+size <= len(e.text); i++ {
			if count[g.gram(e.text[i:])] < count[g.gram(e.text[best:])] {
				best = i
			}
		}
		e.at = best
		gram := g.gram(e.text[best:])
		g.table[gram] = append(g.table[gram], e)
		h := g.hash(gram)
		g.bits[h/64] |= 1 << (h % 64)
	}
	return g
}

// gram is the first gram of a text, without regard to case.
func (g *gramIndex) gram(s string) uint32 {
	var v uint32
	for i := range g.size {
		v = v<<8 | uint32(lower(s[i]))
	}
	return v
}

func (g *gramIndex) hash(gram uint32) uint32 { return gram * 0x9e3779b1 >> g.shift }

// find adds to found the rules of each text that is part of s where it has to be;
// those of one text may come more than once.
func (g *gramIndex) find(s string, found []uint32) []uint32 {
	if g == nil || len(s) < g.size {
		return found
	}
	mask := ^uint32(0)
	if g.size < 4 {
		mask = 1<<(8*g.size) - 1
	}
	var gram uint32
	for i := range g.size - 1 {
		gram = gram<<8 | uint32(lower(s[i]))
	}
	for i := g.size - 1; i < len(s); i++ {
		gram = (gram<<8 | uint32(lower(s[i]))) & mask
		h := g.hash(gram)
		if g.bits[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for k, list := 0, g.table[gram]; k < len(list); k++ {
			if e := &list[k]; e.isAt(s, i-g.size+1-e.at) {
				found = append(found, e.rules...)
			}
		}
	}
	return found
}

// isAt reports whether the text stands at an offset of s, and may.
func (p *part) isAt(s string, off int) bool {
	end := off + len(p.text)
	if off < 0 || end > len(s) || (p.where == whole || p.where == atStart) && off != 0 || (p.where == whole || p.where == atEnd) && end != len(s) {
		return false
	}
	if !p.fold {
		return s[off:end] == p.text
	}
	for i := range len(p.text) {
		if lower(s[off+i]) != p.text[i] {
			return false
		}
	}
	return true
}
