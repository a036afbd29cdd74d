package kernel

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestDecode(t *testing.T) {
	type record struct {
		A uint64
		B [3]int16
		C uint16
	}
	want := record{1 << 40, [3]int16{-1, 2, 3}, 9}
	var raw bytes.Buffer
	_ = binary.Write(&raw, binary.LittleEndian, want)
	var got record
	if !Decode(append([]byte{0}, raw.Bytes()...)[1:], &got) || got != want { // not aligned
		t.Errorf("got %+v", got)
	}
	for _, b := range [][]byte{nil, raw.Bytes()[1:], append(raw.Bytes(), 0)} {
		if Decode(b, &got) || got != want {
			t.Errorf("a record of %d bytes is taken", len(b))
		}
	}
}
