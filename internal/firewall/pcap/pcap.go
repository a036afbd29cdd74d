// Package pcap reads frames from capture files in the classic pcap format. The bytes of
// a file go in; frames come out one by one. bearcat fw test calls it.
package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxFrame is longer than any frame that a device gives.
const maxFrame = 256 * 1024

// Read calls f with each frame of a capture of Ethernet frames, until f or the file
// gives an error. A frame that was cut off when it was captured is an error: its
// verdict would be that of a broken frame.
func Read(r io.Reader, f func(frame []byte) error) error {
	var head [24]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("reading the head of the capture: %w", err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch magic := binary.LittleEndian.Uint32(head[:]); magic {
	case 0xa1b2c3d4, 0xa1b23c4d:
	case 0xd4c3b2a1, 0x4d3cb2a1:
		order = binary.BigEndian
	case 0x0a0d0d0a:
		return errors.New("this is pcapng: convert it with editcap -F pcap")
	default:
		return fmt.Errorf("this is no pcap file: it begins with %08x", magic)
	}
	if link := order.Uint32(head[20:]) & 0xffff; link != 1 {
		return fmt.Errorf("the capture is of link type %d: only Ethernet (1) can be judged", link)
	}
	for n := 1; ; n++ {
		var h [16]byte
		if _, err := io.ReadFull(r, h[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("frame %d: reading its head: %w", n, err)
		}
		size, whole := order.Uint32(h[8:]), order.Uint32(h[12:])
		if size > maxFrame || size < whole {
			return fmt.Errorf("frame %d: %d of %d bytes were captured: capture with tcpdump -s 0", n, size, whole)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("frame %d: reading it: %w", n, err)
		}
		if err := f(b); err != nil {
			return err
		}
	}
}
