// Package falco reads rule files in Falco's format: YAML lists of rules,
// macros and lists with conditions in Falco's filter language.
//
// In come file names and contents, in their order; out comes an ast.Program:
// the rules with macros, lists, appends, overrides and exceptions worked in,
// and every mistake with its place in the file. Package rule calls it; it
// does no I/O.
//
// Lists are pasted as text, as in Falco, with one difference: Falco also
// pastes into quoted text where a list's name stands between blanks, which
// nobody means; here quoted text stays as it is.
package falco

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// File is a rule file. The order of files matters: later definitions replace
// or change earlier ones.
type File struct {
	Name string
	Data []byte
}

// The limits. A file beyond them is refused with a sentence.
const (
	MaxFileSize = ruleyaml.MaxFileSize
	maxTotal    = 64 << 20
	maxItems    = 2_000_000 // values of all lists, aliases counted each time
	maxRules    = 100_000
	maxDiags    = 500
)

type loader struct {
	diags   []ast.Diag
	dropped int
	items   int // values read
	used    int // values of lists pasted
	index   int // counts definitions, for the order between them

	lists  map[string]*listDef
	macros map[string]*macroDef
	rules  map[string]*ruleDef
	order  []*ruleDef
	mOrder []*macroDef
}

func newLoader() *loader {
	return &loader{lists: map[string]*listDef{}, macros: map[string]*macroDef{}, rules: map[string]*ruleDef{}}
}

// Load reads rule files. known are rules of other languages, which come first and
// which the files can change.
func Load(files []File, known []*ast.Rule) *ast.Program {
	l := newLoader()
	l.learn(known)
	l.files(files)
	rules := l.build()
	if l.dropped > 0 {
		l.diags = append(l.diags, ast.Diag{Severity: ast.Error, Code: ast.CodeLimit,
			Pos: ast.Pos{File: l.diags[0].File}, Message: fmt.Sprintf("%d more messages are not shown", l.dropped)})
	}
	return &ast.Program{Rules: rules, Diags: l.diags}
}

func (l *loader) files(files []File) {
	total := 0
	for _, f := range files {
		total += len(f.Data)
		if total > maxTotal {
			l.add(*ruleyaml.FileDiag(f.Name, ast.CodeLimit, "the rule files are larger than %d MiB together: load fewer", maxTotal>>20))
			break
		}
		l.file(f)
	}
}

func (l *loader) add(d ast.Diag) {
	if len(l.diags) >= maxDiags {
		l.dropped++
		return
	}
	l.diags = append(l.diags, d)
}

// count adds to the number of values read and reports the limit once.
func (l *loader) count(it *item, n *yaml.Node, values int) {
	before := l.items
	l.items += values
	if before <= maxItems && l.items > maxItems {
		it.errorf(ast.CodeLimit, n, "the rule files hold more than %d values: load fewer lists", maxItems)
	}
}

func (l *loader) file(f File) {
	if d := ruleyaml.Documents(f.Name, f.Data, l.document); d != nil {
		l.add(*d)
	}
}

func (l *loader) document(src *ast.Source, root *yaml.Node) {
	if root.Kind != yaml.SequenceNode {
		if root.Tag != "!!null" {
			it := &item{l: l, src: src}
			it.errorf(ast.CodeYAML, root, "a rule file is a list of rules, macros and lists, and this is %s", ruleyaml.KindName(root))
		}
		return
	}
	for _, n := range root.Content {
		n = ruleyaml.Resolve(n)
		if n.Tag == "!!null" {
			continue
		}
		if it := l.newItem(src, n); it != nil {
			l.item(it)
		}
	}
}

// item dispatches on the key that says what an item is.
func (l *loader) item(it *item) {
	l.index++
	switch {
	case it.has("required_engine_version"):
		it.onlyKeys("required_engine_version")
		l.engineVersion(it)
	case it.has("required_plugin_versions"):
		it.onlyKeys("required_plugin_versions")
		l.pluginVersions(it)
	case it.has("list"):
		l.list(it)
	case it.has("macro"):
		l.macro(it)
	case it.has("rule"):
		l.rule(it)
	default:
		kinds := []string{"rule", "macro", "list", "required_engine_version", "required_plugin_versions"}
		for _, k := range it.keys {
			if s := event.Nearest(k, kinds); s != "" {
				it.errorf(ast.CodeKey, it.key[k], "unknown item %q: did you mean %s?", k, s)
				return
			}
		}
		it.warnf(ast.CodeKey, it.node, "this item is ignored: it is none of %s", strings.Join(kinds, ", "))
	}
}

// engineMinor is the minor version of Falco's engine whose language this
// package follows.
const engineMinor = 63

var semver = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)([-+].*)?$`)

func (l *loader) engineVersion(it *item) {
	v := it.text("required_engine_version")
	if v == "" {
		return
	}
	major, minor := 0, 0
	if n, err := strconv.Atoi(v); err == nil {
		minor = n // a bare number is the minor version
	} else if m := semver.FindStringSubmatch(v); m != nil {
		major, _ = strconv.Atoi(m[1])
		minor, _ = strconv.Atoi(m[2])
	} else {
		it.errorf(ast.CodeValue, it.val["required_engine_version"], "%q is no version: write one such as 0.57.0", v)
		return
	}
	if major > 0 || minor > engineMinor {
		it.warnf(ast.CodeValue, it.val["required_engine_version"],
			"the file asks for engine %s, and rules are read as engine 0.%d does: newer parts of the language are refused", v, engineMinor)
	}
}

func (l *loader) pluginVersions(it *item) {
	v := it.val["required_plugin_versions"]
	if v.Kind != yaml.SequenceNode {
		it.errorf(ast.CodeValue, v, "required_plugin_versions must be a list, not %s", ruleyaml.KindName(v))
		return
	}
	for _, n := range v.Content {
		plugin := l.newItem(it.src, ruleyaml.Resolve(n))
		if plugin == nil {
			continue
		}
		plugin.text("name")
		plugin.text("version")
	}
}
