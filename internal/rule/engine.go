package rule

import (
	"math/bits"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Matching says how many rules may match one event.
type Matching uint8

// The modes. Falco stops at the first rule in the order of definition; with
// MatchAll no alert hides another.
const (
	MatchAll Matching = iota
	MatchFirst
)

// Engine evaluates a set. It belongs to one goroutine.
type Engine struct {
	set  *Set
	mode Matching
	ctx  matchCtx
	bits []uint64
	// evaluated counts conditions looked at, for tests of the index.
	evaluated uint64
}

// NewEngine makes an engine for a set.
func NewEngine(set *Set, mode Matching) *Engine {
	e := &Engine{set: set, mode: mode}
	e.ctx.memo = make([]memoSlot, set.memos)
	e.ctx.texts = make([]textSlot, len(set.slots.texts))
	e.ctx.lists = make([]listSlot, len(set.slots.lists))
	words := 0
	for _, idx := range set.indexes {
		if idx != nil {
			words = max(words, len(idx.always))
		}
	}
	e.bits = make([]uint64, words)
	return e
}

// Set returns the engine's set.
func (e *Engine) Set() *Set { return e.set }

// Match calls yield for each rule that the event satisfies, in the order of
// their definition. It does not allocate.
func (e *Engine) Match(ev *event.Event, yield func(*Rule)) {
	if ev.Type >= event.NumTypes {
		return
	}
	idx := e.set.indexes[ev.Type]
	if idx == nil || len(idx.rules) == 0 {
		return
	}
	todo := e.bits[:len(idx.always)]
	copy(todo, idx.always)
	for i := range idx.groups {
		g := &idx.groups[i]
		if v, ok := g.ref.Str(ev); ok {
			for _, n := range g.rules[v] {
				todo[n/64] |= 1 << (n % 64)
			}
		}
	}
	e.ctx.reset(ev)
	defer e.ctx.release()
	for w := range todo {
		for b := todo[w]; b != 0; b &= b - 1 {
			c := &idx.rules[w*64+bits.TrailingZeros64(b)]
			e.evaluated++
			if !c.pred(&e.ctx) {
				continue
			}
			yield(c.rule)
			if e.mode == MatchFirst {
				return
			}
		}
	}
}
