package event

import "strings"

// PathFilter says which files some rules can be about, in terms that a kernel
// program can check before it describes an event. What it refuses no rule can
// match; it may let pass what no rule matches. An event passes where one of the
// parts fits, so an empty filter refuses everything.
type PathFilter struct {
	// Names are last components of paths.
	Names map[string]bool
	// Exts are ends of last components, from the last dot on: ".php".
	Exts map[string]bool
	// Tails are the last FilterTail bytes of last components.
	Tails map[string]bool
	// Dirs are names of directories anywhere in the path.
	Dirs map[string]bool
	// Tops are first components of paths: the first, and the second or "" for
	// any.
	Tops map[[2]string]bool
	// DotDot lets pass what the caller named with ".." in it.
	DotDot bool
}

// FilterName is how many bytes of a component a filter looks at, and FilterTail how many
// of a tail.
const (
	FilterName = 31
	FilterTail = 4
)

// Add lets pass what the other does.
func (f *PathFilter) Add(o *PathFilter) {
	for n := range o.Names {
		f.Name(n)
	}
	for e := range o.Exts {
		f.Ext(e)
	}
	for t := range o.Tails {
		f.Tail(t)
	}
	for d := range o.Dirs {
		f.Dir(d)
	}
	for t := range o.Tops {
		f.Top(t[0], t[1])
	}
	f.DotDot = f.DotDot || o.DotDot
}

// Name lets a last component pass.
func (f *PathFilter) Name(name string) { put(&f.Names, cut(name)) }

// Ext lets pass what ends in a dot and letters without one.
func (f *PathFilter) Ext(ext string) { put(&f.Exts, cut(ext)) }

// Tail lets pass what ends like end, which has FilterTail bytes at least.
func (f *PathFilter) Tail(end string) { put(&f.Tails, end[max(0, len(end)-FilterTail):]) }

// Dir lets pass what lies in or below a directory of that name.
func (f *PathFilter) Dir(name string) { put(&f.Dirs, cut(name)) }

// Top lets pass what lies below /first, or below /first/second.
func (f *PathFilter) Top(first, second string) { put(&f.Tops, [2]string{cut(first), cut(second)}) }

func put[K comparable](m *map[K]bool, k K) {
	if *m == nil {
		*m = map[K]bool{}
	}
	(*m)[k] = true
}

func cut(s string) string { return s[:min(len(s), FilterName)] }

// Size is how many entries the filter has.
func (f *PathFilter) Size() int {
	return len(f.Names) + len(f.Exts) + len(f.Tails) + len(f.Dirs) + len(f.Tops)
}

// Pass reports whether the filter lets an event pass, by the path as the caller
// gave it and the canonical one. It is what the kernel program computes, which
// lets more pass where something is too long for it or cannot be read.
func (f *PathFilter) Pass(raw, path string) bool {
	if f.DotDot && strings.Contains(raw, "..") {
		return true
	}
	if !strings.HasPrefix(path, "/") {
		return true
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if f.Names[cut(name)] {
		return true
	}
	if len(f.Exts)+len(f.Tails) > 0 {
		if len(name) > FilterName || len(name) >= FilterTail && f.Tails[name[len(name)-FilterTail:]] {
			return true
		}
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 && f.Exts[name[dot:]] {
			return true
		}
	}
	if len(f.Dirs) > 0 {
		for dir := range strings.SplitSeq(path[1:len(path)-len(name)], "/") {
			if f.Dirs[cut(dir)] {
				return true
			}
		}
	}
	first, rest, _ := strings.Cut(path[1:], "/")
	second, _, _ := strings.Cut(rest, "/")
	first, second = cut(first), cut(second)
	return f.Tops[[2]string{first, ""}] || second != "" && f.Tops[[2]string{first, second}]
}
