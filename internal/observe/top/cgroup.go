package top

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Group is what one control group, with those below it, had in an interval.
type Group struct {
	// Path is below the root of control groups.
	Path string `json:"path"`
	// CPU is the part of one processor, in percent.
	CPU float64 `json:"cpu_percent"`
	// Periods are those of its limit on processors, Throttled in how many of them it
	// was stopped for having used all, ThrottledTime how long its processors were.
	Periods       uint64 `json:"periods"`
	Throttled     uint64 `json:"throttled"`
	ThrottledTime uint64 `json:"throttled_ns"`
	// Memory is what it has at the interval's end, Limit the most that it may have; 0
	// for no limit.
	Memory       uint64 `json:"memory_bytes"`
	MemoryChange int64  `json:"memory_change_bytes"`
	Limit        uint64 `json:"limit_bytes"`
	// Processes are those that are directly in it.
	Processes uint64 `json:"processes"`

	took float64
}

var groupTable = table[Group]{id: func(*Group) uint64 { return 0 }, length: func(r *Group, s float64) { r.took = s }, columns: []column[Group]{
	{"GROUP", func(r *Group) string { return r.Path }, nil},
	{"CPU%", func(r *Group) string { return fmt.Sprintf("%.1f", r.CPU) }, func(r *Group) float64 { return r.CPU }},
	{"THR/s", func(r *Group) string { return Rate(float64(r.Throttled) / max(r.took, 0.001)) }, func(r *Group) float64 { return float64(r.Throttled) }},
	{"OF", func(r *Group) string {
		if r.Periods == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f%%", 100*float64(r.Throttled)/float64(r.Periods))
	}, func(r *Group) float64 { return float64(r.Throttled) / float64(max(r.Periods, 1)) }},
	timeOf("THROTTLED", func(r *Group) uint64 { return r.ThrottledTime }),
	bytesOf("MEM", func(r *Group) uint64 { return r.Memory }),
	{"MEM±", func(r *Group) string { return change(r.MemoryChange) }, func(r *Group) float64 { return float64(r.MemoryChange) }},
	bytesOf("LIMIT", func(r *Group) uint64 { return r.Limit }),
	count("PROCS", func(r *Group) uint64 { return r.Processes }),
}}

// groupCounts are the kernel's figures of a control group at one time. Times are in
// nanoseconds.
type groupCounts struct {
	usage, periods, throttled, throttledTime uint64
	memory, limit, processes                 uint64
}

// groupWatch reads the figures of all control groups at the bounds of intervals.
type groupWatch struct {
	t       *Top
	mounts  []kernel.CgroupMount
	below   string // only this group and those below it; "" for all
	was, is map[string]groupCounts
}

func openGroups(t *Top) (watch, error) {
	w := &groupWatch{t: t, mounts: kernel.CgroupMounts()}
	if len(w.mounts) == 0 {
		return nil, fmt.Errorf("control groups are not mounted here: mount -t cgroup2 none /sys/fs/cgroup")
	}
	t.sources = []string{"cpu.stat", "memory.current", "memory.max", "cgroup.procs"}
	if slices.ContainsFunc(w.mounts, func(m kernel.CgroupMount) bool { return !m.V2 }) {
		t.sources = append(t.sources, "cpuacct.usage", "memory.usage_in_bytes", "memory.limit_in_bytes")
	}
	if t.o.Cgroup != "" {
		w.below = relativeGroup(w.mounts, t.o.Cgroup)
	}
	return w, nil
}

// relativeGroup is a group's path below the hierarchy that it is in.
func relativeGroup(mounts []kernel.CgroupMount, path string) string {
	path = filepath.Join("/", path)
	best := ""
	for _, m := range mounts {
		if (path == m.Dir || strings.HasPrefix(path, m.Dir+"/")) && len(m.Dir) > len(best) {
			best = m.Dir
		}
	}
	return filepath.Join("/", strings.TrimPrefix(path, best))
}

// within tells whether a group is the one that is asked for, or below it.
func (w *groupWatch) within(path string) bool {
	return w.below == "" || w.below == "/" || path == w.below || strings.HasPrefix(path, w.below+"/")
}

// mark reads the figures of all groups. In version 1 each controller has a hierarchy of
// its own; they are joined by the groups' paths.
func (w *groupWatch) mark() error {
	w.was, w.is = w.is, map[string]groupCounts{}
	for _, m := range w.mounts {
		if !m.V2 && !slices.ContainsFunc(m.Options, func(o string) bool { return o == "cpu" || o == "cpuacct" || o == "memory" }) {
			continue
		}
		err := filepath.WalkDir(m.Dir, func(dir string, d fs.DirEntry, err error) error {
			if err != nil {
				if d != nil && d.IsDir() {
					return fs.SkipDir // it has been removed
				}
				return nil
			}
			if !d.IsDir() {
				return nil
			}
			path := filepath.Join("/", strings.TrimPrefix(dir, m.Dir))
			if w.within(path) {
				w.is[path] = readGroup(dir, w.is[path])
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading the control groups in %s: %w", m.Dir, err)
		}
	}
	return nil
}

// readGroup adds to what is known of a group the figures that its directory has.
func readGroup(dir string, c groupCounts) groupCounts {
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "" // its controller is in another hierarchy, or off
		}
		return string(b)
	}
	cpu := text("cpu.stat")
	if n, ok := keyed(cpu, "usage_usec"); ok && c.usage == 0 {
		c.usage = n * 1000
	}
	if n, ok := figure(text("cpuacct.usage")); ok {
		c.usage = n
	}
	for name, to := range map[string]*uint64{"nr_periods": &c.periods, "nr_throttled": &c.throttled, "throttled_time": &c.throttledTime} {
		if n, ok := keyed(cpu, name); ok {
			*to = n
		}
	}
	if n, ok := keyed(cpu, "throttled_usec"); ok {
		c.throttledTime = n * 1000
	}
	for _, name := range []string{"memory.current", "memory.usage_in_bytes"} {
		if n, ok := figure(text(name)); ok {
			c.memory = n
		}
	}
	for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
		if n, ok := figure(text(name)); ok && n < noLimit {
			c.limit = n
		}
	}
	c.processes = max(c.processes, uint64(strings.Count(text("cgroup.procs"), "\n")))
	return c
}

// noLimit is from where on version 1 means that there is no limit.
const noLimit = 1 << 62

// keyed finds a figure by its name in lines of names and figures.
func keyed(text, name string) (uint64, bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return figure(rest)
		}
	}
	return 0, false
}

// figure reads a file that has one; "max" is none.
func figure(text string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

func (w *groupWatch) read(f *Frame) error {
	rows := []Group{}
	for path, c := range w.is {
		was := w.was[path] // a new one has had nothing
		r := Group{
			Path: path, CPU: 100 * float64(since(c.usage, was.usage)) / 1e9 / max(f.Took, 0.001), Periods: since(c.periods, was.periods), Throttled: since(c.throttled, was.throttled),
			ThrottledTime: since(c.throttledTime, was.throttledTime), Memory: c.memory, MemoryChange: int64(c.memory) - int64(was.memory), Limit: c.limit, Processes: c.processes, took: f.Took,
		}
		if r.CPU == 0 && r.Throttled == 0 && r.Memory == 0 && r.MemoryChange == 0 && r.Processes == 0 {
			continue
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b Group) int { return strings.Compare(a.Path, b.Path) })
	groupTable.fill(f, rows, w.t.o.Sort)
	f.Host = fmt.Sprintf("%d groups; %s", len(w.is), hostCPU())
	return nil
}
