package falco

import (
	"fmt"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// isBare reports whether c can stand in an unquoted value.
func isBare(c byte) bool {
	return strings.IndexByte("()\"'=,"+blankChars, c) < 0
}

// rightSide reads what a check compares with.
func (p *parser) rightSide(c *ast.Check) *syntaxError {
	if !c.Op.TakesList() && !c.Op.Ordering() {
		from := p.pos
		if q, ok := ast.ParseQuant(p.identifier()); ok && (p.blanks() || p.pos < len(p.s) && p.s[p.pos] == '(') {
			c.Quant = q
			return p.values(c)
		}
		p.pos = from
	}
	if p.pos < len(p.s) && p.s[p.pos] == '(' && c.Op.TakesList() {
		return p.values(c)
	}
	right, err := p.rightOperand()
	if err != nil || right != nil {
		c.Right = right
		return err
	}
	if c.Op.TakesList() {
		return p.values(c)
	}
	lit, err := p.value()
	if err != nil {
		return err
	}
	if c.Op.Ordering() && lit.Text == "" {
		return p.unexpected("a number")
	}
	return p.single(c, lit)
}

// rightOperand reads a function on the right; a bare field name there is
// text, as in Falco.
func (p *parser) rightOperand() (*ast.Operand, *syntaxError) {
	from := p.pos
	f, ok := ast.ParseFunc(p.identifier())
	if ok && p.pos < len(p.s) && p.s[p.pos] == '(' {
		p.pos++
		return p.function(f.String(), f, from)
	}
	p.pos = from
	return nil, nil
}

// single takes one literal. The name of a list stands for its text here too,
// which fits only where the list has one item.
func (p *parser) single(c *ast.Check, lit *ast.Literal) *syntaxError {
	c.Values = []*ast.Literal{lit}
	if p.s[lit.At.From] == '"' || p.s[lit.At.From] == '\'' {
		return nil
	}
	lits, ok, failed := p.listOf(lit.Text, lit.At)
	if !ok || failed {
		return nil
	}
	if len(lits) != 1 {
		p.diags = append(p.diags, ast.NewDiag(ast.Error, ast.CodeList, lit.At,
			"list %s has %d items, and %s takes one value: use in, or %s anyof (%s)", lit.Text, len(lits), c.Op, c.Op, lit.Text))
		return nil
	}
	c.Values = lits
	return nil
}

// values reads a list in parentheses, or the name of one.
func (p *parser) values(c *ast.Check) *syntaxError {
	from := p.pos
	c.Values = []*ast.Literal{}
	if !p.char('(') {
		name := p.bare()
		if name == "" {
			return p.unexpected(`"(" and values behind ` + c.Op.String())
		}
		lits, ok, _ := p.listOf(name, p.span(from, p.pos))
		if !ok {
			p.diags = append(p.diags, ast.NewDiag(ast.Error, ast.CodeList, p.span(from, p.pos),
				"unknown list %s: %s", name, hint(name, p.scope.listNames(), "define it, or put values in parentheses")))
		}
		c.Values = lits
		return nil
	}
	p.blanks()
	for !p.char(')') {
		lit, err := p.value()
		if err != nil {
			return err
		}
		p.addValue(c, lit)
		p.blanks()
		if p.char(',') {
			p.blanks()
			if p.pos < len(p.s) && p.s[p.pos] == ')' {
				return p.unexpected("a value")
			}
			continue
		}
		if p.pos >= len(p.s) {
			return p.fail(from, from+1, "this parenthesis is not closed")
		}
		if p.s[p.pos] != ')' {
			return p.unexpected(`"," or ")" behind a value`)
		}
	}
	return nil
}

// listOf returns the items of the list that a bare word names. ok is false
// where there is no such list, failed true where it was reported.
func (p *parser) listOf(name string, at ast.Span) (lits []*ast.Literal, ok, failed bool) {
	lits, err, ok := p.scope.list(name)
	if err != nil {
		p.diags = append(p.diags, ast.NewDiag(ast.Error, ast.CodeList, at, "%v", err))
	}
	return lits[:len(lits):len(lits)], ok, err != nil
}

// addValue adds a literal of a list, or the items of the list that it names.
func (p *parser) addValue(c *ast.Check, lit *ast.Literal) {
	if q := p.s[lit.At.From]; q != '"' && q != '\'' {
		if lits, ok, _ := p.listOf(lit.Text, lit.At); ok {
			if len(c.Values) == 0 {
				c.Values = lits // shared with other uses of the list
			} else {
				c.Values = append(c.Values, lits...)
			}
			return
		}
	}
	c.Values = append(c.Values, lit)
}

// listItem makes literals of one item of a list. Items are pasted as text: one
// may be quoted, and one with a comma in it is two. An item with a blank in it
// counts as quoted.
func listItem(item string, at ast.Span) ([]*ast.Literal, error) {
	if item == "" {
		return nil, nil
	}
	if strings.Contains(item, " ") && item[0] != '"' && item[0] != '\'' {
		item = `"` + item + `"`
	}
	texts, ok := pasted(item)
	if !ok {
		return nil, fmt.Errorf("the item %s is no value: put it in quotes, as in '\"...\"'", item)
	}
	out := make([]*ast.Literal, len(texts))
	for i, t := range texts {
		out[i] = &ast.Literal{Text: t, At: at}
	}
	return out, nil
}

// pasted reads the values that an item is once it stands in a condition.
func pasted(item string) ([]string, bool) {
	if !strings.ContainsAny(item, "()\"'=,"+blankChars) {
		return []string{item}, true
	}
	q := &parser{text: &ast.Text{Value: item}, s: item}
	var out []string
	for {
		q.blanks()
		lit, err := q.value()
		if err != nil {
			return nil, false
		}
		out = append(out, lit.Text)
		q.blanks()
		if q.pos == len(q.s) {
			return out, true
		}
		if !q.char(',') {
			return nil, false
		}
	}
}

func (p *parser) bare() string {
	from := p.pos
	for p.pos < len(p.s) && isBare(p.s[p.pos]) {
		p.pos++
	}
	return p.s[from:p.pos]
}

// value reads one literal, quoted or bare.
func (p *parser) value() (*ast.Literal, *syntaxError) {
	from := p.pos
	if from < len(p.s) && (p.s[from] == '"' || p.s[from] == '\'') {
		return p.quoted()
	}
	s := p.bare()
	if s == "" {
		return nil, p.unexpected("a value")
	}
	return &ast.Literal{Text: s, At: p.span(from, p.pos)}, nil
}

// quoted reads text in single or double quotes. A backslash keeps the quote
// from ending it and makes the usual control characters; before any other
// character it stands for itself, so that regular expressions stay readable.
func (p *parser) quoted() (*ast.Literal, *syntaxError) {
	from, quote := p.pos, p.s[p.pos]
	var b strings.Builder
	for i := from + 1; i < len(p.s); i++ {
		c := p.s[i]
		switch {
		case c == quote:
			p.pos = i + 1
			return &ast.Literal{Text: b.String(), At: p.span(from, p.pos)}, nil
		case c == '\\' && i+1 < len(p.s):
			i++
			if k := strings.IndexByte(`bfnrt`, p.s[i]); k >= 0 {
				b.WriteByte("\b\f\n\r\t"[k])
			} else if strings.IndexByte(`\'"`, p.s[i]) >= 0 {
				b.WriteByte(p.s[i])
			} else {
				b.WriteByte('\\')
				b.WriteByte(p.s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return nil, p.fail(from, from+1, "this quote is not closed")
}
