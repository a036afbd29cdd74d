package xdp

import "encoding/binary"

// frame makes a frame of a random shape; every third one is then broken.
func (g gen) frame() []byte {
	l4proto := g.protocol()
	v6 := g.IntN(2) == 0
	if l4proto == 1 && v6 && g.IntN(4) > 0 {
		l4proto = 58
	}
	l4 := g.l4(l4proto)
	var b []byte
	var ethertype uint16
	if v6 {
		ethertype, b = 0x86dd, g.ip6(l4proto, l4)
	} else {
		ethertype, b = 0x0800, g.ip4(l4proto, l4)
	}
	switch g.IntN(30) {
	case 0:
		ethertype = 0x0806
	case 1:
		ethertype = 0x8864
	case 2, 3, 4:
		ethertype, b = 0x8864, g.pppoe(ethertype, b)
	}
	head := []byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, byte(g.IntN(3))}
	if g.IntN(3) == 0 {
		for range 1 + g.IntN(5) {
			head = binary.BigEndian.AppendUint16(head, []uint16{0x8100, 0x88a8, 0x9100}[g.IntN(3)])
			head = binary.BigEndian.AppendUint16(head, uint16(g.IntN(5))|uint16(g.IntN(16))<<12)
		}
	}
	head = binary.BigEndian.AppendUint16(head, ethertype)
	b = append(head, b...)
	if g.IntN(5) == 0 { // what Ethernet fills up with
		b = append(b, make([]byte, g.IntN(40))...)
	}
	if g.IntN(3) == 0 {
		b = g.broken(b)
	}
	for len(b) < 14 { // the kernel runs nothing shorter
		b = append(b, 0)
	}
	return b
}

// pppoe puts a packet into a frame of a session, sometimes with another length or protocol,
// and with the protocol in either form.
func (g gen) pppoe(ethertype uint16, packet []byte) []byte {
	protocol := map[uint16][]byte{0x0800: {0, 0x21}, 0x86dd: {0, 0x57}}[ethertype]
	switch g.IntN(6) {
	case 0:
		protocol = protocol[1:]
	case 1:
		protocol = [][]byte{{0xc0, 0x21}, {0x80, 0x57}, {0x21, 0x21}, {1}}[g.IntN(4)]
	}
	b := binary.BigEndian.AppendUint16([]byte{0x11, 0, 0, 9}, uint16(len(protocol)+len(packet)-g.IntN(3)/2*g.IntN(30)))
	if g.IntN(8) == 0 {
		b[g.IntN(2)] = byte(g.Uint32())
	}
	return append(append(b, protocol...), packet...)
}

func (g gen) broken(b []byte) []byte {
	switch g.IntN(4) {
	case 0:
		return b[:14+g.IntN(len(b)-13)]
	case 1:
		for range 1 + g.IntN(8) {
			b[g.IntN(len(b))] = byte(g.Uint32())
		}
	case 2: // near the fields that say lengths
		at := min(12+g.IntN(60), len(b)-1)
		b[at] = []byte{0, 1, 4, 5, 8, 0x7f, 0xff}[g.IntN(7)]
	case 3:
		b[g.IntN(len(b))] ^= 1 << g.IntN(8)
	}
	return b
}

func (g gen) l4(proto uint8) []byte {
	data := make([]byte, g.IntN(60))
	for i := range data {
		data[i] = g.letter()
	}
	var b []byte
	switch proto {
	case 6:
		b = make([]byte, 20+4*g.IntN(11))
		b[12] = byte(len(b)/4) << 4
		b[13] = byte(g.IntN(64))
	case 17, 136:
		b = make([]byte, 8)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	case 1, 58:
		b = make([]byte, 8)
		b[0], b[1] = byte(g.IntN(256)), byte(g.IntN(3))
		if g.IntN(3) == 0 {
			b[0] = byte(130 + g.IntN(10))
		}
	case 132, 33:
		b = make([]byte, 12)
	default:
		b = make([]byte, 4)
	}
	if proto != 1 && proto != 58 {
		binary.BigEndian.PutUint16(b, g.port())
		binary.BigEndian.PutUint16(b[2:], g.port())
	}
	return append(b, data...)
}

func (g gen) ip4(proto uint8, l4 []byte) []byte {
	header := 20
	if g.IntN(5) == 0 {
		header += 4 * g.IntN(11)
	}
	var flags uint16
	if g.IntN(6) == 0 {
		flags = []uint16{0x2000, 0x2000, 1, 2, 100, 0x2001, 0x4000}[g.IntN(7)]
		if g.IntN(3) == 0 {
			l4 = l4[:g.IntN(len(l4)+1)]
		}
	}
	b := make([]byte, header, header+len(l4))
	b[0] = 0x40 | byte(header/4)
	b[1] = byte(g.Uint32())
	binary.BigEndian.PutUint16(b[2:], uint16(header+len(l4)))
	binary.BigEndian.PutUint16(b[6:], flags)
	b[8], b[9] = byte(g.Uint32()), proto
	src, dst := g.addr4().As4(), g.addr4().As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	return append(b, l4...)
}

func (g gen) ip6(proto uint8, l4 []byte) []byte {
	var ext []byte
	first := proto
	next := &first
	if g.IntN(2) == 0 {
		for range 1 + g.IntN(10) {
			kind := []uint8{0, 43, 44, 51, 60, 60, 60, 135, 139, 140}[g.IntN(10)]
			size := 8 * (1 + g.IntN(3))
			h := make([]byte, size)
			h[1] = byte(size/8 - 1)
			switch kind {
			case 44:
				h = h[:8]
				h[1] = 0
				binary.BigEndian.PutUint16(h[2:], []uint16{0, 0, 1, 8, 9, 800}[g.IntN(6)])
			case 51:
				h[1] = byte(size/4 - 2)
			}
			h[0] = proto
			*next = kind
			ext = append(ext, h...)
			next = &ext[len(ext)-len(h)]
		}
	}
	b := make([]byte, 40)
	binary.BigEndian.PutUint16(b, 0x6000|uint16(g.IntN(4096)))
	binary.BigEndian.PutUint16(b[4:], uint16(len(ext)+len(l4)))
	b[6], b[7] = first, byte(g.Uint32())
	if g.IntN(4) == 0 {
		b[7] = 255
	}
	src, dst := g.addr6().As16(), g.addr6().As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	return append(append(b, ext...), l4...)
}
