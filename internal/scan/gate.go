package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// gateTable is where every processor has the table of interrupts mapped for reading, on all
// kernels for amd64 with four or five levels of pages.
const gateTable = 0xfffffe0000000000

// gates of the table, of 16 bytes each.
const (
	gates     = 256
	gateLen   = 16
	traps     = 32 // the first ones, of the processor's own
	mostEarly = 16 // bytes that the handler of one takes while the kernel starts
)

// interruptGates looks at where interrupts lead.
func interruptGates(h *Host) ([]Finding, error) {
	k, err := h.image()
	if err == nil {
		err = k.check()
	}
	if err != nil {
		return nil, err
	}
	p, err := h.peek()
	if err != nil {
		return nil, err
	}
	at := uint64(gateTable)
	if k.gates != 0 {
		at = k.gates
	}
	b, err := p.read(at, gates*gateLen-1) // the last byte is none of an address
	if err != nil {
		return nil, fmt.Errorf("the table of interrupts: %w", err)
	}
	return judgeGates(k, b, nil)
}

// judgeGates tells of the gates that lead outside the kernel's code.
func judgeGates(k *image, table []byte, names kernel.Symbols) ([]Finding, error) {
	le := binary.LittleEndian
	var list []operation
	for i := range gates {
		b := table[i*gateLen:]
		const present = 0x80
		if b[5]&present == 0 {
			continue
		}
		addr := uint64(le.Uint16(b)) | uint64(le.Uint16(b[6:]))<<16 | uint64(le.Uint32(b[8:]))<<32
		// The processor never uses some of its first interrupts, so that the kernel leaves
		// them with the handlers of its start, in code that is gone by now.
		if early := k.early; i < traps && early != 0 && addr >= early && addr < early+traps*mostEarly {
			continue
		}
		list = append(list, operation{of: fmt.Sprintf("interrupt %d", i), member: "its gate", addr: addr})
	}
	if len(list) == 0 {
		return nil, errors.New("the table of interrupts is empty where it was looked for")
	}
	out := outside(k, list, names)
	for i := range out {
		out[i].What = strings.Replace(out[i].What, " of the kernel was changed", " was changed", 1)
	}
	return out, nil
}
