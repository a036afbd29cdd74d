package host

import "testing"

func TestAttributes(t *testing.T) {
	b := []byte{8, 0, 1, 0, 'a', 'b', 'c', 'd', 5, 0, 2, 0x80, 'x', 0, 0, 0, 9, 0, 3, 0, 'c'}
	var got string
	for typ, v := range attributes(b) {
		got += string(rune('0'+typ)) + string(v) + ";"
	}
	if want := "1abcd;2x;"; got != want {
		t.Errorf("%q, want %q: the last is cut short", got, want)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte{5, 0, 2, 0, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, v := range attributes(b) {
			n += len(v) + 4
		}
		if n > len(b) {
			t.Errorf("attributes of %d bytes from %d", n, len(b))
		}
	})
}
