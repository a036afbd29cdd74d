package model

import (
	"encoding/binary"
	"net/netip"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

// Bounds of what is read of a frame.
const (
	maxTags       = 4
	maxExtensions = 8
)

// Frame is what rules can know of a frame.
type Frame struct {
	Length, Device     uint32
	MAC                [6]byte
	HasVLAN            bool
	VLAN               uint16 // the outermost tag's
	Src, Dst           netip.Addr
	Protocol           uint8
	TTL, DSCP          uint8
	Fragment           uint8 // one of Whole, FirstFragment, LaterFragment
	HasPorts           bool
	SrcPort, DstPort   uint16
	HasTCP             bool
	TCPFlags           uint8
	HasICMP            bool
	Established        bool // a socket of this host expects it
	ICMPType, ICMPCode uint8
	Payload            []byte // what the packet has behind its transport header
}

// Read reads a frame that begins with its Ethernet header. The reason is ByRule
// where rules may look at it; otherwise fields that were not reached are empty.
func Read(b []byte) (Frame, firewall.Reason) {
	f := Frame{Length: uint32(len(b)), Fragment: firewall.Whole}
	if len(b) < 14 {
		return f, firewall.ShortEth
	}
	copy(f.MAC[:], b[6:12])
	ethertype := binary.BigEndian.Uint16(b[12:])
	b = b[14:]
	for tags := 0; ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100; tags++ {
		if tags == maxTags {
			return f, firewall.ManyTags
		}
		if len(b) < 4 {
			return f, firewall.ShortTag
		}
		if !f.HasVLAN {
			f.HasVLAN, f.VLAN = true, binary.BigEndian.Uint16(b)&0xfff
		}
		ethertype = binary.BigEndian.Uint16(b[2:])
		b = b[4:]
	}
	if ethertype == 0x8864 {
		if ethertype, b = readPPPoE(b); ethertype == 0 {
			return f, firewall.ShortPPPoE
		}
	}
	switch ethertype {
	case 0x0800:
		return f, f.readIP4(b)
	case 0x86dd:
		return f, f.readIP6(b)
	case 0x0806:
		return f, firewall.ARP
	}
	return f, firewall.Unparsed
}

// readPPPoE gives what a PPPoE session carries, and its type as of Ethernet: 0 where the
// frame is cut off, that of PPPoE where it carries something else.
func readPPPoE(b []byte) (ethertype uint16, carried []byte) {
	if len(b) < 8 {
		return 0, nil
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < 2 || 6+length > len(b) {
		return 0, nil
	}
	b = b[6 : 6+length]
	protocol, b := uint16(b[0]), b[1:]
	if protocol&1 == 0 { // two bytes
		protocol, b = protocol<<8|uint16(b[0]), b[1:]
	}
	switch protocol {
	case 0x21:
		return 0x0800, b
	case 0x57:
		return 0x86dd, b
	}
	return 0x8864, b
}

func (f *Frame) readIP4(b []byte) firewall.Reason {
	if len(b) < 20 {
		return firewall.ShortIP4
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || header < 20 || total < header {
		return firewall.BadIP4
	}
	if total > len(b) {
		return firewall.ShortIP4
	}
	f.Src, f.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	f.DSCP, f.TTL, f.Protocol = b[1]>>2, b[8], b[9]
	fragment := binary.BigEndian.Uint16(b[6:])
	offset := fragment & 0x1fff
	switch {
	case offset != 0:
		f.Fragment = firewall.LaterFragment
	case fragment&0x2000 != 0:
		f.Fragment = firewall.FirstFragment
	}
	if offset == 1 && f.Protocol == 6 {
		return firewall.TinyFragment
	}
	return f.readL4(b[header:total])
}

func isExtension(next uint8) bool {
	switch next {
	case 0, 43, 44, 51, 60, 135, 139, 140:
		return true
	}
	return false
}

func (f *Frame) readIP6(b []byte) firewall.Reason {
	if len(b) < 40 {
		return firewall.ShortIP6
	}
	if b[0]>>4 != 6 {
		return firewall.BadIP6
	}
	payload := int(binary.BigEndian.Uint16(b[4:]))
	if 40+payload > len(b) {
		return firewall.ShortIP6
	}
	f.Src, f.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	f.DSCP, f.TTL, f.Protocol = uint8(binary.BigEndian.Uint16(b)>>6)&63, b[7], b[6]
	b = b[40 : 40+payload]
	for n := 0; isExtension(f.Protocol) && f.Fragment != firewall.LaterFragment; n++ {
		if n == maxExtensions {
			return firewall.ManyExt
		}
		if len(b) < 8 {
			return firewall.ShortExt
		}
		size := (int(b[1]) + 1) * 8
		switch f.Protocol {
		case 51:
			size = (int(b[1]) + 2) * 4
		case 44:
			size = 8
			fragment := binary.BigEndian.Uint16(b[2:])
			switch {
			case fragment>>3 != 0:
				f.Fragment = firewall.LaterFragment
			case fragment&1 != 0:
				f.Fragment = firewall.FirstFragment
			}
			if fragment>>3 == 1 && b[0] == 6 {
				return firewall.TinyFragment
			}
		}
		if size > len(b) {
			return firewall.ShortExt
		}
		f.Protocol = b[0]
		b = b[size:]
	}
	return f.readL4(b)
}

// readL4 reads what stands in the packet behind the network layer.
func (f *Frame) readL4(b []byte) firewall.Reason {
	v4 := f.Src.Is4()
	var need int
	switch {
	case f.Fragment == firewall.LaterFragment:
		return firewall.ByRule
	case f.Protocol == 6:
		need = 20
	case f.Protocol == 17 || f.Protocol == 136:
		need = 8
	case f.Protocol == 33 || f.Protocol == 132:
		need = 12
	case f.Protocol == 1 && v4:
		need = 8
	case f.Protocol == 58 && !v4:
		need = 4
	default:
		f.Payload = b
		return firewall.ByRule
	}
	if len(b) < need {
		if f.Fragment == firewall.FirstFragment {
			return firewall.TinyFragment
		}
		return firewall.ShortL4
	}
	if f.Protocol == 1 || f.Protocol == 58 {
		f.HasICMP, f.ICMPType, f.ICMPCode = true, b[0], b[1]
		f.Payload = b[min(8, len(b)):]
		return firewall.ByRule
	}
	f.HasPorts = true
	f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	f.Payload = b[need:]
	whole := f.Fragment == firewall.Whole
	switch f.Protocol {
	case 6:
		header := int(b[12]>>4) * 4
		if header < 20 || (whole && header > len(b)) {
			return firewall.BadTCP
		}
		f.HasTCP, f.TCPFlags = true, b[13]
		f.Payload = b[min(header, len(b)):]
	case 17:
		length := int(binary.BigEndian.Uint16(b[4:]))
		if whole && (length > len(b) || (length < 8 && (length != 0 || v4))) {
			return firewall.BadUDP
		}
	}
	return firewall.ByRule
}
