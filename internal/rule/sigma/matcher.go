package sigma

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// maxVariants bounds what modifiers make of one value.
const maxVariants = 1000

// matcher compiles the comparison of one field with values.
type matcher struct {
	c      *compiler
	at     ast.Span
	key    *yaml.Node
	mods   *modifiers
	refs   []operandRef
	negate bool
	exact  bool
}

// operandRef is one of the fields that a check looks at.
type operandRef struct {
	name string
	typ  event.FieldType
	list bool
}

// value is a value after its modifiers.
type value struct {
	op   ast.Op // of the language, for text
	text string
	at   ast.Span
	// null and empty stand for themselves.
	null, empty bool
}

// operands binds the fields; false after a report.
func (m *matcher) operands(f field) bool {
	for _, name := range f.any {
		base, arg := split(name)
		ref, err := event.Lookup(base, arg)
		if err != nil {
			m.errorf(m.key, ast.CodeUnknownField, "%v", err)
			return false
		}
		m.refs = append(m.refs, operandRef{name, ref.Type(), ref.List() || ref.AnyOf()})
	}
	return true
}

func (m *matcher) errorf(n *yaml.Node, code ast.Code, format string, args ...any) {
	m.c.d.errorf(code, n, format, args...)
}

// expr compiles the whole comparison; nil after a report.
func (m *matcher) expr(nodes []*yaml.Node) ast.Expr {
	var e ast.Expr
	switch {
	case m.exact && m.mods.text != "" && m.mods.text != "neq":
		m.errorf(m.key, ast.CodeUnsupported, "modifiers are not supported for this field: write the whole names of system calls")
	case m.mods.match == matchExists:
		e = m.exists(nodes)
	case m.mods.ref:
		e = m.fieldRefs(nodes)
	case m.refs[0].typ == event.FieldBool:
		e = m.boolean(nodes)
	default:
		var each [][]value
		for _, n := range nodes {
			vs := m.values(n)
			if vs == nil {
				return nil
			}
			each = append(each, vs)
		}
		e = m.compare(each)
	}
	if e != nil && m.mods.neq {
		e = &ast.Not{X: e, At: m.at}
	}
	return e
}

// exists compiles exists: true and exists: false.
func (m *matcher) exists(nodes []*yaml.Node) ast.Expr {
	n := nodes[0]
	if len(nodes) > 1 || n.Value != "true" && n.Value != "false" {
		m.errorf(n, ast.CodeValue, "exists takes true or false")
		return nil
	}
	if n.Value == "false" {
		return &ast.Not{X: m.present(), At: m.at}
	}
	return m.present()
}

// present is true where the field has a value.
func (m *matcher) present() ast.Expr {
	var list []ast.Expr
	for _, r := range m.refs {
		list = append(list, check(m.at, r.name, ast.OpExists))
	}
	return or(m.at, list...)
}

// boolean compiles a comparison with true or false.
func (m *matcher) boolean(nodes []*yaml.Node) ast.Expr {
	if m.mods.match != matchEqual || len(m.mods.transforms) > 0 {
		m.errorf(m.key, ast.CodeValue, "the field is true or false and takes no modifiers")
		return nil
	}
	var list []ast.Expr
	for _, n := range nodes {
		var v bool
		switch lower(n.Value) {
		case "true", "yes", "1", "success":
			v = true
		case "false", "no", "0", "failed":
		default:
			m.errorf(n, ast.CodeValue, "%q is neither true nor false", n.Value)
			return nil
		}
		text := "false"
		if v != m.negate {
			text = "true"
		}
		list = append(list, check(ruleyaml.At(m.c.d.src, n), m.refs[0].name, ast.OpEq, text))
	}
	if m.mods.all {
		return and(m.at, list...)
	}
	return or(m.at, list...)
}

// fieldRefs compares the field with other fields.
func (m *matcher) fieldRefs(nodes []*yaml.Node) ast.Expr {
	op := map[match]ast.Op{matchEqual: ast.OpEq, matchContains: ast.OpContains, matchStart: ast.OpStartsWith, matchEnd: ast.OpEndsWith}[m.mods.match]
	var each []ast.Expr
	for _, n := range nodes {
		other, err := m.c.fieldName(n.Value)
		if err != nil {
			m.errorf(n, ast.CodeUnknownField, "%v", err)
			return nil
		}
		f := one(other)
		if known, ok := m.c.source.fields[n.Value]; ok {
			f = known
		}
		at := ruleyaml.At(m.c.d.src, n)
		right := &matcher{c: m.c, at: at, key: n, mods: m.mods}
		if !right.operands(f) {
			return nil
		}
		var list []ast.Expr
		for _, l := range m.refs {
			for _, r := range right.refs {
				list = append(list, m.pair(l, r, op, at))
			}
		}
		each = append(each, or(at, list...))
	}
	if m.mods.all {
		return and(m.at, each...)
	}
	return or(m.at, each...)
}

// pair compares two fields: as numbers or addresses where both are that, else as
// text.
func (m *matcher) pair(l, r operandRef, op ast.Op, at ast.Span) ast.Expr {
	c := &ast.Check{Op: op, At: at, OpAt: at}
	if op == ast.OpEq && l.typ == r.typ && l.typ != event.FieldString {
		c.Left, c.Right = operand(at, l.name), call(at, ast.FuncVal, operand(at, r.name))
		return c
	}
	c.Left, c.Right = m.text(l, at), m.text(r, at)
	if c.Right.Func == ast.NoFunc {
		c.Right = call(at, ast.FuncVal, c.Right)
	}
	return c
}

func call(at ast.Span, f ast.Func, arg *ast.Operand) *ast.Operand {
	return &ast.Operand{Name: f.String(), Func: f, Args: []*ast.Operand{arg}, At: at}
}

// text is a field as text, in lower case unless case counts.
func (m *matcher) text(r operandRef, at ast.Span) *ast.Operand {
	o := operand(at, r.name)
	if r.typ != event.FieldString && r.typ != event.FieldFlags {
		o = call(at, ast.FuncConcat, o)
	}
	if m.mods.cased || m.exact {
		return o
	}
	return call(at, ast.FuncToLower, o)
}

// values applies the modifiers to one value; nil after a report.
func (m *matcher) values(n *yaml.Node) []value {
	at := ruleyaml.At(m.c.d.src, n)
	switch {
	case n.Tag == "!!null":
		if m.mods.match != matchEqual || len(m.mods.transforms) > 0 {
			m.errorf(n, ast.CodeValue, "null takes no modifiers")
			return nil
		}
		return []value{{null: true, at: at}}
	case len(n.Value) > 16<<10:
		m.errorf(n, ast.CodeLimit, "the value is longer than 16 KiB")
		return nil
	}
	texts := []string{n.Value}
	encoded := false
	for _, t := range m.mods.transforms {
		var out []string
		for _, s := range texts {
			more := m.transform(n, t, s, encoded)
			if more == nil {
				return nil
			}
			if out = append(out, more...); len(out) > maxVariants {
				m.errorf(n, ast.CodeLimit, "%s makes more than %d values of this one", t, maxVariants)
				return nil
			}
		}
		texts, encoded = out, encoded || t != "windash" && t != "expand"
	}
	var out []value
	for _, s := range texts {
		v, ok := m.value(n, s, encoded)
		if !ok {
			return nil
		}
		v.at = at
		out = append(out, v)
	}
	return out
}

// transform applies one modifier; nil after a report.
func (m *matcher) transform(n *yaml.Node, how, s string, encoded bool) []string {
	switch how {
	case "expand":
		return m.expand(n, s)
	case "windash":
		out, ok := windash(s, maxVariants)
		if !ok {
			m.errorf(n, ast.CodeLimit, "windash makes more than %d values of this one", maxVariants)
		}
		return out
	}
	if !encoded {
		lit, ok := parsePattern(s).literal()
		if !ok {
			m.errorf(n, ast.CodeValue, "%s takes text without wildcards: put a backslash in front of * and ? that are meant as such", how)
			return nil
		}
		s = lit
	}
	out := encode(how, s)
	if len(out) == 0 || out[0] == "" {
		m.errorf(n, ast.CodeValue, "%s leaves nothing certain of so short a text", how)
		return nil
	}
	return out
}

var placeholder = regexp.MustCompile(`%[A-Za-z0-9_.-]+%`)

// expand puts the values of placeholders in their places.
func (m *matcher) expand(n *yaml.Node, s string) []string {
	out := []string{s}
	for _, ph := range placeholder.FindAllString(s, -1) {
		name := strings.Trim(ph, "%")
		var values []string
		ok := false
		if m.c.d.l.opts.Placeholder != nil {
			values, ok = m.c.d.l.opts.Placeholder(name)
		}
		if !ok || len(values) == 0 {
			m.errorf(n, ast.CodeUnsupported, "placeholder %s has no values: load a file with - list: %s beside this one", ph, name)
			return nil
		}
		var more []string
		for _, o := range out {
			for _, v := range values {
				if more = append(more, strings.Replace(o, ph, v, 1)); len(more) > maxVariants {
					return more
				}
			}
		}
		out = more
	}
	return out
}

// value turns text into what it is compared by.
func (m *matcher) value(n *yaml.Node, s string, encoded bool) (v value, ok bool) {
	switch m.mods.match {
	case matchRegex:
		return m.regex(n, s)
	case matchCIDR:
		if m.refs[0].typ != event.FieldIP {
			m.errorf(m.key, ast.CodeType, "cidr compares addresses, which this field does not hold")
			return v, false
		}
		if _, err := netip.ParsePrefix(s); err != nil {
			m.errorf(n, ast.CodeValue, "%q is no network: write one such as 10.0.0.0/8", s)
			return v, false
		}
		return value{op: ast.OpIn, text: s}, true
	case matchOrder:
		if !m.refs[0].typ.Numeric() {
			m.errorf(m.key, ast.CodeType, "%s compares numbers, which this field does not hold", m.mods.text)
			return v, false
		}
		return value{op: m.mods.op, text: s}, true
	}
	p := pattern{{text: s}}
	if !encoded {
		p = parsePattern(s)
	}
	if s == "" && m.mods.match == matchEqual {
		return value{empty: true}, true
	}
	if len(p) == 0 || len(p) == 1 && p[0].text == "" && p[0].wild == 0 {
		p = nil
	}
	return m.pattern(n, p.around(m.mods.match))
}

// pattern chooses the cheapest operator for a pattern.
func (m *matcher) pattern(n *yaml.Node, p pattern) (v value, ok bool) {
	if !m.mods.cased && !m.exact {
		for i := range p {
			p[i].text = lower(p[i].text)
		}
	}
	star := func(i int) bool { return p[i].wild == '*' }
	text := func(i int) bool { return p[i].wild == 0 }
	switch {
	case len(p) == 1 && star(0):
		return value{op: ast.OpExists}, true
	case len(p) == 1 && text(0):
		return value{op: ast.OpEq, text: p[0].text}, true
	case len(p) == 2 && star(0) && text(1):
		return value{op: ast.OpEndsWith, text: p[1].text}, true
	case len(p) == 2 && text(0) && star(1):
		return value{op: ast.OpStartsWith, text: p[0].text}, true
	case len(p) == 3 && star(0) && text(1) && star(2):
		return value{op: ast.OpContains, text: p[1].text}, true
	}
	if _, err := ast.CompileGlob(p.glob(), false); err != nil {
		m.errorf(n, ast.CodeValue, "the pattern cannot be used: %v", err)
		return v, false
	}
	return value{op: ast.OpGlob, text: p.glob()}, true
}

// regex checks a regular expression and makes it one for a part of the text,
// which Sigma's are: the language's own are for the whole of it.
func (m *matcher) regex(n *yaml.Node, s string) (v value, ok bool) {
	if _, err := regexp.Compile(s); err != nil {
		for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!", "(?>"} {
			if strings.Contains(s, look) {
				m.errorf(n, ast.CodeUnsupported, "%s…) is not supported in regular expressions, as it can make them slow: use a second check with not", look)
				return v, false
			}
		}
		m.errorf(n, ast.CodeValue, "%q is no regular expression that can be used: %v", s, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return v, false
	}
	flags := ""
	for _, f := range "ims" {
		if strings.ContainsRune(m.mods.flags, f) {
			flags += string(f)
		}
	}
	return value{op: ast.OpRegex, text: "(?s:.*)(?" + flags + ":" + s + ")(?s:.*)"}, true
}

// compare joins the values: one of them has to fit, or all.
func (m *matcher) compare(each [][]value) ast.Expr {
	if m.mods.all {
		var list []ast.Expr
		for _, vs := range each {
			e := m.oneOf(vs)
			if e == nil {
				return nil
			}
			list = append(list, e)
		}
		return and(m.at, list...)
	}
	return m.oneOf(slices.Concat(each...))
}

// oneOf is true where one of the fields fits one of the values.
func (m *matcher) oneOf(vs []value) ast.Expr {
	var list []ast.Expr
	absent := false
	for _, v := range vs {
		absent = absent || v.null || v.empty
	}
	if absent {
		list = append(list, &ast.Not{X: m.present(), At: m.at})
	}
	for _, r := range m.refs {
		list = append(list, m.checks(r, vs)...)
	}
	return or(m.at, list...)
}

// checks compares one field with values, those with the same operator at once.
func (m *matcher) checks(r operandRef, vs []value) []ast.Expr {
	type kind struct {
		op     ast.Op
		native bool // as a number or an address, not as text
	}
	var order []kind
	groups := map[kind][]*ast.Literal{}
	for _, v := range vs {
		if v.null {
			continue
		}
		k := kind{op: v.op}
		if v.empty {
			k.op = ast.OpEq
		}
		k.native = r.typ != event.FieldString && r.typ != event.FieldFlags && fitsNative(r.typ, v)
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], &ast.Literal{Text: v.text, At: v.at})
	}
	var out []ast.Expr
	for _, k := range order {
		lits := groups[k]
		c := &ast.Check{Op: k.op, At: lits[0].At, OpAt: m.at, Values: lits, Left: operand(m.at, r.name)}
		if !k.native && k.op != ast.OpExists {
			c.Left = m.text(r, m.at)
			if k.op == ast.OpRegex { // case counts unless it says itself that it does not
				c.Left = (&matcher{mods: &modifiers{cased: true}}).text(r, m.at)
			}
		}
		switch {
		case k.op == ast.OpExists:
			c.Values = nil
		case k.op == ast.OpEq && len(lits) > 1 && r.list:
			c.Op = ast.OpIntersects
		case k.op == ast.OpEq && len(lits) > 1:
			c.Op = ast.OpIn
		case k.op.Ordering() && len(lits) > 1:
			for _, l := range lits[1:] {
				out = append(out, &ast.Check{Op: k.op, At: l.At, OpAt: m.at, Values: []*ast.Literal{l}, Left: c.Left})
			}
			c.Values = lits[:1]
		case len(lits) > 1 && !k.op.TakesList():
			c.Quant = ast.AnyOf
		}
		out = append(out, c)
	}
	return out
}

// fitsNative reports whether a value can be compared as what a field holds.
func fitsNative(t event.FieldType, v value) bool {
	switch {
	case v.op == ast.OpIn, v.op.Ordering(): // cidr and the comparisons
		return true
	case v.op != ast.OpEq || v.empty:
		return false
	case t == event.FieldIP || t == event.FieldNet:
		_, err := netip.ParseAddr(v.text)
		return err == nil
	}
	return t.Numeric()
}
