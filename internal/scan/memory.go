package scan

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// memory reads the areas of a process's memory; none where it has gone.
func (h *Host) memory(p *event.Process) []host.VMA {
	list, ok := h.memoryOf[p.Pid]
	if !ok {
		list, _ = host.ReadAreas(int(p.Pid)) // of one that has ended meanwhile there is nothing to tell
		h.memoryOf[p.Pid] = list
	}
	return list
}

// place names an area as /proc/PID/map_files does.
func place(v *host.VMA) string { return fmt.Sprintf("%x-%x", v.Start, v.End) }

// replacedLibraries looks for code that is run from a file without a name.
func replacedLibraries(h *Host) ([]Finding, error) {
	var out []Finding
	for _, p := range h.tasks.Processes() {
		told := map[string]bool{}
		areas := h.memory(p)
		for i := range areas {
			v := &areas[i]
			path, gone := v.Path, v.Deleted || strings.HasPrefix(v.Path, "/memfd:")
			if !gone || v.Rights[2] != 'x' || !strings.Contains(filepath.Base(path), ".so") || told[path] {
				continue
			}
			told[path] = true
			f := Finding{
				What: name(p) + " runs code of a library that was removed: " + path, Evidence: "mapped at " + place(v) + " from inode " + strconv.FormatUint(v.Inode, 10),
				Sure: Likely, Pid: p.Pid, Path: path, subject: p.Key.String() + path,
				Do: "If the library was updated, restart the process; else keep a copy from /proc/" + strconv.FormatUint(uint64(p.Pid), 10) + "/map_files.",
			}
			if _, err := os.Lstat(path); err == nil {
				f.What, f.Sure = name(p)+" runs code of a library that was replaced: "+path, Possible
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// writableCode looks for memory without a file that can be written and run.
func writableCode(h *Host) ([]Finding, error) {
	var out []Finding
	for _, p := range h.tasks.Processes() {
		n := 0
		var first *host.VMA
		areas := h.memory(p)
		for i := range areas {
			if v := &areas[i]; v.AnonExec && v.WX && v.Inode == 0 {
				if n == 0 {
					first = v
				}
				n++
			}
		}
		if n == 0 {
			continue
		}
		out = append(out, Finding{
			What: fmt.Sprintf("%s has memory that is writable and executable and comes from no file", name(p)), Sure: Possible, Pid: p.Pid, subject: p.Key.String(),
			Evidence: strings.TrimSpace(fmt.Sprintf("%d such areas, the first at %s %s", n, place(first), first.Path)),
			Do:       "Programs that compile while they run (Java, Node, some databases) have it; of another, keep the memory (gcore) before you end it.",
		})
	}
	return out, nil
}

// preloads looks at what the dynamic linker is told to load.
func preloads(h *Host) ([]Finding, error) {
	var out []Finding
	path := h.Root + "/etc/ld.so.preload"
	if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) != "" {
		libs := strings.Join(strings.Fields(string(b)), ", ")
		out = append(out, Finding{
			What: "a library is loaded into every program: " + libs, Evidence: path + " names it", Sure: Likely, Path: path, subject: path + libs,
			Do: "See which package the library is of; if of none, move the file away from a static shell, and take what programs told meanwhile for false.",
		})
	}
	for _, p := range h.tasks.Processes() {
		env, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(p.Pid), 10) + "/environ")
		if err != nil {
			continue
		}
		for kv := range strings.SplitSeq(string(env), "\x00") {
			lib, ok := strings.CutPrefix(kv, "LD_PRELOAD=")
			if !ok || lib == "" {
				continue
			}
			f := Finding{What: name(p) + " was started with a library loaded before others: " + lib, Evidence: "LD_PRELOAD in its environment", Sure: Possible,
				Pid: p.Pid, Path: lib, subject: p.Key.String() + lib, Do: "See which package the library is of, and who started the process: bearcat show proc " + strconv.FormatUint(uint64(p.Pid), 10) + "."}
			for _, dir := range []string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"} {
				if strings.HasPrefix(lib, dir) {
					f.Sure = Likely
				}
			}
			out = append(out, f)
		}
	}
	return out, nil
}
