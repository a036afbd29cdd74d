package scan

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// mapping is a line of /proc/PID/maps.
type mapping struct {
	addr, perms, path string
	inode             uint64
}

// maxMapsLen bounds what is read of one process's maps.
const maxMapsLen = 8 << 20

// maps reads a process's memory map; nil where it has gone.
func (h *Host) maps(p *event.Process) []mapping {
	if list, ok := h.mapsOf[p.Pid]; ok {
		return list
	}
	var out []mapping
	if f, err := os.Open("/proc/" + strconv.FormatUint(uint64(p.Pid), 10) + "/maps"); err == nil {
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<10)
		for size := 0; size < maxMapsLen && lines.Scan(); {
			size += len(lines.Bytes())
			if m, ok := parseMapping(lines.Text()); ok {
				out = append(out, m)
			}
		}
		_ = f.Close()
	}
	h.mapsOf[p.Pid] = out
	return out
}

// parseMapping takes a line of a map apart: address, rights, offset, device, inode
// and, after blanks, the path.
func parseMapping(line string) (mapping, bool) {
	f := strings.Fields(line)
	if len(f) < 5 {
		return mapping{}, false
	}
	m := mapping{addr: f[0], perms: f[1]}
	var err error
	if m.inode, err = strconv.ParseUint(f[4], 10, 64); err != nil {
		return mapping{}, false
	}
	rest := line
	for range 5 {
		rest = strings.TrimLeft(rest, " \t")
		_, rest, _ = strings.Cut(rest, " ")
	}
	m.path = strings.TrimLeft(rest, " ")
	return m, true
}

// replacedLibraries looks for code that is run from a file without a name.
func replacedLibraries(h *Host) ([]Finding, error) {
	var out []Finding
	for _, p := range h.tasks.Processes() {
		told := map[string]bool{}
		for _, m := range h.maps(p) {
			path, gone := strings.CutSuffix(m.path, " (deleted)")
			if !gone || !strings.Contains(m.perms, "x") || !strings.Contains(filepath.Base(path), ".so") || told[path] {
				continue
			}
			told[path] = true
			f := Finding{
				What: name(p) + " runs code of a library that was removed: " + path, Evidence: "mapped at " + m.addr + " from inode " + strconv.FormatUint(m.inode, 10),
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
		n, first := 0, mapping{}
		for _, m := range h.maps(p) {
			if m.inode != 0 || !strings.HasPrefix(m.perms, "rwx") || m.path == "[vsyscall]" {
				continue
			}
			if n == 0 {
				first = m
			}
			n++
		}
		if n == 0 {
			continue
		}
		out = append(out, Finding{
			What: fmt.Sprintf("%s has memory that is writable and executable and comes from no file", name(p)), Sure: Possible, Pid: p.Pid, subject: p.Key.String(),
			Evidence: strings.TrimSpace(fmt.Sprintf("%d such areas, the first at %s %s", n, first.addr, first.path)),
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
