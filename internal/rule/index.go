package rule

import (
	"sort"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// maxNeeded bounds the values under which one rule is filed.
const maxNeeded = 4096

// typeIndex holds the rules for one type of event. A rule is filed under what it
// needs of the program and under what it needs of the rest of the event, as far
// as it needs anything that can be looked up, and is looked at only where both are
// there.
type typeIndex struct {
	rules []compiled
	// always are the rules that need nothing.
	always []uint32
	// program and other are the fields to look up: those that the program alone
	// decides, which is done once for each program, and the rest.
	program, other []*fieldIndex
	// needsProgram and needsOther say for each rule where it is filed.
	needsProgram, needsOther []bool
}

type compiled struct {
	rule *Rule
	pred pred
}

// words is the number of 64-bit words with a bit for each rule.
func (t *typeIndex) words() int { return (len(t.rules) + 63) / 64 }

// newTypeIndex compiles and files the rules of one type.
func newTypeIndex(b *builder, rules []*Rule, roots []*node) *typeIndex {
	t := &typeIndex{needsProgram: make([]bool, len(rules)), needsOther: make([]bool, len(rules))}
	seen := map[*node]needs{}
	program, other := map[string]*fieldIndex{}, map[string]*fieldIndex{}
	for _, n := range roots {
		n.uses++
	}
	for i, r := range rules {
		t.rules = append(t.rules, compiled{r, b.compile(roots[i])})
		all := needsOf(roots[i], seen)
		if best := bestNeed(all, true); best != nil {
			t.needsProgram[i] = true
			file(program, best, uint32(i))
		}
		if best := bestNeed(all, false); best != nil {
			t.needsOther[i] = true
			file(other, best, uint32(i))
		}
		if !t.needsProgram[i] && !t.needsOther[i] {
			t.always = append(t.always, uint32(i))
		}
	}
	t.program, t.other = finished(program), finished(other)
	return t
}

func file(fields map[string]*fieldIndex, n *need, rule uint32) {
	f := fields[n.ref.Name()]
	if f == nil {
		f = newFieldIndex(n.ref)
		fields[n.ref.Name()] = f
	}
	f.add(n, rule)
}

func finished(fields map[string]*fieldIndex) []*fieldIndex {
	var out []*fieldIndex
	for _, f := range fields {
		f.finish()
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ref.Name() < out[j].ref.Name() })
	return out
}

// needs are conditions that an event must meet for a node to be true: for
// each named field, that its value is one of a set, or has a part that is.
type needs map[string]*need

type need struct {
	ref   *event.Ref
	texts map[part]bool
	nums  map[int64]bool
}

// part is text that a value must have in it.
type part struct {
	text  string
	where where
	// fold: the case of ASCII letters does not count, and text is in lower case.
	fold bool
}

type where uint8

const (
	whole where = iota
	atStart
	atEnd
	within
)

// weight estimates how many events meet the need, and what it costs to look: the
// lower, the better.
func (n *need) weight() int {
	w := len(n.nums)
	if n.nums[0] { // what most numbers are where there is nothing to tell
		w += 100
	}
	if n.ref.Composed() {
		w += 200
	}
	for p := range n.texts {
		switch {
		case p.where == whole:
			w++
		case len(p.text) < 6: // such as /usr and .so
			w += 16
		case p.where == within:
			w += 3
		default:
			w += 2
		}
	}
	return w
}

func (n *need) size() int { return len(n.texts) + len(n.nums) }

// needsOf finds the needs of a node; nil where it has none.
func needsOf(n *node, seen map[*node]needs) needs {
	if r, ok := seen[n]; ok {
		return r
	}
	var r needs
	switch n.kind {
	case kindCheck:
		if one := needOfCheck(n.check); one != nil {
			r = needs{one.ref.Name(): one}
		}
	case kindAnd:
		r = needs{}
		for _, k := range n.kids {
			for name, want := range needsOf(k, seen) {
				if old := r[name]; old == nil || want.weight() < old.weight() {
					r[name] = want
				}
			}
		}
	case kindOr:
		r = needsOfAny(n.kids, seen)
	}
	seen[n] = r
	return r
}

// needsOfAny keeps the fields that all alternatives need, with the values of
// all of them.
func needsOfAny(kids []*node, seen map[*node]needs) needs {
	out := needs{}
	for name, want := range needsOf(kids[0], seen) {
		union := &need{ref: want.ref, texts: map[part]bool{}, nums: map[int64]bool{}}
		ok := true
		for _, k := range kids {
			other := needsOf(k, seen)[name]
			if ok = other != nil && union.size()+other.size() <= maxNeeded; !ok {
				break
			}
			for v := range other.texts {
				union.texts[v] = true
			}
			for v := range other.nums {
				union.nums[v] = true
			}
		}
		if ok {
			out[name] = union
		}
	}
	return out
}

// needOfCheck returns what a check needs; nil where that cannot be looked up.
func needOfCheck(c *ast.Check) *need {
	ref, fold := c.Left.Ref, false
	if c.Left.Func == ast.FuncToLower && len(c.Left.Args) == 1 {
		ref, fold = c.Left.Args[0].Ref, true
	} else if c.Left.Func != ast.NoFunc {
		return nil
	}
	if ref == nil || c.Right != nil || c.Left.List || ref.List() || ref.AnyOf() || ref.Field().Ends || c.Quant == ast.AllOf || c.Quant == ast.OneOf ||
		ref.Waiting() != "" || isTypeField(ref) || len(c.Values) > maxNeeded {
		return nil
	}
	if c.Op == ast.OpExists {
		return nil
	}
	n := &need{ref: ref}
	if ref.Type().Numeric() && !fold && ref.Flags() == nil && !ref.Composed() {
		if c.Op != ast.OpEq && c.Op != ast.OpIn {
			return nil
		}
		n.nums = map[int64]bool{}
		for _, v := range c.Values {
			n.nums[v.Num] = true
		}
		return n
	}
	if ref.Type() != event.FieldString || ref.Flags() != nil {
		return nil
	}
	n.texts = map[part]bool{}
	for _, v := range c.Values {
		p := part{text: v.Text, fold: fold}
		switch c.Op {
		case ast.OpEq, ast.OpIn, ast.OpIntersects:
			p.where = whole
		case ast.OpStartsWith:
			p.where = atStart
		case ast.OpEndsWith:
			p.where = atEnd
		case ast.OpContains:
			p.where = within
		case ast.OpIContains:
			p.where, p.fold = within, true
			p.text = lowered(p.text)
		default:
			return nil
		}
		if len(p.text) < gramMin && (p.where != whole || p.fold) {
			return nil
		}
		n.texts[p] = true
	}
	return n
}

// lowered is text with its ASCII letters in lower case.
func lowered(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

// bestNeed picks the need that the fewest events meet, of those that the program
// decides or of the others, and among equals the first by name, so that an index
// does not differ from run to run.
func bestNeed(all needs, ofProgram bool) *need {
	var best *need
	for _, n := range all {
		if n.ref.OfProgram() != ofProgram {
			continue
		}
		if best == nil || n.weight() < best.weight() || n.weight() == best.weight() && n.ref.Name() < best.ref.Name() {
			best = n
		}
	}
	return best
}
