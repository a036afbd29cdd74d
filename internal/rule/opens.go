package rule

import "github.com/bearcat-hids/bearcat/internal/rule/ast"

// Opens says which opens the rules of a set can be about. Opens are the most
// frequent of all events, and what no rule can match need not be collected.
type Opens struct {
	// Read is true where a rule may match a successful open for reading only,
	// Write one that writes or may create, Failed one that failed.
	Read, Write, Failed bool
}

// openKind is one of the kinds that the sensor tells apart.
type openKind uint8

const (
	openRead openKind = iota
	openWrite
	openFailed
	numOpenKinds
)

// Opens returns the opens that live rules can match.
func (s *Set) Opens() Opens {
	return Opens{Read: s.opens[openRead], Write: s.opens[openWrite], Failed: s.opens[openFailed]}
}

// noteOpens notes which opens a rule's condition for the type Open can match.
func (s *Set) noteOpens(n *node) {
	for k := range numOpenKinds {
		if possible(n, func(c *ast.Check) truth { return openCheck(c, k) }, map[*node]truth{}) != no {
			s.opens[k] = true
			s.notePaths(n, k)
		}
	}
}

// truth is what is known of a condition before there is an event.
type truth uint8

const (
	maybe truth = iota
	no
	yes
)

// possible evaluates a condition as far as what is known of its checks decides
// it.
func possible(n *node, check func(*ast.Check) truth, seen map[*node]truth) truth {
	if t, ok := seen[n]; ok {
		return t
	}
	t := maybe
	switch n.kind {
	case kindFalse:
		t = no
	case kindTrue:
		t = yes
	case kindCheck:
		t = check(n.check)
	case kindNot:
		switch possible(n.kids[0], check, seen) {
		case yes:
			t = no
		case no:
			t = yes
		}
	case kindAnd, kindOr:
		t = possibleList(n, check, seen)
	}
	seen[n] = t
	return t
}

func possibleList(n *node, check func(*ast.Check) truth, seen map[*node]truth) truth {
	stop, all := no, yes // of a conjunction
	if n.kind == kindOr {
		stop, all = yes, no
	}
	out := all
	for _, kid := range n.kids {
		switch possible(kid, check, seen) {
		case stop:
			return stop
		case maybe:
			out = maybe
		}
	}
	return out
}

// openCheck evaluates a check that the kind of an open decides.
func openCheck(c *ast.Check, k openKind) truth {
	if k != openWrite && names(c, "bc.file.target") {
		return no // it has a value for what is written only
	}
	ref := c.Left.Ref
	if ref == nil || c.Right != nil || c.Left.List || c.Quant != ast.NoQuant || c.Op == ast.OpExists {
		return maybe
	}
	failed := k == openFailed
	switch ref.Name() {
	case "evt.failed":
		return boolCheck(c, failed)
	case "evt.is_open_write":
		// an open that may create is of the writing kind, whatever its mode
		if k == openRead {
			return boolCheck(c, false)
		}
	case "evt.is_open_create", "bc.path.created":
		if k != openWrite {
			return boolCheck(c, false)
		}
	case "evt.is_open_read":
		if k == openRead {
			return boolCheck(c, true)
		}
	case "evt.res":
		if !failed {
			return known(strTest(c)("SUCCESS"))
		}
	case "fd.num", "evt.rawres":
		return signCheck(c, failed)
	}
	return maybe
}

// names reports whether a check looks at a field, also through a function.
func names(c *ast.Check, field string) bool {
	found := false
	c.Operands(func(o *ast.Operand) { found = found || o.Ref != nil && o.Ref.Name() == field })
	return found
}

func known(v bool) truth {
	if v {
		return yes
	}
	return no
}

func boolCheck(c *ast.Check, v bool) truth {
	n := int64(0)
	if v {
		n = 1
	}
	return known(numTest(c.Op, c.Values)(n))
}

// signCheck decides a comparison of which only the number's sign is known: it
// is negative where the open failed.
func signCheck(c *ast.Check, negative bool) truth {
	if c.Op.TakesList() || len(c.Values) != 1 {
		return maybe
	}
	v := c.Values[0].Num
	if negative { // -4095 to -1
		switch {
		case c.Op == ast.OpGe && v >= 0, c.Op == ast.OpGt && v >= -1, c.Op == ast.OpEq && v >= 0:
			return no
		case c.Op == ast.OpLt && v >= 0, c.Op == ast.OpLe && v >= -1, c.Op == ast.OpNe && v >= 0:
			return yes
		}
		return maybe
	}
	switch {
	case c.Op == ast.OpGe && v <= 0, c.Op == ast.OpGt && v < 0, c.Op == ast.OpNe && v < 0:
		return yes
	case c.Op == ast.OpLt && v <= 0, c.Op == ast.OpLe && v < 0, c.Op == ast.OpEq && v < 0:
		return no
	}
	return maybe
}
