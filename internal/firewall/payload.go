package firewall

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// filePayload is a payload as a policy file has it.
type filePayload struct {
	Offset string `yaml:"offset"`
	Bytes  string `yaml:"bytes"`
	Mask   string `yaml:"mask"`
}

// list is not empty where there is a payload, as that of other fields.
func (f *filePayload) list() list {
	if f == nil {
		return nil
	}
	return list{f.Bytes}
}

// read checks what the file says.
func (f *filePayload) read() (Payload, error) {
	var p Payload
	if f.Offset != "" {
		n, err := parseUint(f.Offset, MaxPayloadOffset)
		if err != nil {
			return p, fmt.Errorf("offset: %w", err)
		}
		p.Offset = uint16(n)
	}
	var err error
	if p.Bytes, err = readBytes(f.Bytes); err != nil {
		return p, fmt.Errorf("bytes: %w", err)
	}
	switch {
	case len(p.Bytes) == 0:
		return p, errors.New("bytes: there are none: give text, or hex such as 0x16 03 01")
	case len(p.Bytes) > MaxPayload:
		return p, fmt.Errorf("bytes: %d are more than %d: match those that tell it apart", len(p.Bytes), MaxPayload)
	case f.Mask == "":
		return p, nil
	}
	if !strings.HasPrefix(f.Mask, "0x") {
		return p, fmt.Errorf("mask: %q is not hex such as 0xff 00 f0", f.Mask)
	}
	if p.Mask, err = readBytes(f.Mask); err != nil {
		return p, fmt.Errorf("mask: %w", err)
	}
	if len(p.Mask) != len(p.Bytes) {
		return p, fmt.Errorf("mask: it has %d bytes, and the bytes are %d: give one for each", len(p.Mask), len(p.Bytes))
	}
	for i, m := range p.Mask {
		p.Bytes[i] &= m
	}
	return p, nil
}

// readBytes reads hex behind 0x, with blanks where one likes, or text as it stands.
func readBytes(s string) ([]byte, error) {
	digits, isHex := strings.CutPrefix(s, "0x")
	if !isHex {
		return []byte(s), nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		return nil, fmt.Errorf("%q is not hex with two digits for each byte; text that begins with 0x is written in hex too", s)
	}
	return b, nil
}
