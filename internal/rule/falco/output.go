package falco

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// parseOutput reads a rule's message: text with %field, %field[arg] and
// %function(field) in it; %% is a percent sign. A star at its beginning, by
// which Falco allows absent fields, has no effect: absent fields print as
// <NA>.
func parseOutput(text *ast.Text, report func(ast.Diag)) *ast.Output {
	p := &parser{text: text, s: text.Value}
	p.blanks()
	p.char('*')
	out := &ast.Output{}
	var lit strings.Builder
	for p.pos < len(p.s) {
		i := strings.IndexByte(p.s[p.pos:], '%')
		if i < 0 {
			break
		}
		lit.WriteString(p.s[p.pos : p.pos+i])
		p.pos += i
		from := p.pos
		p.pos++
		if p.char('%') {
			lit.WriteByte('%')
			continue
		}
		o := p.outputOperand(report)
		if o == nil {
			p.pos = from + 1
			lit.WriteByte('%')
			continue
		}
		if lit.Len() > 0 {
			out.Parts = append(out.Parts, ast.OutputPart{Text: lit.String()})
			lit.Reset()
		}
		out.Parts = append(out.Parts, ast.OutputPart{Operand: o})
	}
	lit.WriteString(strings.TrimRight(p.s[p.pos:], blankChars))
	if lit.Len() > 0 {
		out.Parts = append(out.Parts, ast.OutputPart{Text: lit.String()})
	}
	return out
}

// outputOperand reads what stands behind a percent sign; nil, with a report,
// where that is no field.
func (p *parser) outputOperand(report func(ast.Diag)) *ast.Operand {
	from := p.pos
	warn := func(d ast.Diag) {
		d.Severity, d.Code = ast.Warning, ast.CodeOutput
		report(d)
	}
	if name := p.fieldName(); name != "" {
		p.pos = from + len(longestField(name))
		o := &ast.Operand{Name: p.s[from:p.pos]}
		if p.pos < len(p.s) && p.s[p.pos] == '[' {
			arg, err := p.brackets()
			if err != nil {
				warn(err.diag)
			}
			o.Arg = arg
		}
		o.At = p.span(from, p.pos)
		return o
	}
	o, err := p.operand(false)
	switch {
	case err != nil:
		warn(err.diag)
		return nil
	case o == nil:
		warn(ast.NewDiag(ast.Warning, ast.CodeOutput, p.span(max(0, from-1), from), "a percent sign without a field: write %%%% for the sign itself"))
	}
	return o
}

// longestField cuts names from the end until the rest is a known field, since
// text may follow a field behind a dot. An unknown name stays whole.
func longestField(name string) string {
	for s := name; ; {
		for _, arg := range []string{"", "0"} {
			if _, err := event.Lookup(s, arg); err == nil {
				return s
			}
		}
		i := strings.LastIndexByte(s, '.')
		if i < 0 {
			return name
		}
		s = s[:i]
	}
}
