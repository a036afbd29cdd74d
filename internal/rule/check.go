package rule

import (
	"encoding/hex"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// pred is a compiled condition or part of one.
type pred func(*matchCtx) bool

func constant(b bool) pred { return func(*matchCtx) bool { return b } }

// check compiles one check. What its field lacks makes it false.
func (s *slots) check(c *ast.Check) pred {
	left := c.Left
	switch {
	case waiting(c) != "":
		return constant(false)
	case left.Type == event.FieldIP || left.Type == event.FieldNet:
		return s.addrCheck(c)
	case left.Type == event.FieldFloat:
		return constant(false) // only fields without values have this type
	case c.Op == ast.OpExists:
		return s.exists(left)
	case left.Type.Numeric() || left.Type == event.FieldBool:
		return s.numCheck(c)
	}
	if left.Ref != nil && c.Right == nil && (c.Op == ast.OpContains || c.Op == ast.OpIContains) {
		p := wordCheck(c)
		if left.Type == event.FieldFlags {
			p = flagsCheck(c)
		}
		if p != nil {
			return p
		}
	}
	return s.strCheck(c)
}

func (s *slots) exists(o *ast.Operand) pred {
	number := o.Type.Numeric() || o.Type == event.FieldBool
	switch {
	case o.List && number:
		nums := s.nums(o)
		return func(c *matchCtx) bool { return len(nums(c)) > 0 }
	case o.List:
		list := s.list(o)
		return func(c *matchCtx) bool { return len(list(c)) > 0 }
	case number:
		num := s.num(o)
		return func(c *matchCtx) bool { _, ok := num(c); return ok }
	}
	str := s.str(o)
	return func(c *matchCtx) bool { _, ok := str(c); return ok }
}

// flagsCheck tests bits where a check looks for a flag's name; nil where the
// text has to be looked at.
func flagsCheck(c *ast.Check) pred {
	ref, flags := c.Left.Ref, c.Left.Ref.Flags()
	masks := make([]uint64, len(c.Values))
	for i, v := range c.Values {
		m, ok := flags.Mask(v.Text, c.Op == ast.OpIContains)
		if !ok {
			return nil
		}
		masks[i] = m
	}
	if len(masks) == 1 && c.Quant != ast.NoQuant {
		c = &ast.Check{Quant: ast.NoQuant}
	}
	if c.Quant == ast.NoQuant {
		mask := masks[0]
		return func(c *matchCtx) bool { b, ok := ref.Bits(c.ev); return ok && b&mask != 0 }
	}
	quant := c.Quant
	return func(c *matchCtx) bool {
		b, ok := ref.Bits(c.ev)
		if !ok {
			return false
		}
		n := 0
		for _, m := range masks {
			if b&m != 0 {
				n++
			}
		}
		return quantified(quant, n, len(masks))
	}
}

// wordCheck looks for the names of bits in an argument of calls without writing
// them all; nil where the text has to be looked at.
func wordCheck(c *ast.Check) pred {
	tests := make([]func(*event.Event) bool, len(c.Values))
	for i, v := range c.Values {
		if tests[i] = c.Left.Ref.ContainsWord(v.Text, c.Op == ast.OpIContains); tests[i] == nil {
			return nil
		}
	}
	if quant := c.Quant; quant != ast.NoQuant {
		return func(c *matchCtx) bool {
			n := 0
			for _, t := range tests {
				if t(c.ev) {
					n++
				}
			}
			return quantified(quant, n, len(tests))
		}
	}
	test := tests[0]
	return func(c *matchCtx) bool { return test(c.ev) }
}

// quantified reports whether n of total satisfied values are enough.
func quantified(q ast.Quant, n, total int) bool {
	switch q {
	case ast.OneOf:
		return n == 1
	case ast.AllOf:
		return n == total
	}
	return n > 0
}

// numCheck compiles a check of numbers.
func (s *slots) numCheck(c *ast.Check) pred {
	if c.Right != nil {
		return s.numOperands(c)
	}
	test := numTest(c.Op, c.Values)
	if c.Left.Ref != nil && c.Left.Ref.Field().Ends && c.Op == ast.OpNe {
		nums := s.nums(c.Left)
		return func(c *matchCtx) bool {
			vs := nums(c)
			return len(vs) > 0 && !slices.ContainsFunc(vs, func(n int64) bool { return !test(n) })
		}
	}
	if !c.Left.List {
		num := s.num(c.Left)
		return func(c *matchCtx) bool { v, ok := num(c); return ok && test(v) }
	}
	nums, all := s.nums(c.Left), c.Op == ast.OpIn && !anyOf(c.Left)
	return func(c *matchCtx) bool {
		vs := nums(c)
		for _, v := range vs {
			if test(v) != all {
				return !all
			}
		}
		return all && len(vs) > 0
	}
}

// anyOf reports whether an operand stands for several values of which one has
// to satisfy a check.
func anyOf(o *ast.Operand) bool {
	for len(o.Args) > 0 {
		o = o.Args[0]
	}
	return o.Ref != nil && o.Ref.AnyOf()
}

func numTest(op ast.Op, values []*ast.Literal) func(int64) bool {
	if op.TakesList() {
		if len(values) <= 4 {
			var few []int64
			for _, v := range values {
				few = append(few, v.Num)
			}
			return func(n int64) bool { return slices.Contains(few, n) }
		}
		set := make(map[int64]struct{}, len(values))
		for _, v := range values {
			set[v.Num] = struct{}{}
		}
		return func(n int64) bool { _, ok := set[n]; return ok }
	}
	v := values[0].Num
	switch op {
	case ast.OpNe:
		return func(n int64) bool { return n != v }
	case ast.OpLt:
		return func(n int64) bool { return n < v }
	case ast.OpLe:
		return func(n int64) bool { return n <= v }
	case ast.OpGt:
		return func(n int64) bool { return n > v }
	case ast.OpGe:
		return func(n int64) bool { return n >= v }
	}
	return func(n int64) bool { return n == v }
}

// numOperands compares two numeric operands: of several values on the left,
// one has to fit (all, for in), on the right any.
func (s *slots) numOperands(c *ast.Check) pred {
	left, right := s.nums(c.Left), s.nums(c.Right)
	op, all := c.Op, c.Op == ast.OpIn && c.Left.List && !anyOf(c.Left)
	return func(c *matchCtx) bool {
		ls, rs := left(c), right(c)
		for _, l := range ls {
			hit := slices.ContainsFunc(rs, func(r int64) bool { return compareNums(op, l, r) })
			if hit != all {
				return !all
			}
		}
		return all && len(ls) > 0
	}
}

func compareNums(op ast.Op, l, r int64) bool {
	switch op {
	case ast.OpNe:
		return l != r
	case ast.OpLt:
		return l < r
	case ast.OpLe:
		return l <= r
	case ast.OpGt:
		return l > r
	case ast.OpGe:
		return l >= r
	}
	return l == r
}

// strCheck compiles a check of text.
func (s *slots) strCheck(c *ast.Check) pred {
	if c.Right != nil {
		return s.strOperands(c)
	}
	test := strTest(c)
	if !c.Left.List {
		str := s.str(c.Left)
		return func(c *matchCtx) bool { v, ok := str(c); return ok && test(v) }
	}
	list, all := s.list(c.Left), c.Op == ast.OpIn && !anyOf(c.Left)
	return func(c *matchCtx) bool {
		vs := list(c)
		for _, v := range vs {
			if test(v) != all {
				return !all
			}
		}
		return all && len(vs) > 0
	}
}

func (s *slots) strOperands(c *ast.Check) pred {
	left, right := s.list(c.Left), s.list(c.Right)
	op, all := c.Op, c.Op == ast.OpIn && c.Left.List && !anyOf(c.Left)
	return func(c *matchCtx) bool {
		ls, rs := left(c), right(c)
		for _, l := range ls {
			hit := slices.ContainsFunc(rs, func(r string) bool { return compareStrs(op, l, r) })
			if hit != all {
				return !all
			}
		}
		return all && len(ls) > 0
	}
}

func compareStrs(op ast.Op, l, r string) bool {
	switch op {
	case ast.OpNe:
		return l != r
	case ast.OpContains, ast.OpBContains:
		return strings.Contains(l, r)
	case ast.OpIContains:
		return containsFold(l, r)
	case ast.OpStartsWith, ast.OpBStartsWith:
		return strings.HasPrefix(l, r)
	case ast.OpEndsWith:
		return strings.HasSuffix(l, r)
	}
	return l == r
}

// strTest compiles the right side of a check with literals.
func strTest(c *ast.Check) func(string) bool {
	values := make([]string, len(c.Values))
	for i, v := range c.Values {
		values[i] = v.Text
	}
	if c.Left.Ref != nil && isTypeField(c.Left.Ref) {
		for i, v := range values {
			values[i] = event.CanonicalTypeName(v)
		}
	}
	switch c.Op {
	case ast.OpIn, ast.OpIntersects:
		return inSet(values)
	case ast.OpPmatch:
		return newPathTrie(values).match
	}
	if c.Quant == ast.NoQuant {
		return oneTest(c.Op, values[0])
	}
	var tests []func(string) bool
	for _, v := range values {
		tests = append(tests, oneTest(c.Op, v))
	}
	quant := c.Quant
	return func(s string) bool {
		n := 0
		for _, t := range tests {
			if t(s) {
				n++
			}
		}
		return quantified(quant, n, len(tests))
	}
}

func isTypeField(r *event.Ref) bool {
	name := r.Field().Name
	return name == "evt.type" || name == "syscall.type"
}

func inSet(values []string) func(string) bool {
	switch len(values) {
	case 0:
		return func(string) bool { return false }
	case 1:
		v := values[0]
		return func(s string) bool { return s == v }
	}
	set := make(map[string]struct{}, len(values))
	shortest, longest := math.MaxInt, 0
	for _, v := range values {
		set[v] = struct{}{}
		shortest, longest = min(shortest, len(v)), max(longest, len(v))
	}
	return func(s string) bool {
		if len(s) < shortest || len(s) > longest {
			return false
		}
		_, ok := set[s]
		return ok
	}
}

// oneTest compiles an operator with one literal. Literals were checked when
// the rule was loaded; one that is bad all the same never matches.
func oneTest(op ast.Op, v string) func(string) bool {
	switch op {
	case ast.OpEq:
		return func(s string) bool { return s == v }
	case ast.OpNe:
		return func(s string) bool { return s != v }
	case ast.OpContains:
		return func(s string) bool { return strings.Contains(s, v) }
	case ast.OpIContains:
		return func(s string) bool { return containsFold(s, v) }
	case ast.OpStartsWith:
		return func(s string) bool { return strings.HasPrefix(s, v) }
	case ast.OpEndsWith:
		return func(s string) bool { return strings.HasSuffix(s, v) }
	case ast.OpBContains, ast.OpBStartsWith:
		b, err := hex.DecodeString(v)
		if err != nil {
			return func(string) bool { return false }
		}
		raw := string(b)
		if op == ast.OpBContains {
			return func(s string) bool { return strings.Contains(s, raw) }
		}
		return func(s string) bool { return strings.HasPrefix(s, raw) }
	case ast.OpGlob, ast.OpIGlob:
		g, err := ast.CompileGlob(v, op == ast.OpIGlob)
		if err != nil {
			return func(string) bool { return false }
		}
		return g.Match
	case ast.OpRegex:
		re, err := regexp.Compile(`\A(?:` + v + `)\z`)
		if err != nil {
			return func(string) bool { return false }
		}
		return re.MatchString
	}
	return func(string) bool { return false }
}

// containsFold reports whether s contains part, without regard to the case of
// ASCII letters.
func containsFold(s, part string) bool {
	if part == "" {
		return true
	}
	first := lower(part[0])
	for i := 0; i+len(part) <= len(s); i++ {
		if lower(s[i]) != first {
			continue
		}
		k := 1
		for k < len(part) && lower(s[i+k]) == lower(part[k]) {
			k++
		}
		if k == len(part) {
			return true
		}
	}
	return false
}
