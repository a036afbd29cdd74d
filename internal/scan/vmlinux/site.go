package vmlinux

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// kind is why the kernel changes a place of its code.
type kind uint8

const (
	traced    kind = iota + 1 // where ftrace and BPF programs call from a function's begin
	jumpLabel                 // a branch that is switched on and off
	staticCall
	trampoline // what static calls of modules, and those not yet set up, go through
	alternate  // code that depends on the processor
	paravirt   // code that depends on the hypervisor
	retpoline  // an indirect jump or call
	returning  // a return
	calling    // a call that may count how deep calls are
	sealed     // a mark for indirect jumps
	locked     // a lock that one processor does not need
	constant   // a number that is known after the start only
)

// site is a place of code.
type site struct {
	off  uint32
	len  uint8
	kind kind
	// arg is where a jump label leads, as an offset, or which alternative it is.
	arg int32
}

// alternative is code that may stand in place of other.
type alternative struct {
	addr uint64 // where it was linked for
	code []byte
}

func (m *Image) add(addr uint64, n int, k kind, arg int32) {
	if addr < m.Base || n <= 0 || n > 255 {
		return
	}
	off := addr - m.Base
	if off > uint64(len(m.Text)) || uint64(len(m.Text))-off < uint64(n) {
		return // of code that is run at the start only
	}
	m.sites = append(m.sites, site{uint32(off), uint8(n), k, arg})
	m.longest = max(m.longest, uint32(n))
}

// findSites reads the tables of places that the kernel changes. Those that are sections of
// their own are known by their names, the others by what they point to.
func (m *Image) findSites() error {
	if m.section(".cfi_sites") != nil {
		return errors.New("it was built with the checks of calls by clang (kCFI), which change more code than is known here")
	}
	for _, s := range m.sections {
		switch {
		case s.name == ".altinstructions":
			if err := m.alternatives(&s); err != nil {
				return err
			}
		case s.name == ".parainstructions":
			// entries stand at every 16 bytes, and use 10: the last may end there
			for i := 0; i+10 <= len(s.data); i += 16 {
				m.add(binary.LittleEndian.Uint64(s.data[i:]), int(s.data[i+9]), paravirt, 0)
			}
		case s.name == ".retpoline_sites":
			m.relative(&s, retpoline)
		case s.name == ".return_sites":
			m.relative(&s, returning)
		case s.name == ".call_sites":
			m.relative(&s, calling)
		case s.name == ".ibt_endbr_seal":
			m.relative(&s, sealed)
		case s.name == ".smp_locks":
			m.relative(&s, locked)
		case strings.HasPrefix(s.name, "runtime_"):
			m.relative(&s, constant)
		case !s.exec || s.name == ".data":
			m.tracedIn(&s)
			m.jumpLabelsIn(&s)
			m.staticCallsIn(&s)
		}
	}
	m.trampolines()
	slices.SortFunc(m.sites, func(a, b site) int { return cmp.Or(cmp.Compare(a.off, b.off), cmp.Compare(a.kind, b.kind)) })
	m.sites = slices.Compact(slices.Clip(m.sites))
	return nil
}

// relative reads a table of distances, each from where it stands.
func (m *Image) relative(s *section, k kind) {
	for i := 0; i+4 <= len(s.data); i += 4 {
		addr := s.addr + uint64(i) + distance(s.data[i:])
		n := 5
		switch k {
		case retpoline, returning, calling:
			code := m.bytesAt(addr, 6, true)
			if code == nil {
				continue
			}
			n, _ = branch(code, addr)
		case sealed:
			n = 4
		case locked:
			n = 1
		case constant:
			switch {
			case strings.HasPrefix(s.name, "runtime_ptr_"):
				n = 8
			case strings.HasPrefix(s.name, "runtime_shift_"):
				n = 1
			default:
				n = 4
			}
		}
		m.add(addr, n, k, 0)
	}
}

// distance is a signed one of 32 bits.
func distance(b []byte) uint64 { return uint64(int64(int32(binary.LittleEndian.Uint32(b)))) }

// alternatives reads the table of struct alt_instr, which had three forms: the distances to
// both codes, a number of two bytes or four that says when it applies, and both lengths;
// one form has a byte more.
func (m *Image) alternatives(s *section) error {
	replacement := m.section(".altinstr_replacement")
	for _, form := range [...]struct{ size, lens int }{{14, 12}, {12, 10}, {13, 10}} {
		if replacement == nil || len(s.data)%form.size != 0 {
			continue
		}
		var alts []alternative
		var at []site
		ok := true
		for i := 0; ok && i < len(s.data); i += form.size {
			b := s.data[i:]
			addr, repl := s.addr+uint64(i)+distance(b), s.addr+uint64(i)+4+distance(b[4:])
			n, replLen := int(b[form.lens]), int(b[form.lens+1])
			ok = n > 0 && replLen <= n && m.bytesAt(addr, n, true) != nil &&
				(replLen == 0 || repl >= replacement.addr && repl-replacement.addr <= uint64(len(replacement.data)) && uint64(len(replacement.data))-(repl-replacement.addr) >= uint64(replLen))
			if !ok {
				break
			}
			a := alternative{addr: repl}
			if replLen > 0 {
				off := repl - replacement.addr
				a.code = replacement.data[off : off+uint64(replLen)]
			}
			alts = append(alts, a)
			if off := addr - m.Base; addr >= m.Base && off < uint64(len(m.Text)) {
				at = append(at, site{off: uint32(off), len: uint8(n), kind: alternate, arg: int32(len(alts) - 1)})
			}
		}
		if ok {
			m.alts = alts
			for _, x := range at {
				m.add(m.Base+uint64(x.off), int(x.len), x.kind, x.arg)
			}
			return nil
		}
	}
	return errors.New("its table of alternative code (.altinstructions) has a form that is not known")
}

// Tables without a section of their own are known by runs of entries, each of which points
// to code that is as it has to be there. By chance so many in a row do not.
const leastRun = 16

// runs calls keep for all entries of size bytes that lie in runs of those that fit.
func runs(s *section, size, step int, fit func(b []byte, addr uint64) bool, keep func(b []byte, addr uint64)) {
	for i := int(-s.addr & uint64(step-1)); i+size <= len(s.data); {
		j := i
		for j+size <= len(s.data) && fit(s.data[j:], s.addr+uint64(j)) {
			j += size
		}
		if j-i >= leastRun*size {
			for k := i; k < j; k += size {
				keep(s.data[k:], s.addr+uint64(k))
			}
		}
		if j > i {
			i = j
		} else {
			i += step
		}
	}
}

// tracedIn finds the table of the places that ftrace changes: calls to one function, or
// what does nothing.
func (m *Image) tracedIn(s *section) {
	lo, hi := m.Base, m.Base+uint64(len(m.Text))
	runs(s, 8, 8, func(b []byte, _ uint64) bool {
		addr := binary.LittleEndian.Uint64(b)
		if addr < lo || addr >= hi+(64<<20) {
			return false
		}
		code := m.bytesAt(addr, 5, true)
		return code != nil && (code[0] == 0xe8 || isNops(code))
	}, func(b []byte, _ uint64) { m.add(binary.LittleEndian.Uint64(b), 5, traced, 0) })
}

// jumpLabelsIn finds the table of struct jump_entry.
func (m *Image) jumpLabelsIn(s *section) {
	lenAt := func(b []byte, addr uint64) (uint64, uint64, int) {
		at, to := addr+distance(b), addr+4+distance(b[4:])
		code := m.bytesAt(at, 2, true)
		if code == nil || m.bytesAt(to, 1, true) == nil {
			return at, to, 0
		}
		switch {
		case code[0] == 0xeb && at+2+uint64(int64(int8(code[1]))) == to, isNops(code):
			return at, to, 2
		}
		code = m.bytesAt(at, 5, true)
		if code != nil && (isNops(code) || code[0] == 0xe9 && at+5+distance(code[1:]) == to) {
			return at, to, 5
		}
		return at, to, 0
	}
	runs(s, 16, 8, func(b []byte, addr uint64) bool { _, _, n := lenAt(b, addr); return n > 0 }, func(b []byte, addr uint64) {
		at, to, n := lenAt(b, addr)
		m.add(at, n, jumpLabel, int32(to-m.Base))
	})
}

// staticCallsIn finds the table of struct static_call_site.
func (m *Image) staticCallsIn(s *section) {
	fit := func(b []byte, addr uint64) bool {
		at := addr + distance(b)
		code := m.bytesAt(at, 6, true)
		if code == nil {
			return false
		}
		n, to := branch(code, at)
		if n < 5 {
			return false
		}
		tramp := m.bytesAt(to, 5, true)
		return tramp != nil && to&3 == 0 && isTrampoline(tramp)
	}
	runs(s, 8, 4, fit, func(b []byte, addr uint64) {
		at := addr + distance(b)
		n, to := branch(m.bytesAt(at, 6, true), at)
		m.add(at, n, staticCall, 0)
		m.add(to, 5, trampoline, 0)
	})
}

// isTrampoline reports whether code jumps on, or returns.
func isTrampoline(code []byte) bool {
	return code[0] == 0xe9 || code[0] == 0xc3 && (isNops(code[1:5]) || code[1] == 0xcc) || bytes.HasPrefix(code, []byte{0x31, 0xc0, 0xc3})
}

// trampolines finds those of static calls by the mark behind them, also where no code of
// the kernel's own goes through them.
func (m *Image) trampolines() {
	mark := []byte{0x0f, 0xb9, 0xcc}
	for at := 0; ; {
		i := bytes.Index(m.Text[at:], mark)
		if i < 0 {
			return
		}
		at += i
		if at >= 5 && at&3 == 1 && isTrampoline(m.Text[at-5:at]) {
			m.add(m.Base+uint64(at-5), 5, trampoline, 0)
		}
		at++
	}
}
