package host

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Mount is one line of a mount namespace.
type Mount struct {
	Namespace   uint64   `json:"namespace"`
	ID          int      `json:"id"`
	Parent      int      `json:"parent"`
	Device      string   `json:"device"` // major:minor
	Root        string   `json:"root"`   // of the file system, which is mounted here
	Point       string   `json:"point"`
	Options     string   `json:"options"`
	Propagation []string `json:"propagation,omitempty"` // shared:N, master:N, unbindable
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Super       string   `json:"super"` // the file system's own options
	Hidden      bool     `json:"hidden"`
}

// Mounts is what mount namespaces hold.
type Mounts struct {
	Mounts []Mount `json:"mounts"`
	Notes  `json:"notes,omitempty"`
}

// ReadMounts lists the mounts of a mount namespace: of this process for "", of
// every namespace that a process is in for "all", of a process by its pid, or
// of a namespace by its inode number.
func ReadMounts(ns string) (*Mounts, error) {
	if ns == "" {
		list, err := mountsOf("self")
		if err != nil {
			return nil, err
		}
		return &Mounts{Mounts: list}, nil
	}
	n, err := strconv.ParseUint(ns, 10, 64)
	if ns != "all" && err != nil {
		return nil, fmt.Errorf("namespace %q is neither a pid, nor the number of a mount namespace, nor all: bearcat show ns lists them", ns)
	}
	if ns != "all" && n <= MaxPID {
		list, err := mountsOf(ns)
		if err != nil {
			return nil, err
		}
		return &Mounts{Mounts: list}, nil
	}
	procs, notes, err := mountNamespaces()
	if err != nil {
		return nil, err
	}
	out := &Mounts{Notes: notes}
	for _, p := range procs {
		if ns != "all" && p.inode != n {
			continue
		}
		list, err := mountsOf(strconv.Itoa(p.pid))
		if err != nil {
			out.Notes = append(out.Notes, err.Error())
			continue
		}
		out.Mounts = append(out.Mounts, list...)
	}
	if len(out.Mounts) == 0 {
		return nil, fmt.Errorf("no process is in a mount namespace %s: bearcat show ns lists those there are", ns)
	}
	return out, nil
}

type mountNamespace struct {
	inode uint64
	pid   int
}

// mountNamespaces finds a process for each mount namespace. With notes it says of those that
// it may not look at.
func mountNamespaces() (out []mountNamespace, notes Notes, err error) {
	list, err := pids()
	if err != nil {
		return nil, nil, err
	}
	notes = hidden("mount namespaces of other users' processes")
	unread := 0
	for _, pid := range list {
		link, err := os.Readlink(procPath(pid, "ns/mnt"))
		if refused(pid, err) {
			unread++
		}
		_, inode := parseNamespace(link)
		if inode == 0 || slices.ContainsFunc(out, func(m mountNamespace) bool { return m.inode == inode }) {
			continue
		}
		out = append(out, mountNamespace{inode, pid})
	}
	notes = append(notes, refusals("mount namespaces", unread)...)
	return out, notes, nil
}

// linkInode is the number in a link such as mnt:[4026531840], or 0.
func linkInode(path string) uint64 {
	link, err := os.Readlink(path)
	if err != nil {
		return 0
	}
	_, inode := parseNamespace(link)
	return inode
}

func mountsOf(pid string) ([]Mount, error) {
	b, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading the mounts of process %s: %w", pid, err)
	}
	ns := linkInode("/proc/" + pid + "/ns/mnt")
	list, err := ParseMountinfo(string(b))
	if err != nil {
		return nil, fmt.Errorf("reading the mounts of process %s: %w", pid, err)
	}
	for i := range list {
		list[i].Namespace = ns
	}
	markHidden(list)
	return list, nil
}

// ParseMountinfo reads the text of /proc/PID/mountinfo.
func ParseMountinfo(text string) ([]Mount, error) {
	var out []Mount
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		f := strings.Split(l, " ")
		sep := slices.Index(f, "-")
		if sep < 6 || len(f) < sep+4 {
			return nil, fmt.Errorf("line %q of mountinfo is not understood", l)
		}
		id, err1 := strconv.Atoi(f[0])
		parent, err2 := strconv.Atoi(f[1])
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("line %q of mountinfo does not begin with two numbers", l)
		}
		out = append(out, Mount{
			ID: id, Parent: parent, Device: f[2], Root: unescape(f[3]), Point: unescape(f[4]),
			Options: f[5], Propagation: slices.Clone(f[6:sep]),
			Type: f[sep+1], Source: unescape(f[sep+2]), Super: unescape(strings.Join(f[sep+3:], " ")),
		})
	}
	return out, nil
}

// unescape undoes the kernel's \NNN for blanks, line breaks and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// markHidden marks mounts that a later mount covers: on the same point, or on a
// folder above it.
func markHidden(list []Mount) {
	for i := range list {
		for j := range list {
			covers := list[j].Parent == list[i].Parent && list[j].ID != list[i].ID && j > i && below(list[i].Point, list[j].Point)
			onTop := list[j].Parent == list[i].ID && list[j].Point == list[i].Point && i != j
			if covers || onTop {
				list[i].Hidden = true
			}
		}
	}
}

// below tells whether path is dir or in it.
func below(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// Tables gives the mounts in the order of the kernel.
func (m *Mounts) Tables() []Table {
	t := Table{Of: &m.Mounts, Minor: []string{"PROPAGATION", "PARENT", "ID", "NS", "DEVICE", "ROOT", "OPTIONS"}, Columns: []string{"NS", "ID", "PARENT", "POINT", "TYPE", "SOURCE", "ROOT", "DEVICE", "OPTIONS", "PROPAGATION", "NOTE"}}
	for _, e := range m.Mounts {
		note := "-"
		if e.Hidden {
			note = "covered by another mount"
		}
		t.Rows = append(t.Rows, []string{decimal(e.Namespace), decimal(e.ID), decimal(e.Parent), e.Point, e.Type, dash(e.Source), e.Root, e.Device, e.Options, dash(strings.Join(e.Propagation, ",")), note})
	}
	return []Table{t}
}
