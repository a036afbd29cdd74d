package call

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"
)

// bytesOf is how a structure lies in memory.
func bytesOf[T any](v *T) []byte {
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)))
}

// listedFile makes a record of the iterator, of a descriptor that is not open any more.
func listedFile(pid uint32, num int32) []byte {
	fd := progBcFd{Num: num, Fmode: fmodeWrite, Fflags: 7}
	sec := progBcSec{Tag: secFD}
	sec.Len = uint32(unsafe.Sizeof(fd))
	h := filesBcListed{Pos: 5, Tid: pid}
	h.Key.Pid, h.Key.Start = pid, 9
	h.Len = uint32(unsafe.Sizeof(h) + unsafe.Sizeof(sec) + unsafe.Sizeof(fd))
	return slices.Concat(bytesOf(&h), bytesOf(&sec), bytesOf(&fd))
}

// TestStreamFiles reads records that come in pieces.
func TestStreamFiles(t *testing.T) {
	var raw []byte
	const n = 5000 // more than the buffer holds
	for i := range n {
		raw = append(raw, listedFile(uint32(i+1), int32(i))...)
	}
	for name, rd := range map[string]func() *bytes.Reader{"whole": func() *bytes.Reader { return bytes.NewReader(raw) }, "one byte": func() *bytes.Reader { return bytes.NewReader(raw[:20*len(raw)/n]) }} {
		got := 0
		each := func(f OpenFile) {
			if f.FD.Num != int32(got) || f.Key.Pid != uint32(got+1) || f.Key.Start != 9 || f.Pos != 5 || f.Flags != 7 || f.Read || !f.Write {
				t.Fatalf("%s: file %d is %+v of %+v", name, got, f.FD, f)
			}
			got++
		}
		var err error
		want := n
		if name == "whole" {
			err = streamFiles(rd(), each)
		} else {
			want = 20
			err = streamFiles(iotest.OneByteReader(rd()), each)
		}
		if err != nil || got != want {
			t.Errorf("%s: %d files, %v; want %d", name, got, err, want)
		}
	}
	one := listedFile(1, 2)
	short := slices.Clone(one)
	short[unsafe.Offsetof(filesBcListed{}.Len)] = 3
	for text, bad := range map[string][]byte{
		"are no record":      one[:len(one)-1],
		"which is too short": short,
		"has no section":     slices.Concat(one[:unsafe.Sizeof(filesBcListed{})], make([]byte, len(one)-int(unsafe.Sizeof(filesBcListed{})))),
	} {
		if err := streamFiles(bytes.NewReader(bad), func(OpenFile) {}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want an error with %q", err, text)
		}
	}
}

func FuzzStreamFiles(f *testing.F) {
	f.Add(slices.Concat(listedFile(1, 2), listedFile(1, 3)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := 0
		err := streamFiles(iotest.HalfReader(bytes.NewReader(raw)), func(OpenFile) { n++ })
		if most := len(raw) / int(unsafe.Sizeof(filesBcListed{})); n > most || err == nil && n == 0 && len(raw) > 0 {
			t.Errorf("%d files from %d bytes, %v", n, len(raw), err)
		}
	})
}
