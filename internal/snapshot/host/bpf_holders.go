package host

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attach finds where programs are attached and who keeps programs and maps.
func (b *BPF) attach() {
	links := b.readLinks()
	b.readDevices()
	hold := func(kind string, id uint32, who Process, pin string) {
		var held *[]Process
		var pins *[]string
		if kind == "link_id" {
			kind, id = "prog_id", links[id]
		}
		switch i := 0; kind {
		case "prog_id":
			if i = slices.IndexFunc(b.Programs, func(p Program) bool { return p.ID == id }); i < 0 {
				return
			}
			held, pins = &b.Programs[i].Held, &b.Programs[i].Pins
		case "map_id":
			if i = slices.IndexFunc(b.Maps, func(m Map) bool { return m.ID == id }); i < 0 {
				return
			}
			held, pins = &b.Maps[i].Held, &b.Maps[i].Pins
		default:
			return
		}
		if pin != "" && !slices.Contains(*pins, pin) {
			*pins = append(*pins, pin)
		}
		if who.PID != 0 && !slices.Contains(*held, who) {
			*held = append(*held, who)
		}
	}
	b.readDescriptors(hold)
	b.readPins(hold)
	b.Notes = append(b.Notes, "programs that are attached to tc filters, sockets or control groups without a link show no place in ATTACHED")
}

func (b *BPF) program(id uint32) *Program {
	for i := range b.Programs {
		if b.Programs[i].ID == id {
			return &b.Programs[i]
		}
	}
	return nil
}

func (b *BPF) attached(id uint32, where string) {
	if p := b.program(id); p != nil && !slices.Contains(p.Attached, where) {
		p.Attached = append(p.Attached, where)
	}
}

// readLinks returns the program of each link.
func (b *BPF) readLinks() map[uint32]uint32 {
	out := map[uint32]uint32{}
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			b.Notes = append(b.Notes, fmt.Sprintf("link %d is not understood: %v", it.ID, err))
			continue
		}
		out[uint32(it.ID)] = uint32(info.Program)
		b.attached(uint32(info.Program), linkPlace(info))
	}
	if err := it.Err(); err != nil {
		b.Notes = append(b.Notes, fmt.Sprintf("the list of links is not whole: %v", err))
	}
	return out
}

// linkPlace says in words what a link attaches to.
func linkPlace(info *link.Info) string {
	if i := info.RawTracepoint(); i != nil {
		return "raw tracepoint " + i.Name
	}
	if i := info.PerfEvent(); i != nil {
		if t := i.Tracepoint(); t != nil {
			return "tracepoint " + t.Tracepoint
		}
		if k := i.Kprobe(); k != nil {
			return fmt.Sprintf("kprobe %s+%#x", k.Function, k.Offset)
		}
		if u := i.Uprobe(); u != nil {
			return fmt.Sprintf("uprobe %s:%#x", u.File, u.Offset)
		}
		return "perf event"
	}
	if i := info.Cgroup(); i != nil {
		return fmt.Sprintf("control group %d", i.CgroupId)
	}
	if i := info.XDP(); i != nil {
		return "xdp " + interfaceName(i.Ifindex)
	}
	if i := info.TCX(); i != nil {
		return "tcx " + interfaceName(i.Ifindex)
	}
	if i := info.NetNs(); i != nil {
		return fmt.Sprintf("network namespace %d", i.NetnsInode)
	}
	if i := info.Tracing(); i != nil {
		return fmt.Sprintf("tracing, BTF id %d", i.TargetBtfId)
	}
	if i := info.KprobeMulti(); i != nil {
		return fmt.Sprintf("kprobe on %d functions", i.Count)
	}
	return fmt.Sprintf("link of type %d", info.Type)
}

func interfaceName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return fmt.Sprintf("interface %d of another network namespace", index)
}

// readDevices finds XDP programs on the interfaces of this network namespace,
// which need no link.
func (b *BPF) readDevices() {
	const iflaXDP, xdpProgID = 43, 4
	err := dump(unix.NETLINK_ROUTE, unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), func(typ uint16, data []byte) {
		if typ != unix.RTM_NEWLINK || len(data) < unix.SizeofIfInfomsg {
			return
		}
		index := native.Uint32(data[4:])
		for typ, value := range attributes(data[unix.SizeofIfInfomsg:]) {
			if typ != iflaXDP {
				continue
			}
			for typ, value := range attributes(value) {
				if typ == xdpProgID && len(value) >= 4 {
					b.attached(native.Uint32(value), "xdp "+interfaceName(index))
				}
			}
		}
	})
	if err != nil {
		b.Notes = append(b.Notes, fmt.Sprintf("XDP programs on interfaces are not known: %v", err))
	}
}

// readDescriptors goes through the descriptors of all processes.
func (b *BPF) readDescriptors(hold func(kind string, id uint32, who Process, pin string)) {
	list, err := pids()
	if err != nil {
		b.Notes = append(b.Notes, "which processes hold programs is not known: "+err.Error())
		return
	}
	b.Notes = append(b.Notes, hidden("other users' processes that hold programs")...)
	for _, pid := range list {
		entries, err := os.ReadDir(procPath(pid, "fd"))
		if err != nil {
			continue // ended, or a thread of the kernel
		}
		p := Process{PID: pid}
		for _, e := range entries {
			target, err := os.Readlink(procPath(pid, "fd/"+e.Name()))
			if err != nil {
				continue
			}
			if target == "anon_inode:[perf_event]" {
				fd, _ := strconv.Atoi(e.Name())
				b.perfEvent(pid, fd)
				continue
			}
			if !strings.HasPrefix(target, "anon_inode:bpf") && !strings.HasPrefix(target, "anon_inode:[bpf") {
				continue
			}
			if p.Name == "" {
				p.Name = comm(pid)
			}
			holdInfo(line(procPath(pid, "fdinfo/"+e.Name())), p, "", hold)
		}
	}
}

// holdInfo reads the ids from a descriptor's fdinfo.
func holdInfo(text string, who Process, pin string, hold func(kind string, id uint32, who Process, pin string)) {
	for l := range strings.Lines(text) {
		key, v, _ := strings.Cut(strings.TrimSpace(l), ":")
		if id, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32); err == nil {
			hold(key, uint32(id), who, pin)
		}
	}
}

// perfEvent asks which program a perf event of a process runs, and where.
func (b *BPF) perfEvent(pid, fd int) {
	const taskFdQuery = 20
	name := make([]byte, 256)
	attr := struct {
		pid, fd, flags, len uint32
		buf                 uint64
		prog, kind          uint32
		offset, addr        uint64
	}{pid: uint32(pid), fd: uint32(fd), len: uint32(len(name)), buf: uint64(uintptr(unsafe.Pointer(&name[0])))}
	_, _, errno := unix.Syscall(unix.SYS_BPF, taskFdQuery, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 || attr.prog == 0 {
		return // an event without a program, or it has gone
	}
	kinds := [...]string{"raw tracepoint", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe"}
	where := "perf event"
	if int(attr.kind) < len(kinds) {
		n, _, _ := bytes.Cut(name, []byte{0})
		where = kinds[attr.kind] + " " + string(n)
		if attr.offset != 0 {
			where += fmt.Sprintf("+%#x", attr.offset)
		}
	}
	b.attached(attr.prog, where)
	if p, who := b.program(attr.prog), (Process{pid, comm(pid)}); p != nil && !slices.Contains(p.Held, who) {
		p.Held = append(p.Held, who)
	}
}

// readPins walks the BPF file systems of this mount namespace.
func (b *BPF) readPins(hold func(kind string, id uint32, who Process, pin string)) {
	mounts, err := mountsOf("self")
	if err != nil {
		b.Notes = append(b.Notes, "pins are not known: "+err.Error())
		return
	}
	for _, m := range mounts {
		if m.Type != "bpf" || m.Hidden {
			continue
		}
		err := filepath.WalkDir(m.Point, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				pinned(path, hold)
			}
			return nil
		})
		if err != nil {
			b.Notes = append(b.Notes, "not all pins could be read: "+err.Error())
		}
	}
}

// pinned opens a pin just long enough to read what it is.
func pinned(path string, hold func(kind string, id uint32, who Process, pin string)) {
	const objGet = 7
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return
	}
	attr := struct {
		path  uint64
		fd    uint32
		flags uint32
	}{path: uint64(uintptr(unsafe.Pointer(name)))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, objGet, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return // an iterator's file, which is no pin
	}
	defer unix.Close(int(fd))
	holdInfo(line(fmt.Sprintf("/proc/self/fdinfo/%d", fd)), Process{}, path, hold)
}
