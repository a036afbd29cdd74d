package rule

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// pathTrie holds paths by their components, which may be patterns. It answers
// whether a path is one of them or lies below one.
type pathTrie struct {
	end   bool
	names map[string]*pathTrie
	globs []globEdge
}

type globEdge struct {
	text string
	glob *ast.Glob
	to   *pathTrie
}

func newPathTrie(paths []string) *pathTrie {
	root := &pathTrie{}
	for _, p := range paths {
		root.add(p)
	}
	return root
}

func (t *pathTrie) add(path string) {
	for path = strings.Trim(path, "/"); path != ""; {
		var name string
		name, path, _ = strings.Cut(path, "/")
		if name == "" {
			continue
		}
		t = t.child(name)
	}
	t.end = true
}

func (t *pathTrie) child(name string) *pathTrie {
	g, err := ast.CompileGlob(name, false)
	if err == nil {
		if lit, ok := g.Literal(); ok {
			if t.names == nil {
				t.names = map[string]*pathTrie{}
			}
			if t.names[lit] == nil {
				t.names[lit] = &pathTrie{}
			}
			return t.names[lit]
		}
	}
	for _, e := range t.globs {
		if e.text == name {
			return e.to
		}
	}
	to := &pathTrie{}
	if err == nil {
		t.globs = append(t.globs, globEdge{name, g, to})
	}
	return to
}

// match reports whether path, or a directory above it, is in the trie.
func (t *pathTrie) match(path string) bool {
	for {
		if t.end {
			return true
		}
		path = strings.TrimLeft(path, "/")
		if path == "" {
			return false
		}
		name, rest, _ := strings.Cut(path, "/")
		for _, e := range t.globs {
			if e.glob.Match(name) && e.to.match(rest) {
				return true
			}
		}
		next := t.names[name]
		if next == nil {
			return false
		}
		t, path = next, rest
	}
}
