package falco

import (
	"fmt"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// listDef is a list. index is when it was first defined, visible when it was
// last changed: a list sees those first defined before its last change.
type listDef struct {
	name           string
	items          []string
	at             []ast.Span
	index, visible int

	// lits are the items with lists among them written out.
	lits   []*ast.Literal
	state  buildState
	broken bool // an error was reported
}

// macroDef is a macro, with the same order.
type macroDef struct {
	name           string
	text           *ast.Text
	at             ast.Span
	index, visible int

	state buildState
	def   *ast.MacroDef
	uses  []*macroDef
	// diags are of the condition; syntax and use of other macros.
	diags []ast.Diag
	// bound are of its fields and types, found when a rule needs them.
	bound     []ast.Diag
	wasBound  bool
	needed    bool // by a rule that is not to be skipped
	mentioned bool // by any rule
}

// buildState keeps recursion from running forever.
type buildState uint8

const (
	unbuilt buildState = iota
	building
	built
)

func (l *loader) list(it *item) {
	name := it.text("list")
	it.name = fmt.Sprintf("list %q", name)
	it.onlyKeys("list", "items", "append", "override")
	if strings.ContainsAny(name, "()\"'=,"+blankChars) {
		it.errorf(ast.CodeValue, it.val["list"], "the name of a list has no blanks, quotes, commas or parentheses")
	}
	def := &listDef{name: name, index: l.index, visible: l.index}
	for _, n := range it.scalars("items") {
		def.items = append(def.items, n.Value)
		def.at = append(def.at, it.at(n))
	}
	extend := it.extends("items")
	if it.failed {
		return
	}
	old := l.lists[name]
	switch {
	case extend && old == nil:
		it.errorf(ast.CodeList, it.val["list"], "list %s is to be appended to, and is not defined before: %s", name, hint(name, l.listNames(), "define it first"))
	case extend:
		old.items, old.at = append(old.items, def.items...), append(old.at, def.at...)
		old.visible = l.index
	case old != nil:
		def.index = old.index
		*old = *def
	default:
		l.lists[name] = def
	}
}

// extends reads append and override of an item with one key to change.
func (it *item) extends(key string) bool {
	appends, replaces := it.overrides([]string{key}, []string{key})
	if !it.has("append") {
		return appends[key]
	}
	if len(appends)+len(replaces) > 0 {
		it.errorf(ast.CodeOverride, it.key["append"], "append and override stand side by side: keep override")
	}
	it.deprecatedAppend(key)
	return it.boolean("append", false)
}

func (it *item) deprecatedAppend(key string) {
	it.warnf(ast.CodeDeprecated, it.key["append"], "append is deprecated: write override: {%s: append}", key)
}

func (l *loader) macro(it *item) {
	name := it.text("macro")
	it.name = fmt.Sprintf("macro %q", name)
	it.onlyKeys("macro", "condition", "append", "override")
	for i := 0; i < len(name); i++ {
		if !isIdent(name[i], i == 0) {
			it.errorf(ast.CodeValue, it.val["macro"], "the name of a macro has only letters, digits and _, and starts with a letter")
			break
		}
	}
	text, _ := it.scalar("condition")
	extend := it.extends("condition")
	if it.failed {
		return
	}
	def := &macroDef{name: name, text: text, at: it.at(it.val["macro"]), index: l.index, visible: l.index}
	old := l.macros[name]
	switch {
	case extend && old == nil:
		it.errorf(ast.CodeMacro, it.val["macro"], "macro %s is to be appended to, and is not defined before: %s", name, hint(name, l.macroNames(), "define it first"))
	case extend:
		old.text, old.visible = old.text.Append(text), l.index
	case old != nil:
		def.index = old.index
		*old = *def
	default:
		l.macros[name] = def
		l.mOrder = append(l.mOrder, def)
	}
}

func (l *loader) listNames() []string {
	out := make([]string, 0, len(l.lists))
	for n := range l.lists {
		out = append(out, n)
	}
	return out
}

func (l *loader) macroNames() []string {
	out := make([]string, 0, len(l.macros))
	for n := range l.macros {
		out = append(out, n)
	}
	return out
}

// The limits of lists: values of one, and values of all uses together.
const (
	maxValues = 200_000
	maxUses   = 4_000_000
)

// expandList returns the items of a list with the lists among them pasted in.
func (l *loader) expandList(d *listDef, depth int) []*ast.Literal {
	if d.state == built {
		return d.lits
	}
	d.state = building
	report := func(i int, code ast.Code, format string, args ...any) {
		diag := ast.NewDiag(ast.Error, code, d.at[i], format, args...)
		diag.Item = fmt.Sprintf("list %q", d.name)
		d.broken = true
		l.add(diag)
	}
	for i, item := range d.items {
		ref := l.lists[item]
		var lits []*ast.Literal
		switch {
		case ref == nil || ref == d || ref.index >= d.visible || ref.state == building:
			var err error
			if lits, err = listItem(item, d.at[i]); err != nil {
				report(i, ast.CodeList, "%v", err)
			}
		case depth >= maxDepth:
			report(i, ast.CodeLimit, "lists nest deeper than %d levels", maxDepth)
		default:
			lits = l.expandList(ref, depth+1)
			l.used += len(lits)
			d.broken = d.broken || ref.broken
		}
		if len(d.lits)+len(lits) > maxValues || l.used > maxUses {
			report(i, ast.CodeLimit, "the lists pasted into this one make more than %d values: split it", maxValues)
			break
		}
		d.lits = append(d.lits, lits...)
	}
	d.state = built
	return d.lits
}

// view is what one condition sees of macros and lists.
type view struct {
	l *loader
	// visible is the order number before which macros must be defined.
	visible int
	depth   int
	uses    []*macroDef
}

func (v *view) list(name string) ([]*ast.Literal, error, bool) {
	d := v.l.lists[name]
	if d == nil {
		return nil, nil, false
	}
	lits := v.l.expandList(d, 0)
	if d.broken {
		return nil, fmt.Errorf("list %s has errors", name), true
	}
	if v.l.used += len(lits); v.l.used > maxUses {
		return nil, fmt.Errorf("list %s is used too often: the rules compare with more than %d values together", name, maxUses), true
	}
	return lits, nil, true
}

func (v *view) listNames() []string  { return v.l.listNames() }
func (v *view) macroNames() []string { return v.l.macroNames() }

func (v *view) macro(name string) (*ast.MacroDef, error) {
	m := v.l.macros[name]
	switch {
	case m == nil && v.l.lists[name] != nil:
		return nil, fmt.Errorf("%s is a list, not a macro: compare a field with it, as in proc.name in (%s)", name, name)
	case m == nil:
		return nil, fmt.Errorf("unknown macro %s: %s", name, hint(name, v.macroNames(), "define it before its use"))
	case m.state == building:
		return nil, fmt.Errorf("macro %s uses itself: a macro cannot be recursive", name)
	case m.index >= v.visible:
		return nil, fmt.Errorf("macro %s is defined after its use in another macro: move it up", name)
	case v.depth >= maxDepth:
		return nil, fmt.Errorf("macros nest deeper than %d levels", maxDepth)
	}
	v.l.buildMacro(m, v.depth+1)
	v.uses = append(v.uses, m)
	if m.def.Body == nil {
		return nil, nil // reported where it is defined
	}
	if m.def.Depth >= maxDepth {
		return nil, fmt.Errorf("macros nest deeper than %d levels", maxDepth)
	}
	return m.def, nil
}

// maxExpanded bounds a condition with its macros written out.
const maxExpanded = 250_000

func (l *loader) buildMacro(m *macroDef, depth int) {
	if m.state == built {
		return
	}
	m.state = building
	v := &view{l: l, visible: m.visible, depth: depth}
	body, diags := parseCondition(m.text, v)
	m.def = &ast.MacroDef{Name: m.name, Body: body, At: m.at, Size: 1, Depth: 1}
	m.uses, m.diags = v.uses, diags
	if body != nil {
		m.def.Size = ast.Size(body)
		for _, u := range v.uses {
			m.def.Depth = max(m.def.Depth, u.def.Depth+1)
		}
		if m.def.Size > maxExpanded {
			m.diags = append(m.diags, ast.NewDiag(ast.Error, ast.CodeLimit, m.at, "the macro is larger than %d checks once the macros in it are written out", maxExpanded))
			m.def.Body = nil
		}
	}
	m.state = built
}

// bind checks fields and types of a macro and of those that it uses, and
// reports whether all are in order.
func (m *macroDef) bind(seen map[*macroDef]bool) (ok, onlyUnknown bool) {
	ok, onlyUnknown = true, true
	if seen[m] {
		return ok, onlyUnknown
	}
	seen[m] = true
	if !m.wasBound && m.def.Body != nil {
		m.wasBound = true
		ast.Resolve(m.def.Body, func(d ast.Diag) { m.bound = append(m.bound, d) })
	}
	ok, onlyUnknown = judge(m.diags, ok, onlyUnknown)
	ok, onlyUnknown = judge(m.bound, ok, onlyUnknown)
	for _, u := range m.uses {
		subOK, subUnknown := u.bind(seen)
		ok, onlyUnknown = ok && subOK, onlyUnknown && subUnknown
	}
	return ok, onlyUnknown
}

// judge looks for errors, and whether unknown names are the only ones.
func judge(diags []ast.Diag, ok, onlyUnknown bool) (bool, bool) {
	for _, d := range diags {
		if d.Severity != ast.Error {
			continue
		}
		ok = false
		if d.Code != ast.CodeUnknownField && d.Code != ast.CodeUnknownType {
			onlyUnknown = false
		}
	}
	return ok, onlyUnknown
}

// need marks a macro and those that it uses.
func (m *macroDef) need(needed bool, seen map[*macroDef]bool) {
	if seen[m] {
		return
	}
	seen[m] = true
	m.mentioned = true
	m.needed = m.needed || needed
	for _, u := range m.uses {
		u.need(needed, seen)
	}
}

// reportMacros adds what was found in macros: syntax always, fields as errors
// where a rule needs them and as warnings where only rules that may be
// skipped do.
func (l *loader) reportMacros() {
	for _, m := range l.mOrder {
		l.buildMacro(m, 0)
		name := fmt.Sprintf("macro %q", m.name)
		for _, d := range m.diags {
			d.Item = name
			l.add(d)
		}
		if !m.mentioned && !m.wasBound {
			m.bind(map[*macroDef]bool{})
		}
		for _, d := range m.bound {
			d.Item = name
			if !m.needed {
				d.Severity = ast.Warning
			}
			l.add(d)
		}
	}
}
