package ehframe

import "encoding/binary"

// cursor reads from bytes. Behind their end it is bad, and gives zeroes.
type cursor struct {
	b   []byte
	at  int
	bad bool
}

func (c *cursor) left() int { return len(c.b) - c.at }

func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(c.left()) {
		c.bad = true
		return nil
	}
	b := c.b[c.at : c.at+int(n)]
	c.at += int(n)
	return b
}

func (c *cursor) u8() uint8 {
	if c.bad || c.at >= len(c.b) {
		c.bad = true
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// uleb reads a number of any length; what is above 64 bits is lost.
func (c *cursor) uleb() (n uint64) {
	for shift := uint(0); ; shift += 7 {
		b := c.u8()
		if shift < 64 {
			n |= uint64(b&0x7f) << shift
		}
		if b < 0x80 {
			return n
		}
	}
}

func (c *cursor) sleb() (n int64) {
	for shift := uint(0); ; shift += 7 {
		b := c.u8()
		if shift < 64 {
			n |= int64(b&0x7f) << shift
		}
		if b < 0x80 {
			if b&0x40 != 0 && shift+7 < 64 {
				n |= -1 << (shift + 7)
			}
			return n
		}
	}
}

// How pointers are written: DW_EH_PE.
const (
	pointerOmitted  = 0xff
	pointerForm     = 0x0f
	pointerBase     = 0x70
	pointerRelative = 0x10 // to its own address
	pointerIndirect = 0x80
)

// pointer reads an address in one of the ways that a CIE names; addr is that of the
// bytes' beginning.
func (c *cursor) pointer(how uint8, addr uint64) uint64 {
	if how == pointerOmitted {
		return 0
	}
	from := addr + uint64(c.at)
	var n uint64
	switch how & pointerForm {
	case 0x00, 0x04, 0x0c:
		n = c.u64()
	case 0x01:
		n = c.uleb()
	case 0x02:
		n = uint64(c.u16())
	case 0x03:
		n = uint64(c.u32())
	case 0x09:
		n = uint64(c.sleb())
	case 0x0a:
		n = uint64(int64(int16(c.u16())))
	case 0x0b:
		n = uint64(int64(int32(c.u32())))
	default:
		c.bad = true
	}
	switch how & (pointerBase | pointerIndirect) {
	case 0:
	case pointerRelative:
		n += from
	default: // relative to what only the loader knows
		c.bad = true
	}
	return n
}
