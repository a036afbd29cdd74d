package process

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/cilium/ebpf/link"
)

// enum bc_brief_flags of record.h.
const (
	briefKThread = 1
	briefLast    = 2
	briefExe     = 4
	briefCgroup  = 8
)

// Brief is what a short list tells of a process. Of the process itself only identity,
// parent, name, program, terminal, the ids of users, and the namespaces of mounts and of
// the network are known; programs that are the same are one Image.
type Brief struct {
	event.Process
	CgroupID   uint64
	CgroupPath string
}

// ListBrief calls fn with each process, in the order of pids; what fn gets is its own.
// It returns how many there were, with those that have ended and are not waited for.
func ListBrief(t *kernel.Transport, fn func(*Brief)) (all uint32, err error) {
	spec, err := loadList()
	if err != nil {
		return 0, fmt.Errorf("reading the program that lists processes: %w", err)
	}
	coll, err := t.LoadIterators(spec, nil)
	if err != nil {
		return 0, fmt.Errorf("loading the program that lists processes: %w", err)
	}
	defer coll.Close()
	it, err := link.AttachIter(link.IterOptions{Program: coll.Programs["bc_brief_tasks"]})
	if err != nil {
		return 0, fmt.Errorf("attaching the iterator of processes: %w", err)
	}
	defer func() { _ = it.Close() }()
	rd, err := it.Open()
	if err != nil {
		return 0, fmt.Errorf("opening the iterator of processes: %w", err)
	}
	defer func() { _ = rd.Close() }()
	d := newBriefDecoder(fn)
	if err := sensor.Stream(rd, d.decode); err != nil {
		return 0, fmt.Errorf("reading the list of processes: %w", err)
	}
	return d.all, nil
}

// briefDecoder takes the records of the list apart.
type briefDecoder struct {
	fn      func(*Brief)
	strings sensor.Strings
	images  map[briefExeKey]*event.Image
	groups  map[uint64]string
	spaces  map[event.Namespaces]*event.Namespaces
	slab    []Brief
	all     uint32
}

type briefExeKey struct{ dentry, mnt, inode uint64 }

func newBriefDecoder(fn func(*Brief)) *briefDecoder {
	return &briefDecoder{
		fn: fn, strings: sensor.NewStrings(), images: map[briefExeKey]*event.Image{},
		groups: map[uint64]string{}, spaces: map[event.Namespaces]*event.Namespaces{},
	}
}

// decode takes the first record of raw; 0 where it is not whole.
func (d *briefDecoder) decode(raw []byte) (int, error) {
	var b listBcBrief
	if !sensor.Fixed(raw, &b) {
		return 0, nil
	}
	size := int(unsafe.Sizeof(b))
	if int64(b.Len) < int64(size) {
		return 0, fmt.Errorf("a record of %d bytes is too short", b.Len)
	}
	if uint64(b.Len) > uint64(len(raw)) {
		return 0, nil
	}
	if b.Flags&briefLast != 0 {
		d.all = b.Pid
		return int(b.Len), nil
	}
	s := sections{rest: raw[size:b.Len]}
	if len(d.slab) == 0 {
		d.slab = make([]Brief, 256)
	}
	p := &d.slab[0]
	d.slab = d.slab[1:]
	d.fill(p, &b)
	key := briefExeKey{b.Dentry, b.Mnt, b.Inode}
	if b.Flags&briefExe != 0 {
		d.images[key] = d.image(&b, s.next(b.Exe.Len))
	}
	if b.Flags&briefCgroup != 0 {
		d.groups[b.Cgroup] = strings.Clone(d.strings.Get(d.strings.Reverse(s.next(b.CgroupLen), false)))
	}
	if s.bad {
		return 0, fmt.Errorf("the paths of process %d are longer than its record of %d bytes", b.Pid, b.Len)
	}
	if p.Image = d.images[key]; p.Image == nil && !p.KThread {
		p.Image = d.image(&b, nil) // one that is about to end, and has let go of its program
	}
	p.CgroupPath = d.groups[b.Cgroup]
	d.fn(p)
	return int(b.Len), nil
}

func (d *briefDecoder) fill(p *Brief, b *listBcBrief) {
	p.Key = event.Key{Pid: b.Pid, Start: b.Start}
	p.ParentKey = event.Key{Pid: b.Ppid, Start: b.ParentStart}
	p.PPid = b.Ppid
	p.Comm = d.strings.Get(sensor.UntilNul(b.Comm[:]))
	p.Tty = event.Tty{Name: d.strings.Get(sensor.UntilNul(b.Tty[:])), Dev: b.TtyDev}
	p.Cred.UID, p.Cred.GID, p.Cred.EUID, p.Cred.LoginUID = b.Uid, b.Gid, b.Euid, b.Loginuid
	p.KThread, p.Seeded = b.Flags&briefKThread != 0, true
	p.CgroupID = b.Cgroup
	ns := event.Namespaces{Mnt: b.MntNs, Net: b.NetNs}
	if p.NS = d.spaces[ns]; p.NS == nil {
		own := ns
		p.NS, d.spaces[own] = &own, &own
	}
}

func (d *briefDecoder) image(b *listBcBrief, path []byte) *event.Image {
	var e progBcExec
	e.ExePath.Len, e.ExePath.RootAt, e.ExePath.Flags = b.Exe.Len, b.Exe.RootAt, b.Exe.Flags
	e.Exe.Inode, e.Exe.Nlink, e.Exe.Magic = b.Inode, b.Nlink, b.Magic
	img := &event.Image{}
	one := decoder{strings: d.strings}
	one.exeFile(&e, path, &img.Exe)
	return img.Seal()
}
