package host

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// Program is one loaded BPF program.
type Program struct {
	ID       uint32        `json:"id"`
	Name     string        `json:"name"`
	Type     string        `json:"type"`
	Tag      string        `json:"tag"`
	UID      *uint32       `json:"uid,omitempty"`       // of the user who loaded it
	Loaded   time.Duration `json:"loaded_ns,omitempty"` // since boot
	Helpers  []string      `json:"helpers"`             // kernel functions that it calls
	Maps     []uint32      `json:"maps"`
	Attached []string      `json:"attached"`
	Held     []Process     `json:"held_by"` // with a descriptor on it or on a link to it
	Pins     []string      `json:"pins"`
	Runs     uint64        `json:"runs,omitempty"` // since kernel.bpf_stats_enabled=1
	RunTime  time.Duration `json:"run_time_ns,omitempty"`
}

// Map is one BPF map.
type Map struct {
	ID         uint32    `json:"id"`
	Name       string    `json:"name"`
	Type       string    `json:"type"`
	KeySize    uint32    `json:"key_size"`   // bytes
	ValueSize  uint32    `json:"value_size"` // bytes
	MaxEntries uint32    `json:"max_entries"`
	Held       []Process `json:"held_by"`
	Pins       []string  `json:"pins"`
}

// BPF is what the kernel holds of BPF.
type BPF struct {
	Programs []Program `json:"programs"`
	Maps     []Map     `json:"maps"`
	Notes    `json:"notes,omitempty"`
	unread   []string
}

// Unread says of which programs the helpers are not known; nil where they are of all.
func (b *BPF) Unread() error { return sentences(b.unread) }

// ReadBPF lists programs and maps with who holds them, where they are pinned and
// where they are attached.
func ReadBPF() (*BPF, error) {
	out := &BPF{Programs: []Program{}, Maps: []Map{}}
	calls, err := out.readPrograms()
	if err != nil {
		return nil, err
	}
	if err := out.nameHelpers(calls); err != nil {
		out.unread = append(out.unread, err.Error())
	}
	out.Notes = append(out.Notes, out.unread...)
	if err := out.readMaps(); err != nil {
		return nil, err
	}
	out.attach()
	return out, nil
}

// readAttached reads where programs are attached and nothing else of them: naming their
// helpers takes the kernel's whole table of symbols.
func readAttached() (*BPF, error) {
	out := &BPF{Programs: []Program{}, Maps: []Map{}}
	if _, err := out.readPrograms(); err != nil {
		return nil, err
	}
	out.unread = nil // of instructions
	out.readLinks()
	out.readDevices()
	return out, nil
}

// readPrograms also gives the targets of their calls, by id.
func (b *BPF) readPrograms() (map[uint32][]int64, error) {
	calls := map[uint32][]int64{}
	hidden := 0
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listing BPF programs: %w: it needs root, or CAP_BPF and CAP_SYS_ADMIN", err)
		}
		id = next
		p, imms, err := readProgram(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // unloaded meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("reading BPF program %d: %w", id, err)
		}
		if imms == nil {
			hidden++
		}
		calls[p.ID] = imms
		b.Programs = append(b.Programs, p)
	}
	if hidden > 0 {
		b.unread = append(b.unread, fmt.Sprintf("the kernel does not show the instructions of %d programs, so their helpers are not known", hidden))
	}
	return calls, nil
}

// readProgram also gives the targets of its calls, relative to the kernel's base
// for calls; nil where the kernel does not show the instructions.
func readProgram(id ebpf.ProgramID) (Program, []int64, error) {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return Program{}, nil, err
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return Program{}, nil, err
	}
	p := Program{ID: uint32(id), Name: info.Name, Type: info.Type.String(), Tag: info.Tag, Helpers: []string{}, Maps: []uint32{}, Attached: []string{}, Held: []Process{}, Pins: []string{}}
	if uid, ok := info.CreatedByUID(); ok {
		p.UID = &uid
	}
	p.Loaded, _ = info.LoadTime()
	maps, _ := info.MapIDs()
	for _, m := range maps {
		p.Maps = append(p.Maps, uint32(m))
	}
	if stats, err := prog.Stats(); err == nil {
		p.Runs, p.RunTime = stats.RunCount, stats.Runtime
	}
	insns, err := info.Instructions()
	if err != nil {
		return p, nil, nil // restricted: counted by the caller
	}
	imms := []int64{}
	for _, ins := range insns {
		if ins.OpCode.JumpOp().String() == "Call" && !ins.IsFunctionCall() && !slices.Contains(imms, ins.Constant) {
			imms = append(imms, ins.Constant)
		}
	}
	return p, imms, nil
}

// nameHelpers turns call targets into names. The kernel has replaced a helper's
// number by the distance of the function from __bpf_call_base, and some helpers
// by the function that does the work for the type of map.
func (b *BPF) nameHelpers(calls map[uint32][]int64) error {
	wanted := map[uint64]string{}
	base, ok := symbolAddress("__bpf_call_base")
	if !ok {
		return errors.New("/proc/kallsyms hides addresses (kernel.kptr_restrict), so the helpers that programs call are not known")
	}
	for _, imms := range calls {
		for _, imm := range imms {
			wanted[base+uint64(int64(int32(imm)))] = ""
		}
	}
	if err := nameSymbols(wanted); err != nil {
		return err
	}
	for i := range b.Programs {
		p := &b.Programs[i]
		for _, imm := range calls[p.ID] {
			name := wanted[base+uint64(int64(int32(imm)))]
			if name == "" {
				name = fmt.Sprintf("%+#x", imm)
			}
			p.Helpers = append(p.Helpers, name)
		}
		slices.Sort(p.Helpers)
	}
	return nil
}

func (b *BPF) readMaps() error {
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing BPF maps: %w", err)
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading BPF map %d: %w", id, err)
		}
		info, err := m.Info()
		m.Close()
		if err != nil {
			return fmt.Errorf("reading BPF map %d: %w", id, err)
		}
		b.Maps = append(b.Maps, Map{ID: uint32(id), Name: info.Name, Type: info.Type.String(), KeySize: info.KeySize, ValueSize: info.ValueSize, MaxEntries: info.MaxEntries, Held: []Process{}, Pins: []string{}})
	}
}

// dangerous are functions with which a program changes what others see or do.
func dangerous(helper string) bool {
	return slices.Contains([]string{"bpf_probe_write_user", "bpf_override_return", "bpf_send_signal", "bpf_send_signal_thread"}, helper)
}

func (p *Program) note() string {
	var out []string
	for _, h := range p.Helpers {
		if dangerous(h) {
			out = append(out, "calls "+h)
		}
	}
	if len(p.Held) == 0 && len(p.Pins) == 0 {
		out = append(out, "no process holds it and it is not pinned")
	}
	return strings.Join(out, ", ")
}

// Tables gives programs and then maps.
func (b *BPF) Tables() []Table {
	progs := Table{Title: "programs", Of: &b.Programs, Minor: []string{"RUN TIME", "RUNS", "UID", "PINS", "MAPS", "HELPERS", "NOTE", "TYPE", "ATTACHED"}, Columns: []string{"ID", "NAME", "TYPE", "UID", "ATTACHED", "HELD BY", "PINS", "MAPS", "RUNS", "RUN TIME", "HELPERS", "NOTE"}}
	for _, p := range b.Programs {
		uid := "-"
		if p.UID != nil {
			uid = decimal(*p.UID)
		}
		var maps []string
		for _, m := range p.Maps {
			maps = append(maps, decimal(m))
		}
		progs.Rows = append(progs.Rows, []string{decimal(p.ID), dash(p.Name), p.Type, uid, dash(strings.Join(p.Attached, ", ")), names(p.Held), dash(strings.Join(p.Pins, " ")), dash(strings.Join(maps, ",")), decimal(p.Runs), p.RunTime.String(), dash(strings.Join(p.Helpers, ",")), dash(p.note())})
	}
	maps := Table{Title: "maps", Of: &b.Maps, Minor: []string{"VALUE", "KEY", "MAX ENTRIES", "PINS", "TYPE"}, Columns: []string{"ID", "NAME", "TYPE", "KEY", "VALUE", "MAX ENTRIES", "HELD BY", "PINS"}}
	for _, m := range b.Maps {
		maps.Rows = append(maps.Rows, []string{decimal(m.ID), dash(m.Name), m.Type, decimal(m.KeySize), decimal(m.ValueSize), decimal(m.MaxEntries), names(m.Held), dash(strings.Join(m.Pins, " "))})
	}
	return []Table{progs, maps}
}
