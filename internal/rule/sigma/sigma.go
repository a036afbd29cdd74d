// Package sigma reads Sigma rules: YAML documents with a log source and a
// detection, or with a correlation of other rules.
//
// In come file names and contents, in their order; out comes an ast.Program in
// the same typed form as Falco's rules, and every mistake with its place in the
// file. What Bearcat cannot evaluate is such a mistake too, and named. Package
// rule calls it; it does no I/O.
package sigma

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// Options change how rules are loaded.
type Options struct {
	// Placeholder returns the values of a placeholder of the modifier expand;
	// false where there is none of the name. Nil for no placeholders.
	Placeholder func(name string) ([]string, bool)
}

// The limits. What goes beyond is refused with a sentence.
const (
	maxRules = 100_000
	maxDiags = 500
)

// topKey finds a key that only Sigma rules have, where a file's outermost
// mapping has its keys. Falco's files are lists, which have none there.
var topKey = regexp.MustCompile(`(?m)^["']?(logsource|detection|correlation)["']?[ \t]*:`)

// Is reports whether a file holds Sigma rules, by what is in it.
func Is(data []byte) bool { return topKey.Match(data) }

type loader struct {
	opts    Options
	diags   []ast.Diag
	dropped int
	rules   []*ast.Rule
	titles  map[string]bool
	ids     map[string]bool
}

// Load reads the files that hold Sigma rules.
func Load(name string, data []byte, prog *ast.Program, opts Options) {
	l := &loader{opts: opts, titles: map[string]bool{}, ids: map[string]bool{}}
	for _, r := range prog.Rules {
		l.titles[r.Name] = true
		for _, id := range r.IDs {
			l.ids[id] = true
		}
	}
	if d := ruleyaml.Documents(name, data, l.document); d != nil {
		l.add(*d)
	}
	if l.dropped > 0 {
		l.diags = append(l.diags, *ruleyaml.FileDiag(name, ast.CodeLimit, "%d more messages are not shown", l.dropped))
	}
	prog.Rules = append(prog.Rules, l.rules...)
	prog.Diags = append(prog.Diags, l.diags...)
}

func (l *loader) add(d ast.Diag) {
	if len(l.diags) >= maxDiags {
		l.dropped++
		return
	}
	l.diags = append(l.diags, d)
}

// doc is one document.
type doc struct {
	l    *loader
	src  *ast.Source
	node *yaml.Node
	key  map[string]*yaml.Node
	val  map[string]*yaml.Node
	name string // `rule "Title"`, for messages
	// failed says that an error was reported.
	failed bool
}

func (d *doc) add(diag ast.Diag) {
	diag.Item = d.name
	d.failed = d.failed || diag.Severity == ast.Error
	d.l.add(diag)
}

func (d *doc) errorf(code ast.Code, n *yaml.Node, format string, args ...any) {
	d.add(ast.NewDiag(ast.Error, code, ruleyaml.At(d.src, n), format, args...))
}

// The keys of a document. Those without effect are here so that a slip is told
// from them.
func known() []string {
	return []string{"title", "id", "name", "taxonomy", "related", "status", "description", "references", "author", "date", "modified", "logsource", "detection",
		"fields", "falsepositives", "level", "tags", "scope", "license", "correlation", "generate", "regression_tests_path", "simulation"}
}

func (l *loader) document(src *ast.Source, n *yaml.Node) {
	d := &doc{l: l, src: src, node: n, key: map[string]*yaml.Node{}, val: map[string]*yaml.Node{}}
	switch {
	case n.Tag == "!!null":
		return
	case n.Kind != yaml.MappingNode:
		d.errorf(ast.CodeYAML, n, "a Sigma rule is a mapping with title, logsource and detection, and this is %s: rules in Falco's language go into a file of their own", ruleyaml.KindName(n))
		return
	case len(l.rules) >= maxRules:
		d.errorf(ast.CodeLimit, n, "there are more than %d rules: load fewer files", maxRules)
		return
	}
	for k, v := range pairs(n) {
		if d.key[k.Value] != nil {
			d.errorf(ast.CodeKey, k, "key %q stands here twice: keep one", k.Value)
			continue
		}
		d.key[k.Value], d.val[k.Value] = k, v
	}
	if t := d.val["title"]; t != nil {
		d.name = fmt.Sprintf("rule %q", t.Value)
	}
	d.keys()
	if r := d.rule(); r != nil && !d.failed {
		l.rules = append(l.rules, r)
	}
}

// pairs yields the keys and values of a mapping.
func pairs(n *yaml.Node) func(yield func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(ruleyaml.Resolve(n.Content[i]), ruleyaml.Resolve(n.Content[i+1])) {
				return
			}
		}
	}
}

// keys complains about keys that look like a slip, and about kinds of documents
// that are none of rules.
func (d *doc) keys() {
	for k := range pairs(d.node) {
		switch s := event.Nearest(k.Value, known()); {
		case slices.Contains(known(), k.Value):
		case k.Value == "filter":
			d.errorf(ast.CodeKey, k, "this is a Sigma filter, which is not supported: write an exception of the rule in Falco's language")
		case k.Value == "action":
			d.errorf(ast.CodeKey, k, "collections with action are of an old Sigma and not supported: write each document in full")
		case s != "":
			d.errorf(ast.CodeKey, k, "unknown key %q: did you mean %s?", k.Value, s)
		}
		// others are the custom keys that the specification allows
	}
}

// text returns a key's value, "" where it is absent.
func (d *doc) text(key string) string {
	v := d.val[key]
	switch {
	case v == nil || v.Tag == "!!null":
		return ""
	case v.Kind != yaml.ScalarNode:
		d.errorf(ast.CodeValue, v, "%s must be a single value, not %s", key, ruleyaml.KindName(v))
		return ""
	}
	return strings.TrimSpace(v.Value)
}

// texts returns the values of a key that holds a list, or a single one.
func (d *doc) texts(key string) []string {
	v := d.val[key]
	if v == nil || v.Tag == "!!null" {
		return nil
	}
	nodes := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		nodes = v.Content
	}
	var out []string
	for _, n := range nodes {
		if n = ruleyaml.Resolve(n); n.Kind != yaml.ScalarNode {
			d.errorf(ast.CodeValue, n, "%s must hold single values, not %s", key, ruleyaml.KindName(n))
			continue
		}
		out = append(out, strings.TrimSpace(n.Value))
	}
	return out
}

// rule reads a document; nil where it cannot be one, after a report.
func (d *doc) rule() *ast.Rule {
	title := d.text("title")
	if title == "" {
		d.errorf(ast.CodeKey, d.node, "key %q is missing or has no value", "title")
		return nil
	}
	if d.l.titles[title] {
		d.errorf(ast.CodeValue, d.val["title"], "there is a rule %q already: alerts and exceptions name rules by their title, give this one another", title)
		return nil
	}
	d.l.titles[title] = true
	r := &ast.Rule{Enabled: true, WarnAllEvents: true, At: ruleyaml.At(d.src, d.val["title"])}
	r.RuleInfo = event.RuleInfo{
		Name: title, Desc: d.text("description"), Source: "syscall", Priority: d.level(), Tags: d.texts("tags"),
		FalsePositives: strings.Join(d.texts("falsepositives"), "; "), Author: d.text("author"), References: d.texts("references"),
	}
	d.identify(r)
	switch s := d.text("status"); s {
	case "deprecated", "unsupported":
		r.Skipped = "its status is " + s
	case "", "stable", "test", "experimental":
	default:
		d.errorf(ast.CodeValue, d.val["status"], "unknown status %q: use stable, test, experimental, deprecated or unsupported", s)
	}
	switch {
	case d.val["correlation"] != nil && d.val["detection"] != nil:
		d.errorf(ast.CodeKey, d.key["correlation"], "a document has either a detection or a correlation: divide it with ---")
	case d.val["correlation"] != nil:
		d.correlation(r)
	case d.val["detection"] == nil && d.key["filter"] != nil: // said already
	case d.val["detection"] == nil:
		d.errorf(ast.CodeKey, d.node, "key %q is missing", "detection")
	case d.val["logsource"] == nil:
		d.errorf(ast.CodeKey, d.node, "key %q is missing", "logsource")
	default:
		d.detection(r)
	}
	if r.Skipped != "" {
		r.Condition = nil
	}
	return r
}

// identify reads the names by which correlations refer to a rule.
func (d *doc) identify(r *ast.Rule) {
	for _, k := range []string{"id", "name"} {
		id := d.text(k)
		if id == "" {
			continue
		}
		if d.l.ids[id] {
			d.errorf(ast.CodeValue, d.val[k], "there is a rule with %s %s already: leave one of them out", k, id)
		}
		d.l.ids[id] = true
		r.IDs = append(r.IDs, id)
	}
}

func (d *doc) correlation(r *ast.Rule) {
	r.Correlation = ruleyaml.Correlation(d.src, d.val["correlation"], d.add)
	if g := d.val["generate"]; g != nil && r.Correlation != nil { // where older documents have it
		r.Correlation.Generate = g.Value == "true"
	}
	r.Output = &ast.Output{Parts: []ast.OutputPart{{Text: r.Name}}}
}

// level turns a level into a priority; without one it is medium.
func (d *doc) level() event.Priority {
	switch s := d.text("level"); s {
	case "informational":
		return event.Informational
	case "low":
		return event.Notice
	case "medium", "":
		return event.Warning
	case "high":
		return event.ErrorLevel
	case "critical":
		return event.CriticalLevel
	default:
		d.errorf(ast.CodeValue, d.val["level"], "unknown level %q: use informational, low, medium, high or critical", s)
		return event.Warning
	}
}
