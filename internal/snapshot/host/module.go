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

	"golang.org/x/sys/unix"
)

// Module is one loaded kernel module.
type Module struct {
	Name    string   `json:"name"`
	Size    uint64   `json:"size"` // bytes
	Refs    int      `json:"refs"` // -1 where the kernel cannot unload modules
	UsedBy  []string `json:"used_by"`
	State   string   `json:"state"`           // Live, Loading, Unloading; as sysfs says where /proc/modules is silent
	Address string   `json:"address"`         // 0x0 where hidden
	Taint   string   `json:"taint,omitempty"` // letters: O built outside the tree, E not signed, F forced, P not free
	File    string   `json:"file,omitempty"`  // in /lib/modules of this kernel
	InProc  bool     `json:"in_proc_modules"`
	InSysfs bool     `json:"in_sysfs"`
}

// Modules is what the kernel says of its modules, in both places.
type Modules struct {
	Modules []Module `json:"modules"`
	Notes   `json:"notes,omitempty"`
}

// ReadModules joins /proc/modules with /sys/module, so that a module that one of
// them lacks is seen.
func ReadModules() (*Modules, error) {
	b, err := os.ReadFile("/proc/modules")
	if errors.Is(err, fs.ErrNotExist) {
		return &Modules{Modules: []Module{}, Notes: Notes{"this kernel has no /proc/modules: it is built without loadable modules"}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing modules: %w", err)
	}
	list, err := parseModules(string(b))
	if err != nil {
		return nil, err
	}
	out := &Modules{Modules: list}
	entries, err := os.ReadDir("/sys/module")
	if err != nil {
		out.Notes = append(out.Notes, "/sys/module cannot be read, so nothing confirms /proc/modules: "+err.Error())
	}
	for _, e := range entries {
		state := line("/sys/module/" + e.Name() + "/initstate")
		if state == "" {
			continue // built into the kernel
		}
		i := slices.IndexFunc(out.Modules, func(m Module) bool { return m.Name == e.Name() })
		if i < 0 {
			size, _ := number("/sys/module/" + e.Name() + "/coresize")
			out.Modules = append(out.Modules, Module{Name: e.Name(), Size: size, Refs: -1, State: state, UsedBy: []string{}, Taint: line("/sys/module/" + e.Name() + "/taint")})
			i = len(out.Modules) - 1
		}
		out.Modules[i].InSysfs = true
	}
	files, err := moduleFiles()
	if err != nil {
		out.Notes = append(out.Notes, "which file a module came from is not known: "+err.Error())
	}
	for i := range out.Modules {
		out.Modules[i].File = files[out.Modules[i].Name]
	}
	return out, nil
}

func parseModules(text string) ([]Module, error) {
	out := []Module{}
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) < 6 {
			return nil, fmt.Errorf("line %q of /proc/modules is not understood", strings.TrimSpace(l))
		}
		bytes, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %q of /proc/modules has no size: %w", strings.TrimSpace(l), err)
		}
		m := Module{Name: f[0], Size: bytes, Refs: -1, UsedBy: []string{}, State: f[4], Address: f[5], InProc: true}
		if n, err := strconv.Atoi(f[2]); err == nil {
			m.Refs = n
		}
		for user := range strings.SplitSeq(f[3], ",") {
			if user != "" && user != "-" {
				m.UsedBy = append(m.UsedBy, user)
			}
		}
		if len(f) > 6 {
			m.Taint = strings.Trim(f[6], "()")
		}
		out = append(out, m)
	}
	return out, nil
}

// moduleFiles reads which file holds which module for the running kernel.
func moduleFiles() (map[string]string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, err
	}
	dir := "/lib/modules/" + unix.ByteSliceToString(u.Release[:])
	b, err := os.ReadFile(dir + "/modules.dep")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for l := range strings.Lines(string(b)) {
		path, _, ok := strings.Cut(l, ":")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(filepath.Base(path), ".ko")
		if !filepath.IsAbs(path) {
			path = dir + "/" + path
		}
		out[strings.ReplaceAll(name, "-", "_")] = path
	}
	return out, nil
}

// Note says what is odd about a module, or "".
func (m Module) Note() string {
	var out []string
	if !m.InProc {
		out = append(out, "not in /proc/modules")
	}
	if !m.InSysfs {
		out = append(out, "not in /sys/module")
	}
	if strings.Contains(m.Taint, "O") {
		out = append(out, "built outside the kernel's tree")
	}
	if strings.Contains(m.Taint, "E") {
		out = append(out, "not signed")
	}
	if strings.Contains(m.Taint, "F") {
		out = append(out, "loaded by force")
	}
	return strings.Join(out, ", ")
}

// Tables gives one row for each module.
func (m *Modules) Tables() []Table {
	t := Table{Of: &m.Modules, Minor: []string{"REFS", "SIZE", "USED BY", "STATE", "TAINT"}, Columns: []string{"MODULE", "SIZE", "REFS", "USED BY", "STATE", "TAINT", "FILE", "NOTE"}}
	for _, e := range m.Modules {
		t.Rows = append(t.Rows, []string{e.Name, size(e.Size), decimal(e.Refs), dash(strings.Join(e.UsedBy, ",")), e.State, dash(e.Taint), dash(e.File), dash(e.Note())})
	}
	return []Table{t}
}
