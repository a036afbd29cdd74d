package falco

import (
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// learn takes in rules of another language, so that overrides and exceptions in
// this one can change them.
func (l *loader) learn(known []*ast.Rule) {
	for _, k := range known {
		l.index++
		def := &ruleDef{
			name: k.Name, desc: k.Desc, source: k.Source, priority: k.Priority, tags: k.Tags,
			notes:   map[string]string{"false_positives": k.FalsePositives, "response_note": k.Response},
			enabled: k.Enabled, warnEvttypes: k.WarnAllEvents, at: k.At, known: k, block: k.Block,
		}
		l.rules[k.Name] = def
		l.order = append(l.order, def)
	}
}

// condition parses a rule's condition, or takes the one that it has already.
func (r *ruleDef) condition(v *view) (ast.Expr, []ast.Diag) {
	if r.cond == nil {
		return r.known.Condition, nil
	}
	return parseCondition(r.cond, v)
}

// withoutCondition completes a rule that has no condition to be parsed; false
// where it has one of another language, which exceptions can still change.
func (l *loader) withoutCondition(r *ruleDef, rule *ast.Rule) bool {
	if k := r.known; k != nil {
		rule.Author, rule.References = k.Author, k.References
		rule.IDs, rule.FieldName, rule.Correlation, rule.Skipped = k.IDs, k.FieldName, k.Correlation, k.Skipped
		if k.Condition != nil {
			return false
		}
		rule.Output = k.Output
	} else {
		rule.Correlation = r.correlation
	}
	if r.output != nil {
		rule.Output = parseOutput(r.output, l.add)
		ast.ResolveOutput(rule.Output, l.add)
	}
	if len(r.exceptions) > 0 {
		l.add(ast.NewDiag(ast.Error, ast.CodeException, r.at, "rule %q has no condition that exceptions could change: put them on the rules that it correlates", r.name))
	}
	return true
}

// Lists reads the lists of rule files, for others who want their values. What is
// wrong with the files is not said here: Load does.
func Lists(files []File) func(name string) ([]string, bool) {
	l := newLoader()
	l.files(files)
	return func(name string) ([]string, bool) {
		d := l.lists[name]
		if d == nil {
			return nil, false
		}
		var out []string
		for _, lit := range l.expandList(d, 0) {
			out = append(out, lit.Text)
		}
		return out, !d.broken
	}
}
