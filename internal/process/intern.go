package process

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds of the caches, each of which holds two generations.
const (
	internEntries = 16384
	internBytes   = 2 << 20
	internLongest = 1024
	cgroupEntries = 8192
	nsEntries     = 8192
)

// cache is a bounded map of two generations. What is used moves into the
// young one; when that is full it becomes the old one, and what nobody asked
// for in between is forgotten. Forgetting costs sharing, never correctness.
type cache[K comparable, V any] struct {
	young, old map[K]V
	limit      int
}

func newCache[K comparable, V any](limit int) cache[K, V] {
	return cache[K, V]{young: make(map[K]V), limit: limit}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	if v, ok := c.young[k]; ok {
		return v, true
	}
	v, ok := c.old[k]
	if ok {
		c.put(k, v)
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	if len(c.young) >= c.limit {
		c.turn()
	}
	c.young[k] = v
}

func (c *cache[K, V]) turn() {
	c.old, c.young = c.young, make(map[K]V)
}

// interner gives equal strings the same bytes. It keeps copies of its own, so
// that a short string does not hold on to the record that it was cut from.
type interner struct {
	cache cache[string, string]
	bytes int // in the young generation
}

func newInterner() interner {
	return interner{cache: newCache[string, string](internEntries)}
}

func (in *interner) str(s string) string {
	if s == "" || len(s) > internLongest {
		return s
	}
	if v, ok := in.cache.young[s]; ok {
		return v
	}
	v, ok := in.cache.old[s]
	if !ok {
		v = strings.Clone(s)
	}
	if in.bytes += len(v); in.bytes > internBytes {
		in.cache.turn()
		in.bytes = len(v)
	} else if len(in.cache.young) >= in.cache.limit {
		in.bytes = len(v) // put turns the generations
	}
	in.cache.put(v, v)
	return v
}

// same returns like where it equals s and interns s otherwise: most strings of
// a new program are those of the program that started it.
func (in *interner) same(s, like string) string {
	if s == like {
		return like
	}
	return in.str(s)
}

// shareImage shares the image's bytes with old (the program that ran before, or
// nil) and with other images. The image is not yet published.
func (t *Table) shareImage(img, old *event.Image) {
	if img.Cmdline() == "" {
		img.Seal()
	}
	shareArgv(img)
	if old == nil {
		old = &t.noImage
	}
	in := &t.names
	img.Exe.Path = in.same(img.Exe.Path, old.Exe.Path)
	img.Exe.RootPath = in.same(img.Exe.RootPath, old.Exe.RootPath)
	if img.Filename == img.Exe.Path {
		img.Filename = img.Exe.Path
	} else {
		img.Filename = in.str(img.Filename)
	}
	img.Interp = in.str(img.Interp)
	img.Script = in.str(img.Script)
	img.Cwd = in.same(img.Cwd, old.Cwd)
	for i := range img.Stdio {
		img.Stdio[i].Path = in.same(img.Stdio[i].Path, old.Stdio[i].Path)
	}
	t.shareEnv(img, old)
}

// shareArgv makes the arguments parts of the joined command line.
func shareArgv(img *event.Image) {
	line, off := img.Cmdline(), 0
	for i, a := range img.Argv {
		end := off + len(a)
		if end > len(line) || line[off:end] != a {
			return // sealed before the arguments were complete
		}
		img.Argv[i] = line[off:end]
		off = end + 1
	}
}

// shareEnv takes the variables, or the whole vector where all are equal, from
// old: children mostly run in their parent's environment.
func (t *Table) shareEnv(img, old *event.Image) {
	if len(img.Env) == 0 {
		return
	}
	all := len(img.Env) == len(old.Env)
	for i, v := range img.Env {
		if i < len(old.Env) && old.Env[i] == v {
			img.Env[i] = old.Env[i]
			continue
		}
		all = false
		img.Env[i] = t.names.str(v)
	}
	if all {
		img.Env = old.Env
	}
}

// cmdline is comm and the arguments after the first. Where the first argument
// ends in comm, as it mostly does, it is a part of the image's command line.
func cmdline(comm string, img *event.Image) string {
	if img == nil || len(img.Argv) == 0 {
		return comm
	}
	if first := img.Argv[0]; strings.HasSuffix(first, comm) {
		if line := img.Cmdline(); len(line) >= len(first) {
			return line[len(first)-len(comm):]
		}
	}
	if len(img.Argv) == 1 {
		return comm
	}
	return comm + " " + img.Args()
}

// cgroup returns the shared form of a control group. A record without a path
// gets the one last seen for the id.
func (t *Table) cgroup(id uint64, path string, like *event.Cgroup) *event.Cgroup {
	if like != nil && like.ID == id && (path == "" || like.Path == path) {
		return like
	}
	if id == 0 && path == "" {
		return like
	}
	k := cgroupKey{id: id}
	if id == 0 {
		k.path = path // ids are unknown here: only the path tells them apart
	}
	c, ok := t.cgroups.get(k)
	if ok && (path == "" || c.Path == path) {
		return c
	}
	c = ParseCgroup(id, strings.Clone(path))
	if k.path != "" {
		k.path = c.Path
	}
	t.cgroups.put(k, c)
	return c
}

type cgroupKey struct {
	id   uint64
	path string
}

// namespaces returns the shared form of ns.
func (t *Table) namespaces(ns event.Namespaces, like *event.Namespaces) *event.Namespaces {
	if ns == (event.Namespaces{}) {
		return like
	}
	if like != nil && *like == ns {
		return like
	}
	if p, ok := t.ns.get(ns); ok {
		return p
	}
	own := ns // only here, so that the parameter stays on the stack
	t.ns.put(own, &own)
	return &own
}
