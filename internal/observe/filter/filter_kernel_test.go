package filter

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestCompiledFiltersAreTheModel runs each filter's instructions in the kernel beside the
// plain evaluation.
func TestCompiledFiltersAreTheModel(t *testing.T) {
	guest.NeedKernel(t)
	headers, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(unsafe.Sizeof(Header{})), MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer headers.Close()
	for text := range filters {
		f, err := Parse(text)
		if err != nil || f.root == nil {
			continue
		}
		code := asm.Instructions{asm.LoadMapPtr(asm.R1, headers.FD()), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4), asm.StoreImm(asm.R2, 0, 0, asm.Word),
			asm.FnMapLookupElem.Call(), asm.JNE.Imm(asm.R0, 0, "found"), asm.Return(), asm.Mov.Reg(asm.R1, asm.R0).WithSymbol("found")}
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: append(code, f.compile()...)})
		if err != nil {
			t.Errorf("%q is not loaded: %v", text, err)
			continue
		}
		for name, m := range packets {
			if err := headers.Put(uint32(0), m.header()); err != nil {
				t.Fatal(err)
			}
			got, _, err := p.Test(make([]byte, 64))
			if err != nil {
				t.Fatal(err)
			}
			if want := f.root.match(m.header()); (got == 1) != want {
				t.Errorf("%q gives %d for %s in the kernel, want %v", text, got, name, want)
			}
		}
		_ = p.Close()
	}
}
