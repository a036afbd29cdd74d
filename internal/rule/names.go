package rule

import (
	"sync"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// nameTable numbers the names of events.
type nameTable struct {
	names []string
	index map[string]int
}

// eventNames builds the table once; it is never changed afterwards.
var eventNames = sync.OnceValue(func() *nameTable {
	t := &nameTable{index: map[string]int{}}
	for _, n := range event.TypeNames() {
		if _, twice := t.index[n]; !twice {
			t.index[n] = len(t.names)
			t.names = append(t.names, n)
		}
	}
	return t
})

// nameSet is a set of names of events, one bit each.
type nameSet [9]uint64

func (s *nameSet) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *nameSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func allNames() (s nameSet) {
	for i := range eventNames().names {
		s.add(i)
	}
	return s
}

func (s nameSet) and(o nameSet) nameSet {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

func (s nameSet) or(o nameSet) nameSet {
	for i := range s {
		s[i] |= o[i]
	}
	return s
}

func (s nameSet) minus(o nameSet) nameSet {
	for i := range s {
		s[i] &^= o[i]
	}
	return s
}

func (s nameSet) list() []string {
	var out []string
	for i, n := range eventNames().names {
		if s.has(i) {
			out = append(out, n)
		}
	}
	return out
}

// reach is for which names an expression may be true, and for which false.
type reach struct{ yes, no nameSet }

// reachOf finds out which events can satisfy an expression. It errs towards
// more of them.
func reachOf(e ast.Expr, macros map[*ast.MacroDef]reach) reach {
	switch e := e.(type) {
	case *ast.And:
		r := reach{yes: allNames()}
		for _, x := range e.List {
			k := reachOf(x, macros)
			r.yes, r.no = r.yes.and(k.yes), r.no.or(k.no)
		}
		return r
	case *ast.Or:
		r := reach{no: allNames()}
		for _, x := range e.List {
			k := reachOf(x, macros)
			r.yes, r.no = r.yes.or(k.yes), r.no.and(k.no)
		}
		return r
	case *ast.Not:
		k := reachOf(e.X, macros)
		return reach{yes: k.no, no: k.yes}
	case *ast.Macro:
		r, ok := macros[e.Def]
		if !ok {
			r = reachOf(e.Def.Body, macros)
			macros[e.Def] = r
		}
		return r
	case *ast.Check:
		return reachOfCheck(e)
	}
	return reach{yes: allNames(), no: allNames()}
}

func reachOfCheck(c *ast.Check) reach {
	all := allNames()
	unknown := reach{yes: all, no: all}
	ref := c.Left.Ref
	if ref == nil || c.Right != nil {
		return unknown
	}
	t := eventNames()
	switch name := ref.Field().Name; {
	case name == "evt.type" && !c.Op.Ordering(), name == "syscall.type" && !c.Op.Ordering():
		if c.Op == ast.OpExists {
			return reach{yes: all}
		}
		var yes nameSet
		test := strTest(c)
		for i, n := range t.names {
			if test(event.CanonicalTypeName(n)) {
				yes.add(i)
			}
		}
		return reach{yes: yes, no: all.minus(yes)}
	case name == "evt.num":
		if v, known := decidedNum(c); known && v {
			return reach{yes: all}
		} else if known {
			return reach{no: all}
		}
	case ref.Waiting() == "" && !ref.Events().IsZero():
		var yes nameSet
		for i, n := range t.names {
			// what unreported events will have is not known yet
			if types, ok := event.TypesNamed(n); !ok && !ref.Field().Own() || ok && ref.Events().HasAny(types) {
				yes.add(i)
			}
		}
		return reach{yes: yes, no: all}
	}
	return unknown
}
