package table

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/falco"
)

// Condition is a condition in the rule language whose fields are columns. The nil one
// is true.
type Condition struct {
	expr   ast.Expr
	checks []*ast.Check
}

// ParseCondition reads a condition; the empty text gives nil. Which columns there are is
// found out later. The error shows the place of a mistake.
func ParseCondition(option, text string) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if strings.ContainsAny(text, "\n\r") {
		return nil, fmt.Errorf("a condition stands on one line")
	}
	expr, diags := falco.ParseColumns(option, text)
	if len(diags) > 0 {
		return nil, mistakes(diags)
	}
	c := &Condition{expr: expr}
	ast.Walk(expr, func(k *ast.Check) { c.checks = append(c.checks, k) })
	return c, nil
}

// mistakes makes an error of diagnostics, with the places that they are about.
func mistakes(diags []ast.Diag) error {
	var lines []string
	for _, d := range diags {
		lines = append(lines, d.String())
		if x := d.Excerpt(); x != "" {
			lines = append(lines, "    "+strings.ReplaceAll(x, "\n", "\n    "))
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Names tells whether the condition names fields of rules, such as proc.name, and
// whether it names columns, which have no dots.
func (c *Condition) Names() (fields, columns bool) {
	for _, k := range c.all() {
		k.Operands(func(o *ast.Operand) {
			if o.Func == ast.NoFunc && o.Text == nil {
				dotted := strings.Contains(o.Name, ".")
				fields, columns = fields || dotted, columns || !dotted
			}
		})
	}
	return fields, columns
}

func (c *Condition) all() []*ast.Check {
	if c == nil {
		return nil
	}
	return c.checks
}

func (c *Condition) uses(key string) bool {
	return slices.ContainsFunc(c.all(), func(k *ast.Check) bool { return strings.EqualFold(k.Left.Name, key) })
}

// check finds mistakes in a condition on tables with these columns.
func (c *Condition) check(keys []string) error {
	var diags []ast.Diag
	wrong := func(at ast.Span, code ast.Code, format string, args ...any) {
		diags = append(diags, ast.NewDiag(ast.Error, code, at, format, args...))
	}
	for _, k := range c.all() {
		switch {
		case k.Left.Func != ast.NoFunc || k.Right != nil:
			wrong(k.At, ast.CodeUnsupported, "functions are for the fields of rules, columns are compared as they are")
		case !slices.Contains(keys, strings.ToLower(k.Left.Name)):
			wrong(k.Left.At, ast.CodeUnknownField, "there is no column %s: %s", k.Left.Name, possible(k.Left.Name, keys))
		}
		if _, err := compile(k); err != nil {
			wrong(k.OpAt, ast.CodeValue, "%v", err)
		}
	}
	if len(diags) > 0 {
		return mistakes(diags)
	}
	return nil
}

// on binds a checked condition to a table; nil where the table lacks a column of it.
func (c *Condition) on(columns []string) func(row []string) bool {
	if c == nil {
		return func([]string) bool { return true }
	}
	fits := map[*ast.Check]func(row []string) bool{}
	for _, k := range c.checks {
		at := slices.IndexFunc(columns, func(n string) bool { return strings.EqualFold(Key(n), k.Left.Name) })
		test, err := compile(k)
		if at < 0 || err != nil {
			return nil
		}
		fits[k] = func(row []string) bool {
			return at < len(row) && row[at] != None && row[at] != "" && test(row[at])
		}
	}
	return func(row []string) bool { return holds(c.expr, row, fits) }
}

// holds evaluates an expression.
func holds(e ast.Expr, row []string, fits map[*ast.Check]func(row []string) bool) bool {
	switch e := e.(type) {
	case *ast.And:
		return !slices.ContainsFunc(e.List, func(x ast.Expr) bool { return !holds(x, row, fits) })
	case *ast.Or:
		return slices.ContainsFunc(e.List, func(x ast.Expr) bool { return holds(x, row, fits) })
	case *ast.Not:
		return !holds(e.X, row, fits)
	case *ast.Check:
		return fits[e](row)
	}
	return false
}

// compile makes a test of a cell that has a value. A cell with several parts fits where
// one of them does, and differs where all of them do.
func compile(k *ast.Check) (func(cell string) bool, error) {
	var tests []func(string) bool
	for _, l := range k.Values {
		t, err := compare(k.Op, l.Text)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(cell string) bool {
		if k.Op == ast.OpExists {
			return true
		}
		fitting := 0
		for _, test := range tests {
			fits := slices.ContainsFunc(strings.Split(cell, separator), test)
			if fits != (k.Op == ast.OpNe) {
				fitting++
			}
		}
		switch k.Quant {
		case ast.AllOf:
			return fitting == len(tests)
		case ast.OneOf:
			return fitting == 1
		}
		return fitting > 0
	}, nil
}

// compare makes the test of one part against one value. That of != is that of =.
func compare(op ast.Op, with string) (func(part string) bool, error) {
	switch op {
	case ast.OpEq, ast.OpNe, ast.OpIn:
		n, u, ok := quantity(with)
		return func(s string) bool {
			if s == with {
				return true
			}
			m, v, isNumber := quantity(s)
			return ok && isNumber && m == n && comparable(u, v)
		}, nil
	case ast.OpLt, ast.OpLe, ast.OpGt, ast.OpGe:
		n, u, ok := quantity(with)
		if !ok {
			return nil, fmt.Errorf("%s compares numbers, which %q is not: 10, 4MiB and 1.5ms are", op, with)
		}
		return func(s string) bool {
			m, v, ok := quantity(s)
			return ok && comparable(u, v) && ordered(op, m, n)
		}, nil
	case ast.OpContains:
		return func(s string) bool { return strings.Contains(s, with) }, nil
	case ast.OpIContains:
		return func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(with)) }, nil
	case ast.OpStartsWith:
		return func(s string) bool { return strings.HasPrefix(s, with) }, nil
	case ast.OpEndsWith:
		return func(s string) bool { return strings.HasSuffix(s, with) }, nil
	case ast.OpGlob, ast.OpIGlob:
		g, err := ast.CompileGlob(with, op == ast.OpIGlob)
		if err != nil {
			return nil, fmt.Errorf("the pattern %q is not understood: %w", with, err)
		}
		return g.Match, nil
	case ast.OpRegex:
		re, err := regexp.Compile(`\A(?:` + with + `)\z`)
		if err != nil {
			return nil, fmt.Errorf("the regular expression %q is not understood: %w", with, err)
		}
		return re.MatchString, nil
	}
	return nil, fmt.Errorf("%s is for the fields of rules: columns have = != < <= > >= contains icontains startswith endswith glob iglob regex in exists", op)
}

// comparable tells whether units can be compared: a plain number stands for bytes or
// seconds as well.
func comparable(a, b unit) bool { return a == b || a == plain || b == plain }

func ordered(op ast.Op, a, b float64) bool {
	switch op {
	case ast.OpLt:
		return a < b
	case ast.OpLe:
		return a <= b
	case ast.OpGt:
		return a > b
	}
	return a >= b
}
