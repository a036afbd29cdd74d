package host

import (
	"os"
	"strings"
	"testing"
)

const smaps = `00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/prog
Size:                328 kB
Rss:                 300 kB
Pss:                 150 kB
Private_Dirty:         0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
00651000-00652000 rw-p 00051000 08:02 173521 /usr/bin/prog
Rss:                   4 kB
00e03000-00e24000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7f0000001000-7f0000002000 r-xp 00000000 08:02 9 /usr/lib/a b/libx.so.1 (deleted)
7f0000002000-7f0000003000 r-xs 00000000 00:05 7 /memfd:x (deleted)
7f0000003000-7f0000004000 rw-p 00000000 00:00 0 [anon:cache]
7f0000004000-7f0000005000 r--p 00000000 08:02 11 /usr/share/x\012y
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]
ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0 [vsyscall]
`

func TestParseSmaps(t *testing.T) {
	l, err := parseSmaps(strings.NewReader(smaps), "/usr/bin/prog")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"text", "data", "heap", "anon", "lib", "shared", "anon", "file", "stack", "kernel"}
	if len(l) != len(want) {
		t.Fatalf("%d areas, want %d", len(l), len(want))
	}
	for i, v := range l {
		if v.Kind != want[i] {
			t.Errorf("%+v is %s, want %s", v, v.Kind, want[i])
		}
	}
	if v := l[0]; v.RSS != 300<<10 || v.PSS != 150<<10 || v.Size != 0x52000 || v.Inode != 173521 {
		t.Errorf("%+v", v)
	}
	if v := l[3]; !v.WX || !v.AnonExec {
		t.Errorf("%+v is writable code from no file", v)
	}
	if v := l[4]; !v.Deleted || v.Path != "/usr/lib/a b/libx.so.1" || v.AnonExec {
		t.Errorf("%+v is of a deleted library", v)
	}
	if v := l[5]; v.Deleted || !v.AnonExec || v.Path != "/memfd:x" {
		t.Errorf("%+v is code in memory only", v)
	}
	if l[7].Path != "/usr/share/x\ny" || l[9].AnonExec {
		t.Errorf("%+v %+v", l[7], l[9])
	}
}

func TestParseArea(t *testing.T) {
	for line, want := range map[string]VMA{
		"00400000-00452000 r-xp 00000000 08:01 1234                       /usr/lib/lib c.so.6 (deleted)": {Start: 0x400000, End: 0x452000, Rights: "r-xp", Inode: 1234,
			Path: "/usr/lib/lib c.so.6", Deleted: true},
		"7f00-7f01 rwxp 00000000 00:00 0 ":                   {Start: 0x7f00, End: 0x7f01, Rights: "rwxp", WX: true, AnonExec: true},
		"7ffc-7ffd rw-p 00000000 00:00 0      [stack]":       {Start: 0x7ffc, End: 0x7ffd, Rights: "rw-p", Path: "[stack]"},
		"7ffc-7ffd r--p 00000010 08:01 7  /a\\012b":          {Start: 0x7ffc, End: 0x7ffd, Rights: "r--p", Offset: 16, Inode: 7, Path: "/a\nb"},
		"7f00-7f01 r-xs 00000000 00:05 7 /memfd:x (deleted)": {Start: 0x7f00, End: 0x7f01, Rights: "r-xs", Inode: 7, Path: "/memfd:x", AnonExec: true},
	} {
		want.Size = want.End - want.Start
		if got, ok := parseArea(line); !ok || got != want {
			t.Errorf("%q gives %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "x", "a b c d e", "1-2 r-xp 0 0", "2-1 r-xp 0 0 0", "1-2 r-x 0 0 0"} {
		if _, ok := parseArea(line); ok {
			t.Errorf("%q was taken", line)
		}
	}
}

// TestReadAreas finds the test's own code.
func TestReadAreas(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	list, err := ReadAreas(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Path == exe && v.Rights[2] == 'x' {
			return
		}
	}
	t.Errorf("%s is not among %d areas", exe, len(list))
}

func FuzzParseSmaps(f *testing.F) {
	f.Add(smaps)
	f.Add("1-2 rwxp 0 0 0")
	f.Add("1-2 rwx 0 0:0 0\nRss: x kB\n: 5 kB")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseSmaps(strings.NewReader(text), "/x")
		if err != nil {
			return
		}
		for _, v := range l {
			if v.End <= v.Start || v.Size != v.End-v.Start || v.Kind == "" {
				t.Errorf("%+v", v)
			}
		}
	})
}
