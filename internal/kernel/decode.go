package kernel

import "unsafe"

// Decode copies a record that a program has written into its Go struct, as bpf2go makes
// it: plain numbers and arrays of them, laid out as in C. It is false, and nothing is
// copied, where the record has another size.
func Decode[T any](raw []byte, to *T) bool {
	size := unsafe.Sizeof(*to)
	if uintptr(len(raw)) != size {
		return false
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(to)), size), raw)
	return true
}
