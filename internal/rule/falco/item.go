package falco

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// item is one mapping of a rule file: a list, a macro or a rule.
type item struct {
	l    *loader
	src  *ast.Source
	node *yaml.Node
	keys []string
	key  map[string]*yaml.Node
	val  map[string]*yaml.Node
	// name is set once it is known: `rule "Shell"`.
	name string
	// failed says that an error was reported.
	failed bool
}

// newItem reads a mapping's keys. Nil, after a report, where it is none.
func (l *loader) newItem(src *ast.Source, n *yaml.Node) *item {
	it := &item{l: l, src: src, node: n, key: map[string]*yaml.Node{}, val: map[string]*yaml.Node{}}
	if n.Kind != yaml.MappingNode {
		it.errorf(ast.CodeValue, n, "expected a mapping such as - rule: name, found %s", ruleyaml.KindName(n))
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], ruleyaml.Resolve(n.Content[i+1])
		if _, twice := it.key[k.Value]; twice {
			it.errorf(ast.CodeKey, k, "key %q stands here twice: keep one", k.Value)
			continue
		}
		it.keys = append(it.keys, k.Value)
		it.key[k.Value], it.val[k.Value] = k, v
	}
	return it
}

// at is the place of a node: for scalars the whole value, else its beginning.
func (it *item) at(n *yaml.Node) ast.Span { return ruleyaml.At(it.src, n) }

func (it *item) add(d ast.Diag) {
	d.Item = it.name
	it.failed = it.failed || d.Severity == ast.Error
	it.l.add(d)
}

func (it *item) errorf(code ast.Code, n *yaml.Node, format string, args ...any) {
	it.add(ast.NewDiag(ast.Error, code, it.at(n), format, args...))
}

func (it *item) warnf(code ast.Code, n *yaml.Node, format string, args ...any) {
	it.add(ast.NewDiag(ast.Warning, code, it.at(n), format, args...))
}

func (it *item) has(key string) bool { return it.key[key] != nil }

// onlyKeys complains about keys that the item does not have. What looks like
// a slip of a known one is an error; others Falco ignores, with a warning.
func (it *item) onlyKeys(known ...string) {
	for _, k := range it.keys {
		found := false
		for _, kn := range known {
			found = found || k == kn
		}
		switch s := event.Nearest(k, known); {
		case found:
		case s != "":
			it.errorf(ast.CodeKey, it.key[k], "unknown key %q: did you mean %s?", k, s)
		default:
			it.warnf(ast.CodeKey, it.key[k], "unknown key %q is ignored: known ones are %s", k, strings.Join(known, ", "))
		}
	}
}

// scalar returns the text of a key's value, which must be there and not be
// empty.
func (it *item) scalar(key string) (*ast.Text, bool) {
	v := it.val[key]
	switch {
	case v == nil:
		it.errorf(ast.CodeKey, it.node, "key %q is missing", key)
	case v.Kind != yaml.ScalarNode:
		it.errorf(ast.CodeValue, v, "%s must be a single value, not %s", key, ruleyaml.KindName(v))
	case v.Tag == "!!null" || strings.TrimSpace(v.Value) == "":
		it.errorf(ast.CodeValue, it.key[key], "%s has no value", key)
	default:
		return ruleyaml.Scalar(it.src, v), true
	}
	return nil, false
}

// text is scalar as a plain string without blanks around it.
func (it *item) text(key string) string {
	if t, ok := it.scalar(key); ok {
		return strings.TrimSpace(t.Value)
	}
	return ""
}

// boolean returns a key's value, or the default where the key is absent.
func (it *item) boolean(key string, def bool) bool {
	if !it.has(key) {
		return def
	}
	switch s := it.text(key); strings.ToLower(s) {
	case "true", "yes", "on", "y":
		return true
	case "false", "no", "off", "n":
		return false
	case "":
	default:
		it.errorf(ast.CodeValue, it.val[key], "%s must be true or false, not %q", key, s)
	}
	return def
}

// scalars returns the items of a list of single values.
func (it *item) scalars(key string) []*yaml.Node {
	v := it.val[key]
	if v == nil {
		it.errorf(ast.CodeKey, it.node, "key %q is missing", key)
		return nil
	}
	if v.Kind != yaml.SequenceNode {
		if v.Tag != "!!null" {
			it.errorf(ast.CodeValue, v, "%s must be a list, not %s", key, ruleyaml.KindName(v))
		}
		return nil
	}
	out := make([]*yaml.Node, 0, len(v.Content))
	for _, n := range v.Content {
		n = ruleyaml.Resolve(n)
		if n.Kind != yaml.ScalarNode {
			it.errorf(ast.CodeValue, n, "%s must hold single values, not %s", key, ruleyaml.KindName(n))
			continue
		}
		out = append(out, n)
	}
	it.l.count(it, v, len(out))
	return out
}

// overrides reads the override key: which keys to append and which to
// replace.
func (it *item) overrides(canAppend, canReplace []string) (appends, replaces map[string]bool) {
	appends, replaces = map[string]bool{}, map[string]bool{}
	v := it.val["override"]
	if v == nil {
		return appends, replaces
	}
	if v.Kind != yaml.MappingNode || len(v.Content) == 0 {
		it.errorf(ast.CodeOverride, v, "override must say append or replace for keys, as in condition: append")
		return appends, replaces
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k, op := v.Content[i], ruleyaml.Resolve(v.Content[i+1])
		all := append(append([]string{}, canAppend...), canReplace...)
		switch {
		case !contains(all, k.Value):
			it.errorf(ast.CodeOverride, k, "key %q cannot be overridden: %s", k.Value, hint(k.Value, all, "one of "+strings.Join(canReplace, ", ")+" can"))
		case op.Value == "append" && !contains(canAppend, k.Value):
			it.errorf(ast.CodeOverride, k, "key %q cannot be appended to: use replace", k.Value)
		case op.Value == "append":
			appends[k.Value] = true
		case op.Value == "replace":
			replaces[k.Value] = true
		default:
			it.errorf(ast.CodeOverride, op, "override of %q is %q: use append or replace", k.Value, op.Value)
		}
		if contains(all, k.Value) && !it.has(k.Value) {
			it.errorf(ast.CodeOverride, k, "override names %q, which is not given: add the key, or take it out of override", k.Value)
		}
	}
	return appends, replaces
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
