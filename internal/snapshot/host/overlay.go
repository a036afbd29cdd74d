package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/process"
	"golang.org/x/sys/unix"
)

// maxPaths bounds each list of paths of one overlay; counts go on beyond it.
const maxPaths = 10000

// Overlay is one overlay file system and what its upper layer holds.
type Overlay struct {
	Device     string   `json:"device"`
	Points     []string `json:"points"`              // where it is mounted, in any mount namespace
	Containers []string `json:"containers"`          // whose root it is
	Lower      []string `json:"lower"`               // from the top down
	DataOnly   []string `json:"data_only,omitempty"` // lower layers that hold only data
	Upper      string   `json:"upper"`               // empty: read-only
	Work       string   `json:"work"`
	Options    []string `json:"options"` // the others: redirect_dir=on, metacopy=on, userxattr
	Content    *Upper   `json:"content,omitempty"`
	Note       string   `json:"note,omitempty"`
}

// Upper is what an upper layer holds: all changes since the mount was new.
type Upper struct {
	Files     int    `json:"files"`
	Folders   int    `json:"folders"`
	Bytes     uint64 `json:"bytes"` // lengths of its files
	Disk      uint64 `json:"disk"`  // bytes that they take
	Whiteouts Paths  `json:"whiteouts"`
	Opaque    Paths  `json:"opaque"`
	CopiedUp  Paths  `json:"copied_up"` // files that a lower layer has as well
	New       Paths  `json:"new"`       // files that no lower layer has
}

// Paths are paths below the mount, in the order of the walk. Count goes beyond
// the list where there are more than it may hold.
type Paths struct {
	Count int      `json:"count"`
	List  []string `json:"list"`
}

func (p *Paths) add(path string) {
	p.Count++
	if len(p.List) < maxPaths {
		p.List = append(p.List, path)
	}
}

// Overlays are the overlay file systems of all mount namespaces.
type Overlays struct {
	Overlays []Overlay `json:"overlays"`
	Notes    `json:"notes,omitempty"`
	// Detail: the answer is about one overlay, with what its upper layer holds.
	Detail bool `json:"-"`
}

// ReadOverlays finds overlays. Without a name it describes all of them; with one,
// the overlay that is mounted at that path, or the root of the container whose id
// begins with it, and what its upper layer holds.
func ReadOverlays(name string) (*Overlays, error) {
	procs, notes, err := mountNamespaces()
	if err != nil {
		return nil, fmt.Errorf("listing mount namespaces: %w", err)
	}
	out := &Overlays{Overlays: []Overlay{}, Notes: notes, Detail: name != ""}
	from := map[string]int{}
	for _, p := range procs {
		list, err := mountsOf(strconv.Itoa(p.pid))
		if err != nil {
			continue // it ended between the two looks
		}
		for _, m := range list {
			if m.Type != "overlay" {
				continue
			}
			i := slices.IndexFunc(out.Overlays, func(o Overlay) bool { return o.Device == m.Device })
			if i < 0 {
				out.Overlays = append(out.Overlays, ParseOverlay(m))
				i = len(out.Overlays) - 1
				from[m.Device] = p.pid
			}
			o := &out.Overlays[i]
			if !slices.Contains(o.Points, m.Point) {
				o.Points = append(o.Points, m.Point)
			}
			if id := containerOf(p.pid); m.Point == "/" && id != "" && !slices.Contains(o.Containers, id) {
				o.Containers = append(o.Containers, id)
			}
		}
	}
	if name == "" {
		return out, nil
	}
	out.Overlays = slices.DeleteFunc(out.Overlays, func(o Overlay) bool { return !o.named(name) })
	if len(out.Overlays) == 0 {
		return nil, fmt.Errorf("no overlay is mounted at %s, and none is the root of a container whose id begins so: bearcat show overlay lists those there are", name)
	}
	for i := range out.Overlays {
		o := &out.Overlays[i]
		o.fill(procPath(from[o.Device], "root"))
	}
	return out, nil
}

func (o *Overlay) named(name string) bool {
	return slices.Contains(o.Points, name) || slices.ContainsFunc(o.Containers, func(id string) bool { return strings.HasPrefix(id, name) })
}

// containerOf is the id of the container that a process runs in, or "".
func containerOf(pid int) string {
	for l := range strings.Lines(line(procPath(pid, "cgroup"))) {
		if f := strings.SplitN(strings.TrimSuffix(l, "\n"), ":", 3); len(f) == 3 {
			if id := process.ParseCgroup(0, f[2]).FullID; id != "" {
				return id
			}
		}
	}
	return ""
}

// ParseOverlay reads the layers from a mount's options.
func ParseOverlay(m Mount) Overlay {
	o := Overlay{Device: m.Device, Points: []string{}, Containers: []string{}, Lower: []string{}, Options: []string{}}
	for _, opt := range splitEscaped(m.Super, ',') {
		key, value, _ := strings.Cut(opt, "=")
		switch key {
		case "lowerdir":
			data := false
			for _, dir := range splitEscaped(value, ':') {
				switch {
				case dir == "": // a second colon: from here on the layers hold only data
					data = true
				case data:
					o.DataOnly = append(o.DataOnly, plain(dir))
				default:
					o.Lower = append(o.Lower, plain(dir))
				}
			}
		case "lowerdir+":
			o.Lower = append(o.Lower, plain(value))
		case "datadir+":
			o.DataOnly = append(o.DataOnly, plain(value))
		case "upperdir":
			o.Upper = plain(value)
		case "workdir":
			o.Work = plain(value)
		default:
			o.Options = append(o.Options, opt)
		}
	}
	return o
}

// splitEscaped splits at sep where no backslash is before it.
func splitEscaped(s string, sep byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// plain takes away the backslashes that overlay puts before commas and colons.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// fill walks the upper layer. Layers are named as they were when the overlay was
// mounted: most often in this namespace, else in that of root.
func (o *Overlay) fill(root string) {
	if o.Upper == "" {
		o.Note = "it has no upper layer: nothing can change in it"
		return
	}
	upper := o.Upper
	if _, err := os.Lstat(upper); err != nil || !filepath.IsAbs(upper) {
		upper = root + o.Upper
		if _, err := os.Lstat(upper); err != nil {
			o.Note = fmt.Sprintf("the upper layer %s is not seen from this mount namespace: its content is not known", o.Upper)
			return
		}
	}
	content, err := readUpper(upper, o.Lower)
	o.Content = content
	if err != nil {
		o.Note = err.Error()
	}
}

// readUpper walks an upper layer. What cannot be read is left out and counted
// in the error; what goes away meanwhile is left out.
func readUpper(upper string, lower []string) (*Upper, error) {
	u := &Upper{Whiteouts: Paths{List: []string{}}, Opaque: Paths{List: []string{}}, CopiedUp: Paths{List: []string{}}, New: Paths{List: []string{}}}
	unread := 0
	var first error
	err := filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				unread++
				first = err
			}
			return nil
		}
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil {
			return nil
		}
		u.add(path, strings.TrimPrefix(path, upper), &st, lower)
		return nil
	})
	if err != nil {
		return u, fmt.Errorf("walking the upper layer: %w", err)
	}
	if unread > 0 {
		return u, fmt.Errorf("%d places of the upper layer could not be read, the last because: %w", unread, first)
	}
	return u, nil
}

func (u *Upper) add(path, rel string, st *unix.Stat_t, lower []string) {
	u.Disk += uint64(st.Blocks) * 512
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFCHR && st.Rdev == 0:
		u.Whiteouts.add(rel)
		return
	case kind == unix.S_IFDIR:
		if rel != "" {
			u.Folders++
		}
		if attr(path, "opaque") == "y" {
			u.Opaque.add(dirName(rel))
		}
		return
	case kind == unix.S_IFREG && st.Size == 0 && hasAttr(path, "whiteout"):
		u.Whiteouts.add(rel)
		return
	}
	u.Files++
	u.Bytes += uint64(st.Size)
	if hasAttr(path, "origin") || inLower(rel, lower) {
		u.CopiedUp.add(rel)
		return
	}
	u.New.add(rel)
}

func dirName(rel string) string {
	if rel == "" {
		return "/"
	}
	return rel
}

func inLower(rel string, lower []string) bool {
	for _, dir := range lower {
		var st unix.Stat_t
		if unix.Lstat(dir+rel, &st) == nil {
			return st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0
		}
	}
	return false
}

// attr reads an attribute that overlay keeps: with the prefix trusted, or user
// for overlays that were mounted without privileges.
func attr(path, name string) string {
	buf := make([]byte, 64)
	for _, prefix := range [...]string{"trusted", "user"} {
		if n, err := unix.Lgetxattr(path, prefix+".overlay."+name, buf); err == nil {
			return string(buf[:n])
		}
	}
	return ""
}

func hasAttr(path, name string) bool {
	for _, prefix := range [...]string{"trusted", "user"} {
		if _, err := unix.Lgetxattr(path, prefix+".overlay."+name, nil); err == nil {
			return true
		}
	}
	return false
}

// Tables gives a list of overlays, or one overlay with its paths.
func (o *Overlays) Tables() []Table {
	if !o.Detail {
		t := Table{Of: &o.Overlays, Minor: []string{"OPTIONS", "WORK", "CONTAINER", "LAYERS"}, Columns: []string{"POINT", "CONTAINER", "LAYERS", "UPPER", "WORK", "OPTIONS"}}
		for _, e := range o.Overlays {
			t.Rows = append(t.Rows, []string{strings.Join(e.Points, " "), dash(strings.Join(e.Containers, " ")), decimal(len(e.Lower) + len(e.DataOnly)), dash(e.Upper), dash(e.Work), dash(strings.Join(e.Options, ","))})
		}
		return []Table{t}
	}
	var out []Table
	for _, e := range o.Overlays {
		out = append(out, e.tables()...)
	}
	return out
}

func (o *Overlay) tables() []Table {
	about := Table{Title: "overlay " + strings.Join(o.Points, " ")}
	row := func(name, value string) { about.Rows = append(about.Rows, []string{name, value}) }
	row("container", dash(strings.Join(o.Containers, " ")))
	for i, dir := range o.Lower {
		row("lower "+decimal(i+1), dir)
	}
	for i, dir := range o.DataOnly {
		row("data "+decimal(i+1), dir)
	}
	row("upper", dash(o.Upper))
	row("work", dash(o.Work))
	row("options", dash(strings.Join(o.Options, ",")))
	if o.Note != "" {
		row("note", o.Note)
	}
	u := o.Content
	if u == nil {
		return []Table{about}
	}
	row("upper holds", fmt.Sprintf("%d files, %d folders, %s (%s on disk)", u.Files, u.Folders, size(u.Bytes), size(u.Disk)))
	row("whiteouts", decimal(u.Whiteouts.Count))
	row("opaque folders", decimal(u.Opaque.Count))
	row("copied up", decimal(u.CopiedUp.Count))
	row("new", decimal(u.New.Count))
	paths := Table{Columns: []string{"CHANGE", "PATH"}}
	for _, c := range []struct {
		name string
		p    Paths
	}{{"removed", u.Whiteouts}, {"replaced folder", u.Opaque}, {"copied up", u.CopiedUp}, {"new", u.New}} {
		for _, p := range c.p.List {
			paths.Rows = append(paths.Rows, []string{c.name, p})
		}
		if more := c.p.Count - len(c.p.List); more > 0 {
			paths.Rows = append(paths.Rows, []string{c.name, fmt.Sprintf("and %d more", more)})
		}
	}
	return []Table{about, paths}
}
