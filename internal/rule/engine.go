package rule

import (
	"math/bits"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/correlate"
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
	// todo has a bit for each rule to look at, some a bit for each word of todo
	// that is not zero. Both are zero between events.
	todo, some []uint64
	programs   programs
	// correlators are those of the set's correlations.
	correlators []*correlate.Correlator
	// matched is alertOf, made once so that Alerts does not allocate; the other two
	// are what it works with.
	matched    func(*Rule)
	alertEvent *event.Event
	alertYield func(*Rule, *event.Alert)
	found      []uint32
	text       []byte
	// samples are buffers for what correlations count.
	samples [][]byte
	// finds remembers what was found of the texts that came last, for each type of
	// event and each of its index's other fields.
	finds [event.NumTypes][]*finds
	// evaluated counts conditions looked at, for tests of the index.
	evaluated uint64
}

// NewEngine makes an engine for a set.
func NewEngine(set *Set, mode Matching) *Engine {
	e := &Engine{set: set, mode: mode, programs: newPrograms()}
	e.matched = e.alertOf
	for _, c := range set.correlations {
		e.correlators = append(e.correlators, correlate.New(c.spec))
	}
	e.ctx.memo = make([]memoSlot, set.memos)
	e.ctx.texts = make([]textSlot, len(set.slots.texts))
	e.ctx.lists = make([]listSlot, len(set.slots.lists))
	e.ctx.addrs = make([]addrSlot, len(set.slots.ips))
	words := 0
	for _, idx := range set.indexes {
		if idx != nil {
			words = max(words, idx.words())
		}
	}
	e.todo = make([]uint64, words)
	e.some = make([]uint64, (words+63)/64)
	return e
}

// Set returns the engine's set.
func (e *Engine) Set() *Set { return e.set }

// Match calls yield for each rule that the event satisfies, in the order of
// their definition. It allocates only where it meets a program for the first time.
func (e *Engine) Match(ev *event.Event, yield func(*Rule)) {
	if ev.Type >= event.NumTypes {
		return
	}
	idx := e.set.indexes[ev.Type]
	if idx == nil || len(idx.rules) == 0 {
		return
	}
	e.choose(idx, ev)
	e.ctx.reset(ev)
	defer e.ctx.release()
	done := false
	for s, words := range e.some {
		for ; words != 0; words &= words - 1 {
			w := s*64 + bits.TrailingZeros64(words)
			for b := e.todo[w]; b != 0 && !done; b &= b - 1 {
				c := &idx.rules[w*64+bits.TrailingZeros64(b)]
				e.evaluated++
				if c.pred(&e.ctx) {
					yield(c.rule)
					done = e.mode == MatchFirst && !e.set.silent[c.rule.index]
				}
			}
			e.todo[w] = 0
		}
		e.some[s] = 0
	}
}

// choose marks the rules to look at.
func (e *Engine) choose(idx *typeIndex, ev *event.Event) {
	for _, n := range idx.always {
		e.mark(n)
	}
	var met *programRules
	if len(idx.program) > 0 {
		met = e.programs.rules(idx, ev)
		for _, n := range met.alone {
			e.mark(n)
		}
	}
	if e.finds[ev.Type] == nil && len(idx.other) > 0 {
		e.finds[ev.Type] = make([]*finds, len(idx.other))
	}
	for i, f := range idx.other {
		for _, n := range e.find(f, &e.finds[ev.Type][i], ev) {
			if !idx.needsProgram[n] || met.has(n) {
				e.mark(n)
			}
		}
	}
}

func (e *Engine) mark(n uint32) {
	e.todo[n/64] |= 1 << (n % 64)
	e.some[n/4096] |= 1 << (n / 64 % 64)
}
