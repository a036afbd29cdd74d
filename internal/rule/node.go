package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// kind is the kind of a node.
type kind uint8

const (
	kindFalse kind = iota
	kindTrue
	kindCheck
	kindNot
	kindAnd
	kindOr
)

// node is a condition for one type of event: what the type alone decides is
// folded away. Equal nodes of all rules are one node, so that each is
// evaluated at most once an event.
type node struct {
	id    int
	kind  kind
	kids  []*node
	check *ast.Check
	cost  int
	uses  int // parents and rules
	// waits are the reasons why checks in it cannot be evaluated.
	waits []string

	pred pred
}

// builder makes the nodes of one event type.
type builder struct {
	typ    event.Type
	slots  *slots
	nodes  map[string]*node
	macros map[*ast.MacroDef]*node
	memos  int
	yes    *node
	no     *node
}

func newBuilder(t event.Type, s *slots) *builder {
	b := &builder{typ: t, slots: s, nodes: map[string]*node{}, macros: map[*ast.MacroDef]*node{}}
	b.no, b.yes = b.intern(&node{kind: kindFalse}, "f"), b.intern(&node{kind: kindTrue}, "t")
	return b
}

// intern returns the one node with a key.
func (b *builder) intern(n *node, key string) *node {
	if old := b.nodes[key]; old != nil {
		return old
	}
	n.id = len(b.nodes)
	b.nodes[key] = n
	for _, k := range n.kids {
		k.uses++
		for _, w := range k.waits {
			if !slices.Contains(n.waits, w) {
				n.waits = append(n.waits, w)
			}
		}
	}
	return n
}

func (b *builder) build(e ast.Expr) *node {
	switch e := e.(type) {
	case *ast.And:
		return b.list(e.List, kindAnd, b.no, b.yes)
	case *ast.Or:
		return b.list(e.List, kindOr, b.yes, b.no)
	case *ast.Not:
		return b.negate(b.build(e.X))
	case *ast.Macro:
		n := b.macros[e.Def]
		if n == nil {
			n = b.build(e.Def.Body)
			b.macros[e.Def] = n
		}
		return n
	case *ast.Check:
		return b.leaf(e)
	}
	return b.no
}

func (b *builder) negate(n *node) *node {
	switch n.kind {
	case kindTrue:
		return b.no
	case kindFalse:
		return b.yes
	case kindNot:
		return n.kids[0]
	}
	return b.intern(&node{kind: kindNot, kids: []*node{n}, cost: n.cost}, fmt.Sprint("n", n.id))
}

// list builds a conjunction or disjunction: one dominant member decides it,
// neutral ones are left out, and the cheapest come first.
func (b *builder) list(list []ast.Expr, k kind, dominant, neutral *node) *node {
	var kids []*node
	seen := make(map[*node]bool, len(list))
	for _, x := range list {
		n := b.build(x)
		switch {
		case n == dominant:
			return dominant
		case n == neutral || seen[n]:
		default:
			seen[n] = true
			kids = append(kids, n)
		}
	}
	switch len(kids) {
	case 0:
		return neutral
	case 1:
		return kids[0]
	}
	slices.SortStableFunc(kids, func(a, c *node) int { return a.cost - c.cost })
	var key strings.Builder
	cost := 1
	fmt.Fprint(&key, "l", k)
	for _, n := range kids {
		fmt.Fprint(&key, ",", n.id)
		cost = min(cost+n.cost, maxCost)
	}
	return b.intern(&node{kind: k, kids: kids, cost: cost}, key.String())
}

const maxCost = 1 << 30

func (b *builder) leaf(c *ast.Check) *node {
	if v, known := decided(c, b.typ); known {
		if v {
			return b.yes
		}
		return b.no
	}
	n := &node{kind: kindCheck, check: c, cost: checkCost(c)}
	if w := waiting(c); w != "" {
		n.waits = []string{w}
	}
	return b.intern(n, "c"+c.String())
}

// waiting says what a check waits for; "" where it can be evaluated.
func waiting(c *ast.Check) string {
	reason := ""
	c.Operands(func(o *ast.Operand) {
		if o.Ref != nil && reason == "" {
			reason = o.Ref.Waiting()
		}
	})
	return reason
}

// decided evaluates checks that the type of the event alone decides.
func decided(c *ast.Check, t event.Type) (value, known bool) {
	absent := false
	c.Operands(func(o *ast.Operand) {
		absent = absent || o.Ref != nil && o.Ref.Waiting() == "" && !o.Ref.Events().Has(t)
	})
	if absent {
		return false, true // a check without a value is false
	}
	if c.Left.Ref == nil || c.Right != nil {
		return false, false
	}
	switch name := c.Left.Ref.Field().Name; name {
	case "evt.type", "syscall.type":
		return decidedType(c, t, name == "syscall.type")
	case "evt.dir":
		if c.Op == ast.OpEq || c.Op == ast.OpNe || c.Op == ast.OpIn {
			return strTest(c)("<"), true
		}
	case "evt.num":
		return decidedNum(c)
	}
	return false, false
}

// decidedType decides a check of the event's name, unless it tells execve
// from execveat.
func decidedType(c *ast.Check, t event.Type, syscall bool) (value, known bool) {
	if syscall && !event.IsSyscall(t) {
		return false, true
	}
	if c.Op == ast.OpExists {
		return true, true
	}
	test := strTest(c)
	names := event.NamesOf(t)
	value = test(names[0])
	for _, n := range names[1:] {
		if test(n) != value {
			return false, false
		}
	}
	return value, true
}

// decidedNum decides what rules write for "always" and "never": events are
// numbered from 1.
func decidedNum(c *ast.Check) (value, known bool) {
	if c.Op.TakesList() || c.Op == ast.OpExists {
		return c.Op == ast.OpExists, c.Op == ast.OpExists
	}
	v := c.Values[0].Num
	switch {
	case c.Op == ast.OpEq && v <= 0, c.Op == ast.OpLt && v <= 1, c.Op == ast.OpLe && v <= 0:
		return false, true
	case c.Op == ast.OpNe && v <= 0, c.Op == ast.OpGe && v <= 1, c.Op == ast.OpGt && v <= 0:
		return true, true
	}
	return false, false
}

// checkCost estimates a check's cost in nanoseconds.
func checkCost(c *ast.Check) int {
	cost := 3
	switch c.Op {
	case ast.OpContains, ast.OpBContains:
		cost = 20
	case ast.OpIContains:
		cost = 80
	case ast.OpIn, ast.OpIntersects:
		cost = 8
	case ast.OpPmatch:
		cost = 60
	case ast.OpGlob, ast.OpIGlob:
		cost = 100
	case ast.OpRegex:
		cost = 400
	}
	if c.Quant != ast.NoQuant {
		cost *= max(len(c.Values), 1)
	}
	each := 1
	c.Operands(func(o *ast.Operand) {
		switch {
		case o.List:
			each = 8
		case o.Func != ast.NoFunc && o.Func != ast.FuncVal:
			cost += 30
		case o.Ref != nil && o.Ref.Composed() && o.Ref.Flags() == nil:
			cost += 30
		}
	})
	return min(cost*each, maxCost)
}

// memoCost is the cost from which it pays to remember a shared node's value.
const memoCost = 12

// compile returns the node's function; nodes that several others use and that
// are not cheap remember their value for the event.
func (b *builder) compile(n *node) pred {
	if n.pred != nil {
		return n.pred
	}
	var p pred
	switch n.kind {
	case kindTrue, kindFalse:
		p = constant(n.kind == kindTrue)
	case kindCheck:
		p = b.slots.check(n.check)
	case kindNot:
		x := b.compile(n.kids[0])
		p = func(c *matchCtx) bool { return !x(c) }
	default:
		p = b.compileList(n)
	}
	if n.uses > 1 && n.cost >= memoCost {
		p = b.memoised(p)
	}
	n.pred = p
	return p
}

func (b *builder) memoised(p pred) pred {
	slot := b.memos
	b.memos++
	return func(c *matchCtx) bool {
		m := &c.memo[slot]
		if m.gen != c.gen {
			m.gen, m.val = c.gen, p(c)
		}
		return m.val
	}
}

func (b *builder) compileList(n *node) pred {
	preds := make([]pred, len(n.kids))
	for i, k := range n.kids {
		preds[i] = b.compile(k)
	}
	stop := n.kind == kindOr // the value that ends the evaluation
	if len(preds) == 2 {
		x, y := preds[0], preds[1]
		if stop {
			return func(c *matchCtx) bool { return x(c) || y(c) }
		}
		return func(c *matchCtx) bool { return x(c) && y(c) }
	}
	return func(c *matchCtx) bool {
		for _, p := range preds {
			if p(c) == stop {
				return stop
			}
		}
		return !stop
	}
}
