package xdp

import (
	"encoding/binary"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
)

// TestFramesInSeveralBuffers judges frames that are longer than the kernel's first
// buffer, whose length the program must ask for.
func TestFramesInSeveralBuffers(t *testing.T) {
	f := load(t)
	var frags uint8
	if err := f.spec.Variables["has_frags"].Get(&frags); err != nil {
		t.Fatal(err)
	}
	if frags == 0 {
		t.Skip("this kernel gives programs frames in one buffer only")
	}
	frame := func(total, ip int) []byte {
		b := make([]byte, total)
		b[12], b[14], b[22], b[23] = 8, 0x45, 64, 17
		binary.BigEndian.PutUint16(b[16:], uint16(ip))
		copy(b[26:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
		binary.BigEndian.PutUint16(b[38:], uint16(ip-20))
		return b
	}
	long := firewall.Rule{Name: "long", Action: firewall.Drop}
	long.Match.Has, long.Match.Length = firewall.Length, firewall.Range{Lo: 5000, Hi: 7000}
	// carries looks for bytes at a place of the payload, of which the last may be another
	carries := func(offset int, last byte) []firewall.Rule {
		r := firewall.Rule{Name: "carries", Action: firewall.Drop}
		r.Match.Has, r.Match.Payload = firewall.PayloadBytes, firewall.Payload{Offset: uint16(offset), Bytes: pattern(offset, firewall.MaxPayload)}
		r.Match.Payload.Bytes[firewall.MaxPayload-1] ^= last
		return []firewall.Rule{r}
	}
	full := frame(6000, 5986)
	copy(full[42:], pattern(0, 6000-42))
	const border = 4096 - 256 - 320 - 42 // of the first buffer of 4 KiB, with what the kernel keeps free of it
	for _, c := range []struct {
		name   string
		rules  []firewall.Rule
		frame  []byte
		reason firewall.Reason
		drop   bool
	}{
		{"whole", nil, frame(6000, 5986), firewall.ByDefault, false},
		{"cut off", nil, frame(6000, 5987), firewall.ShortIP4, true},
		{"long by a rule", []firewall.Rule{long}, frame(6000, 5986), firewall.ByRule, true},
		{"long by what follows the packet", []firewall.Rule{long}, frame(6000, 100), firewall.ByRule, true},
		{"carried in the first buffer", carries(border-100, 0), full, firewall.ByRule, true},
		{"carried over the border", carries(border-firewall.MaxPayload/2, 0), full, firewall.ByRule, true},
		{"other in the last byte", carries(border-firewall.MaxPayload/2, 1), full, firewall.ByDefault, false},
		{"carried beyond it", carries(5000, 0), full, firewall.ByRule, true},
		{"other beyond it", carries(5000, 1), full, firewall.ByDefault, false},
		{"carried at the very end", carries(6000-42-firewall.MaxPayload, 0), full, firewall.ByRule, true},
		{"beyond the end", carries(6000-41-firewall.MaxPayload, 0), full, firewall.ByDefault, false},
		{"longer than the rule", []firewall.Rule{long}, frame(7001, 6987), firewall.ByDefault, false},
	} {
		p := firewall.Empty()
		p.Rules = c.rules
		if err := f.Apply(p); err != nil {
			t.Fatal(err)
		}
		key := uint32(c.reason)
		if c.drop {
			key += uint32(firewall.Reasons)
		}
		before, err := sum(f.objs.Reasons, key)
		if err != nil {
			t.Fatal(err)
		}
		ret, err := f.objs.FwEntry.Run(&ebpf.RunOptions{Data: c.frame})
		if err != nil || (ret == 1) != c.drop {
			t.Errorf("%s: the program gives %d, %v", c.name, ret, err)
		}
		after, err := sum(f.objs.Reasons, key)
		if err != nil {
			t.Fatal(err)
		}
		if after.Packets-before.Packets != 1 || after.Bytes-before.Bytes != uint64(len(c.frame)) {
			t.Errorf("%s: %d packets, %d bytes counted as %s, want 1 of %d", c.name, after.Packets-before.Packets, after.Bytes-before.Bytes, c.reason, len(c.frame))
		}
	}
}

// pattern is n bytes of a text that does not come again soon, from a place on.
func pattern(at, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((at + i) * 167 >> 3)
	}
	return b
}
