package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// LoadIterators is Load for iterators, which are loaded for one look: the kernel's types
// are not all read for it, which takes longer than the look. Where that way is not open,
// such as for types of modules, it is Load.
func (t *Transport) LoadIterators(spec *ebpf.CollectionSpec, maps map[string]*ebpf.Map) (*ebpf.Collection, error) {
	if t.types.Load() == nil {
		if coll, err := loadIterators(spec, maps); err == nil {
			return coll, nil
		}
	}
	return t.Load(spec, maps)
}

func loadIterators(spec *ebpf.CollectionSpec, maps map[string]*ebpf.Map) (*ebpf.Collection, error) {
	ready, err := relocateIterators(spec)
	if err != nil {
		return nil, err
	}
	only := *spec
	only.Programs = nil
	coll, err := ebpf.NewCollectionWithOptions(&only, ebpf.CollectionOptions{MapReplacements: maps})
	if err != nil {
		return nil, fmt.Errorf("making the maps: %w", err)
	}
	coll.Programs = map[string]*ebpf.Program{}
	for name, r := range ready {
		if coll.Programs[name], err = r.load(coll.Maps); err != nil {
			delete(coll.Programs, name)
			coll.Close()
			return nil, fmt.Errorf("loading %s: %w", name, err)
		}
	}
	return coll, nil
}

// relocated is an iterator whose instructions are right for this kernel.
type relocated struct {
	spec   *ebpf.ProgramSpec
	insns  asm.Instructions
	target uint32 // the type that the kernel knows the iterator by
}

// relocateIterators makes the instructions of all programs right for this kernel.
func relocateIterators(spec *ebpf.CollectionSpec) (map[string]*relocated, error) {
	names, all := map[string]bool{}, map[string]bool{}
	for _, p := range spec.Programs {
		if p.Type != ebpf.Tracing || p.AttachType != ebpf.AttachTraceIter {
			return nil, fmt.Errorf("%s is no iterator", p.Name)
		}
		all[iteratorType(p)] = true
		if err := wantedTypes(p.Instructions, names, all); err != nil {
			return nil, err
		}
	}
	raw, free, err := kernelTypes()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	defer free()
	list, err := findTypes(raw, nil, all)
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for n := range names {
		if len(list.found[n]) == 0 {
			missing[n] = true
		}
	}
	if there, err := list.inModules(missing); err != nil || there {
		return nil, errors.Join(err, errors.New("a module has types that are wanted"))
	}
	types, ids, err := list.part()
	if err != nil {
		return nil, err
	}
	out := map[string]*relocated{}
	for name, p := range spec.Programs {
		r := &relocated{spec: p}
		if r.target, err = list.function(iteratorType(p)); err != nil || r.target == 0 {
			return nil, errors.Join(err, fmt.Errorf("the kernel has no iterator %s", p.AttachTo))
		}
		if r.insns, err = relocate(p.Instructions, types, ids, list); err != nil {
			return nil, err
		}
		out[name] = r
	}
	return out, nil
}

// kernelTypes are the kernel's types as they lie in its memory, where it shares it, else a
// copy. They are there until free is called.
func kernelTypes() (raw []byte, free func(), err error) {
	path := filepath.Join(btfTypes, "vmlinux")
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if st, err := f.Stat(); err == nil {
		raw, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
		if err == nil {
			return raw, func() { _ = unix.Munmap(raw) }, nil
		}
	}
	raw, err = os.ReadFile(path)
	return raw, func() {}, err
}

// iteratorType is the function whose type the kernel knows the iterator by.
func iteratorType(p *ebpf.ProgramSpec) string { return "bpf_iter_" + p.AttachTo }

// wantedTypes adds the names of the types that instructions are relocated by, and to all
// also those of the kernel's functions that they call.
func wantedTypes(insns asm.Instructions, names, all map[string]bool) error {
	for i := range insns {
		ins := &insns[i]
		if f := kernelFunction(ins); f != "" {
			all[f] = true
		}
		relo := btf.CORERelocationMetadata(ins)
		if relo == nil {
			continue
		}
		// "CORERelocation(byte_off, Struct:"file"[0:1], local_id=7)"
		kind, rest, _ := strings.Cut(strings.TrimPrefix(relo.String(), "CORERelocation("), ", ")
		_, rest, _ = strings.Cut(rest, `"`)
		name, _, ok := strings.Cut(rest, `"`)
		if !ok || name == "" || kind == "type_matches" || kind == "local_type_id" {
			return fmt.Errorf("relocation %s is not done in this way", relo)
		}
		if i := strings.LastIndex(name, "___"); i > 0 {
			name = name[:i]
		}
		names[name], all[name] = true, true
	}
	return nil
}

// kernelFunction is the function of the kernel that an instruction calls, or asks for.
func kernelFunction(ins *asm.Instruction) string {
	if ins.IsKfuncCall() || ins.OpCode.IsDWordLoad() && ins.Src == asm.R0 && !ins.IsLoadFromMap() {
		return ins.Reference()
	}
	return ""
}

// relocate makes instructions right for the kernel's types, of which ids are the numbers
// by those of the part.
func relocate(insns asm.Instructions, types *btf.Spec, ids []uint32, list *typeList) (asm.Instructions, error) {
	insns = append(asm.Instructions(nil), insns...)
	var relos []*btf.CORERelocation
	var at []*asm.Instruction
	for i := range insns {
		if r := btf.CORERelocationMetadata(&insns[i]); r != nil {
			relos, at = append(relos, r), append(at, &insns[i])
		}
	}
	fixups, err := btf.CORERelocate(relos, []*btf.Spec{types}, binary.LittleEndian, func(t btf.Type) (btf.TypeID, error) {
		return 0, fmt.Errorf("%s is wanted by its own number", t)
	})
	if err != nil {
		return nil, fmt.Errorf("relocating: %w", err)
	}
	for i, f := range fixups {
		if err := f.Apply(at[i]); err != nil {
			return nil, fmt.Errorf("relocating: %w", err)
		}
		if n := at[i].Constant; strings.HasPrefix(relos[i].String(), "CORERelocation(target_type_id") && n >= 0 && n < int64(len(ids)) {
			at[i].Constant = int64(ids[n])
		}
	}
	for i := range insns {
		f := kernelFunction(&insns[i])
		if f == "" {
			continue
		}
		id, err := list.function(f)
		switch {
		case err != nil:
			return nil, err
		case id == 0 && insns[i].IsKfuncCall():
			// behind a condition that the kernel sees is never true
			insns[i] = asm.BuiltinFunc(absentFunction).Call()
		default:
			insns[i].Constant = int64(id)
		}
	}
	return insns, nil
}

// absentFunction is no helper of the kernel.
const absentFunction = 0xabcdef0

// progLoadAttr is the part of union bpf_attr for BPF_PROG_LOAD.
type progLoadAttr struct {
	progType, insnCnt       uint32
	insns, license          unsafe.Pointer
	logLevel, logSize       uint32
	logBuf                  unsafe.Pointer
	kernVersion, flags      uint32
	name                    [16]byte
	ifindex, attachType     uint32
	btfFD, funcInfoRecSize  uint32
	funcInfo                unsafe.Pointer
	funcInfoCnt, lineInfoSz uint32
	lineInfo                unsafe.Pointer
	lineInfoCnt, attachTo   uint32
	attachProg, _           uint32
}

// load gives the program to the kernel.
func (r *relocated) load(maps map[string]*ebpf.Map) (*ebpf.Program, error) {
	for i := range r.insns {
		ins := &r.insns[i]
		if !ins.IsLoadFromMap() || ins.Reference() == "" {
			continue
		}
		m := maps[ins.Reference()]
		if m == nil {
			return nil, fmt.Errorf("there is no map %s", ins.Reference())
		}
		if err := ins.AssociateMap(m); err != nil {
			return nil, err
		}
	}
	var code bytes.Buffer
	if err := r.insns.Marshal(&code, binary.LittleEndian); err != nil {
		return nil, fmt.Errorf("encoding the instructions: %w", err)
	}
	// Functions that are checked once, and not for each call, are known by their types.
	var own btf.Builder
	functions, _, err := btf.MarshalExtInfos(r.insns, &own)
	if err != nil {
		return nil, fmt.Errorf("encoding the functions' types: %w", err)
	}
	types, err := btf.NewHandle(&own)
	if err != nil {
		return nil, fmt.Errorf("loading the functions' types: %w", err)
	}
	defer types.Close()
	license := append([]byte(r.spec.License), 0)
	a := &progLoadAttr{
		btfFD: uint32(types.FD()), funcInfo: unsafe.Pointer(unsafe.SliceData(functions)),
		funcInfoRecSize: btf.FuncInfoSize, funcInfoCnt: uint32(len(functions)) / btf.FuncInfoSize,
		progType: unix.BPF_PROG_TYPE_TRACING, insnCnt: uint32(code.Len() / asm.InstructionSize),
		insns: unsafe.Pointer(unsafe.SliceData(code.Bytes())), license: unsafe.Pointer(unsafe.SliceData(license)),
		flags: r.spec.Flags, attachType: unix.BPF_TRACE_ITER, attachTo: r.target,
	}
	copy(a.name[:len(a.name)-1], r.spec.Name)
	var fd uintptr
	errno := unix.EAGAIN
	for range 5 { // a signal interrupts the check
		fd, _, errno = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
		if errno != unix.EAGAIN {
			break
		}
	}
	if errno != 0 {
		return nil, errno
	}
	return ebpf.NewProgramFromFD(int(fd))
}
