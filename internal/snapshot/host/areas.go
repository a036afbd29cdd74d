package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Bits of an area's flags, which no kernel has changed.
const (
	vmRead     = 1
	vmWrite    = 2
	vmExec     = 4
	vmMayShare = 0x80
)

// kernelAreas lists the areas of a process's memory from the kernel's own list of them,
// without kinds and without what they take. pid is of the initial namespace.
func kernelAreas(pid int) ([]VMA, error) {
	spec, err := loadAreas()
	if err != nil {
		return nil, fmt.Errorf("reading the program that lists areas: %w", err)
	}
	if err := spec.Variables["wanted"].Set(uint32(pid)); err != nil {
		return nil, fmt.Errorf("setting whose areas are listed: %w", err)
	}
	coll, err := ebpf.NewCollection(spec)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return nil, errors.New("this kernel cannot list them (5.12 and later can)")
	}
	if err != nil {
		return nil, fmt.Errorf("loading the program that lists areas: %w", err)
	}
	defer coll.Close()
	it, err := link.AttachIter(link.IterOptions{Program: coll.Programs["bc_areas"]})
	if err != nil {
		return nil, fmt.Errorf("attaching the iterator of areas: %w", err)
	}
	defer it.Close() //nolint:errcheck // only read
	rd, err := it.Open()
	if err != nil {
		return nil, fmt.Errorf("opening the iterator of areas: %w", err)
	}
	defer rd.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(io.LimitReader(rd, maxAreasLen))
	if err != nil {
		return nil, fmt.Errorf("reading the iterator of areas: %w", err)
	}
	return decodeAreas(raw)
}

// decodeAreas takes the iterator's records apart.
func decodeAreas(raw []byte) ([]VMA, error) {
	var out []VMA
	for len(raw) > 0 {
		var a areasArea
		size := int(unsafe.Sizeof(a))
		if len(raw) < size {
			return nil, fmt.Errorf("decoding the list of areas: %d bytes are left, which are no area", len(raw))
		}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&a)), size), raw)
		if uint64(a.Len) < uint64(size) || uint64(a.Len) > uint64(len(raw)) {
			return nil, fmt.Errorf("decoding the list of areas: an area of %d bytes where there are %d", a.Len, len(raw))
		}
		name, _, _ := bytes.Cut(raw[size:a.Len], []byte{0})
		raw = raw[a.Len:]
		if a.End <= a.Start {
			return nil, fmt.Errorf("decoding the list of areas: an area from %#x to %#x", a.Start, a.End)
		}
		v := VMA{Start: a.Start, End: a.End, Size: a.End - a.Start, Offset: a.Offset << 12, Inode: a.Inode, Rights: rightsOf(a.Flags), Path: string(name)}
		switch {
		case a.Inode == 0 && a.Heap != 0:
			v.Path = "[heap]"
		case a.Inode == 0 && a.Stack != 0:
			v.Path = "[stack]"
		}
		v.judge()
		out = append(out, v)
	}
	return out, nil
}

func rightsOf(flags uint64) string {
	b := []byte("---p")
	for i, bit := range []uint64{vmRead, vmWrite, vmExec} {
		if flags&bit != 0 {
			b[i] = "rwx"[i]
		}
	}
	if flags&vmMayShare != 0 {
		b[3] = 's'
	}
	return string(b)
}

// join gives the kernel's areas what /proc tells of each: how much it takes, and the names
// of those without a file. It returns how many /proc did not tell of.
func join(kernels, procs []VMA, exe string) (without int) {
	at := map[[2]uint64]*VMA{}
	for i := range procs {
		at[[2]uint64{procs[i].Start, procs[i].End}] = &procs[i]
	}
	for i := range kernels {
		v := &kernels[i]
		if p := at[[2]uint64{v.Start, v.End}]; p != nil {
			v.RSS, v.PSS, v.Dirty, v.Swap = p.RSS, p.PSS, p.Dirty, p.Swap
			if v.Inode == 0 && (v.Path == "" || strings.HasPrefix(p.Path, "[")) {
				v.Path = p.Path
				v.judge()
			}
		} else {
			without++
		}
		v.Kind = kindOf(v, exe)
	}
	return without
}
