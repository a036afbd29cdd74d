package host

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/snapshot/table"
	"golang.org/x/sys/unix"
)

// Namespace is one namespace of any type, with who is in it and what keeps it.
type Namespace struct {
	Type      string    `json:"type"` // mnt, net, pid, user, uts, ipc, cgroup, time
	Inode     uint64    `json:"inode"`
	Parent    uint64    `json:"parent,omitempty"`      // of pid and user namespaces
	UserNS    uint64    `json:"user_ns,omitempty"`     // that owns it
	OwnerUID  *uint32   `json:"owner_uid,omitempty"`   // of user namespaces
	Processes []Process `json:"processes"`             // in it, in the order of their pids
	Mounts    []string  `json:"mounts,omitempty"`      // where it is bound to a file
	Descs     []Process `json:"descriptors,omitempty"` // that keep it open without being in it
}

// Namespaces are all namespaces that a process, a mount or a descriptor keeps.
type Namespaces struct {
	Namespaces []Namespace `json:"namespaces"`
	Notes      `json:"notes,omitempty"`
}

type nsKey struct {
	typ   string
	inode uint64
}

// parseNamespace splits a name such as net:[4026531840].
func parseNamespace(s string) (typ string, inode uint64) {
	typ, rest, ok := strings.Cut(s, ":[")
	if !ok || !strings.HasSuffix(rest, "]") {
		return "", 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	if err != nil {
		return "", 0
	}
	return typ, n
}

// ReadNamespaces looks for namespaces at processes, their descriptors, and
// mounts. One that only a thread, a socket or another namespace keeps is not
// found; parents of those found are.
func ReadNamespaces() (*Namespaces, error) {
	list, err := pids()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	found := map[nsKey]*Namespace{}
	at := func(k nsKey) *Namespace {
		if found[k] == nil {
			found[k] = &Namespace{Type: k.typ, Inode: k.inode, Processes: []Process{}}
		}
		return found[k]
	}
	unread := 0
	for _, pid := range list {
		entries, err := os.ReadDir(procPath(pid, "ns"))
		if err != nil {
			if !gone(err) {
				unread++
			}
			continue
		}
		p := Process{pid, comm(pid)}
		in := map[nsKey]bool{}
		for _, e := range entries {
			path := procPath(pid, "ns/"+e.Name())
			link, err := os.Readlink(path)
			typ, inode := parseNamespace(link)
			if err != nil || inode == 0 || strings.HasSuffix(e.Name(), "_for_children") {
				continue
			}
			n := at(nsKey{typ, inode})
			in[nsKey{typ, inode}] = true
			n.Processes = append(n.Processes, p)
			if n.UserNS == 0 {
				relate(n, path)
			}
		}
		descriptors(p, in, at)
	}
	out := &Namespaces{Notes: hidden("namespaces of other users' processes")}
	if unread > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("the namespaces of %d processes could not be read: run as root", unread))
	}
	boundNamespaces(at)
	for _, n := range found {
		out.Namespaces = append(out.Namespaces, *n)
	}
	slices.SortFunc(out.Namespaces, func(a, b Namespace) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Inode, b.Inode))
	})
	return out, nil
}

// descriptors adds the namespaces that p keeps open and is not in itself.
func descriptors(p Process, in map[nsKey]bool, at func(nsKey) *Namespace) {
	entries, err := os.ReadDir(procPath(p.PID, "fd"))
	if err != nil {
		return // ended, or not ours to read: its namespaces are in the list already
	}
	seen := map[nsKey]bool{}
	for _, e := range entries {
		path := procPath(p.PID, "fd/"+e.Name())
		link, err := os.Readlink(path)
		typ, inode := parseNamespace(link)
		k := nsKey{typ, inode}
		if err != nil || inode == 0 || !namespaceType(typ) || in[k] || seen[k] {
			continue
		}
		seen[k] = true
		n := at(k)
		n.Descs = append(n.Descs, p)
		if n.UserNS == 0 {
			relate(n, path)
		}
	}
}

// namespaceType tells a namespace from other files with such names, as pipe:[N].
func namespaceType(s string) bool {
	return slices.Contains([]string{"mnt", "net", "pid", "user", "uts", "ipc", "cgroup", "time"}, s)
}

// boundNamespaces adds where namespaces are bound to files, as ip netns does.
func boundNamespaces(at func(nsKey) *Namespace) {
	procs, _, err := mountNamespaces()
	if err != nil {
		return
	}
	for _, m := range procs {
		list, err := mountsOf(strconv.Itoa(m.pid))
		if err != nil {
			continue // it ended between the two looks
		}
		for _, e := range list {
			typ, inode := parseNamespace(e.Root)
			if e.Type != "nsfs" || inode == 0 {
				continue
			}
			n := at(nsKey{typ, inode})
			if !slices.Contains(n.Mounts, e.Point) {
				n.Mounts = append(n.Mounts, e.Point)
			}
			if n.UserNS == 0 {
				relate(n, procPath(m.pid, "root")+e.Point)
			}
		}
	}
}

// relate asks the kernel for a namespace's owner and parent. It refuses those
// outside of what the caller may see, which then stay 0.
func relate(n *Namespace, path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	n.UserNS = related(f, unix.NS_GET_USERNS)
	if n.Type == "pid" || n.Type == "user" {
		n.Parent = related(f, unix.NS_GET_PARENT)
	}
	if n.Type == "user" {
		if uid, err := unix.IoctlGetUint32(int(f.Fd()), unix.NS_GET_OWNER_UID); err == nil {
			n.OwnerUID = &uid
		}
	}
}

func related(f *os.File, request uintptr) uint64 {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, 0)
	if errno != 0 {
		return 0
	}
	defer unix.Close(int(fd))
	var st unix.Stat_t
	if unix.Fstat(int(fd), &st) != nil {
		return 0
	}
	return st.Ino
}

// Tables gives one row for each namespace.
func (n *Namespaces) Tables() []Table {
	t := Table{Of: &n.Namespaces, Minor: []string{"OWNER", "PARENT", "USER NS", "KEPT BY", "PROCESSES"}, Columns: []string{"TYPE", "NS", "PROCESSES", "FIRST", "USER NS", "PARENT", "OWNER", "KEPT BY"}}
	for _, e := range n.Namespaces {
		first, owner := "-", "-"
		if len(e.Processes) > 0 {
			first = e.Processes[0].String()
		}
		if e.OwnerUID != nil {
			owner = "uid " + decimal(*e.OwnerUID)
		}
		kept := slices.Clone(e.Mounts)
		for _, p := range e.Descs {
			kept = append(kept, "descriptor of "+p.String())
		}
		t.Rows = append(t.Rows, []string{e.Type, decimal(e.Inode), decimal(len(e.Processes)), first, zeroDash(e.UserNS), zeroDash(e.Parent), owner, table.List(kept)})
	}
	return []Table{t}
}

func zeroDash(n uint64) string {
	if n == 0 {
		return "-"
	}
	return decimal(n)
}
