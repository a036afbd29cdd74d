package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// VMA is an area of a process's memory.
type VMA struct {
	Start uint64 `json:"start"`
	End   uint64 `json:"end"` // the first address behind it
	// Kind is text or data (of the program), lib, file, heap, stack, anon, shared or
	// kernel (vdso and the like).
	Kind   string `json:"kind"`
	Rights string `json:"rights"` // as r-xp; s in place of p for shared memory
	Size   uint64 `json:"size"`   // bytes, as all that follow
	// RSS is what is in memory, PSS the same with shared pages divided among those
	// who share them; Dirty is what only this process has and has changed.
	RSS    uint64 `json:"rss"`
	PSS    uint64 `json:"pss"`
	Dirty  uint64 `json:"dirty"`
	Swap   uint64 `json:"swap"`
	Offset uint64 `json:"offset"`
	Inode  uint64 `json:"inode,omitempty"`
	Path   string `json:"path,omitempty"` // as the process sees it; [heap] and the like; or a name given by prctl
	// Deleted files have no name any more; replaced ones have a name that leads to
	// another file now.
	Deleted  bool `json:"deleted,omitempty"`
	Replaced bool `json:"replaced,omitempty"`
	// WX memory can be written and run, AnonExec run though it comes from no file, or
	// from one that is in memory only (memfd).
	WX       bool `json:"writable_executable,omitempty"`
	AnonExec bool `json:"anonymous_executable,omitempty"`
}

// Segment is the sum of a kind.
type Segment struct {
	Kind  string `json:"kind"`
	Areas int    `json:"areas"`
	Size  uint64 `json:"size"`
	RSS   uint64 `json:"rss"`
	PSS   uint64 `json:"pss"`
	Dirty uint64 `json:"dirty"`
	Swap  uint64 `json:"swap"`
}

// Memory is a process's memory.
type Memory struct {
	PID      int       `json:"pid"`
	Name     string    `json:"name"`
	Exe      string    `json:"exe"`
	Segments []Segment `json:"segments"`
	VMAs     []VMA     `json:"vmas"`
	Notes    `json:"notes,omitempty"`

	dir string // of the process, in /proc
}

// kinds is the order in which segments are told.
func kinds() []string {
	return []string{"text", "data", "heap", "stack", "lib", "file", "anon", "shared", "kernel"}
}

// ReadMemory describes the memory of a process: its areas from the kernel's own list of
// them where it can be had, and what they take from /proc/PID/smaps. /proc is read where
// nothing is mounted over its folders.
func ReadMemory(pid int) (*Memory, error) {
	proc, closeFS, err := kernelFS("proc")
	if err != nil {
		proc, closeFS = "/proc", func() {}
	}
	defer closeFS()
	out := &Memory{PID: pid, VMAs: []VMA{}, Segments: []Segment{}, dir: proc + "/" + decimal(pid) + "/"}
	if err != nil {
		out.Notes = append(out.Notes, "/proc is read as it is mounted, which may be over the folder of this process: "+err.Error())
	}
	f, err := os.Open(out.dir + "smaps")
	if err != nil {
		if gone(err) {
			return nil, noProcess(pid)
		}
		return nil, fmt.Errorf("opening the memory map of process %d: %w", pid, err)
	}
	defer f.Close() //nolint:errcheck // only read
	out.Name = line(out.dir + "comm")
	exe, err := os.Readlink(out.dir + "exe")
	if err == nil {
		out.Exe = strings.TrimSuffix(exe, " (deleted)")
	}
	if out.VMAs, err = parseSmaps(f, out.Exe); err != nil {
		if gone(err) {
			return nil, fmt.Errorf("process %d has ended", pid)
		}
		return nil, fmt.Errorf("reading the memory map of process %d: %w", pid, err)
	}
	out.fromKernel()
	out.findReplaced()
	out.sum()
	if len(out.VMAs) == 0 && out.Exe == "" {
		out.Notes = append(out.Notes, "a process without memory of its own: a thread of the kernel, or one that has ended")
	}
	return out, nil
}

// fromKernel puts the kernel's own list of areas in place of what smaps has, and says
// which it is.
func (m *Memory) fromKernel() {
	if len(m.VMAs) == 0 {
		return
	}
	const races = "; areas are read one after the other while the process runs: one that changes meanwhile may be missing or told twice"
	list, err := []VMA(nil), errors.New("this is a pid namespace, whose pids it does not know")
	if inInitialPidNS() {
		list, err = kernelAreas(m.PID)
	}
	if err == nil && len(list) == 0 {
		err = errors.New("it has none of this process")
	}
	if err != nil {
		m.Notes = append(m.Notes, "areas are those of /proc/PID/smaps, not of the kernel's own list: "+err.Error()+races)
		return
	}
	without := join(list, m.VMAs, m.Exe)
	m.VMAs = list
	m.Notes = append(m.Notes, "areas are from the kernel's own list (task_vma), what they take is from /proc/PID/smaps"+races)
	if without > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("%d areas are not in /proc/PID/smaps: they are new, or somebody hides them, and what they take is not known", without))
	}
}

// inInitialPidNS reports whether this process sees the pids that the kernel goes by, to
// which it gives this number.
func inInitialPidNS() bool { return linkInode("/proc/self/ns/pid") == 0xeffffffc }

// maxAreasLen bounds what is read of one process's memory map.
const maxAreasLen = 8 << 20

// ReadAreas lists the areas of a process's memory, from /proc/PID/maps: without kinds and
// without what they take, which costs the kernel far more.
func ReadAreas(pid int) ([]VMA, error) {
	f, err := os.Open(procPath(pid, "maps"))
	if err != nil {
		return nil, fmt.Errorf("opening the memory map of process %d: %w", pid, err)
	}
	defer f.Close() //nolint:errcheck // only read
	var out []VMA
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<10)
	for size := 0; size < maxAreasLen && lines.Scan(); {
		size += len(lines.Bytes())
		if v, ok := parseArea(lines.Text()); ok {
			out = append(out, v)
		}
	}
	return out, lines.Err()
}

// parseSmaps reads the areas with their counters.
func parseSmaps(r io.Reader, exe string) ([]VMA, error) {
	out := []VMA{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		text := lines.Text()
		if v, ok := parseArea(text); ok {
			v.Kind = kindOf(&v, exe)
			out = append(out, v)
			continue
		}
		name, rest, ok := strings.Cut(text, ":")
		if !ok || len(out) == 0 {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			continue // flags
		}
		v := &out[len(out)-1]
		switch name {
		case "Rss":
			v.RSS = n << 10
		case "Pss":
			v.PSS = n << 10
		case "Private_Dirty":
			v.Dirty = n << 10
		case "Swap":
			v.Swap = n << 10
		}
	}
	return out, lines.Err()
}

// parseArea reads the line that begins an area: addresses, rights, offset, device,
// inode and, after blanks, a name.
func parseArea(text string) (VMA, bool) {
	f := strings.Fields(text)
	if len(f) < 5 || len(f[1]) != 4 {
		return VMA{}, false
	}
	from, to, ok := strings.Cut(f[0], "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	offset, err3 := strconv.ParseUint(f[2], 16, 64)
	inode, err4 := strconv.ParseUint(f[4], 10, 64)
	if !ok || err1 != nil || err2 != nil || err3 != nil || err4 != nil || end <= start {
		return VMA{}, false
	}
	v := VMA{Start: start, End: end, Size: end - start, Rights: f[1], Offset: offset, Inode: inode}
	rest := text
	for range 5 {
		_, rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
	}
	v.Path = lineBreaks(strings.TrimLeft(rest, " "))
	v.judge()
	return v, true
}

// judge tells a file's name from what the kernel says of it, and marks code that may be
// written or is of no file.
func (v *VMA) judge() {
	// the kernel says so of all that never had a name in a folder
	inMemory := strings.HasPrefix(v.Path, "/memfd:") || strings.HasPrefix(v.Path, "/dev/zero") || strings.HasPrefix(v.Path, "/SYSV")
	if v.Inode != 0 {
		v.Path, v.Deleted = strings.CutSuffix(v.Path, " (deleted)")
		v.Deleted = v.Deleted && !inMemory
	}
	// the kernel's own pages are no file's and are meant to run
	kernels := strings.HasPrefix(v.Path, "[v")
	v.WX = strings.HasPrefix(v.Rights[1:], "wx")
	v.AnonExec = v.Rights[2] == 'x' && (v.Inode == 0 || inMemory) && !kernels
}

// lineBreaks takes back the \012 that the kernel writes for a line break in a name.
func lineBreaks(s string) string { return strings.ReplaceAll(s, `\012`, "\n") }

func kindOf(v *VMA, exe string) string {
	base := filepath.Base(v.Path)
	switch {
	case v.Path == "[heap]":
		return "heap"
	case strings.HasPrefix(v.Path, "[stack"):
		return "stack"
	case strings.HasPrefix(v.Path, "[v"):
		return "kernel"
	case v.Rights[3] == 's' || strings.HasPrefix(v.Path, "/memfd:") || strings.HasPrefix(v.Path, "/dev/shm/") || strings.HasPrefix(v.Path, "/SYSV"):
		return "shared"
	case v.Inode == 0:
		return "anon"
	case v.Path == exe && v.Rights[2] == 'x':
		return "text"
	case v.Path == exe:
		return "data"
	case strings.HasSuffix(base, ".so") || strings.Contains(base, ".so."):
		return "lib"
	}
	return "file"
}

// findReplaced compares the mapped files with what their names lead to now. Both are
// asked for through the file system, whose answers for one file are the same also
// where it is an overlay.
func (m *Memory) findReplaced() {
	known := map[string]bool{}
	asked := false
	for i := range m.VMAs {
		v := &m.VMAs[i]
		if v.Inode == 0 || v.Deleted || !strings.HasPrefix(v.Path, "/") || v.AnonExec || strings.HasPrefix(v.Path, "/memfd:") || strings.HasPrefix(v.Path, "/SYSV") {
			continue
		}
		replaced, ok := known[v.Path]
		if !ok {
			mapped, err := os.Stat(m.dir + fmt.Sprintf("map_files/%x-%x", v.Start, v.End))
			if err != nil {
				if !gone(err) && !asked {
					asked = true
					m.Notes = append(m.Notes, "whether files were replaced is not known: "+err.Error())
				}
				continue
			}
			now, err := os.Stat(m.dir + "root" + v.Path)
			replaced = err == nil && !os.SameFile(mapped, now)
			known[v.Path] = replaced
		}
		v.Replaced = replaced
	}
}

// sum adds the areas up by kind.
func (m *Memory) sum() {
	by := map[string]*Segment{}
	for i := range m.VMAs {
		v := &m.VMAs[i]
		s := by[v.Kind]
		if s == nil {
			s = &Segment{Kind: v.Kind}
			by[v.Kind] = s
		}
		s.Areas++
		s.Size += v.Size
		s.RSS += v.RSS
		s.PSS += v.PSS
		s.Dirty += v.Dirty
		s.Swap += v.Swap
	}
	for _, k := range kinds() {
		if s := by[k]; s != nil {
			m.Segments = append(m.Segments, *s)
		}
	}
}

// Tables implements the command's table.
func (m *Memory) Tables() []Table {
	sums := Table{Of: &m.Segments, Minor: []string{"SHARED OUT", "SWAPPED", "AREAS", "OWN AND CHANGED"}, Columns: []string{"SEGMENT", "AREAS", "SIZE", "IN MEMORY", "SHARED OUT", "OWN AND CHANGED", "SWAPPED"}}
	for _, s := range m.Segments {
		sums.Rows = append(sums.Rows, []string{s.Kind, decimal(s.Areas), size(s.Size), size(s.RSS), size(s.PSS), size(s.Dirty), size(s.Swap)})
	}
	areas := Table{Of: &m.VMAs, Title: fmt.Sprintf("areas of %s[%d]", m.Name, m.PID), Minor: []string{"IN MEMORY", "SIZE", "SEGMENT"}, Columns: []string{"ADDRESS", "RIGHTS", "SEGMENT", "SIZE", "IN MEMORY", "FILE", "NOTE"}}
	for i := range m.VMAs {
		v := &m.VMAs[i]
		var notes []string
		for _, x := range []struct {
			is   bool
			text string
		}{{v.WX, "writable and executable"}, {v.AnonExec, "code from no file"}, {v.Deleted, "deleted"}, {v.Replaced, "replaced"}} {
			if x.is {
				notes = append(notes, x.text)
			}
		}
		path, note := v.Path, strings.Join(notes, ", ")
		if path == "" {
			path = "-"
		}
		if note == "" {
			note = "-"
		}
		areas.Rows = append(areas.Rows, []string{fmt.Sprintf("%x-%x", v.Start, v.End), v.Rights, v.Kind, size(v.Size), size(v.RSS), path, note})
	}
	return []Table{sums, areas}
}
