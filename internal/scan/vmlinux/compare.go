package vmlinux

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// Owner is whose code stands at an address.
type Owner uint8

// The owners: Core is the kernel's own code, Program what the kernel makes while it runs (BPF
// programs, trampolines of ftrace and of probes), Module a loaded module's.
const (
	Nobody Owner = iota
	Core
	Program
	Module
)

// Diff is a piece of code that is not as the image has it.
type Diff struct {
	// Off and End bound it, as offsets in Text.
	Off, End int
	// Place is set where the kernel changes this place by itself, and yet not so.
	Place bool
}

// compared is one comparison.
type compared struct {
	*Image
	off   int    // of run in Text
	run   []byte // what runs
	owner func(addr uint64) Owner
	// judged are the sites that differ, and whether that is as it should be.
	judged map[int]bool
}

// Compare tells where run, which was read at an offset of Text, differs from it other than the
// kernel changes it by itself. Places at the ends of run are judged only where they lie in it
// whole. owner says whose code is at an address outside of the kernel's own.
func (m *Image) Compare(off int, run []byte, owner func(addr uint64) Owner) []Diff {
	if off < 0 || off > len(m.Text) {
		return nil
	}
	run = run[:min(len(run), len(m.Text)-off)]
	c := &compared{m, off, run, owner, map[int]bool{}}
	var out []Diff
	want := m.Text[off:]
	for i := 0; i < len(run); {
		if run[i] == want[i] {
			i++
			continue
		}
		end, place, ok := c.explained(off + i)
		if ok {
			i = max(end-off, i+1)
			continue
		}
		if n := len(out); n > 0 && out[n-1].Place == place && off+i-out[n-1].End < 16 {
			out[n-1].End = off + i + 1
		} else {
			out = append(out, Diff{off + i, off + i + 1, place})
		}
		i++
	}
	return out
}

// at gives the sites that cover an offset, as indexes from lo to hi, some of which do not.
func (m *Image) at(off int) (lo, hi int) {
	lo = sort.Search(len(m.sites), func(i int) bool { return int(m.sites[i].off)+int(m.longest) > off })
	hi = sort.Search(len(m.sites), func(i int) bool { return int(m.sites[i].off) > off })
	return lo, hi
}

// explained reports whether the difference at an offset is the kernel's own doing, up to
// which end, and whether it is at a place that the kernel changes.
func (c *compared) explained(off int) (end int, place, ok bool) {
	lo, hi := c.at(off)
	for i := lo; i < hi; i++ {
		s := &c.sites[i]
		if int(s.off)+int(s.len) <= off {
			continue
		}
		place = true
		good, known := c.judged[i]
		if !known {
			good = c.plausible(s)
			c.judged[i] = good
		}
		if good {
			return int(s.off) + int(s.len), true, true
		}
	}
	if place {
		return 0, true, false
	}
	return c.beside(off)
}

// beside takes what has no table: the space before functions, in which calls are counted, and
// functions whose first bytes a BPF dispatcher replaces.
func (c *compared) beside(off int) (end int, place, ok bool) {
	const space = 10 // at least so many before a function
	lo, hi := off, off
	for lo > 0 && off-lo < 16 && c.Text[lo-1] == 0x90 {
		lo--
	}
	for hi < len(c.Text) && hi-off < 16 && c.Text[hi] == 0x90 {
		hi++
	}
	if c.Text[off] == 0x90 && hi-lo >= space && c.section(".call_sites") != nil {
		return hi, true, true
	}
	for at := max(off-4, c.off); at <= off; at++ {
		if at+5 > c.off+len(c.run) || !isNops(c.Text[at:at+5]) {
			continue
		}
		if n, to := branch(c.run[at-c.off:], c.addr(at)); n == 5 && c.owner(to) == Program {
			return at + 5, true, true
		}
	}
	return 0, false, false
}

// addr is where an offset is in the running kernel.
func (c *compared) addr(off int) uint64 { return c.Base + c.delta + uint64(off) }

// core reports whether an address is in the code of the image.
func (c *compared) core(addr uint64) bool { return addr-c.Base-c.delta < uint64(len(c.Text)) }

// leads says whose code an address is in.
func (c *compared) leads(addr uint64) Owner {
	if c.core(addr) {
		return Core
	}
	return c.owner(addr)
}

// plausible reports whether a place that the kernel changes holds what it may hold.
func (c *compared) plausible(s *site) bool {
	off, n := int(s.off), int(s.len)
	if off < c.off || off+n > c.off+len(c.run) {
		return true // it is cut off here, and whole in the piece beside
	}
	run, want, addr := c.run[off-c.off:off-c.off+n], c.Text[off:off+n], c.addr(off)
	jump, to := branch(run, addr)
	who := Nobody
	if jump > 0 {
		who = c.leads(to)
	}
	switch s.kind {
	case traced:
		return isNops(run) || jump == 5 && (who == Program || who == Core && run[0] == 0xe8)
	case jumpLabel:
		return isNops(run) || jump == n && (run[0] == 0xe9 || run[0] == 0xeb) && to == c.addr(int(s.arg))
	case staticCall, trampoline:
		return jump == n && who != Nobody || isNops(run) || run[0] == 0xc3 && isTraps(run[1:]) || isZeroed(run) || bytes.Equal(run, warns) || bytes.Equal(run, unlocks)
	case paravirt:
		return jump >= 5 && who == Core || jump == 0 && run[0] != 0xff
	case retpoline:
		return jump >= 5 && (who == Core || who == Nobody && c.owner(to) == Program) || indirect(run)
	case returning:
		return run[0] == 0xc3 && isTraps(run[1:]) || jump >= 5 && who == Core
	case calling:
		const space = 32
		_, before := branch(want, addr)
		return jump == n && before-to <= space
	case sealed:
		return bytes.Equal(run, []byte{0x66, 0x0f, 0x1f, 0x00}) || bytes.Equal(run, []byte{0x0f, 0x1f, 0x40, 0xd6})
	case locked:
		return run[0] == 0x3e || run[0] == 0xf0
	case constant:
		return true
	case alternate:
		a := &c.alts[s.arg]
		whole := append(bytes.Clone(a.code), bytes.Repeat([]byte{0x90}, n-len(a.code))...)
		return c.same(run, addr, off, want, addr, true) || c.same(run, addr, off, whole, a.addr+c.delta, false)
	}
	return false
}

// warns is what stands where a call of the function that warns was, from 7.0 on: an
// instruction that the processor refuses, upon which the kernel warns.
var warns = []byte{0x67, 0x48, 0x0f, 0xb9, 0x3a}

// unlocks is what stands where a call of the function that opens a spinlock was, from 7.0 on,
// where no hypervisor wants to hear of it: it sets the lock's first byte to zero.
var unlocks = []byte{0x3e, 0x3e, 0xc6, 0x07, 0x00}

// isZeroed reports whether code makes the result zero, as a static call does that has nobody.
func isZeroed(code []byte) bool {
	for len(code) > 0 && (code[0] == 0x2e || code[0] == 0x66 || code[0] == 0x48) {
		code = code[1:]
	}
	return bytes.HasPrefix(code, []byte{0x31, 0xc0}) && isTraps(bytes.TrimPrefix(code[2:], []byte{0xc3}))
}

// indirect reports whether code jumps or calls by a register, or is what waits before that.
func indirect(code []byte) bool {
	code = bytes.TrimLeft(code, "\x2e\x3e")
	if len(code) > 2 && code[0]&0xf0 == 0x70 { // over an indirect jump, where there was a condition
		code = code[2:]
	}
	code = bytes.TrimPrefix(code, []byte{0x0f, 0xae, 0xe8})
	if len(code) > 0 && code[0] == 0x41 {
		code = code[1:]
	}
	return len(code) >= 2 && code[0] == 0xff && (code[1]&0xf8 == 0xd0 || code[1]&0xf8 == 0xe0) && isTraps(code[2:])
}

// same reports whether run is a form of what was made for another address: distances in it
// lead to the same places, and what does nothing may be written in another way. own says
// that it is the code at its own place, in which other places may have been changed.
func (c *compared) same(run []byte, addr uint64, off int, form []byte, formAddr uint64, own bool) bool {
	for i := 0; i < len(form); {
		if run[i] == form[i] {
			i++
			continue
		}
		next := c.step(run, addr, form, formAddr, i)
		if own && next == 0 {
			next = c.inner(off+i) - off
		}
		if next <= i {
			return false
		}
		i = next
	}
	return true
}

// step finds where two codes that differ at i are the same again; 0 where they are not.
func (c *compared) step(run []byte, addr uint64, form []byte, formAddr uint64, i int) int {
	shift := uint32(formAddr - addr)
	for j := max(1, i-3); j <= i && j+4 <= len(form); j++ { // the same place, from elsewhere
		if binary.LittleEndian.Uint32(run[j:])-binary.LittleEndian.Uint32(form[j:]) == shift && bytes.Equal(run[j:i], form[j:i]) && shift != 0 {
			return j + 4
		}
	}
	for j := i; j >= max(0, i-12); j-- { // what does nothing, up to the end or in between
		if isTraps(form[j:]) && (isNops(run[j:]) || isTraps(run[j:])) {
			return len(form)
		}
		for end := i + 1; end <= len(form); end++ {
			if isNops(form[j:end]) && isNops(run[j:end]) {
				return end
			}
		}
	}
	n, want := branch(form[i:], formAddr+uint64(i))
	got, to := branch(run[i:], addr+uint64(i))
	switch {
	case n == 5 && got == 2 && to == want && isTraps(run[i+2:i+5]): // a shorter jump
		return i + 5
	case n == 5 && form[i] == 0xe9 && run[i] == 0xc3 && isTraps(run[i+1:i+5]): // a return
		return i + 5
	case n >= 5 && indirect(run[i:i+n]):
		return i + n
	case i+6 <= len(form) && form[i] == 0xff && form[i+1]&0xc7 == 0x05 && (isNops(run[i:i+6]) || got == 5 && c.core(to) && isNops(run[i+5:i+6])): // a call by a pointer that is known by now
		return i + 6
	case form[i] == 0xf0 && run[i] == 0x3e:
		return i + 1
	}
	for j := max(0, i-4); j < i; j++ { // another function of the kernel's own
		n, _ := branch(form[j:], 0)
		got, to := branch(run[j:], addr+uint64(j))
		if n >= 5 && n == got && c.core(to) {
			return j + n
		}
	}
	return 0
}

// inner is the end of a place inside another that was changed as it may be; 0 for none.
func (c *compared) inner(off int) int {
	lo, hi := c.at(off)
	for i := lo; i < hi; i++ {
		s := &c.sites[i]
		if s.kind != alternate && int(s.off)+int(s.len) > off && c.plausible(s) {
			return int(s.off) + int(s.len)
		}
	}
	return 0
}

// Lead decodes where changed code leads that jumps: by a distance, or by an address in it. from
// is the offset of the jump, which may begin a little before what differs.
func (m *Image) Lead(d Diff, off int, run []byte) (to uint64, from int, ok bool) {
	for at := max(d.Off-4, off); at <= d.Off && at-off < len(run); at++ {
		b := run[at-off:]
		n, to := branch(b, m.Base+m.delta+uint64(at))
		if n >= 5 && at+n > d.Off && to-m.Base-m.delta >= uint64(len(m.Text)) {
			return to, at, true
		}
		if len(b) >= 2 && b[0]&0xfe == 0x48 && b[1]&0xf8 == 0xb8 { // an address into a register
			if len(b) >= 12 && (b[10] == 0xff || b[10] == 0x41 || b[10] == 0x50) {
				return binary.LittleEndian.Uint64(b[2:]), at, true
			}
		}
		if len(b) >= 14 && bytes.HasPrefix(b, []byte{0xff, 0x25, 0, 0, 0, 0}) {
			return binary.LittleEndian.Uint64(b[6:]), at, true
		}
	}
	return 0, 0, false
}
