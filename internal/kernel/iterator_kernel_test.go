package kernel

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// given are those of the transport's maps that the programs want.
func given(spec *ebpf.CollectionSpec, t *Transport) map[string]*ebpf.Map {
	out := map[string]*ebpf.Map{}
	for name, m := range t.Maps() {
		if spec.Maps[name] != nil {
			spec.Maps[name].MaxEntries = m.MaxEntries()
			out[name] = m
		}
	}
	return out
}

// The short way has to give the instructions that reading all of the kernel's types gives.
func TestIteratorsAreRelocatedAsWithAllTypes(t *testing.T) {
	guest.NeedKernel(t)
	all, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	for path, keep := range map[string]string{
		"../sensor/process/list_bpfel.o": "bc_brief_tasks",
		"../sensor/process/prog_bpfel.o": "bc_tasks",
		"../sensor/call/files_bpfel.o":   "bc_on_file",
	} {
		spec, err := ebpf.LoadCollectionSpec(path)
		if err != nil {
			t.Fatal(err)
		}
		prog := spec.Programs[keep]
		if prog == nil {
			t.Fatalf("%s has no program %s", path, keep)
		}
		spec.Programs = map[string]*ebpf.ProgramSpec{keep: prog}
		ready, err := relocateIterators(spec)
		if err != nil {
			t.Fatalf("%s: %v", keep, err)
		}
		got := ready[keep].insns
		var relos []*btf.CORERelocation
		var at []int
		for i := range prog.Instructions {
			if r := btf.CORERelocationMetadata(&prog.Instructions[i]); r != nil {
				relos, at = append(relos, r), append(at, i)
			}
		}
		fixups, err := btf.CORERelocate(relos, []*btf.Spec{all}, binary.LittleEndian, all.TypeID)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range fixups {
			want := prog.Instructions[at[i]]
			if err := f.Apply(&want); err != nil {
				t.Fatal(err)
			}
			if have := got[at[i]]; have.Constant != want.Constant || have.Offset != want.Offset || have.OpCode != want.OpCode {
				t.Errorf("%s, %s: %v, with all types %v", keep, relos[i], have, want)
			}
		}
		var to *btf.Func
		if err := all.TypeByName("bpf_iter_"+prog.AttachTo, &to); err != nil {
			t.Fatal(err)
		}
		if id, err := all.TypeID(to); err != nil || uint32(id) != ready[keep].target {
			t.Errorf("%s is attached to type %d, with all types %d (%v)", keep, ready[keep].target, id, err)
		}
		if len(relos) < 20 {
			t.Errorf("%s has only %d relocations", keep, len(relos))
		}
		// and the kernel has to take them
		transport, err := NewTransport(minRingSize, minRingSize)
		if err != nil {
			t.Fatal(err)
		}
		defer transport.Close()
		coll, err := loadIterators(spec, given(spec, transport))
		if err != nil {
			t.Errorf("loading %s in the short way: %v", keep, err)
			continue
		}
		coll.Close()
	}
}
