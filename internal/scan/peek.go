package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
)

// peekLen is the most that one run of the program copies; textLen that of one that reads much.
const (
	peekLen = 4095
	textLen = 64 << 10
)

// peek reads the kernel's memory, by a BPF program that is run and attached to nothing.
type peek struct {
	prog  *ebpf.Program
	out   *ebpf.Map
	types *btf.Spec
	most  int
	buf   []byte
}

// peeked is what the program writes: the address of the task_struct of the thread that
// runs it, the outcome, and the bytes.
type peeked struct {
	Task   uint64
	Result int64
	Bytes  []byte
}

// newPeek loads the program, which copies up to most bytes. A kernel that is locked down
// refuses.
func newPeek(most int) (*peek, error) {
	room := 1 << bits.Len(uint(most)) // a mask bounds lengths
	// kernels before 5.11 count maps as locked memory; where the limit stays the map says so
	_ = rlimit.RemoveMemlock()
	p := &peek{most: most, buf: make([]byte, 16+room)}
	var err error
	if p.types, err = btf.LoadKernelSpec(); err != nil {
		return nil, fmt.Errorf("the kernel does not tell its types: %w", err)
	}
	p.out, err = ebpf.NewMap(&ebpf.MapSpec{Name: "peeked", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(16 + room), MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("making a map to read the kernel's memory into: %w", err)
	}
	p.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "peek", Type: ebpf.RawTracepoint, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, p.out.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.FnGetCurrentTask.Call(),
		asm.StoreMem(asm.R7, 0, asm.R0, asm.DWord),
		// the arguments of the run: an address and a length
		asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
		asm.LoadMem(asm.R2, asm.R6, 8, asm.DWord),
		asm.And.Imm(asm.R2, int32(room-1)),
		asm.Mov.Reg(asm.R1, asm.R7), asm.Add.Imm(asm.R1, 16),
		asm.FnProbeReadKernel.Call(),
		asm.StoreMem(asm.R7, 8, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
		asm.Return(),
	}})
	if err != nil {
		p.close()
		return nil, fmt.Errorf("the kernel does not let its memory be read (is it locked down?): %w", err)
	}
	return p, nil
}

func (p *peek) close() {
	if p.prog != nil {
		_ = p.prog.Close()
	}
	if p.out != nil {
		_ = p.out.Close()
	}
}

// read copies n bytes from an address.
func (p *peek) read(addr uint64, n int) ([]byte, error) {
	if n < 0 || n > p.most {
		return nil, fmt.Errorf("%d bytes are more than can be read at once", n)
	}
	got, err := p.run(addr, n)
	if err != nil {
		return nil, err
	}
	if got.Result != 0 {
		return nil, fmt.Errorf("the kernel's memory at %#x cannot be read: error %d", addr, got.Result)
	}
	return bytes.Clone(got.Bytes[:n]), nil
}

func (p *peek) run(addr uint64, n int) (*peeked, error) {
	if _, err := p.prog.Run(&ebpf.RunOptions{Context: struct{ Addr, Len uint64 }{addr, uint64(n)}}); err != nil {
		return nil, fmt.Errorf("running the program that reads the kernel's memory: %w", err)
	}
	if err := p.out.Lookup(uint32(0), &p.buf); err != nil {
		return nil, fmt.Errorf("reading what the program found: %w", err)
	}
	return &peeked{binary.NativeEndian.Uint64(p.buf), int64(binary.NativeEndian.Uint64(p.buf[8:])), p.buf[16:]}, nil
}

// pointer reads the pointer at an address.
func (p *peek) pointer(addr uint64) (uint64, error) {
	b, err := p.read(addr, 8)
	if err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint64(b), nil
}

// follow reads pointers from member to member, each given as "struct.member": at addr
// lies the first struct, and each member points to the struct of the next.
func (p *peek) follow(addr uint64, members ...[2]string) (uint64, error) {
	for _, m := range members {
		off, err := p.offset(m[0], m[1])
		if err != nil {
			return 0, err
		}
		if addr, err = p.pointer(addr + uint64(off)); err != nil {
			return 0, err
		}
		if addr == 0 {
			return 0, fmt.Errorf("%s.%s is empty", m[0], m[1])
		}
	}
	return addr, nil
}

// offset finds a member of a struct, also inside of unnamed ones.
func (p *peek) offset(name, member string) (uint32, error) {
	s, err := p.structure(name)
	if err != nil {
		return 0, err
	}
	if off, ok := memberOffset(s.Members, member); ok {
		return off, nil
	}
	return 0, fmt.Errorf("the kernel's struct %s has no %s", name, member)
}

func (p *peek) structure(name string) (*btf.Struct, error) {
	var s *btf.Struct
	if err := p.types.TypeByName(name, &s); err != nil {
		return nil, fmt.Errorf("the kernel has no struct %s: %w", name, err)
	}
	return s, nil
}

func memberOffset(list []btf.Member, name string) (uint32, bool) {
	for _, m := range list {
		if m.Name == name {
			return m.Offset.Bytes(), true
		}
		if m.Name != "" {
			continue
		}
		var inner []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if off, ok := memberOffset(inner, name); ok {
			return m.Offset.Bytes() + off, true
		}
	}
	return 0, false
}

// functions reads the pointers to functions of a struct, by the names of its members.
func (p *peek) functions(name string, addr uint64) (map[string]uint64, error) {
	s, err := p.structure(name)
	if err != nil {
		return nil, err
	}
	b, err := p.read(addr, int(s.Size))
	if err != nil {
		return nil, err
	}
	out := map[string]uint64{}
	for _, m := range s.Members {
		ptr, ok := btf.UnderlyingType(m.Type).(*btf.Pointer)
		if !ok {
			continue
		}
		if _, ok := btf.UnderlyingType(ptr.Target).(*btf.FuncProto); !ok {
			continue
		}
		if f := binary.NativeEndian.Uint64(b[m.Offset.Bytes():]); f != 0 {
			out[m.Name] = f
		}
	}
	if len(out) == 0 {
		return nil, errors.New("struct " + name + " has no functions")
	}
	return out, nil
}

// openFile finds the kernel's struct file of a descriptor of this process.
func (p *peek) openFile(fd int) (uint64, error) {
	self, err := p.run(0, 0)
	if err != nil {
		return 0, err
	}
	table, err := p.follow(self.Task, [2]string{"task_struct", "files"}, [2]string{"files_struct", "fdt"}, [2]string{"fdtable", "fd"})
	if err != nil {
		return 0, err
	}
	return p.pointer(table + 8*uint64(fd))
}
