package top

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Memory is what one process did with memory. Faults and stalls are of the interval.
type Memory struct {
	Pid  uint32 `json:"pid"`
	Comm string `json:"comm"`
	// Faults are all kinds together: the first write to memory that belongs to no
	// file, the first read of it, the first use of a file's page, a write for which a
	// page must be copied, and Other.
	Faults    uint64 `json:"faults"`
	AnonWrite uint64 `json:"anon_write"`
	AnonRead  uint64 `json:"anon_read"`
	File      uint64 `json:"file"`
	COW       uint64 `json:"cow"`
	// Other are at addresses where nothing is mapped yet, as where a stack grows, or
	// where what was tried is not allowed.
	Other uint64 `json:"other"`
	// Major is how many of the faults had to wait for a disk.
	Major uint64 `json:"major"`
	// RSS is the memory that it has, at the interval's end.
	RSS       uint64 `json:"rss_bytes"`
	RSSChange int64  `json:"rss_change_bytes"`
	// Stalls is how often it had to free memory before it got any, Stalled how long
	// that took.
	Stalls  uint64 `json:"stalls"`
	Stalled uint64 `json:"stalled_ns"`

	took float64
}

const (
	noGroupStalls = "this kernel does not tell of memory that is freed within a control group"
	majorLag      = "a fault that waits for a disk counts as major when the thread faults again or ends"
	noMappings    = "this kernel keeps mappings in a way that is not known here: all faults are in OTHER"
)

func (r *Memory) rate(n uint64) float64 { return float64(n) / max(r.took, 0.001) }

// perSecond is a column of faults.
func perSecond(name string, n func(r *Memory) uint64) column[Memory] {
	return column[Memory]{name, func(r *Memory) string { return Rate(r.rate(n(r))) }, func(r *Memory) float64 { return r.rate(n(r)) }}
}

var memTable = table[Memory]{id: func(r *Memory) uint64 { return uint64(r.Pid) }, who: func(r *Memory) (uint32, string) { return r.Pid, r.Comm },
	length: func(r *Memory, s float64) { r.took = s }, columns: []column[Memory]{
		{"PID", func(r *Memory) string { return strconv.FormatUint(uint64(r.Pid), 10) }, nil},
		{"COMM", func(r *Memory) string { return r.Comm }, nil},
		perSecond("FAULTS/s", func(r *Memory) uint64 { return r.Faults }),
		perSecond("ANONW/s", func(r *Memory) uint64 { return r.AnonWrite }),
		perSecond("ANONR/s", func(r *Memory) uint64 { return r.AnonRead }),
		perSecond("FILE/s", func(r *Memory) uint64 { return r.File }),
		perSecond("COW/s", func(r *Memory) uint64 { return r.COW }),
		perSecond("OTHER/s", func(r *Memory) uint64 { return r.Other }),
		perSecond("MAJOR/s", func(r *Memory) uint64 { return r.Major }),
		{"RSS", func(r *Memory) string { return Size(r.RSS) }, func(r *Memory) float64 { return float64(r.RSS) }},
		{"RSS±", func(r *Memory) string { return change(r.RSSChange) }, func(r *Memory) float64 { return float64(r.RSSChange) }},
		{"STALLS", func(r *Memory) string { return strconv.FormatUint(r.Stalls, 10) }, func(r *Memory) float64 { return float64(r.Stalls) }},
		{"STALLED", func(r *Memory) string { return duration(r.Stalled) }, func(r *Memory) float64 { return float64(r.Stalled) }},
	}}

// memWatch joins faults, from the programs, to the sizes that /proc tells.
type memWatch struct {
	t *Top
	// was and is are the sizes of processes at the bounds of the last interval.
	was, is map[uint32]uint64
}

func openMem(t *Top) (watch, error) {
	t.notes = append(t.notes, majorLag)
	if !kernelHasField(t.types, "mm_struct", "mm_mt") && !kernelHasField(t.types, "mm_struct", "mm_rb") {
		t.notes = append(t.notes, noMappings)
	}
	t.sources = append(t.sources, "/proc/PID/statm")
	return &memWatch{t: t}, nil
}

// mark reads how much memory processes have.
func (w *memWatch) mark() error {
	w.was, w.is = w.is, map[uint32]uint64{}
	if w.t.o.Pid != 0 {
		if n, ok := residentOf("/proc", w.t.o.Pid); ok {
			w.is[w.t.o.Pid] = n
		}
		return nil
	}
	d, err := os.Open("/proc")
	if err != nil {
		return fmt.Errorf("listing processes for their memory: %w", err)
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("listing processes for their memory: %w", err)
	}
	for _, name := range names {
		pid, err := strconv.ParseUint(name, 10, 32)
		if err != nil || int(pid) == os.Getpid() {
			continue
		}
		if n, ok := residentOf("/proc", uint32(pid)); ok && n > 0 { // the kernel's threads have none
			w.is[uint32(pid)] = n
		}
	}
	return nil
}

// residentOf reads how many bytes of memory a process has.
func residentOf(proc string, pid uint32) (uint64, bool) {
	b, err := os.ReadFile(filepath.Join(proc, strconv.FormatUint(uint64(pid), 10), "statm"))
	if err != nil {
		return 0, false
	}
	return parseStatm(string(b))
}

// parseStatm takes the second figure, which is in pages.
func parseStatm(text string) (uint64, bool) {
	w := strings.Fields(text)
	if len(w) < 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(w[1], 10, 40)
	return n * uint64(os.Getpagesize()), err == nil
}

func (w *memWatch) read(f *Frame) error {
	rows := map[uint32]*Memory{}
	err := take(w.t, "mem", func(k progWho) uint32 { return k.Epoch }, func(k progWho, v progMemStat) {
		rows[k.Tgid] = &Memory{Pid: k.Tgid, Comm: kernel.Text(v.Comm[:]), AnonWrite: v.AnonWrite, AnonRead: v.AnonRead, File: v.File, COW: v.Cow, Other: v.Other,
			Faults: v.AnonWrite + v.AnonRead + v.File + v.Cow + v.Other, Major: v.Major, Stalls: v.Stalls, Stalled: v.Stalled}
	})
	if err != nil {
		return err
	}
	for pid, n := range w.is {
		r := rows[pid]
		// who has no fault is told where the size has changed; of whom, only the
		// kernel's programs could say
		if r == nil && w.was[pid] != 0 && w.was[pid] != n && w.t.o.Comm == "" && w.t.o.Scope.Kind == kernel.ScopeHost {
			b, err := os.ReadFile(filepath.Join("/proc", strconv.FormatUint(uint64(pid), 10), "comm"))
			if err != nil {
				continue // it has ended
			}
			r = &Memory{Pid: pid, Comm: strings.TrimSuffix(string(b), "\n")}
			rows[pid] = r
		}
		if r != nil {
			r.RSS, r.RSSChange = n, int64(n)-int64(w.was[pid])
		}
	}
	all := make([]Memory, 0, len(rows))
	for _, r := range rows {
		r.took = f.Took
		all = append(all, *r)
	}
	memTable.fill(f, all, w.t.o.Sort)
	f.Host = hostMemory()
	return nil
}

// hostMemory says how short of memory the host is.
func hostMemory() string {
	var out []string
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		total, ok1 := meminfo(string(b), "MemTotal")
		left, ok2 := meminfo(string(b), "MemAvailable")
		if ok1 && ok2 {
			out = append(out, Size(left)+" of "+Size(total)+" available")
		}
	}
	if b, err := os.ReadFile("/proc/pressure/memory"); err == nil {
		if some, ok := pressureAverage(string(b)); ok {
			out = append(out, "pressure "+some+"% in 10 s")
		}
	}
	return strings.Join(out, ", ")
}

// meminfo finds a figure in what the kernel says of memory, in bytes.
func meminfo(text, name string) (uint64, bool) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		w := strings.Fields(rest)
		if len(w) == 0 {
			return 0, false
		}
		n, err := strconv.ParseUint(w[0], 10, 50)
		return n * 1024, err == nil
	}
	return 0, false
}
