package rule

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// OpenPaths says which files the live rules' opens of each kind can be about:
// those for reading, for writing, and those that failed. Nil where a rule can be
// about any file.
type OpenPaths struct {
	Read, Write, Failed *event.PathFilter
}

// OpenPaths returns the files that opens are wanted of.
func (s *Set) OpenPaths() OpenPaths {
	of := func(k openKind) *event.PathFilter {
		if s.anyPath[k] {
			return nil
		}
		f := &event.PathFilter{}
		f.Add(&s.paths[k])
		return f
	}
	return OpenPaths{Read: of(openRead), Write: of(openWrite), Failed: of(openFailed)}
}

// notePaths notes which files a rule's condition can be about, for a kind of
// opens that it can match.
func (s *Set) notePaths(n *node, k openKind) {
	if s.anyPath[k] {
		return
	}
	if f := pathsOf(n, k, map[*node]*event.PathFilter{}); f != nil {
		s.paths[k].Add(f)
	} else {
		s.anyPath[k] = true
	}
}

// pathsOf returns a filter that lets each event pass for which the condition can
// be true, or nil where there is none.
func pathsOf(n *node, k openKind, seen map[*node]*event.PathFilter) *event.PathFilter {
	if f, ok := seen[n]; ok {
		return f
	}
	var f *event.PathFilter
	switch n.kind {
	case kindFalse:
		f = &event.PathFilter{}
	case kindCheck:
		if openCheck(n.check, k) == no {
			f = &event.PathFilter{}
		} else {
			f = checkPaths(n.check)
		}
	case kindAnd:
		// each part must hold, so any part's filter will do: the smallest
		for _, kid := range n.kids {
			if p := pathsOf(kid, k, seen); p != nil && (f == nil || weight(p) < weight(f)) {
				f = p
			}
		}
	case kindOr:
		f = &event.PathFilter{}
		for _, kid := range n.kids {
			p := pathsOf(kid, k, seen)
			if p == nil {
				f = nil
				break
			}
			f.Add(p)
		}
	}
	seen[n] = f
	return f
}

// weight says how much a filter is likely to let pass.
func weight(f *event.PathFilter) int {
	w := len(f.Names) + 8*len(f.Exts) + 8*len(f.Tails) + 16*len(f.Dirs) + 64*len(f.Tops)
	if f.DotDot {
		w += 4
	}
	return w
}

// checkPaths returns the filter of a check; nil where it says nothing of paths.
func checkPaths(c *ast.Check) *event.PathFilter {
	ref := c.Left.Ref
	if ref == nil || c.Right != nil || c.Left.Func != ast.NoFunc || c.Left.List || len(c.Values) == 0 {
		return nil
	}
	add := pathTest(ref.Name(), c.Op)
	if add == nil {
		return nil
	}
	f := &event.PathFilter{}
	for _, v := range c.Values {
		if !add(f, v.Text) {
			return nil
		}
	}
	return f
}

// pathTest returns what adds a value of a check to a filter; that returns false
// where the value allows any path.
func pathTest(field string, op ast.Op) func(f *event.PathFilter, value string) bool {
	equal := op == ast.OpEq || op == ast.OpIn
	switch field {
	case "fd.name", "bc.file.target", "bc.path.name", "evt.abspath", "fs.path.name":
		switch {
		case equal:
			return func(f *event.PathFilter, v string) bool { return addEnd(f, v) }
		case op == ast.OpStartsWith:
			return addPrefix
		case op == ast.OpPmatch:
			return func(f *event.PathFilter, v string) bool {
				if whole := literal(v); whole != v {
					return addPrefix(f, whole)
				}
				return addBelow(f, v)
			}
		case op == ast.OpGlob:
			return func(f *event.PathFilter, v string) bool { return addPrefix(f, literal(v)) }
		case op == ast.OpEndsWith:
			return addEnd
		case op == ast.OpContains:
			return addWithin
		}
	case "fd.directory":
		switch {
		case equal:
			return func(f *event.PathFilter, v string) bool { return addBelow(f, v) }
		case op == ast.OpStartsWith:
			return addPrefix
		}
	case "fd.filename":
		switch {
		case equal:
			return func(f *event.PathFilter, v string) bool { f.Name(v); return true }
		case op == ast.OpEndsWith:
			return addLast
		}
	case "fd.nameraw":
		if op == ast.OpContains {
			return func(f *event.PathFilter, v string) bool {
				f.DotDot = f.DotDot || strings.Contains(v, "..")
				return strings.Contains(v, "..")
			}
		}
	}
	return nil
}

// literal is a pattern's beginning up to the first character that may stand for
// others.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\(+@!`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// addEnd lets pass what ends in v.
func addEnd(f *event.PathFilter, v string) bool {
	slash := strings.LastIndexByte(v, '/')
	if slash < 0 {
		return addLast(f, v)
	}
	if slash == len(v)-1 {
		return false // the path "/", or none
	}
	f.Name(v[slash+1:])
	return true
}

// addLast lets pass last components that end in v.
func addLast(f *event.PathFilter, v string) bool {
	if addExt(f, v) {
		return true
	}
	if len(v) < event.FilterTail || strings.Contains(v, "/") {
		return false
	}
	f.Tail(v)
	return true
}

// addWithin lets pass what has v in it, by a directory that v names in full.
func addWithin(f *event.PathFilter, v string) bool {
	dir := ""
	parts := strings.Split(v, "/")
	for i := 1; i < len(parts)-1; i++ {
		if len(parts[i]) > len(dir) {
			dir = parts[i]
		}
	}
	if dir == "" {
		return false
	}
	f.Dir(dir)
	return true
}

// addExt lets pass names that end in v.
func addExt(f *event.PathFilter, v string) bool {
	dot := strings.LastIndexByte(v, '.')
	if dot < 0 || len(v)-dot > event.FilterName || strings.Contains(v, "/") {
		return false
	}
	f.Ext(v[dot:])
	return true
}

// addPrefix lets pass what begins with v, which may end within a component.
func addPrefix(f *event.PathFilter, v string) bool {
	slash := strings.LastIndexByte(v, '/')
	return slash >= 0 && addBelow(f, v[:slash+1])
}

// addBelow lets pass v and what is below it.
func addBelow(f *event.PathFilter, v string) bool {
	if !strings.HasPrefix(v, "/") {
		return false
	}
	first, rest, _ := strings.Cut(v[1:], "/")
	second, _, _ := strings.Cut(rest, "/")
	if first == "" {
		return false
	}
	f.Top(first, second)
	return true
}
