package eventjson

import (
	"math/bits"
	"strconv"
	"time"
)

// writer appends the members of objects and the elements of lists, and puts
// the commas between them. Its add methods leave out what is absent by the
// rules in the package comment; its put methods always write.
type writer struct{ b []byte }

// sep appends a comma unless an object or list has just been opened.
func (w *writer) sep() {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' && w.b[n-1] != '[' {
		w.b = append(w.b, ',')
	}
}

// key appends the name of a member. Names are constants of this package and
// need no escaping.
func (w *writer) key(name string) {
	b := w.b
	if b[len(b)-1] != '{' {
		b = append(b, ',', '"')
	} else {
		b = append(b, '"')
	}
	b = append(b, name...)
	w.b = append(b, '"', ':')
}

func (w *writer) open(name string) {
	w.key(name)
	w.b = append(w.b, '{')
}

func (w *writer) close() { w.b = append(w.b, '}') }

func (w *writer) putStr(name, s string) {
	w.key(name)
	w.b = AppendString(w.b, s)
}

func (w *writer) addStr(name, s string) {
	if s != "" {
		w.putStr(name, s)
	}
}

func (w *writer) putUint(name string, n uint64) {
	w.key(name)
	w.b = strconv.AppendUint(w.b, n, 10)
}

func (w *writer) addUint(name string, n uint64) {
	if n != 0 {
		w.putUint(name, n)
	}
}

func (w *writer) putInt(name string, n int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *writer) addFlag(name string, v bool) {
	if v {
		w.key(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *writer) addTime(name string, t time.Time) {
	if writable(t) {
		w.key(name)
		w.b = appendQuotedTime(w.b, t)
	}
}

func (w *writer) addNanos(name string, ns int64) {
	if ns != 0 {
		w.key(name)
		w.b = append(w.b, '"')
		w.b = appendNanos(w.b, ns)
		w.b = append(w.b, '"')
	}
}

// putHex writes a bit set as text such as "0x3fffffffff": it has more bits
// than some parsers' numbers, and people read it in hexadecimal.
func (w *writer) putHex(name string, n uint64) {
	w.key(name)
	w.b = append(appendHex(append(w.b, '"'), n), '"')
}

// appendHex appends "0x" and the digits.
func appendHex(dst []byte, n uint64) []byte {
	if n == 0 {
		return append(dst, "0x0"...)
	}
	digits := (bits.Len64(n) + 3) / 4
	dst = append(dst, "0x0000000000000000"[:2+digits]...)
	for i := len(dst) - 1; n != 0; i-- {
		dst[i] = hexDigits[n&15]
		n >>= 4
	}
	return dst
}

// putDev writes a device number as "major:minor".
func (w *writer) putDev(name string, major, minor uint32) {
	w.key(name)
	w.b = append(w.b, '"')
	w.b = strconv.AppendUint(w.b, uint64(major), 10)
	w.b = append(w.b, ':')
	w.b = strconv.AppendUint(w.b, uint64(minor), 10)
	w.b = append(w.b, '"')
}

func (w *writer) putList(name string, list []string) {
	w.key(name)
	w.b = append(w.b, '[')
	for i, s := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = AppendString(w.b, s)
	}
	w.b = append(w.b, ']')
}

// splitTTY splits a device number in the 32-bit encoding of stat(2), and
// joinTTY makes it again.
func splitTTY(d uint32) (major, minor uint32) {
	return d >> 8 & 0xfff, d&0xff | d>>12&0xfff00
}

func joinTTY(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}
