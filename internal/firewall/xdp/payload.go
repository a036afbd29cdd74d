package xdp

import (
	"encoding/binary"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

// kernelPayload is a payload as the program compares it: in words, of which bytes beyond
// its length are masked out.
func kernelPayload(p *firewall.Payload) progFwPayload {
	var want, mask [firewall.MaxPayload]byte
	copy(want[:], p.Bytes)
	for i := range p.Bytes {
		mask[i] = 0xff
	}
	copy(mask[:], p.Mask)
	k := progFwPayload{Offset: p.Offset, Length: uint16(len(p.Bytes))}
	for i := range k.Want {
		k.Want[i] = binary.NativeEndian.Uint64(want[8*i:])
		k.Mask[i] = binary.NativeEndian.Uint64(mask[8*i:])
	}
	return k
}

// fillPayloads writes the payloads of those rules that have one.
func (f *Firewall) fillPayloads(slot uint32, rules []firewall.Rule) error {
	for i := range rules {
		m := &rules[i].Match
		if m.Has&firewall.PayloadBytes == 0 {
			continue
		}
		k := kernelPayload(&m.Payload)
		if err := f.objs.Payloads.Put(slot*firewall.MaxRules+uint32(i), &k); err != nil {
			return err
		}
	}
	return nil
}
