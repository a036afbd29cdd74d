package pcap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Writer writes frames with comments as a pcapng file, which Wireshark and tshark
// read: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
type Writer struct {
	w       io.Writer
	link    uint16
	devices map[string]uint32
}

// Link types: https://www.tcpdump.org/linktypes.html
const (
	Ethernet = 1
	LinuxSLL = 113
)

// NewWriter begins a file of frames of a link type.
func NewWriter(w io.Writer, link uint16) (*Writer, error) {
	out := &Writer{w, link, map[string]uint32{}}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, struct {
		Magic        uint32
		Major, Minor uint16
		Length       int64
	}{0x1a2b3c4d, 1, 0, -1})
	return out, out.block(0x0a0d0d0a, b.Bytes())
}

// Frame writes one frame, of which length bytes were on the wire.
func (w *Writer) Frame(device string, at time.Time, frame []byte, length int, comment string) error {
	id, ok := w.devices[device]
	if !ok {
		id = uint32(len(w.devices))
		w.devices[device] = id
		// no limit, times in nanoseconds
		b := append([]byte{byte(w.link), byte(w.link >> 8), 0, 0, 0, 0, 0, 0}, option(2, []byte(device))...)
		b = append(b, option(9, []byte{9})...)
		if err := w.block(1, append(b, 0, 0, 0, 0)); err != nil {
			return err
		}
	}
	ns := uint64(at.UnixNano())
	var b []byte
	for _, v := range []uint32{id, uint32(ns >> 32), uint32(ns), uint32(len(frame)), uint32(length)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = pad(append(b, frame...))
	if comment != "" {
		b = append(append(b, option(1, []byte(comment))...), 0, 0, 0, 0)
	}
	return w.block(6, b)
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func option(code uint16, value []byte) []byte {
	value = value[:min(len(value), 65535)]
	b := binary.LittleEndian.AppendUint16(nil, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

func (w *Writer) block(kind uint32, body []byte) error {
	size := uint32(len(body) + 12)
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = binary.LittleEndian.AppendUint32(append(b, body...), size)
	if _, err := w.w.Write(b); err != nil {
		return fmt.Errorf("writing the capture: %w", err)
	}
	return nil
}
