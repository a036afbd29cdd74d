package kernel

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// someTypes are a list of types as a kernel would give it.
func someTypes(t testing.TB) []byte {
	word := &btf.Int{Name: "unsigned int", Size: 4}
	inside := &btf.Struct{Name: "inside", Size: 4, Members: []btf.Member{{Name: "n", Type: word}}}
	other := &btf.Struct{Name: "other", Size: 4, Members: []btf.Member{{Name: "m", Type: word}}}
	outside := &btf.Struct{Name: "outside", Size: 24, Members: []btf.Member{
		{Name: "list", Type: &btf.Array{Index: word, Type: &btf.Const{Type: inside}, Nelems: 2}},
		{Name: "to", Type: &btf.Pointer{Target: other}, Offset: 64},
		{Name: "kind", Type: &btf.Enum{Name: "kinds", Size: 4, Values: []btf.EnumValue{{Name: "KIND_A", Value: 7}}}, Offset: 128},
	}}
	call := &btf.Func{Name: "call", Type: &btf.FuncProto{Return: word}, Linkage: btf.StaticFunc}
	b, err := btf.NewBuilder([]btf.Type{outside, other, call}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestPartOfTypes(t *testing.T) {
	l, err := findTypes(someTypes(t), nil, map[string]bool{"outside": true, "call": true, "absent": true})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := l.function("call"); err != nil || l.kind(id) != kindFunc {
		t.Errorf("call is type %d of kind %d (%v)", id, l.kind(id), err)
	}
	if id, err := l.function("outside"); id != 0 || err != nil {
		t.Errorf("a struct is taken for function %d (%v)", id, err)
	}
	spec, ids, err := l.part()
	if err != nil {
		t.Fatal(err)
	}
	var s *btf.Struct
	if err := spec.TypeByName("outside", &s); err != nil {
		t.Fatal(err)
	}
	if id, err := spec.TypeID(s); err != nil || ids[id] != l.found["outside"][0] {
		t.Errorf("outside is %d of the kernel's, which has it as %d (%v)", ids[id], l.found["outside"][0], err)
	}
	list, ok := s.Members[0].Type.(*btf.Array)
	if !ok || list.Nelems != 2 || btf.UnderlyingType(list.Type).(*btf.Struct).Members[0].Name != "n" {
		t.Errorf("the first member is %v", s.Members[0].Type)
	}
	if _, ok := s.Members[1].Type.(*btf.Pointer).Target.(*btf.Void); !ok {
		t.Errorf("what a pointer leads to is there: %v", s.Members[1].Type)
	}
	if e, ok := s.Members[2].Type.(*btf.Enum); !ok || e.Values[0].Name != "KIND_A" || e.Values[0].Value != 7 {
		t.Errorf("the third member is %v", s.Members[2].Type)
	}
	if err := spec.TypeByName("other", &s); err == nil {
		t.Error("a type that nobody wants is in the part")
	}
}

// What cannot be loaded in the short way is not taken for an iterator.
func TestOnlyIteratorsAreLoadedInTheShortWay(t *testing.T) {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "x"}}}
	if _, err := relocateIterators(spec); err == nil {
		t.Error("a program of fentry was taken")
	}
}

func FuzzTypes(f *testing.F) {
	raw := someTypes(f)
	f.Add(raw)
	f.Add(raw[:40])
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	names := map[string]bool{"outside": true, "inside": true, "call": true, "n": true}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := findTypes(raw, nil, names)
		if err != nil {
			return
		}
		_, _ = l.function("call")
		if _, ids, err := l.part(); err == nil && len(ids) > len(l.at) {
			t.Errorf("a part of %d types of %d", len(ids), len(l.at))
		}
	})
}
