package ast

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Resolve binds the fields of an expression and checks its types. It reports
// every mistake it finds, and does not look into macros: whoever defines one
// resolves its body.
func Resolve(e Expr, report func(Diag)) {
	r := resolver{report: report}
	r.expr(e)
}

// ResolveOutput does the same for a message. Unknown fields are warnings
// there: they print as <NA>.
func ResolveOutput(o *Output, report func(Diag)) {
	r := resolver{output: true, report: func(d Diag) {
		d.Severity = Warning
		if d.Code == CodeUnknownField {
			d.Message += "; it prints as <NA>"
		}
		report(d)
	}}
	for _, p := range o.Parts {
		if p.Operand != nil {
			r.operand(p.Operand)
		}
	}
}

type resolver struct {
	report func(Diag)
	output bool
}

func (r *resolver) errorf(code Code, at Span, format string, args ...any) {
	r.report(NewDiag(Error, code, at, format, args...))
}

func (r *resolver) expr(e Expr) {
	switch e := e.(type) {
	case *And:
		for _, x := range e.List {
			r.expr(x)
		}
	case *Or:
		for _, x := range e.List {
			r.expr(x)
		}
	case *Not:
		r.expr(e.X)
	case *Check:
		r.check(e)
	}
}

// operand binds a field or function; false means that it was reported.
func (r *resolver) operand(o *Operand) bool {
	switch {
	case o.Text != nil:
		o.Type = event.FieldString
		return true
	case o.Func != NoFunc:
		return r.function(o)
	}
	ref, err := event.Lookup(o.Name, o.Arg)
	if err != nil {
		r.errorf(CodeUnknownField, o.At, "%v", err)
		return false
	}
	if ref.Field().OutputOnly && !r.output {
		r.errorf(CodeType, o.At, "field %s stands in outputs only", o.Name)
		return false
	}
	if ref.Field().Name == "evt.type.is" && !slices.Contains(event.TypeNames(), strings.TrimPrefix(o.Name, "evt.type.is.")) && o.Arg == "" {
		r.unknownType(strings.TrimPrefix(o.Name, "evt.type.is."), o.At)
		return false
	}
	o.Ref, o.Type, o.List = &ref, ref.Type(), ref.List() || ref.AnyOf()
	return true
}

// function checks a function's arguments and finds its type.
func (r *resolver) function(o *Operand) bool {
	for _, a := range o.Args {
		if !r.operand(a) {
			return false
		}
	}
	want := map[Func][2]int{FuncJoin: {1, 2}, FuncConcat: {1, 64}, FuncGetopt: {2, 2}}
	n, special := want[o.Func]
	if !special {
		n = [2]int{1, 1}
	}
	if len(o.Args) < n[0] || len(o.Args) > n[1] {
		r.errorf(CodeType, o.At, "%s takes %s, not %d", o.Func, countWords(n), len(o.Args))
		return false
	}
	if o.Arg != "" && o.Func != FuncGetopt {
		r.errorf(CodeType, o.At, "%s takes nothing in brackets behind it: only getopt does", o.Func)
		return false
	}
	first := o.Args[0]
	o.Type, o.List = event.FieldString, first.List
	text := first.Type == event.FieldString || first.Type == event.FieldFlags
	switch o.Func {
	case FuncVal:
		if first.Ref == nil {
			r.errorf(CodeType, o.At, "val takes a field, as in val(proc.pname)")
			return false
		}
		o.Type = first.Type
	case FuncLen:
		o.Type, o.List = event.FieldUint, false
		text = text || first.List
	case FuncJoin, FuncConcat:
		o.List, text = false, true
	case FuncGetopt:
		o.List = o.Arg == ""
		if o.Args[1].Text == nil {
			r.errorf(CodeType, o.Args[1].At, "the second argument of getopt is the text of the options, as in getopt(proc.args, \"nt:\")")
			return false
		}
	}
	if !text && o.Func != FuncVal {
		r.errorf(CodeType, first.At, "%s works on text, and %s is of type %s", o.Func, describe(first), first.Type)
		return false
	}
	return true
}

func countWords(n [2]int) string {
	switch {
	case n[0] == n[1] && n[0] == 1:
		return "one argument"
	case n[0] == n[1]:
		return fmt.Sprintf("%d arguments", n[0])
	}
	return fmt.Sprintf("%d to %d arguments", n[0], n[1])
}

func describe(o *Operand) string {
	if o.Ref != nil {
		return o.Ref.Name()
	}
	return o.At.String()
}

func (r *resolver) check(c *Check) {
	if !r.operand(c.Left) {
		return
	}
	if c.Right != nil && !r.operand(c.Right) {
		return
	}
	if !r.operatorFits(c) {
		return
	}
	if c.Right != nil {
		r.sidesFit(c)
		return
	}
	for _, v := range c.Values {
		r.literal(c, v)
	}
	r.eventType(c)
}

// operatorFits checks the operator against the type on the left.
func (r *resolver) operatorFits(c *Check) bool {
	t := c.Left.Type
	isText := t == event.FieldString || t == event.FieldFlags
	ok, kind := true, ""
	switch {
	case c.Op == OpExists, c.Op == OpEq, c.Op == OpNe, c.Op == OpIn, c.Op == OpIntersects:
	case c.Op.Ordering():
		ok, kind = t.Numeric() || t == event.FieldFloat, "compares numbers"
	default:
		ok, kind = isText, "works on text"
	}
	if !ok {
		r.errorf(CodeType, c.OpAt, "operator %s %s, and %s is of type %s", c.Op, kind, describe(c.Left), t)
		return false
	}
	if c.Quant != NoQuant && !isText {
		r.errorf(CodeType, c.OpAt, "%s works on text, and %s is of type %s: use in", c.Quant, describe(c.Left), t)
		return false
	}
	return true
}

// sidesFit checks that two operands can be compared.
func (r *resolver) sidesFit(c *Check) {
	number := func(t event.FieldType) bool { return t.Numeric() || t == event.FieldBool || t == event.FieldFloat }
	if number(c.Left.Type) != number(c.Right.Type) {
		r.errorf(CodeType, c.Right.At, "cannot compare %s of type %s with %s of type %s",
			describe(c.Left), c.Left.Type, describe(c.Right), c.Right.Type)
	}
	if c.Op == OpPmatch || c.Op == OpGlob || c.Op == OpIGlob || c.Op == OpRegex {
		r.errorf(CodeType, c.Right.At, "operator %s takes a literal pattern, not a field", c.Op)
	}
}

// literal checks one value on the right and finds its number.
func (r *resolver) literal(c *Check, v *Literal) {
	t := c.Left.Type
	switch {
	case t.Numeric():
		n, err := parseNumber(v.Text, c.Op)
		if err != nil {
			r.errorf(CodeType, v.At, "%s is compared with %q, which %v", describe(c.Left), v.Text, err)
		}
		v.Num = n
	case t == event.FieldFloat:
		if _, err := strconv.ParseFloat(v.Text, 64); err != nil {
			r.errorf(CodeType, v.At, "%s is compared with %q, which is not a number", describe(c.Left), v.Text)
		}
	case t == event.FieldBool:
		switch v.Text {
		case "true":
			v.Num = 1
		case "false":
			v.Num = 0
		default:
			r.errorf(CodeType, v.At, "%s is compared with %q: use true or false", describe(c.Left), v.Text)
		}
	case t == event.FieldIP || t == event.FieldNet:
		_, errAddr := netip.ParseAddr(v.Text)
		_, errNet := netip.ParsePrefix(v.Text)
		if errAddr != nil && errNet != nil {
			r.errorf(CodeType, v.At, "%s is compared with %q, which is neither an IP address nor a network such as 10.0.0.0/8", describe(c.Left), v.Text)
		}
	default:
		r.pattern(c.Op, v)
	}
}

// pattern checks the literals of operators that interpret them.
func (r *resolver) pattern(op Op, v *Literal) {
	switch op {
	case OpRegex:
		if _, err := regexp.Compile(`\A(?:` + v.Text + `)\z`); err != nil {
			r.errorf(CodeValue, v.At, "%q is no valid regular expression: %v", v.Text, regexpProblem(err))
		}
	case OpGlob, OpIGlob:
		if _, err := CompileGlob(v.Text, op == OpIGlob); err != nil {
			r.errorf(CodeValue, v.At, "%q is no valid pattern: %v", v.Text, err)
		}
	case OpPmatch:
		for _, part := range strings.Split(v.Text, "/") {
			if _, err := CompileGlob(part, false); err != nil {
				r.errorf(CodeValue, v.At, "%q is no valid path pattern: %v", v.Text, err)
				return
			}
		}
	case OpBContains, OpBStartsWith:
		if _, err := hex.DecodeString(v.Text); err != nil {
			r.errorf(CodeValue, v.At, "%s takes bytes as pairs of hexadecimal digits, such as CAFE, not %q", op, v.Text)
		}
	}
}

// regexpProblem is what is wrong with an expression, without the expression.
func regexpProblem(err error) string {
	var e *syntax.Error
	if errors.As(err, &e) {
		return e.Code.String()
	}
	return err.Error()
}

// eventType checks names of events.
func (r *resolver) eventType(c *Check) {
	if c.Left.Ref == nil {
		return
	}
	switch name := c.Left.Ref.Field().Name; {
	case name == "evt.dir":
		r.report(NewDiag(Warning, CodeDeprecated, c.Left.At, "evt.dir is deprecated: it is always <, leave it out"))
		return
	case name != "evt.type" && name != "syscall.type":
		return
	}
	if c.Op != OpEq && c.Op != OpNe && c.Op != OpIn && c.Op != OpIntersects {
		return
	}
	names := event.TypeNames()
	for _, v := range c.Values {
		if !slices.Contains(names, v.Text) {
			r.unknownType(v.Text, v.At)
		}
	}
}

func (r *resolver) unknownType(name string, at Span) {
	hint := "see the list of events"
	if s := event.Nearest(name, event.TypeNames()); s != "" {
		hint = "did you mean " + s + "?"
	}
	r.errorf(CodeUnknownType, at, "unknown event type %q: %s", name, hint)
}

// parseNumber reads a whole number: decimal, hexadecimal, or in the notation
// of floats. A fraction is rounded so that an ordering stays right.
func parseNumber(s string, op Op) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	low := strings.ToLower(s)
	if strings.HasPrefix(low, "0x") {
		n, err := strconv.ParseUint(low[2:], 16, 63)
		if err != nil {
			return 0, fmt.Errorf("is no hexadecimal number below 2^63")
		}
		return int64(n), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.ContainsAny(low, "xpin_") {
		return 0, fmt.Errorf("is not a number")
	}
	if f >= 1<<63 || f < -(1<<63) {
		return 0, fmt.Errorf("is too large a number")
	}
	n := int64(f)
	switch {
	case float64(n) == f:
		return n, nil
	case !op.Ordering():
		return 0, fmt.Errorf("is not a whole number")
	}
	if f < 0 {
		n-- // now the floor
	}
	if op == OpLt || op == OpGe {
		n++ // x < 1.5 is x < 2, and x >= 1.5 is x >= 2
	}
	return n, nil
}

// PosixRegexp reports whether a regular expression keeps to POSIX syntax.
func PosixRegexp(s string) bool {
	_, err := regexp.CompilePOSIX(s)
	return err == nil
}
