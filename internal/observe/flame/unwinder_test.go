package flame

import (
	"os"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/observe/ehframe"
)

// TestKernelAndUserAgree compares what the kernel program was compiled with to what is
// written for it.
func TestKernelAndUserAgree(t *testing.T) {
	spec, err := loadProg()
	if err != nil {
		t.Fatal(err)
	}
	if n := spec.Maps["ends"].MaxEntries; int(n) != len(endNames) {
		t.Errorf("stacks end in %d ways, and %d have names", n, len(endNames))
	}
	if n := unsafe.Sizeof(progArea{}); n != areaSize || spec.Maps["areas"].ValueSize != areaSize {
		t.Errorf("an area has %d bytes, and %d are written", n, areaSize)
	}
	if n := spec.Maps["rows"].ValueSize; n != 8 {
		t.Errorf("a row has %d bytes, and 8 are written", n)
	}
	for addr, want := range map[uint64]bool{0: false, endWhole: false, endCut - 1: false, endCut: true, uint64(len(endNames)) - 1: true, uint64(len(endNames)): false, 0x7f00dead0000: false} {
		if why, got := cutShort(addr); got != want || got && why == "" {
			t.Errorf("%#x is a reason: %v %q, want %v", addr, got, why, want)
		}
	}
}

// TestTableOfVDSO makes the table of what the kernel maps into each process, which is
// in no file.
func TestTableOfVDSO(t *testing.T) {
	for _, m := range codeOf("/proc/self") {
		if m.path != "[vdso]" {
			continue
		}
		mem, err := os.Open("/proc/self/mem")
		if err != nil {
			t.Skip(err)
		}
		defer func() { _ = mem.Close() }()
		f, err := ehframe.Open(offsetReader{mem, int64(m.start)})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := f.Rows()
		if err != nil || len(rows) < 10 {
			t.Errorf("%d rows, %v", len(rows), err)
		}
		return
	}
	t.Skip("this kernel maps none")
}

// TestRoomForAreas gives out no place twice, and takes places back.
func TestRoomForAreas(t *testing.T) {
	u := &unwinder{free: map[int][]uint32{}, room: 64}
	var all []uint32
	for {
		at, ok := u.allocate(16)
		if !ok {
			break
		}
		all = append(all, at)
	}
	if len(all) != 4 || all[0] == all[1] {
		t.Fatalf("64 areas are room for %v", all)
	}
	u.release(&slots{size: 16, at: [2]uint32{all[1], all[2]}})
	a, _ := u.allocate(16)
	b, ok := u.allocate(16)
	if _, more := u.allocate(16); !ok || a == b || more {
		t.Errorf("%d and %d come after two were given back, more %v", a, b, more)
	}
}
