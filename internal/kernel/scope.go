package kernel

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// ScopeKind says which processes the programs look at.
type ScopeKind uint32

// The kinds; the numbers are the programs' own (scope.h).
const (
	ScopeHost ScopeKind = iota
	ScopePid
	ScopeCgroup
)

// Scope is decided in the kernel, before anything else of a process is read.
type Scope struct {
	Kind ScopeKind
	// Pid, for ScopePid: that process and all its descendants.
	Pid int
	// CgroupID, for ScopeCgroup: that group and those below it.
	CgroupID uint64
	// Subsys is the number of a v1 controller, or -1 for cgroup v2.
	Subsys int
	// Dir, for ScopeCgroup, is the group's directory.
	Dir string
}

// AddPids notes the processes that are in the control group now, or below it.
func (s Scope) AddPids(to map[uint32]bool) {
	_ = filepath.WalkDir(s.Dir, func(dir string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // it has been removed
		}
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return nil
		}
		for line := range strings.Lines(string(b)) {
			if pid, err := strconv.ParseUint(strings.TrimSpace(line), 10, 32); err == nil {
				to[uint32(pid)] = true
			}
		}
		return nil
	})
}

// HostScope looks at everything.
func HostScope() Scope { return Scope{Subsys: -1} }

// PidScope looks at one process and its descendants.
func PidScope(pid int) (Scope, error) {
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
		return Scope{}, fmt.Errorf("there is no process %d to watch: %w", pid, err)
	}
	return Scope{Kind: ScopePid, Pid: pid, Subsys: -1}, nil
}

// CgroupScope looks at a control group, named by a directory or, where it is
// not one, by its path below a cgroup mount.
func CgroupScope(path string) (Scope, error) {
	dir, err := findCgroup(path)
	if err != nil {
		return Scope{}, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return Scope{}, fmt.Errorf("looking at %s: %w", dir, err)
	}
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir, 0)
	if err != nil {
		return Scope{}, fmt.Errorf("asking for the id of control group %s: %w", dir, err)
	}
	if h.Size() < 8 {
		return Scope{}, fmt.Errorf("the kernel's handle of control group %s holds no id", dir)
	}
	s := Scope{Kind: ScopeCgroup, CgroupID: binary.NativeEndian.Uint64(h.Bytes()), Subsys: -1, Dir: dir}
	if fs.Type == unix.CGROUP2_SUPER_MAGIC {
		return s, nil
	}
	s.Subsys, err = subsysOf(dir)
	return s, err
}

// ContainerScope looks at the container whose id starts with id: the
// uppermost control group that has it in its name.
func ContainerScope(id string) (Scope, error) {
	_, dir, err := findContainer(id)
	if err != nil {
		return Scope{}, err
	}
	return CgroupScope(dir)
}

// ContainerCgroup gives the control group that ContainerScope looks at, by its path below
// the mount, as processes have it.
func ContainerCgroup(id string) (string, error) {
	root, dir, err := findContainer(id)
	return strings.TrimPrefix(dir, root), err
}

func findContainer(id string) (root, dir string, err error) {
	if len(id) < 4 || strings.ContainsAny(id, "/*?[") {
		return "", "", fmt.Errorf("container id %q is not usable: give at least its first four digits", id)
	}
	for _, root := range cgroupMounts() {
		dirs, err := containersIn(root, id)
		if err != nil {
			return "", "", err
		}
		if dir, err := oneContainer(id, dirs); dir != "" || err != nil {
			return root, dir, err
		}
	}
	return "", "", fmt.Errorf("no control group is named after container %s: is it running? "+
		"Names of containers are not known here, give the first digits of the id that docker ps, podman ps or crictl ps shows", id)
}

// containersIn finds the uppermost control groups named after containers whose ids begin
// with id, by these ids in full.
func containersIn(root, id string) (map[string]string, error) {
	dirs := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() || p == root {
			return nil
		}
		whole := containerNamed(d.Name(), id)
		if whole == "" {
			return nil
		}
		if dirs[whole] == "" {
			dirs[whole] = p
		}
		return filepath.SkipDir
	})
	if err != nil {
		return nil, fmt.Errorf("looking for containers in %s: %w", root, err)
	}
	return dirs, nil
}

// containerNamed is the whole id in the name of a control group, of a container whose id begins
// with id: docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, ID. What
// podman and CRI-O have beside a container, to watch over it, is not it.
func containerNamed(name, id string) string {
	if strings.Contains(name, "-conmon-") {
		return ""
	}
	for from := 0; ; {
		i := strings.Index(name[from:], id)
		if i < 0 {
			return ""
		}
		i += from
		if i == 0 || !wordByte(name[i-1]) {
			end := i + len(id)
			for end < len(name) && wordByte(name[end]) {
				end++
			}
			return name[i:end]
		}
		from = i + 1
	}
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// oneContainer takes the container with the id, or the only one that begins with it.
func oneContainer(id string, dirs map[string]string) (string, error) {
	if dir := dirs[id]; dir != "" || len(dirs) == 0 {
		return dir, nil
	}
	ids := slices.Sorted(maps.Keys(dirs))
	if len(ids) > 1 {
		const few = 4
		more := ""
		if len(ids) > few {
			ids, more = ids[:few], " and more"
		}
		return "", fmt.Errorf("several containers have ids that begin with %s: %s%s: give more of it", id, strings.Join(ids, ", "), more)
	}
	return dirs[ids[0]], nil
}

func findCgroup(path string) (string, error) {
	tried := append([]string{""}, cgroupMounts()...)
	for _, root := range tried {
		p := filepath.Join(root, path)
		if st, err := os.Stat(p); err == nil && st.IsDir() && isCgroup(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("there is no control group %s: give a directory below a cgroup mount, such as /sys/fs/cgroup/system.slice", path)
}

func isCgroup(p string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(p, &fs) == nil && (fs.Type == unix.CGROUP2_SUPER_MAGIC || fs.Type == unix.CGROUP_SUPER_MAGIC)
}

// CgroupMount is where a hierarchy of control groups is mounted.
type CgroupMount struct {
	Dir string
	// V2 tells the one hierarchy of version 2 from those of version 1.
	V2 bool
	// Options have the names of the controllers of version 1.
	Options []string
}

// CgroupMounts lists where control groups are mounted, those of version 2 first.
func CgroupMounts() []CgroupMount {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var v2, v1 []CgroupMount
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		dash := 0
		for i, w := range f {
			if w == "-" {
				dash = i
			}
		}
		if dash < 5 || len(f) < dash+4 {
			continue
		}
		m := CgroupMount{f[4], f[dash+1] == "cgroup2", strings.Split(f[dash+3], ",")}
		switch f[dash+1] {
		case "cgroup2":
			v2 = append(v2, m)
		case "cgroup":
			v1 = append(v1, m)
		}
	}
	return append(v2, v1...)
}

func cgroupMounts() []string {
	var dirs []string
	for _, m := range CgroupMounts() {
		dirs = append(dirs, m.Dir)
	}
	return dirs
}

// subsysOf returns the kernel's number of the v1 controller that dir's
// hierarchy carries, from the kernel's own types.
func subsysOf(dir string) (int, error) {
	var opts []string
	longest := -1
	for _, m := range CgroupMounts() {
		if (dir == m.Dir || strings.HasPrefix(dir, m.Dir+"/")) && len(m.Dir) > longest {
			longest, opts = len(m.Dir), m.Options
		}
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, fmt.Errorf("reading the kernel's types: %w", err)
	}
	var enum *btf.Enum
	if err := spec.TypeByName("cgroup_subsys_id", &enum); err != nil {
		return 0, fmt.Errorf("looking up the kernel's controllers: %w", err)
	}
	for _, o := range opts {
		for _, v := range enum.Values {
			if v.Name == o+"_cgrp_id" {
				return int(v.Value), nil
			}
		}
	}
	return 0, fmt.Errorf("control group %s belongs to a v1 hierarchy without a controller: name it in a controller's hierarchy, such as pids", dir)
}
