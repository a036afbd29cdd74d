package process

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/sensor"
)

// briefRecord makes a record of the list; told are the paths that go with it.
func briefRecord(pid uint32, flags uint32, exe, group string) []byte {
	b := listBcBrief{Pid: pid, Flags: flags, Start: 9, Dentry: 64, Mnt: 1, Inode: 2, Nlink: 1, Cgroup: 7, CgroupLen: uint32(len(group))}
	b.Exe.Len = uint32(len(exe))
	copy(b.Comm[:], "name")
	b.Len = uint32(unsafe.Sizeof(b)) + uint32(len(exe)+len(group))
	raw := slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&b)), unsafe.Sizeof(b)))
	return append(append(raw, exe...), group...)
}

// TestBriefPaths reads processes of which only the first has the paths.
func TestBriefPaths(t *testing.T) {
	raw := slices.Concat(briefRecord(1, briefExe|briefCgroup, "/sh/bin", "/s/a"), briefRecord(2, 0, "", ""), briefRecord(3, briefKThread, "", ""), briefRecord(3, briefLast, "", ""))
	var got []*Brief
	d := newBriefDecoder(func(b *Brief) { got = append(got, b) })
	if err := sensor.Stream(iotest.OneByteReader(bytes.NewReader(raw)), d.decode); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || d.all != 3 {
		t.Fatalf("%d processes of %d", len(got), d.all)
	}
	for i, b := range got {
		if b.Pid != uint32(i+1) || b.Start != 9 || b.Comm != "name" || b.CgroupPath != "/a/s" || b.CgroupID != 7 {
			t.Errorf("process %d is %+v", i+1, b)
		}
		if b.Image == nil || b.Image.Exe.Path != "/bin/sh" {
			t.Errorf("process %d runs %+v", i+1, b.Image)
		}
	}
	if got[0].Image != got[1].Image {
		t.Error("the same program is there twice")
	}
	short := briefRecord(1, 0, "", "")
	short[0] = 3
	long := briefRecord(1, briefExe, "/x", "")
	long[unsafe.Offsetof(listBcBrief{}.Exe)] = 9
	for text, bad := range map[string][]byte{"is too short": short, "longer than its record": long, "are no record": raw[:30]} {
		d := newBriefDecoder(func(*Brief) {})
		if err := sensor.Stream(bytes.NewReader(bad), d.decode); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzBrief(f *testing.F) {
	f.Add(briefRecord(1, briefExe|briefCgroup, "/sh/bin", "/s/a"))
	f.Add(append(briefRecord(1, 0, "", ""), briefRecord(0, briefLast, "", "")...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := 0
		d := newBriefDecoder(func(*Brief) { n++ })
		_ = sensor.Stream(bytes.NewReader(raw), d.decode)
		if n > len(raw)/int(unsafe.Sizeof(listBcBrief{})) {
			t.Errorf("%d processes from %d bytes", n, len(raw))
		}
	})
}
