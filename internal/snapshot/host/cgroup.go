package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/process"
	"golang.org/x/sys/unix"
)

// Cgroup is one control group. Pointers are nil where its controller is off or
// the limit is not set.
type Cgroup struct {
	Hierarchy string  `json:"hierarchy"` // "v2", or the controllers of a v1 hierarchy
	Path      string  `json:"path"`
	ID        uint64  `json:"id"`
	Container string  `json:"container,omitempty"`
	Processes int     `json:"processes"`            // in the group itself, not below it
	Memory    *uint64 `json:"memory,omitempty"`     // bytes used
	MemoryMax *uint64 `json:"memory_max,omitempty"` // bytes
	CPUUsage  *uint64 `json:"cpu_usage_us,omitempty"`
	CPUMax    string  `json:"cpu_max,omitempty"` // microseconds per period, as "50000 100000"
	CPUWeight *uint64 `json:"cpu_weight,omitempty"`
	Throttled *uint64 `json:"throttled_us,omitempty"`
	Tasks     *uint64 `json:"tasks,omitempty"` // in it and below it
	TasksMax  *uint64 `json:"tasks_max,omitempty"`
	OOMKills  *uint64 `json:"oom_kills,omitempty"`
	Frozen    bool    `json:"frozen,omitempty"`
}

// Cgroups are the control groups of all hierarchies that are mounted here.
type Cgroups struct {
	Cgroups []Cgroup `json:"cgroups"`
	Notes   `json:"notes,omitempty"`
}

// ReadCgroups walks the mounted hierarchies. prefix keeps groups whose path
// begins with it; "" keeps all.
func ReadCgroups(prefix string) (*Cgroups, error) {
	mounts, err := mountsOf("self")
	if err != nil {
		return nil, err
	}
	out := &Cgroups{Cgroups: []Cgroup{}}
	seen := map[string]bool{}
	for _, m := range mounts {
		if m.Type != "cgroup" && m.Type != "cgroup2" || seen[m.Device] || m.Hidden {
			continue
		}
		seen[m.Device] = true
		if m.Root != "/" {
			out.Notes = append(out.Notes, fmt.Sprintf("the hierarchy at %s shows only what is below %s: run in the host's namespaces to see all", m.Point, m.Root))
		}
		if err := out.walk(m, prefix); err != nil {
			out.Notes = append(out.Notes, err.Error())
		}
	}
	if len(seen) == 0 {
		out.Notes = append(out.Notes, "no control group hierarchy is mounted here: mount -t cgroup2 none /sys/fs/cgroup")
	}
	return out, nil
}

func (c *Cgroups) walk(m Mount, prefix string) error {
	unread := 0
	err := filepath.WalkDir(m.Point, func(dir string, d fs.DirEntry, err error) error {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				unread++
			}
			return nil
		}
		if !d.IsDir() {
			return nil
		}
		path := strings.TrimPrefix(dir, m.Point)
		if path == "" {
			path = "/"
		}
		if strings.HasPrefix(path, prefix) {
			c.Cgroups = append(c.Cgroups, readCgroup(m, dir, path))
		}
		return nil
	})
	if err == nil && unread > 0 {
		err = fmt.Errorf("%d control groups below %s could not be read: run as root", unread, m.Point)
	}
	return err
}

func readCgroup(m Mount, dir, path string) Cgroup {
	g := Cgroup{Hierarchy: "v2", Path: path, Container: process.ParseCgroup(0, path).FullID}
	var st unix.Stat_t
	if unix.Stat(dir, &st) == nil {
		g.ID = st.Ino
	}
	if procs := line(dir + "/cgroup.procs"); procs != "" {
		g.Processes = strings.Count(procs, "\n") + 1
	}
	if m.Type == "cgroup" {
		g.Hierarchy = controllers(m.Super)
		g.fillV1(dir)
		return g
	}
	g.Memory, g.MemoryMax = value(dir+"/memory.current"), value(dir+"/memory.max")
	g.Tasks, g.TasksMax = value(dir+"/pids.current"), value(dir+"/pids.max")
	g.CPUWeight = value(dir + "/cpu.weight")
	if limit := line(dir + "/cpu.max"); !strings.HasPrefix(limit, "max") {
		g.CPUMax = limit
	}
	cpu := line(dir + "/cpu.stat")
	g.CPUUsage, g.Throttled = keyed(cpu, "usage_usec"), keyed(cpu, "throttled_usec")
	g.OOMKills = keyed(line(dir+"/memory.events"), "oom_kill")
	if f := keyed(line(dir+"/cgroup.events"), "frozen"); f != nil {
		g.Frozen = *f == 1
	}
	return g
}

// fillV1 reads the older files, of which a hierarchy has those of its controllers.
func (g *Cgroup) fillV1(dir string) {
	// v1 writes "no limit" as a number of pages near the top of 64 bits.
	const unlimited = 1 << 62
	g.Memory, g.MemoryMax = value(dir+"/memory.usage_in_bytes"), value(dir+"/memory.limit_in_bytes")
	if g.MemoryMax != nil && *g.MemoryMax >= unlimited {
		g.MemoryMax = nil
	}
	g.Tasks, g.TasksMax = value(dir+"/pids.current"), value(dir+"/pids.max")
	if ns := value(dir + "/cpuacct.usage"); ns != nil {
		us := *ns / 1000
		g.CPUUsage = &us
	}
	if quota := value(dir + "/cpu.cfs_quota_us"); quota != nil {
		g.CPUMax = decimal(*quota) + " " + line(dir+"/cpu.cfs_period_us")
	}
	if ns := keyed(line(dir+"/cpu.stat"), "throttled_time"); ns != nil {
		us := *ns / 1000
		g.Throttled = &us
	}
	g.OOMKills = keyed(line(dir+"/memory.oom_control"), "oom_kill")
	g.Frozen = line(dir+"/freezer.state") == "FROZEN"
}

// controllers takes a v1 hierarchy's controllers out of its options.
func controllers(super string) string {
	var out []string
	for opt := range strings.SplitSeq(super, ",") {
		switch opt {
		case "rw", "ro", "xattr", "clone_children", "noprefix":
		default:
			if !strings.HasPrefix(opt, "release_agent=") {
				out = append(out, opt)
			}
		}
	}
	return "v1 " + strings.Join(out, ",")
}

// value reads a number from a file; nil for "max", for v1's -1, and for no file.
func value(path string) *uint64 {
	if n, ok := number(path); ok {
		return &n
	}
	return nil
}

// keyed finds a line "key number".
func keyed(text, key string) *uint64 {
	for l := range strings.Lines(text) {
		if f := strings.Fields(l); len(f) == 2 && f[0] == key {
			if n, err := strconv.ParseUint(f[1], 10, 64); err == nil {
				return &n
			}
		}
	}
	return nil
}

// Tables gives one row for each group.
func (c *Cgroups) Tables() []Table {
	t := Table{Of: &c.Cgroups, Minor: []string{"ID", "HIERARCHY", "OOM", "THROTTLED", "CPU MAX", "TASKS MAX", "MEMORY MAX", "NOTE", "TASKS"}, Columns: []string{"HIERARCHY", "PATH", "ID", "PROCS", "TASKS", "TASKS MAX", "MEMORY", "MEMORY MAX", "CPU", "CPU MAX", "THROTTLED", "OOM", "NOTE"}}
	for _, g := range c.Cgroups {
		note := ""
		if g.Container != "" {
			note = "container " + g.Container
		}
		if g.Frozen {
			note = strings.TrimSpace(note + " frozen")
		}
		t.Rows = append(t.Rows, []string{g.Hierarchy, g.Path, decimal(g.ID), decimal(g.Processes), plainOr(g.Tasks), plainOr(g.TasksMax), sizeOr(g.Memory), sizeOr(g.MemoryMax), seconds(g.CPUUsage), dash(g.CPUMax), seconds(g.Throttled), plainOr(g.OOMKills), dash(note)})
	}
	return []Table{t}
}

func plainOr(n *uint64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatUint(*n, 10)
}

func sizeOr(n *uint64) string {
	if n == nil {
		return "-"
	}
	return size(*n)
}

// seconds writes microseconds as seconds.
func seconds(us *uint64) string {
	if us == nil {
		return "-"
	}
	return strconv.FormatFloat(float64(*us)/1e6, 'f', 1, 64) + " s"
}
