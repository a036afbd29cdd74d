package kernel

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
)

// Groups names the control groups of one hierarchy by the kernel's numbers of them.
// A group that is gone keeps its name, if it was there at a Read.
type Groups struct {
	dir    string
	subsys int
	paths  map[uint64]string
}

// OpenGroups chooses the hierarchy, and reads it: that of version 2, or where it has no
// groups, the first of a controller that has some.
func OpenGroups() (*Groups, error) {
	var best *Groups
	for _, m := range CgroupMounts() {
		if !m.V2 && !slices.ContainsFunc(m.Options, func(o string) bool { return o == "cpu" || o == "memory" || o == "pids" }) {
			continue
		}
		g := &Groups{dir: m.Dir, subsys: -1, paths: map[uint64]string{}}
		if !m.V2 {
			var err error
			if g.subsys, err = subsysOf(m.Dir); err != nil {
				return nil, err
			}
		}
		g.Read()
		if best == nil || len(best.paths) <= 1 && len(g.paths) > 1 {
			best = g
		}
	}
	if best == nil {
		return nil, errors.New("control groups are not mounted here: mount -t cgroup2 none /sys/fs/cgroup")
	}
	return best, nil
}

// Set tells the programs (group.h) which hierarchy it is.
func (g *Groups) Set(spec *ebpf.CollectionSpec) error {
	return setConstant(spec, "group_subsys", int32(g.subsys))
}

// Read takes in the groups that there are now.
func (g *Groups) Read() {
	_ = filepath.WalkDir(g.dir, func(dir string, d fs.DirEntry, err error) error {
		if err != nil {
			if d != nil && d.IsDir() {
				return fs.SkipDir // it has been removed
			}
			return nil
		}
		if !d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				g.paths[st.Ino] = filepath.Join("/", strings.TrimPrefix(dir, g.dir))
			}
		}
		return nil
	})
}

// Path is a group's below the root of its hierarchy; "" where it was gone before it
// could be read.
func (g *Groups) Path(id uint64) string { return g.paths[id] }
