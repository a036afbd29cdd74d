package flame

import (
	"encoding/binary"
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
	if n := spec.Maps["rows"].ValueSize; n != rowSize {
		t.Errorf("a row has %d bytes, and %d are written", n, rowSize)
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
	u := &unwinder{free: map[int][]uint32{}, roomAreas: 64}
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

// written keeps what would go to the kernel.
type written map[int64][]byte

func (w written) WriteAt(b []byte, off int64) (int, error) {
	w[off] = append([]byte(nil), b...)
	return len(b), nil
}

// TestTablesAreShared has one table for the same content under two names, and none where
// there is no room.
func TestTablesAreShared(t *testing.T) {
	const path = "/lib/x86_64-linux-gnu/libc.so.6"
	f, err := os.Open(path)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = f.Close() }()
	rows := written{}
	u := &unwinder{rows: rows, roomRows: 1 << 20, known: map[ehframe.ID]fileTable{}}
	a, b := u.table(f), u.table(f)
	if a.count == 0 || a.first != b.first || a.count != b.count || u.made != 1 || u.usedRows != a.count || len(rows) != 1 {
		t.Errorf("%d rows from %d, then %d from %d; %d tables", a.count, a.first, b.count, b.first, u.made)
	}
	if got := rows[0]; len(got) != int(a.count)*rowSize || binary.NativeEndian.Uint32(got) > binary.NativeEndian.Uint32(got[rowSize:]) {
		t.Errorf("%d bytes of %d rows, not in order", len(got), a.count)
	}
	small := &unwinder{rows: rows, roomRows: 10, known: map[ehframe.ID]fileTable{}}
	for range 2 {
		if got := small.table(f); got.count != 0 || small.usedRows != 0 {
			t.Errorf("%d rows in room for 10", got.count)
		}
	}
	if small.over != 1 {
		t.Errorf("%d files found no room, want 1", small.over)
	}
}
