package pcap

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func file(order binary.ByteOrder, link uint32, frames ...[]byte) []byte {
	b := make([]byte, 24)
	order.PutUint32(b, 0xa1b2c3d4)
	order.PutUint32(b[20:], link)
	for _, f := range frames {
		h := make([]byte, 16)
		order.PutUint32(h[8:], uint32(len(f)))
		order.PutUint32(h[12:], uint32(len(f)))
		b = append(append(b, h...), f...)
	}
	return b
}

func TestRead(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		var got [][]byte
		err := Read(bytes.NewReader(file(order, 1, []byte("one"), []byte("three"))), func(b []byte) error {
			got = append(got, b)
			return nil
		})
		if err != nil || len(got) != 2 || string(got[1]) != "three" {
			t.Errorf("%v: %q, %v", order, got, err)
		}
	}
	good := file(binary.LittleEndian, 1, []byte("one"))
	short := bytes.Clone(good)
	short[24+12] = 9
	for name, b := range map[string][]byte{
		"empty": nil, "link type": file(binary.LittleEndian, 101), "no magic": make([]byte, 24), "cut off": good[:len(good)-1], "snapped": short,
	} {
		if err := Read(bytes.NewReader(b), func([]byte) error { return nil }); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(binary.LittleEndian, 1, []byte("frame")))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = Read(bytes.NewReader(b), func([]byte) error { return nil })
	})
}
