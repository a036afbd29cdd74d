package simulate

import (
	"encoding/binary"
	"fmt"
	"runtime"
)

// proof is the exit status of what a case runs: one that no shell, loader or
// kernel gives by itself, so that it proves that the program was reached.
const proof = 42

// loadAt is where the program is mapped; any place outside of what the kernel
// keeps for itself will do.
const loadAt = 0x400000

// The constants of the ELF format that the program needs.
const (
	elfHeaderSize  = 64
	progHeaderSize = 56
	typeExec       = 2
	machineX86     = 62
	machineARM     = 183
	machineRISCV   = 243
	segmentLoad    = 1
	segmentStack   = 0x6474e551
	readable       = 4
	writable       = 2
	executable     = 1
)

// program returns an executable file whose whole work is exit(proof). It
// needs no library and no loader, and takes any arguments.
func program() ([]byte, error) { return programFor(runtime.GOARCH) }

func programFor(arch string) ([]byte, error) {
	var machine uint16
	var code []byte
	word := func(ws ...uint32) (b []byte) {
		for _, w := range ws {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	switch arch {
	case "amd64":
		// mov edi, proof; mov eax, 60 (exit); syscall
		machine, code = machineX86, []byte{0xbf, proof, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05}
	case "arm64":
		// mov x0, #proof; mov x8, #93 (exit); svc #0
		machine, code = machineARM, word(0xd2800000|proof<<5, 0xd2800000|93<<5|8, 0xd4000001)
	case "riscv64":
		// li a0, proof; li a7, 93 (exit); ecall
		machine, code = machineRISCV, word(proof<<20|10<<7|0x13, 93<<20|17<<7|0x13, 0x73)
	default:
		return nil, fmt.Errorf("%w: there is no test program for the %s processor", ErrUnmet, arch)
	}
	const start = elfHeaderSize + 2*progHeaderSize
	size := uint64(start + len(code))
	le := binary.LittleEndian
	b := append(make([]byte, 0, size), 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint16(b, typeExec)
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, loadAt+start)
	b = le.AppendUint64(b, elfHeaderSize) // program headers
	b = le.AppendUint64(b, 0)             // no section headers
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{elfHeaderSize, progHeaderSize, 2, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	segment := func(kind, flags uint32, addr, length, align uint64) {
		b = le.AppendUint32(b, kind)
		b = le.AppendUint32(b, flags)
		for _, v := range []uint64{0, addr, addr, length, length, align} {
			b = le.AppendUint64(b, v)
		}
	}
	segment(segmentLoad, readable|executable, loadAt, size, 0x10000)
	segment(segmentStack, readable|writable, 0, 0, 16)
	return append(b, code...), nil
}
