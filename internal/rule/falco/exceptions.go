package falco

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// exception takes events out of a rule: those whose fields compare with one
// of the rows of values.
type exception struct {
	name string
	node *yaml.Node
	src  *ast.Source
	// single is set where fields was one name, and rows are single values.
	single bool
	fields []*ast.Text
	comps  []string
	rows   []*yaml.Node

	fieldsNode, compsNode *yaml.Node
}

// exceptions reads the key of that name.
func (it *item) exceptions() []*exception {
	v := it.val["exceptions"]
	if v == nil || v.Tag == "!!null" {
		return nil
	}
	if v.Kind != yaml.SequenceNode {
		it.errorf(ast.CodeException, v, "exceptions must be a list of mappings, not %s", ruleyaml.KindName(v))
		return nil
	}
	var out []*exception
	for _, n := range v.Content {
		sub := it.l.newItem(it.src, ruleyaml.Resolve(n))
		if sub == nil {
			it.failed = true
			continue
		}
		sub.name = it.name
		if ex := sub.exception(); ex != nil {
			if slices.ContainsFunc(out, func(o *exception) bool { return o.name == ex.name }) {
				sub.errorf(ast.CodeException, sub.val["name"], "exception %q stands here twice: give another name", ex.name)
			}
			out = append(out, ex)
		}
		it.failed = it.failed || sub.failed
	}
	return out
}

// exception reads one exception.
func (it *item) exception() *exception {
	it.onlyKeys("name", "fields", "comps", "values")
	ex := &exception{name: it.text("name"), node: it.node, src: it.src, fieldsNode: it.val["fields"], compsNode: it.val["comps"]}
	if f := ex.fieldsNode; f != nil {
		ex.single = f.Kind == yaml.ScalarNode
		for _, n := range scalarsOf(f) {
			if n.Kind != yaml.ScalarNode || n.Value == "" {
				it.errorf(ast.CodeException, n, "fields must hold names of fields, not %s", ruleyaml.KindName(n))
				continue
			}
			ex.fields = append(ex.fields, ruleyaml.Scalar(it.src, n))
		}
	}
	if c := ex.compsNode; c != nil {
		for _, n := range scalarsOf(c) {
			if _, ok := ast.ParseOp(n.Value); !ok {
				it.errorf(ast.CodeException, n, "unknown operator %q: %s", n.Value, hint(n.Value, ast.OpNames(), "use one of "+strings.Join(ast.OpNames(), " ")))
				continue
			}
			ex.comps = append(ex.comps, n.Value)
		}
	}
	if v := it.val["values"]; v != nil && v.Tag != "!!null" {
		if v.Kind != yaml.SequenceNode {
			it.errorf(ast.CodeException, v, "values must be a list, not %s", ruleyaml.KindName(v))
			return nil
		}
		for _, n := range v.Content {
			ex.rows = append(ex.rows, ruleyaml.Resolve(n))
		}
		it.l.count(it, v, len(ex.rows))
	}
	if it.failed {
		return nil
	}
	return ex
}

func scalarsOf(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = ruleyaml.Resolve(c)
	}
	return out
}

// complete checks an exception that stands for itself, and fills in default
// operators: in for a single field, = for each of several.
func (ex *exception) complete(it *item) bool {
	if ex.fieldsNode == nil || len(ex.fields) == 0 {
		it.errorf(ast.CodeException, ex.node, "exception %q has no fields: name those that its values belong to", ex.name)
		return false
	}
	if ex.compsNode == nil {
		for range ex.fields {
			if ex.single {
				ex.comps = append(ex.comps, "in")
			} else {
				ex.comps = append(ex.comps, "=")
			}
		}
	}
	if len(ex.comps) != len(ex.fields) {
		it.errorf(ast.CodeException, ex.compsNode, "exception %q has %d fields and %d comps: give one operator for each field", ex.name, len(ex.fields), len(ex.comps))
		return false
	}
	return ex.checkRows(it)
}

func (ex *exception) checkRows(it *item) bool {
	for _, row := range ex.rows {
		switch {
		case ex.single && row.Kind != yaml.ScalarNode:
			it.errorf(ast.CodeException, row, "exception %q has a single field: its values are single values, not %s", ex.name, ruleyaml.KindName(row))
			return false
		case !ex.single && (row.Kind != yaml.SequenceNode || len(row.Content) != len(ex.fields)):
			it.errorf(ast.CodeException, row, "exception %q has %d fields: each of its values is a list of %d, in their order", ex.name, len(ex.fields), len(ex.fields))
			return false
		}
		for _, v := range row.Content {
			v = ruleyaml.Resolve(v)
			for _, s := range scalarsOf(v) {
				if s.Kind != yaml.ScalarNode {
					it.errorf(ast.CodeException, s, "exception %q has a value that is neither a single value nor a list of them", ex.name)
					return false
				}
			}
		}
		it.l.count(it, row, len(row.Content))
	}
	return true
}

// appendExceptions adds rows to exceptions of the same name, and others whole.
func (r *ruleDef) appendExceptions(it *item) {
	for _, ex := range it.exceptions() {
		i := slices.IndexFunc(r.exceptions, func(o *exception) bool { return o.name == ex.name })
		switch {
		case i < 0 && ex.complete(it):
			r.exceptions = append(r.exceptions, ex)
		case i < 0:
		case ex.fieldsNode != nil || ex.compsNode != nil:
			it.errorf(ast.CodeException, ex.node, "exception %q is defined already: append only values to it, or replace exceptions", ex.name)
		default:
			old := *r.exceptions[i]
			old.rows = ex.rows
			if old.checkRows(it) {
				old.rows = append(slices.Clone(r.exceptions[i].rows), ex.rows...)
				r.exceptions[i] = &old
			}
		}
	}
}

// withExceptions returns the condition and not any of the exceptions.
func (r *ruleDef) withExceptions(cond ast.Expr, sc scope) (ast.Expr, []ast.Diag) {
	var diags []ast.Diag
	list := []ast.Expr{cond}
	for _, ex := range r.exceptions {
		var rows []ast.Expr
		for _, row := range ex.rows {
			e, more := ex.row(row, sc)
			if diags = append(diags, more...); e == nil {
				return nil, diags
			}
			rows = append(rows, e)
		}
		if ex.single && len(rows) > 1 {
			rows = merged(rows)
		}
		if len(rows) > 0 {
			list = append(list, &ast.Not{X: &ast.Or{List: rows, At: rows[0].Span()}, At: rows[0].Span()})
		}
	}
	if len(list) == 1 {
		return cond, diags
	}
	return &ast.And{List: list, At: cond.Span()}, diags
}

// merged joins checks of one field with lists of values into one check.
func merged(rows []ast.Expr) []ast.Expr {
	first, ok := rows[0].(*ast.Check)
	if !ok || first.Op != ast.OpIn || first.Right != nil {
		return rows
	}
	all := *first
	all.Values = slices.Clone(first.Values)
	for _, e := range rows[1:] {
		c, ok := e.(*ast.Check)
		if !ok || c.Right != nil {
			return rows
		}
		all.Values = append(all.Values, c.Values...)
	}
	return []ast.Expr{&all}
}

// row makes the checks of one row of values. They are written as text and
// parsed, so that a value can be whatever may stand in a condition.
func (ex *exception) row(row *yaml.Node, sc scope) (ast.Expr, []ast.Diag) {
	values := []*yaml.Node{row}
	if !ex.single {
		values = row.Content
	}
	var list []ast.Expr
	var diags []ast.Diag
	for i, v := range values {
		text := ex.fields[i].Append(constText(ex.comps[i], ex.fields[i])).Append(ex.valueText(ruleyaml.Resolve(v), ex.comps[i]))
		e, more := parseCondition(text, sc)
		if diags = append(diags, more...); e == nil {
			return nil, diags
		}
		list = append(list, e)
	}
	if len(list) == 1 {
		return list[0], diags
	}
	return &ast.And{List: list, At: list[0].Span()}, diags
}

// constText is text that stands where another text does.
func constText(s string, at *ast.Text) *ast.Text {
	return ast.NewText(s, at.Source(), []int32{int32(at.Offset())})
}

// valueText writes a value as a condition has it: quoted where it has blanks,
// in parentheses where the operator takes a list.
func (ex *exception) valueText(v *yaml.Node, comp string) *ast.Text {
	quote := func(s string) string {
		if s != "" && (s[0] == '"' || s[0] == '\'') || s != "" && !strings.ContainsAny(s, blankChars) {
			return s
		}
		return ast.Quote(s)
	}
	op, _ := ast.ParseOp(comp)
	var s string
	switch {
	case v.Kind == yaml.SequenceNode:
		items := make([]string, 0, len(v.Content))
		for _, c := range v.Content {
			items = append(items, quote(ruleyaml.Resolve(c).Value))
		}
		s = "(" + strings.Join(items, ", ") + ")"
	case ex.single && op.TakesList():
		s = "(" + quote(v.Value) + ")"
	case op.TakesList() && !strings.HasPrefix(v.Value, "("):
		s = "(" + v.Value + ")"
	case op.TakesList():
		s = v.Value
	default:
		s = quote(v.Value)
	}
	return ast.NewText(s, ex.src, []int32{int32(ruleyaml.SkipProperties(ex.src.Data, ex.src.Offset(v.Line, v.Column)))})
}
