package rule

import (
	"sort"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// maxNeeded bounds the values under which one rule is filed.
const maxNeeded = 4096

// needs are conditions that an event must meet for a node to be true: for
// each named field, that its value is one of a set. A rule is filed under one
// of them and looked at only for events that have such a value.
type needs map[string]*need

type need struct {
	ref    *event.Ref
	values map[string]bool
}

// needsOf finds the needs of a node; nil where it has none.
func needsOf(n *node, seen map[*node]needs) needs {
	if r, ok := seen[n]; ok {
		return r
	}
	var r needs
	switch n.kind {
	case kindCheck:
		r = needsOfCheck(n.check)
	case kindAnd:
		r = needs{}
		for _, k := range n.kids {
			for name, want := range needsOf(k, seen) {
				if old := r[name]; old == nil || len(want.values) < len(old.values) {
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
		union := map[string]bool{}
		ok := true
		for _, k := range kids {
			other := needsOf(k, seen)[name]
			if ok = other != nil && len(union)+len(other.values) <= maxNeeded; !ok {
				break
			}
			for v := range other.values {
				union[v] = true
			}
		}
		if ok {
			out[name] = &need{want.ref, union}
		}
	}
	return out
}

func needsOfCheck(c *ast.Check) needs {
	ref := c.Left.Ref
	if ref == nil || c.Right != nil || c.Left.List || c.Quant == ast.AllOf || c.Quant == ast.OneOf ||
		ref.Type() != event.FieldString || ref.Composed() || ref.Waiting() != "" || isTypeField(ref) {
		return nil
	}
	if c.Op != ast.OpEq && c.Op != ast.OpIn && c.Op != ast.OpIntersects || len(c.Values) > maxNeeded {
		return nil
	}
	values := map[string]bool{}
	for _, v := range c.Values {
		values[v.Text] = true
	}
	return needs{ref.Name(): &need{ref, values}}
}

// typeIndex holds the rules for one type of event.
type typeIndex struct {
	rules []compiled
	// always marks the rules that are evaluated for every event, one bit
	// each; groups file the others.
	always []uint64
	groups []group
}

type compiled struct {
	rule *Rule
	pred pred
}

// group files rules under the values of one field.
type group struct {
	ref   *event.Ref
	rules map[string][]uint32
}

// newTypeIndex compiles and files the rules of one type.
func newTypeIndex(b *builder, rules []*Rule, roots []*node) *typeIndex {
	t := &typeIndex{always: make([]uint64, (len(rules)+63)/64)}
	seen := map[*node]needs{}
	groups := map[string]*group{}
	for _, n := range roots {
		n.uses++
	}
	for i, r := range rules {
		t.rules = append(t.rules, compiled{r, b.compile(roots[i])})
		best := bestNeed(needsOf(roots[i], seen))
		if best == nil {
			t.always[i/64] |= 1 << (i % 64)
			continue
		}
		g := groups[best.ref.Name()]
		if g == nil {
			g = &group{ref: best.ref, rules: map[string][]uint32{}}
			groups[best.ref.Name()] = g
		}
		for v := range best.values {
			g.rules[v] = append(g.rules[v], uint32(i))
		}
	}
	for _, g := range groups {
		t.groups = append(t.groups, *g)
	}
	sort.Slice(t.groups, func(i, j int) bool { return t.groups[i].ref.Name() < t.groups[j].ref.Name() })
	return t
}

// bestNeed picks the need with the fewest values, and among equals the first
// by name, so that an index does not differ from run to run.
func bestNeed(all needs) *need {
	var best *need
	for _, n := range all {
		if best == nil || len(n.values) < len(best.values) ||
			len(n.values) == len(best.values) && n.ref.Name() < best.ref.Name() {
			best = n
		}
	}
	return best
}
