package vmlinux

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Image is a kernel as its makers built it.
type Image struct {
	// Version is what the image says of itself, as "6.1.0-56-amd64 (...) #1 SMP ...".
	Version string
	// BuildID is the linker's mark of this build; nil where it has none.
	BuildID []byte
	// Base is the address for which the code was linked, Text the code.
	Base uint64
	Text []byte

	// sites are the places that the kernel changes, by offset; longest is the longest's length.
	sites   []site
	longest uint32
	alts    []alternative

	sections []section
	relocs   relocs
	memory   []byte
	free     func([]byte) error
	delta    uint64
}

// section is one that the kernel has in its memory.
type section struct {
	name string
	addr uint64
	data []byte
	exec bool
}

// relocs are the addresses of words that move with the kernel, as the image lists them.
type relocs struct{ words64, inverse32, words32 []byte }

// read takes an image apart. What alloc gives is freed by Close, and if it fails.
func read(file []byte, alloc func(int) ([]byte, error), free func([]byte) error) (*Image, error) {
	packed, version, err := payload(file)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(packed[len(packed)-4:])
	if n < 64 || n > mostUnpacked {
		return nil, fmt.Errorf("it says that the kernel in it has %d bytes", n)
	}
	memory, err := alloc(int(n))
	if err != nil {
		return nil, fmt.Errorf("memory for a kernel of %d bytes: %w", n, err)
	}
	m := &Image{Version: version, memory: memory, free: free}
	if err = unpack(packed, memory); err == nil {
		err = m.parse()
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close gives the memory back.
func (m *Image) Close() {
	if m.memory != nil {
		_ = m.free(m.memory)
	}
	*m = Image{}
}

// parse finds the sections, and the list of relocations behind them.
func (m *Image) parse() error {
	f, err := elf.NewFile(bytes.NewReader(m.memory))
	if err != nil {
		return fmt.Errorf("what is in it is no kernel: %w", err)
	}
	if f.Machine != elf.EM_X86_64 || f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("it is for %v, and only images for x86_64 can be read", f.Machine)
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS || s.Size == 0 || s.Flags&elf.SHF_COMPRESSED != 0 {
			continue
		}
		n := uint64(len(m.memory))
		if s.Offset > n || s.Size > n-s.Offset || s.Addr+s.Size < s.Addr {
			return fmt.Errorf("its section %s goes beyond its end", s.Name)
		}
		m.sections = append(m.sections, section{s.Name, s.Addr, m.memory[s.Offset : s.Offset+s.Size], s.Flags&elf.SHF_EXECINSTR != 0})
	}
	text := m.section(".text")
	if text == nil || len(text.data) > math.MaxInt32 {
		return errors.New("it has no section .text")
	}
	m.Base, m.Text = text.addr, text.data
	if notes := m.section(".notes"); notes != nil {
		m.BuildID = BuildID(notes.data)
	}
	slices.SortFunc(m.sections, func(a, b section) int { return cmp.Compare(a.addr, b.addr) })
	h := m.memory
	table := binary.LittleEndian.Uint64(h[0x28:]) // of the sections; it is the file's end
	end := table + uint64(binary.LittleEndian.Uint16(h[0x3a:]))*uint64(binary.LittleEndian.Uint16(h[0x3c:]))
	if table > uint64(len(h)) || end > uint64(len(h)) {
		return errors.New("its table of sections goes beyond its end")
	}
	if err := m.splitRelocs(h[end:]); err != nil {
		return err
	}
	return m.findSites()
}

// splitRelocs takes the list of relocations apart: three lists, each with a zero before it,
// of 64-bit words, 32-bit words that count the other way, and 32-bit words. Newer kernels
// have no second one, and some none at all.
func (m *Image) splitRelocs(tail []byte) error {
	tail = tail[:len(tail)&^3]
	var lists [][]byte
	for len(tail) > 0 && len(lists) < 3 {
		at := len(tail) - 4
		for at >= 0 && binary.LittleEndian.Uint32(tail[at:]) != 0 {
			at -= 4
		}
		if at < 0 {
			break // bytes that only fill up
		}
		lists = append(lists, tail[at+4:])
		tail = tail[:at]
	}
	switch len(lists) {
	case 0:
	case 2:
		m.relocs = relocs{words32: lists[0], words64: lists[1]}
	case 3:
		m.relocs = relocs{words32: lists[0], inverse32: lists[1], words64: lists[2]}
	default:
		return errors.New("its list of relocations is broken")
	}
	return nil
}

// Relocate moves the code to where it runs, by the distance from where it was linked. It is
// to be done once.
func (m *Image) Relocate(delta uint64) {
	m.delta = delta
	le := binary.LittleEndian
	code := m.code()
	apply := func(list []byte, size int, change func(b []byte)) {
		for ; len(list) >= 4; list = list[4:] {
			addr := uint64(int64(int32(le.Uint32(list))))
			for _, s := range code {
				if off := addr - s.addr; addr >= s.addr && off <= uint64(len(s.data)) && uint64(len(s.data))-off >= uint64(size) {
					change(s.data[off:])
				}
			}
		}
	}
	if delta == 0 {
		return
	}
	apply(m.relocs.words64, 8, func(b []byte) { le.PutUint64(b, le.Uint64(b)+delta) })
	apply(m.relocs.words32, 4, func(b []byte) { le.PutUint32(b, le.Uint32(b)+uint32(delta)) })
	apply(m.relocs.inverse32, 4, func(b []byte) { le.PutUint32(b, le.Uint32(b)-uint32(delta)) })
}

// code are the sections that Compare looks into.
func (m *Image) code() []section {
	out := make([]section, 0, 2)
	for _, s := range m.sections {
		if s.name == ".text" || s.name == ".altinstr_replacement" {
			out = append(out, s)
		}
	}
	return out
}

func (m *Image) section(name string) *section {
	for i := range m.sections {
		if m.sections[i].name == name {
			return &m.sections[i]
		}
	}
	return nil
}

// bytesAt are n bytes at an address, from code if exec asks for it; nil where there are none.
func (m *Image) bytesAt(addr uint64, n int, exec bool) []byte {
	i, found := slices.BinarySearchFunc(m.sections, addr, func(s section, a uint64) int { return cmp.Compare(s.addr, a) })
	if !found {
		i--
	}
	if i < 0 {
		return nil
	}
	s := &m.sections[i]
	off := addr - s.addr
	if off > uint64(len(s.data)) || uint64(len(s.data))-off < uint64(n) || exec && !s.exec {
		return nil
	}
	return s.data[off : off+uint64(n)]
}

// BuildID finds the mark of a build among notes, which are those of a section or of
// /sys/kernel/notes; nil where there is none.
func BuildID(notes []byte) []byte {
	le := binary.LittleEndian
	const buildID = 3
	for len(notes) >= 12 {
		nameLen, descLen, kind := uint64(le.Uint32(notes)), uint64(le.Uint32(notes[4:])), le.Uint32(notes[8:])
		notes = notes[12:]
		desc := (nameLen + 3) &^ 3
		next := desc + (descLen+3)&^3
		if next > uint64(len(notes)) {
			return nil
		}
		if kind == buildID && bytes.HasPrefix(notes[:nameLen], []byte("GNU\x00")) {
			return bytes.Clone(notes[desc : desc+descLen])
		}
		notes = notes[next:]
	}
	return nil
}

// Delta is how far Relocate has moved the code.
func (m *Image) Delta() uint64 { return m.delta }
