package host

import (
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// areaRecord makes a record of the iterator.
func areaRecord(a areasArea, name string) []byte {
	a.Len = uint32(unsafe.Sizeof(a)) + uint32(len(name))
	raw := slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&a)), unsafe.Sizeof(a)))
	return append(raw, name...)
}

// TestKernelAreas joins areas that the kernel has with those of /proc, which lacks one.
func TestKernelAreas(t *testing.T) {
	raw := slices.Concat(
		areaRecord(areasArea{Start: 0x1000, End: 0x3000, Flags: vmRead | vmExec, Offset: 2, Inode: 7}, "/bin/x\x00"),
		areaRecord(areasArea{Start: 0x3000, End: 0x4000, Flags: vmRead | vmWrite | vmExec}, ""),
		areaRecord(areasArea{Start: 0x4000, End: 0x5000, Flags: vmRead | vmWrite, Heap: 1}, ""),
		areaRecord(areasArea{Start: 0x5000, End: 0x6000, Flags: vmRead | vmExec, Inode: 8}, "/lib/libz.so.1 (deleted)\x00"),
		areaRecord(areasArea{Start: 0x6000, End: 0x7000, Flags: vmRead | vmExec}, ""),
	)
	got, err := decodeAreas(raw)
	if err != nil {
		t.Fatal(err)
	}
	procs := []VMA{{Start: 0x1000, End: 0x3000, RSS: 4096, Path: "/bin/x", Inode: 7}, {Start: 0x6000, End: 0x7000, Path: "[vdso]"},
		{Start: 0x4000, End: 0x5000, Path: "[heap]", Dirty: 9}, {Start: 0x5000, End: 0x6000}}
	if without := join(got, procs, "/bin/x"); without != 1 {
		t.Errorf("%d areas are said to be hidden, want 1", without)
	}
	for i, want := range []VMA{
		{Kind: "text", Rights: "r-xp", Path: "/bin/x", Size: 0x2000, Offset: 0x2000, RSS: 4096},
		{Kind: "anon", Rights: "rwxp", WX: true, AnonExec: true},
		{Kind: "heap", Rights: "rw-p", Path: "[heap]", Dirty: 9},
		{Kind: "lib", Rights: "r-xp", Path: "/lib/libz.so.1", Deleted: true},
		{Kind: "kernel", Rights: "r-xp", Path: "[vdso]"},
	} {
		v := got[i]
		if v.Kind != want.Kind || v.Rights != want.Rights || v.Path != want.Path || v.WX != want.WX || v.AnonExec != want.AnonExec ||
			v.Deleted != want.Deleted || v.RSS != want.RSS || v.Dirty != want.Dirty || want.Size != 0 && (v.Size != want.Size || v.Offset != want.Offset) {
			t.Errorf("area %d is %+v, want %+v", i, v, want)
		}
	}
	for text, bad := range map[string][]byte{
		"are no area": raw[:20], "an area of": areaRecord(areasArea{Start: 1, End: 2, Inode: 7}, "/bin/x\x00")[:unsafe.Sizeof(areasArea{})+2], "an area from": areaRecord(areasArea{Start: 2, End: 1}, ""),
	} {
		if _, err := decodeAreas(bad); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzAreas(f *testing.F) {
	f.Add(areaRecord(areasArea{Start: 0x1000, End: 0x3000, Inode: 7}, "/bin/x\x00"))
	f.Add(areaRecord(areasArea{Start: 0x1000, End: 0x3000, Stack: 1}, ""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := decodeAreas(raw)
		if err == nil && len(list) > len(raw)/int(unsafe.Sizeof(areasArea{})) {
			t.Errorf("%d areas from %d bytes", len(list), len(raw))
		}
	})
}
