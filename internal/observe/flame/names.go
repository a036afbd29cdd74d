package flame

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Bounds on what is kept of processes.
const (
	maxProcesses = 4096
	maxFiles     = 1024
)

// names gives addresses the names of functions.
type names struct {
	kernel    symbols
	processes map[uint32]*process
	files     map[fileKey]*file
	notes     *[]string
}

type fileKey struct{ dev, inode, path string }

// file is one that is mapped; open, as its name may come to mean another or go.
type file struct {
	f *os.File
	o *object
}

// process is what a process had mapped when it was seen, and at the end.
type process struct {
	maps []mapping
	jit  symbols
}

// mapping is a part of a process's memory with code.
type mapping struct {
	start, end, off uint64
	path            string
	key             fileKey
}

func newNames(notes *[]string) *names {
	n := &names{processes: map[uint32]*process{}, files: map[fileKey]*file{}, notes: notes}
	var err error
	if n.kernel, err = readKernel(kernel.Kallsyms); err != nil {
		*notes = append(*notes, err.Error())
	}
	return n
}

func (n *names) close() {
	for _, f := range n.files {
		if f.f != nil {
			_ = f.f.Close()
		}
	}
}

// see looks at a process that is new.
func (n *names) see(pid uint32) {
	if n.processes[pid] != nil || pid == 0 || len(n.processes) >= maxProcesses {
		return
	}
	p := &process{}
	n.processes[pid] = p
	n.look(pid, p)
}

// again looks at a process that has other code than before.
func (n *names) again(pid uint32) {
	if p := n.processes[pid]; p != nil {
		n.look(pid, p)
		return
	}
	n.see(pid)
}

// look reads what a process has mapped. What is newer goes ahead of what is older.
func (n *names) look(pid uint32, p *process) {
	dir := filepath.Join("/proc", strconv.FormatUint(uint64(pid), 10))
	f, err := os.Open(dir + "/maps")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	found := parseMaps(f)
	for _, m := range found {
		if m.key.inode == "0" || n.files[m.key] != nil || len(n.files) >= maxFiles {
			continue
		}
		// what is mapped, also where the name means another file by now
		open, err := os.Open(fmt.Sprintf("%s/map_files/%x-%x", dir, m.start, m.end))
		if err != nil {
			continue // it may be mapped elsewhere
		}
		if st, err := open.Stat(); err != nil || !st.Mode().IsRegular() {
			_ = open.Close()
			n.files[m.key] = &file{}
			continue
		}
		n.files[m.key] = &file{f: open}
	}
	if len(found) > 0 {
		p.maps = append(found, p.maps...)
	}
	if jit := readPerfMap(dir); len(jit) > 0 {
		p.jit = jit
	}
}

// finish looks at those that live once more: they may have loaded libraries, run
// another program or compiled since.
func (n *names) finish() {
	for pid, p := range n.processes {
		n.look(pid, p)
	}
	if len(n.processes) >= maxProcesses || len(n.files) >= maxFiles {
		*n.notes = append(*n.notes, fmt.Sprintf("names are known of the first %d processes and %d files only", maxProcesses, maxFiles))
	}
}

// parseMaps reads the mappings with code.
func parseMaps(r io.Reader) []mapping {
	var out []mapping
	lines := bufio.NewScanner(io.LimitReader(r, maxMap))
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 5 || !strings.Contains(w[1], "x") {
			continue
		}
		begin, end, _ := strings.Cut(w[0], "-")
		m := mapping{}
		var err [3]error
		m.start, err[0] = strconv.ParseUint(begin, 16, 64)
		m.end, err[1] = strconv.ParseUint(end, 16, 64)
		m.off, err[2] = strconv.ParseUint(w[2], 16, 64)
		if err[0] != nil || err[1] != nil || err[2] != nil || m.end <= m.start {
			continue
		}
		if len(w) > 5 {
			m.path = strings.Join(w[5:], " ")
		}
		m.key = fileKey{w[3], w[4], m.path}
		out = append(out, m)
	}
	return out
}

// readPerfMap reads the map that a compiler in the process keeps, by the pid that the
// process sees itself. It must be the process's own or root's: anybody may write below
// /tmp.
func readPerfMap(dir string) symbols {
	pid, uid := innerPid(dir + "/status")
	if pid == "" {
		return nil
	}
	f, err := os.OpenFile(dir+"/root/tmp/perf-"+pid+".map", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || sys.Uid != 0 && strconv.FormatUint(uint64(sys.Uid), 10) != uid {
		return nil
	}
	return parsePerfMap(f)
}

// innerPid returns a process's pid in its own namespace, and its effective user.
func innerPid(path string) (pid, uid string) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(string(b)) {
		w := strings.Fields(line)
		switch {
		case len(w) > 1 && w[0] == "NStgid:":
			pid = w[len(w)-1]
		case len(w) > 2 && w[0] == "Uid:":
			uid = w[2]
		}
	}
	return pid, uid
}

// user names an address in a process.
func (n *names) user(pid uint32, addr uint64) Frame {
	p := n.processes[pid]
	if p == nil {
		return Frame{Name: "[unknown]"}
	}
	if s, ok := p.jit.find(addr); ok {
		return Frame{Name: s.name, File: "compiled while running"}
	}
	for _, m := range p.maps {
		if addr < m.start || addr >= m.end {
			continue
		}
		if m.path == "" || strings.HasPrefix(m.path, "//anon") {
			return Frame{Name: "[no name]", File: "memory"}
		}
		base := filepath.Base(strings.TrimSuffix(m.path, " (deleted)"))
		if o := n.object(m.key); o != nil {
			if s, ok := o.at(addr - m.start + m.off); ok {
				return Frame{Name: s.name, File: base}
			}
		}
		return Frame{Name: "[" + strings.Trim(base, "[]") + "]", File: base}
	}
	return Frame{Name: "[unknown]"}
}

// object reads a file's functions when the first address in it wants a name.
func (n *names) object(key fileKey) *object {
	f := n.files[key]
	if f == nil {
		return nil
	}
	if f.o == nil && f.f != nil {
		o, err := readObject(f.f)
		if err != nil {
			o = &object{}
		}
		f.o = o
	}
	return f.o
}
