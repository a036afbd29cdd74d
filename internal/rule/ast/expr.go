package ast

import "github.com/bearcat-hids/bearcat/internal/event"

// Expr is a boolean expression over one event: *And, *Or, *Not, *Check or
// *Macro.
type Expr interface {
	// Span is where the expression stands.
	Span() Span
}

// And is true where all of List are, Or where one of List is. Lists are never
// empty.
type (
	And struct {
		List []Expr
		At   Span
	}
	Or struct {
		List []Expr
		At   Span
	}
	// Not is true where X is not.
	Not struct {
		X  Expr
		At Span
	}
	// Macro is a named expression, used in one or many places. All uses of
	// a macro share one Def, so that it is checked and compiled once.
	Macro struct {
		Def *MacroDef
		At  Span
	}
	// Check compares a field with values. It is false where the field has
	// no value, whatever the operator.
	Check struct {
		Left  *Operand
		Op    Op
		Quant Quant
		// Values are the literals to compare with; one of them for the
		// operators that take one. Nil where Right is set.
		Values []*Literal
		// Right is a field or function to compare with.
		Right *Operand
		At    Span
		// OpAt is where the operator stands.
		OpAt Span
	}
)

// MacroDef is a macro's definition.
type MacroDef struct {
	Name string
	Body Expr
	At   Span
	// Size counts the nodes of the expanded body, Depth how deep macros nest.
	Size, Depth int
}

// Operand is a field, a function of operands, or text.
type Operand struct {
	// Name and Arg name a field: "proc.aname" and "2". Or Name is that of
	// a function, Func is set, and Arg is what follows it in brackets.
	Name, Arg string
	Func      Func
	Args      []*Operand
	// Text is set for literal text (only as an argument).
	Text *Literal
	At   Span

	// Ref is the bound field; set by Resolve. Nil for functions and text.
	Ref *event.Ref
	// Type and List describe the value; set by Resolve.
	Type event.FieldType
	List bool
}

// Literal is a value in a rule, with its number where the check needs one.
type Literal struct {
	Text string
	// Num is set by Resolve for numeric, boolean and port checks.
	Num int64
	At  Span
}

// Span returns where the expression stands.
func (e *And) Span() Span { return e.At }

// Span returns where the expression stands.
func (e *Or) Span() Span { return e.At }

// Span returns where the expression stands.
func (e *Not) Span() Span { return e.At }

// Span returns where the expression stands.
func (e *Macro) Span() Span { return e.At }

// Span returns where the expression stands.
func (e *Check) Span() Span { return e.At }

// Op is a comparison operator.
type Op uint8

// The operators.
const (
	OpExists Op = iota
	OpEq
	OpNe
	OpLt
	OpLe
	OpGt
	OpGe
	OpContains
	OpIContains
	OpBContains
	OpStartsWith
	OpBStartsWith
	OpEndsWith
	OpGlob
	OpIGlob
	OpRegex
	OpIn
	OpIntersects
	OpPmatch
	numOps
)

var opNames = [numOps]string{
	"exists", "=", "!=", "<", "<=", ">", ">=", "contains", "icontains", "bcontains", "startswith", "bstartswith",
	"endswith", "glob", "iglob", "regex", "in", "intersects", "pmatch",
}

// String returns the operator as rules write it.
func (o Op) String() string {
	if o < numOps {
		return opNames[o]
	}
	return "?"
}

// ParseOp finds an operator by its name; == is the same as =.
func ParseOp(name string) (Op, bool) {
	if name == "==" {
		return OpEq, true
	}
	for i, n := range opNames {
		if n == name {
			return Op(i), true
		}
	}
	return 0, false
}

// OpNames lists the operators.
func OpNames() []string { return append([]string(nil), opNames[:]...) }

// TakesList reports whether a list of values stands on the right.
func (o Op) TakesList() bool { return o == OpIn || o == OpIntersects || o == OpPmatch }

// Ordering reports whether the operator is one of < <= > >=.
func (o Op) Ordering() bool { return o >= OpLt && o <= OpGe }

// Quant says how many values of a list must satisfy a check.
type Quant uint8

// The quantifiers: AnyOf at least one, AllOf every one, OneOf exactly one.
const (
	NoQuant Quant = iota
	OneOf
	AnyOf
	AllOf
)

var quantNames = [...]string{"", "oneof", "anyof", "allof"}

// String returns the quantifier as rules write it.
func (q Quant) String() string { return quantNames[min(q, AllOf)] }

// ParseQuant finds a quantifier by its name.
func ParseQuant(name string) (Quant, bool) {
	for i, n := range quantNames {
		if n == name && i > 0 {
			return Quant(i), true
		}
	}
	return NoQuant, false
}

// Func is a function of values, which Falco calls a transformer.
type Func uint8

// The functions; FuncVal is the value of a field unchanged.
const (
	NoFunc Func = iota
	FuncToLower
	FuncToUpper
	FuncB64
	FuncBasename
	FuncLen
	FuncJoin
	FuncConcat
	FuncGetopt
	FuncVal
	numFuncs
)

var funcNames = [numFuncs]string{"", "tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt", "val"}

// String returns the function's name.
func (f Func) String() string {
	if f < numFuncs {
		return funcNames[f]
	}
	return "?"
}

// ParseFunc finds a function by its name.
func ParseFunc(name string) (Func, bool) {
	for i, n := range funcNames {
		if n == name && i > 0 {
			return Func(i), true
		}
	}
	return NoFunc, false
}

// FuncNames lists the functions.
func FuncNames() []string { return append([]string(nil), funcNames[1:]...) }

// Walk calls f for every check of an expression, into macros too, each macro
// once.
func Walk(e Expr, f func(*Check)) { walk(e, f, map[*MacroDef]bool{}) }

func walk(e Expr, f func(*Check), seen map[*MacroDef]bool) {
	switch e := e.(type) {
	case *And:
		for _, x := range e.List {
			walk(x, f, seen)
		}
	case *Or:
		for _, x := range e.List {
			walk(x, f, seen)
		}
	case *Not:
		walk(e.X, f, seen)
	case *Macro:
		if !seen[e.Def] {
			seen[e.Def] = true
			walk(e.Def.Body, f, seen)
		}
	case *Check:
		f(e)
	}
}

// Operands calls f for the operands of a check, arguments included.
func (c *Check) Operands(f func(*Operand)) {
	c.Left.each(f)
	c.Right.each(f)
}

func (o *Operand) each(f func(*Operand)) {
	if o == nil {
		return
	}
	f(o)
	for _, a := range o.Args {
		a.each(f)
	}
}

// Size counts the nodes of an expression with its macros expanded.
func Size(e Expr) int {
	n := 1
	switch e := e.(type) {
	case *And:
		for _, x := range e.List {
			n += Size(x)
		}
	case *Or:
		for _, x := range e.List {
			n += Size(x)
		}
	case *Not:
		n += Size(e.X)
	case *Macro:
		n += e.Def.Size
	}
	return min(n, 1<<40)
}
