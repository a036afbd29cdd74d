package falco

import (
	"fmt"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// maxDepth bounds how deep expressions nest.
const maxDepth = 100

// maxCondition bounds the text of one condition.
const maxCondition = 1 << 20

// scope gives a condition the macros and lists that it can see.
type scope interface {
	// macro returns the definition, or why it cannot be used.
	macro(name string) (*ast.MacroDef, error)
	// list returns the items with lists in it already expanded, or why it
	// cannot be used; false where there is no such list.
	list(name string) ([]*ast.Literal, error, bool)
	listNames() []string
	macroNames() []string
}

// syntaxError is a mistake that ends the parse of a condition.
type syntaxError struct{ diag ast.Diag }

// parser reads one condition.
type parser struct {
	text  *ast.Text
	s     string
	pos   int
	depth int
	scope scope
	// columns: a word without dots is a field too, and never a macro.
	columns bool
	// diags are mistakes after which the parse can go on.
	diags []ast.Diag
}

// parseCondition reads a condition. Fields are not bound yet: ast.Resolve
// does that. The diagnostics hold every mistake found; the expression is nil
// where the syntax is wrong.
func parseCondition(text *ast.Text, sc scope) (ast.Expr, []ast.Diag) {
	return parse(&parser{text: text, s: text.Value, scope: sc})
}

func parse(p *parser) (ast.Expr, []ast.Diag) {
	if len(p.s) > maxCondition {
		return nil, []ast.Diag{ast.NewDiag(ast.Error, ast.CodeLimit, p.span(0, 1),
			"the condition is longer than %d bytes: split it into macros", maxCondition)}
	}
	e, err := p.parse()
	if err != nil {
		return nil, append(p.diags, err.diag)
	}
	return e, p.diags
}

func (p *parser) parse() (ast.Expr, *syntaxError) {
	p.blanks()
	if p.pos == len(p.s) {
		return nil, p.fail(0, 1, "the condition is empty")
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.pos < len(p.s) {
		return nil, p.unexpected(`"and" or "or"`)
	}
	return e, nil
}

func (p *parser) span(from, to int) ast.Span { return ast.Span{Text: p.text, From: from, To: to} }

func (p *parser) fail(from, to int, format string, args ...any) *syntaxError {
	return &syntaxError{ast.NewDiag(ast.Error, ast.CodeSyntax, p.span(from, max(to, from+1)), format, args...)}
}

// unexpected complains about the word at the position.
func (p *parser) unexpected(want string) *syntaxError {
	from := p.pos
	if from >= len(p.s) {
		return p.fail(max(0, len(strings.TrimRight(p.s, blankChars))-1), 0, "the condition ends where %s was expected", want)
	}
	to := from
	for to < len(p.s) && isBare(p.s[to]) {
		to++
	}
	if to == from {
		to++
	}
	return p.fail(from, to, "found %q where %s was expected", p.s[from:to], want)
}

const blankChars = " \t\b\r\n\v\f"

func (p *parser) blanks() bool {
	from := p.pos
	for p.pos < len(p.s) && strings.IndexByte(blankChars, p.s[p.pos]) >= 0 {
		p.pos++
	}
	return p.pos > from
}

// word consumes w where a blank, a parenthesis or the end follows it.
func (p *parser) word(w string) bool {
	if !strings.HasPrefix(p.s[p.pos:], w) {
		return false
	}
	end := p.pos + len(w)
	if end < len(p.s) && p.s[end] != '(' && strings.IndexByte(blankChars, p.s[end]) < 0 {
		return false
	}
	p.pos = end
	return true
}

func (p *parser) char(c byte) bool {
	if p.pos < len(p.s) && p.s[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *parser) or() (ast.Expr, *syntaxError) {
	from := p.pos
	var list []ast.Expr
	for {
		e, err := p.and()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if p.blanks(); !p.word("or") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return &ast.Or{List: list, At: p.trimmed(from)}, nil
}

func (p *parser) and() (ast.Expr, *syntaxError) {
	p.blanks()
	from := p.pos
	var list []ast.Expr
	for {
		e, err := p.not()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if p.blanks(); !p.word("and") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return &ast.And{List: list, At: p.trimmed(from)}, nil
}

// trimmed is the span from an offset to the position, without blanks behind.
func (p *parser) trimmed(from int) ast.Span {
	return p.span(from, from+len(strings.TrimRight(p.s[from:p.pos], blankChars)))
}

func (p *parser) not() (ast.Expr, *syntaxError) {
	p.blanks()
	from, negate := p.pos, false
	for p.word("not") {
		negate = !negate
		p.blanks()
	}
	e, err := p.check()
	if err != nil {
		return nil, err
	}
	if negate {
		e = &ast.Not{X: e, At: p.trimmed(from)}
	}
	return e, nil
}

func (p *parser) check() (ast.Expr, *syntaxError) {
	from := p.pos
	if p.char('(') {
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail(from, from+1, "the condition nests deeper than %d levels: split it into macros", maxDepth)
		}
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		p.depth--
		p.blanks()
		if !p.char(')') {
			if p.pos >= len(p.s) {
				return nil, p.fail(from, from+1, "this parenthesis is not closed")
			}
			return nil, p.unexpected(`"and", "or" or ")"`)
		}
		return e, nil
	}
	left, err := p.operand(false)
	if err != nil {
		return nil, err
	}
	if left != nil {
		return p.comparison(left, from)
	}
	name := p.identifier()
	if name == "" {
		return nil, p.unexpected(`a field, a macro, "not" or "("`)
	}
	return p.macroUse(name, from)
}

func (p *parser) macroUse(name string, from int) (ast.Expr, *syntaxError) {
	at := p.span(from, p.pos)
	def, err := p.scope.macro(name)
	if err != nil {
		p.diags = append(p.diags, ast.NewDiag(ast.Error, ast.CodeMacro, at, "%v", err))
	}
	if def == nil {
		def = &ast.MacroDef{Name: name, Body: &ast.Or{At: at}, At: at, Size: 1}
	}
	return &ast.Macro{Def: def, At: at}, nil
}

// identifier reads letters, digits and underscores.
func (p *parser) identifier() string {
	from := p.pos
	for p.pos < len(p.s) && isIdent(p.s[p.pos], p.pos == from) {
		p.pos++
	}
	return p.s[from:p.pos]
}

func isIdent(c byte, first bool) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	return letter || !first && (c >= '0' && c <= '9' || c == '_')
}

// fieldName reads identifiers joined by dots, at least two.
func (p *parser) fieldName() string {
	from := p.pos
	end, dots := from, 0
	for {
		if p.identifier() == "" {
			break
		}
		end = p.pos
		if dots++; !p.char('.') {
			break
		}
	}
	if dots < 2 {
		p.pos = from
		return ""
	}
	p.pos = end
	return p.s[from:end]
}

// operand reads a field or a function; nil where neither stands here. As an
// argument, quoted text will do as well.
func (p *parser) operand(argument bool) (*ast.Operand, *syntaxError) {
	from := p.pos
	if name := p.fieldName(); name != "" {
		o := &ast.Operand{Name: name}
		arg, err := p.brackets()
		o.Arg, o.At = arg, p.span(from, p.pos)
		return o, err
	}
	if name := p.identifier(); name != "" {
		f, ok := ast.ParseFunc(name)
		if ok && p.char('(') {
			return p.function(name, f, from)
		}
		if p.pos < len(p.s) && p.s[p.pos] == '(' && name != "not" && name != "and" && name != "or" {
			return nil, p.fail(from, p.pos, "unknown function %s: %s", name, hint(name, ast.FuncNames(), "see the list of functions"))
		}
		if p.columns && name != "not" && name != "and" && name != "or" {
			return &ast.Operand{Name: name, At: p.span(from, p.pos)}, nil
		}
		p.pos = from
	}
	if argument && p.pos < len(p.s) && (p.s[p.pos] == '"' || p.s[p.pos] == '\'') {
		lit, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return &ast.Operand{Text: lit, At: lit.At}, nil
	}
	return nil, nil
}

func (p *parser) function(name string, f ast.Func, from int) (*ast.Operand, *syntaxError) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(from, from+1, "the condition nests deeper than %d levels", maxDepth)
	}
	o := &ast.Operand{Name: name, Func: f}
	for {
		p.blanks()
		arg, err := p.operand(true)
		if err != nil {
			return nil, err
		}
		if arg == nil {
			return nil, p.unexpected("a field, a function or quoted text as argument of " + name)
		}
		o.Args = append(o.Args, arg)
		if p.blanks(); !p.char(',') {
			break
		}
	}
	if !p.char(')') {
		return nil, p.unexpected(`"," or ")" behind the argument of ` + name)
	}
	p.depth--
	arg, err := p.brackets()
	o.Arg, o.At = arg, p.span(from, p.pos)
	return o, err
}

// brackets reads an argument in square brackets, if there is one.
func (p *parser) brackets() (string, *syntaxError) {
	open := p.pos
	if !p.char('[') {
		return "", nil
	}
	var arg string
	if p.pos < len(p.s) && (p.s[p.pos] == '"' || p.s[p.pos] == '\'') {
		lit, err := p.quoted()
		if err != nil {
			return "", err
		}
		arg = lit.Text
	} else {
		from := p.pos
		for p.pos < len(p.s) && strings.IndexByte("[]\"'"+blankChars, p.s[p.pos]) < 0 {
			p.pos++
		}
		arg = p.s[from:p.pos]
	}
	switch {
	case !p.char(']'):
		return "", p.fail(open, p.pos, "this bracket is not closed: put a ] behind the argument")
	case arg == "":
		return "", p.fail(open, p.pos, "the argument in brackets is empty")
	}
	return arg, nil
}

// operator reads a comparison operator.
func (p *parser) operator() (ast.Op, bool) {
	for _, sym := range []string{"==", "=", "!=", "<=", "<", ">=", ">"} {
		if strings.HasPrefix(p.s[p.pos:], sym) {
			p.pos += len(sym)
			return ast.ParseOp(sym)
		}
	}
	from := p.pos
	op, ok := ast.ParseOp(p.identifier())
	if ok && p.pos < len(p.s) && isBare(p.s[p.pos]) {
		ok = false
	}
	if !ok {
		p.pos = from
	}
	return op, ok
}

func (p *parser) comparison(left *ast.Operand, from int) (ast.Expr, *syntaxError) {
	p.blanks()
	opFrom := p.pos
	op, ok := p.operator()
	if !ok {
		return nil, p.noOperator(left)
	}
	c := &ast.Check{Left: left, Op: op, OpAt: p.span(opFrom, p.pos)}
	var err *syntaxError
	if op != ast.OpExists {
		p.blanks()
		err = p.rightSide(c)
	}
	c.At = p.trimmed(from)
	return c, err
}

func (p *parser) noOperator(left *ast.Operand) *syntaxError {
	from := p.pos
	name := p.identifier()
	if name == "" {
		return p.unexpected("an operator behind " + left.String())
	}
	if name == "and" || name == "or" {
		return p.fail(from, p.pos, "an operator is missing behind %s: write %s exists, or compare it", left, left)
	}
	return p.fail(from, p.pos, "unknown operator %s: %s", name, hint(name, ast.OpNames(), "use one of "+strings.Join(ast.OpNames(), " ")))
}

func hint(name string, candidates []string, otherwise string) string {
	if s := event.Nearest(name, candidates); s != "" {
		return fmt.Sprintf("did you mean %s?", s)
	}
	return otherwise
}
