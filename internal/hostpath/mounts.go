package hostpath

import (
	"slices"
	"strconv"
	"strings"

	snapshot "github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// mount is what is needed of a line of mountinfo.
type mount struct {
	dev         uint64 // major << 32 | minor, as in event.File
	root, point string
	typ         string
	source      snapshot.Mount
}

// mounts is a list of mounts, as a tree.
type mounts struct {
	list []mount
	// kids leads from a mount (by its place in the list, plus 1; 0 for what hangs
	// from no mount of the list) and a point to the one that is mounted there.
	kids map[branch]int
	text string
}

type branch struct {
	parent int
	point  string
}

// parse reads the text of mountinfo. The points in it begin at a root.
func parse(text, root string) (*mounts, error) {
	lines, err := snapshot.ParseMountinfo(text)
	if err != nil {
		return nil, err
	}
	out := &mounts{list: make([]mount, len(lines)), kids: make(map[branch]int, len(lines)), text: text}
	places := make(map[int]int, len(lines))
	for i := range lines {
		places[lines[i].ID] = i + 1
	}
	for i := range lines {
		l := &lines[i]
		point := l.Point
		if root != "" {
			point = join(root, strings.TrimPrefix(l.Point, "/"))
		}
		out.list[i] = mount{dev: device(l.Device), root: l.Root, point: point, typ: l.Type, source: *l}
		parent := places[l.Parent]
		if parent == i+1 {
			parent = 0 // the root of all hangs from itself
		}
		out.kids[branch{parent, point}] = i + 1
	}
	return out, nil
}

// device reads "8:1"; 0 for what is none.
func device(s string) uint64 {
	left, right, _ := strings.Cut(s, ":")
	major, err1 := strconv.ParseUint(left, 10, 32)
	minor, err2 := strconv.ParseUint(right, 10, 32)
	if err1 != nil || err2 != nil {
		return 0
	}
	return major<<32 | minor
}

// at returns the mount that a path is in, as a walk from the root finds it: what is
// below a folder on which something was mounted later is not seen.
func (m *mounts) at(path string) *mount {
	if path == "" || path[0] != '/' {
		return nil
	}
	cur := m.follow(0, "/")
	for i := 1; i < len(path); {
		end := strings.IndexByte(path[i:], '/')
		if end < 0 {
			end = len(path) - i
		}
		i += end
		cur = m.follow(cur, path[:i])
		i++
	}
	if cur == 0 {
		return nil
	}
	return &m.list[cur-1]
}

// follow goes from a mount to the uppermost one at a point.
func (m *mounts) follow(cur int, point string) int {
	// a list with a loop in it must not hold anybody up
	for range len(m.list) {
		next, ok := m.kids[branch{cur, point}]
		if !ok {
			break
		}
		cur = next
	}
	return cur
}

// inner returns the place within the file system of a path in the mount; false where
// the mount's root has no name any more.
func (m *mount) inner(path string) (string, bool) {
	if strings.HasSuffix(m.root, "//deleted") || !strings.HasPrefix(m.root, "/") {
		return "", false
	}
	return join(m.root, below(path, m.point)), true
}

// below is what a path has behind a folder that it begins with, without a slash in front.
func below(path, dir string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, strings.TrimSuffix(dir, "/")), "/")
}

// join puts a folder and a path below it together.
func join(dir, rest string) string {
	switch {
	case rest == "":
		return dir
	case strings.HasSuffix(dir, "/"):
		return dir + rest
	}
	return dir + "/" + rest
}

// within reports whether a path is a folder, or in it.
func within(path, dir string) bool {
	return dir == "/" || strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// byDevice are the mounts of each device, those that show most of it first.
func (m *mounts) byDevice() map[uint64][]*mount {
	out := map[uint64][]*mount{}
	for i := range m.list {
		l := &m.list[i]
		out[l.dev] = append(out[l.dev], l)
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b *mount) int { return len(a.root) - len(b.root) })
	}
	return out
}
