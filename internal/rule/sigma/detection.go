package sigma

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// maxWork bounds the values and checks of one rule, each use of a selection
// counted.
const maxWork = 200_000

// compiler turns the detection of one rule into the typed form.
type compiler struct {
	d      *doc
	source *source
	// record is the type of audit record that the whole rule is about, ""
	// where it is not one.
	record string
	// selections are the parts of the detection by their names; order has
	// these as they stand.
	selections map[string]*ast.MacroDef
	order      []string
	used       map[string]bool
	// work counts what was read and made, so that no file makes much of little.
	work int
}

// spend counts work on a part of the rule; false, with a report at the first
// time, where it is too much.
func (c *compiler) spend(at *yaml.Node, n int) bool {
	before := c.work
	c.work += n
	if before <= maxWork && c.work > maxWork {
		c.d.errorf(ast.CodeLimit, at, "the rule has more than %d values and checks, those of aliases counted each time", maxWork)
	}
	return c.work <= maxWork
}

// detection compiles a rule's detection into its condition and message.
func (d *doc) detection(r *ast.Rule) {
	s := d.logsource()
	n := d.val["detection"]
	if n.Kind != yaml.MappingNode {
		d.errorf(ast.CodeValue, n, "detection must be a mapping with selections and a condition, not %s", ruleyaml.KindName(n))
		return
	}
	if s == nil {
		return
	}
	c := &compiler{d: d, source: s, selections: map[string]*ast.MacroDef{}, used: map[string]bool{}}
	records := map[string]bool{}
	for _, v := range pairs(n) {
		if c.spend(n, 1+len(v.Content)) {
			typesOf(v, records)
		}
	}
	c.record = only(records)
	if len(records) == 0 {
		c.record = "EXECVE"
	}
	var condition *yaml.Node
	for k, v := range pairs(n) {
		switch {
		case k.Value == "condition":
			condition = v
		case k.Value == "timeframe":
			d.errorf(ast.CodeUnsupported, k, "timeframe belongs to the aggregations of old Sigma, which are not supported: write a correlation")
		case c.selections[k.Value] != nil:
			d.errorf(ast.CodeKey, k, "selection %q stands here twice: keep one", k.Value)
		default:
			c.define(k, v)
		}
	}
	if condition == nil {
		d.errorf(ast.CodeKey, d.key["detection"], "detection has no condition")
		return
	}
	cond := c.conditions(condition)
	r.FieldName = func(name string) (string, error) { return c.fieldName(name) }
	r.Output = c.message(r.Name)
	if cond == nil || d.failed {
		return
	}
	r.Condition = c.whole(r.At, cond)
	if ast.Size(r.Condition) > maxWork {
		d.errorf(ast.CodeLimit, condition, "the condition is larger than %d checks once its selections are written out", maxWork)
		return
	}
	ast.Resolve(r.Condition, d.add)
	ast.ResolveOutput(r.Output, d.add)
	for _, name := range c.order {
		if !c.used[name] {
			d.add(ast.NewDiag(ast.Warning, ast.CodeValue, c.selections[name].At, "selection %q is not used in the condition", name))
		}
	}
}

// whole joins what a rule's log source stands for with its own condition.
func (c *compiler) whole(at ast.Span, cond ast.Expr) ast.Expr {
	answers := false
	records := false
	ast.Walk(cond, func(k *ast.Check) {
		k.Operands(func(o *ast.Operand) {
			answers = answers || o.Name == "bc.dns.answers"
			records = records || o.Name == "evt.type" || o.Name == "syscall.type" || strings.HasPrefix(o.Name, "bc.path.")
		})
	})
	when := c.source.when(at, answers)
	if when == nil && !records { // of auditd, with nothing that says which record
		when = exec(at)
	}
	if when == nil {
		return cond
	}
	return and(at, when, cond)
}

// fieldName is Bearcat's name of a field, for correlations.
func (c *compiler) fieldName(name string) (string, error) {
	if f, problem, ok := argument(name, c.record); ok && c.source.name == "auditd" {
		if problem != "" {
			return "", fmt.Errorf("%s", problem)
		}
		return f.any[0], nil
	}
	f, problem := c.source.field(name)
	switch {
	case problem != "":
		return "", fmt.Errorf("%s", problem)
	case len(f.any) == 0:
		return "", fmt.Errorf("field %s has no value to group by", name)
	}
	return f.any[0], nil
}

// message is the text of a rule's alerts: its title and the fields of its log
// source, and those that the rule itself lists.
func (c *compiler) message(title string) *ast.Output {
	at := ruleyaml.At(c.d.src, c.d.key["title"])
	fields := slices.Clone(c.source.output)
	for _, name := range c.d.texts("fields") {
		f, err := c.fieldName(name)
		if err == nil && !slices.ContainsFunc(fields, func(s string) bool { return strings.HasSuffix(s, "="+f) }) {
			fields = append(fields, name+"="+f)
		}
	}
	out := &ast.Output{Parts: []ast.OutputPart{{Text: title + " ("}}}
	for i, f := range fields {
		label, name, _ := strings.Cut(f, "=")
		if i > 0 {
			label = " " + label
		}
		out.Parts = append(out.Parts, ast.OutputPart{Text: label + "="}, ast.OutputPart{Operand: operand(at, name)})
	}
	out.Parts = append(out.Parts, ast.OutputPart{Text: ")"})
	return out
}

// define compiles a selection. It becomes a macro, so that each is bound and
// compiled once however often the condition uses it.
func (c *compiler) define(k, v *yaml.Node) {
	at := ruleyaml.At(c.d.src, k)
	def := &ast.MacroDef{Name: k.Value, At: at, Depth: 1}
	c.selections[k.Value] = def
	c.order = append(c.order, k.Value)
	e := c.selection(k, v)
	if e == nil { // reported; what uses it is not evaluated
		e = &ast.And{List: []ast.Expr{check(at, "evt.num", ast.OpGt, "0")}, At: at}
	}
	def.Body, def.Size = e, ast.Size(e)
	if !c.d.failed {
		ast.Resolve(e, c.d.add)
	}
}

// selection compiles a mapping, whose items all have to hold, or a list, of
// which one has to.
func (c *compiler) selection(k, v *yaml.Node) ast.Expr {
	switch {
	case v.Kind == yaml.MappingNode:
		return c.mapping(k, v)
	case v.Kind == yaml.SequenceNode && len(v.Content) > 0:
		var list []ast.Expr
		var words []*yaml.Node
		for _, n := range v.Content {
			n = ruleyaml.Resolve(n)
			if !c.spend(k, 1) {
				return nil
			}
			switch {
			case n.Kind == yaml.MappingNode:
				if e := c.mapping(k, n); e != nil {
					list = append(list, e)
				}
			case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
				words = append(words, n)
			default:
				c.d.errorf(ast.CodeValue, n, "selection %q must hold mappings or keywords, not %s", k.Value, ruleyaml.KindName(n))
			}
		}
		if len(words) > 0 {
			if e := c.keywords(k, &modifiers{}, words); e != nil {
				list = append(list, e)
			}
		}
		if len(list) > 0 {
			return or(ruleyaml.At(c.d.src, k), list...)
		}
	case v.Kind == yaml.ScalarNode && v.Tag != "!!null":
		return c.keywords(k, &modifiers{}, []*yaml.Node{v})
	default:
		c.d.errorf(ast.CodeValue, k, "selection %q is empty", k.Value)
	}
	return nil
}

// mapping compiles the items of a selection.
func (c *compiler) mapping(name, n *yaml.Node) ast.Expr {
	if len(n.Content) == 0 {
		c.d.errorf(ast.CodeValue, name, "selection %q is empty", name.Value)
		return nil
	}
	rec := c.record
	if found := map[string]bool{}; c.source.name == "auditd" {
		typesOf(n, found)
		if only(found) != "" || found["several"] {
			rec = only(found)
		}
	}
	var list []ast.Expr
	seen := map[string]bool{}
	for k, v := range pairs(n) {
		if seen[k.Value] {
			c.d.errorf(ast.CodeKey, k, "%q stands twice in selection %q: YAML keeps one of them, write a list", k.Value, name.Value)
			continue
		}
		seen[k.Value] = true
		if e := c.item(k, v, rec); e != nil {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return and(ruleyaml.At(c.d.src, name), list...)
}

// item compiles one field with its modifiers and values.
func (c *compiler) item(k, v *yaml.Node, rec string) ast.Expr {
	name, mods := c.modifiers(k)
	if mods == nil {
		return nil
	}
	values := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		values = nil
		for _, n := range v.Content {
			values = append(values, ruleyaml.Resolve(n))
		}
	}
	if len(values) == 0 {
		c.d.errorf(ast.CodeValue, k, "%s has an empty list of values", k.Value)
		return nil
	}
	for _, n := range values {
		if n.Kind != yaml.ScalarNode {
			c.d.errorf(ast.CodeValue, n, "%s must be compared with single values, not %s", k.Value, ruleyaml.KindName(n))
			return nil
		}
	}
	if !c.spend(k, len(values)) {
		return nil
	}
	switch {
	case name == "":
		return c.keywords(k, mods, values)
	case name == "type" && c.source.name == "auditd":
		return c.recordType(k, mods, values)
	}
	f, problem := field{}, ""
	if arg, why, ok := argument(name, rec); ok && c.source.name == "auditd" {
		f, problem = arg, why
	} else {
		f, problem = c.source.field(name)
	}
	if problem != "" {
		code := ast.CodeUnsupported
		if refused(name) == "" {
			code = ast.CodeUnknownField
		}
		c.d.errorf(code, k, "%s", problem)
		return nil
	}
	m := &matcher{c: c, at: ruleyaml.At(c.d.src, k), key: k, mods: mods, negate: f.negate, exact: f.exact}
	if !m.operands(f) {
		return nil
	}
	return m.expr(values)
}

// keywords compiles texts that are looked for in what a log source has for that.
func (c *compiler) keywords(k *yaml.Node, mods *modifiers, values []*yaml.Node) ast.Expr {
	if c.source.keywords == "" {
		c.d.errorf(ast.CodeUnsupported, k, "keywords are not supported for log source %s: they are for process_creation and auditd, where they are looked for in the command line", c.source.name)
		return nil
	}
	if mods.match == matchEqual {
		mods.match = matchContains
	}
	m := &matcher{c: c, at: ruleyaml.At(c.d.src, k), key: k, mods: mods}
	if !m.operands(one(c.source.keywords)) {
		return nil
	}
	e := m.expr(values)
	if e == nil || c.source.name != "auditd" {
		return e
	}
	return and(m.at, exec(m.at), e)
}

// names lists the selections, for messages.
func (c *compiler) names() []string { return slices.Sorted(maps.Keys(c.selections)) }

// hint proposes a selection.
func (c *compiler) hint(name string) string {
	if s := event.Nearest(name, c.names()); s != "" {
		return "did you mean " + s + "?"
	}
	return "there are " + strings.Join(c.names(), ", ")
}
