package ast

import (
	"strings"
)

// Format writes an expression in the rule language, indented over lines. With
// expand, macros are replaced by what they stand for.
func Format(e Expr, expand bool) string {
	p := printer{expand: expand, left: maxPrinted}
	p.expr(e, 0, 0)
	return p.b.String()
}

// maxPrinted bounds the text of an expanded expression, which can be very
// much larger than its parts.
const maxPrinted = 1 << 20

type printer struct {
	b      strings.Builder
	expand bool
	left   int
}

// The binding strength of what surrounds an expression.
const (
	looseOr = iota
	inAnd
	inNot
)

func (p *printer) expr(e Expr, strength, indent int) {
	if p.b.Len() > p.left {
		p.b.WriteString("...")
		return
	}
	switch e := e.(type) {
	case *And:
		p.list(e.List, "and", strength > inAnd, inAnd, indent)
	case *Or:
		p.list(e.List, "or", strength > looseOr, looseOr, indent)
	case *Not:
		if twice, ok := p.plain(e.X).(*Not); ok { // as it is read again
			p.expr(twice.X, strength, indent)
			return
		}
		p.b.WriteString("not ")
		p.expr(e.X, inNot, indent)
	case *Macro:
		if !p.expand {
			p.b.WriteString(e.Def.Name)
			return
		}
		p.expr(e.Def.Body, strength, indent)
	case *Check:
		p.b.WriteString(e.String())
	}
}

// plain is an expression without the macros around it, where these are not
// written as such.
func (p *printer) plain(e Expr) Expr {
	for {
		m, ok := e.(*Macro)
		if !ok || !p.expand {
			return e
		}
		e = m.Def.Body
	}
}

func (p *printer) list(list []Expr, word string, parens bool, strength, indent int) {
	if parens {
		p.b.WriteByte('(')
		indent++
	}
	for i, x := range list {
		if i > 0 {
			p.b.WriteString("\n" + strings.Repeat("  ", indent) + word + " ")
		}
		inner := strength
		if _, same := x.(*And); same && word == "and" {
			inner = inNot
		}
		p.expr(x, inner, indent)
	}
	if parens {
		p.b.WriteByte(')')
	}
}

// String returns the check in the rule language. Equal text means an equal
// check.
func (c *Check) String() string {
	var b strings.Builder
	b.WriteString(c.Left.String())
	b.WriteByte(' ')
	b.WriteString(c.Op.String())
	if c.Quant != NoQuant {
		b.WriteString(" " + c.Quant.String())
	}
	switch {
	case c.Op == OpExists:
	case c.Right != nil:
		b.WriteString(" " + c.Right.String())
	case c.Op.TakesList() || c.Quant != NoQuant:
		b.WriteString(" (")
		for i, v := range c.Values {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(Quote(v.Text))
		}
		b.WriteByte(')')
	case len(c.Values) > 0:
		b.WriteString(" " + Quote(c.Values[0].Text))
	}
	return b.String()
}

// String returns the operand in the rule language.
func (o *Operand) String() string {
	switch {
	case o.Text != nil:
		return quoted(o.Text.Text)
	case o.Func == NoFunc && o.Arg == "":
		return o.Name
	case o.Func == NoFunc:
		return o.Name + "[" + bracketed(o.Arg) + "]"
	}
	args := make([]string, len(o.Args))
	for i, a := range o.Args {
		args[i] = a.String()
	}
	s := o.Func.String() + "(" + strings.Join(args, ", ") + ")"
	if o.Arg != "" {
		s += "[" + bracketed(o.Arg) + "]"
	}
	return s
}

// Quote returns text as a value of the rule language: bare where that is
// possible, else in quotes.
func Quote(s string) string {
	if s != "" && !strings.ContainsAny(s, "()\"'=,\\ \t\r\n\b\f\v") {
		return s
	}
	return quoted(s)
}

// bracketed returns an argument as it may stand in brackets.
func bracketed(s string) string {
	if strings.ContainsAny(s, "[]\"'\\ \t\r\n\b\f\v") {
		return quoted(s)
	}
	return s
}

func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
