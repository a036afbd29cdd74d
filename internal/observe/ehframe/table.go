// Package ehframe reads from programs and libraries how their stacks are unwound: the
// section .eh_frame, which compilers write so that exceptions find their way, becomes a
// sorted table of places in the code and rules.
//
// In comes an ELF file for x86-64, out comes its Table. The file may be anybody's: time
// and memory are bounded by its size and by fixed limits, and whatever it holds, the
// worst is a table that leads nowhere.
package ehframe

import (
	"cmp"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
)

// Row is a rule that holds from a place in the code up to the next row's.
type Row struct {
	PC   uint32
	Rule Rule
}

// Segment is a part of a file with code, and the address that the file gives it.
type Segment struct{ Off, Size, Addr uint64 }

// File is what is known of a file before its table is made.
type File struct {
	// Base is the address that the rows' places count from.
	Base     uint64
	Segments []Segment
	data     []byte
	addr     uint64
	open     bool // where the section ends is not known
	buildID  string
}

// ID is the same for files that have the same table.
type ID struct {
	BuildID     string
	Base, Addr  uint64
	Size, Bytes uint64
}

// ErrNoTable is returned for files without .eh_frame.
var ErrNoTable = errors.New("the file has no .eh_frame: it is unwound by frame pointers")

// Open reads from an ELF file what a table is made of.
func Open(r io.ReaderAt) (f *File, err error) {
	defer func() { // the reader of a foreign format may stumble over one made to do so
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("the file makes no sense: %v", p)
		}
	}()
	e, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("reading how stacks are unwound: %w", err)
	}
	if e.Machine != elf.EM_X86_64 || e.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("the file is for the machine %s, and rules are read for x86-64 only", e.Machine)
	}
	f = &File{Base: ^uint64(0)}
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			f.Segments = append(f.Segments, Segment{p.Off, p.Filesz, p.Vaddr})
			f.Base = min(f.Base, p.Vaddr)
		}
	}
	if len(f.Segments) == 0 {
		return nil, errors.New("the file has no code to run")
	}
	off, size, ok := place(r, e, f)
	if !ok {
		return f, ErrNoTable
	}
	if size > maxSection {
		return f, fmt.Errorf("%w: its .eh_frame of %d bytes is larger than %d", ErrTooLarge, size, maxSection)
	}
	f.data = make([]byte, size)
	if n, err := r.ReadAt(f.data, int64(off)); n < len(f.data) {
		return f, fmt.Errorf("reading .eh_frame: %w", err)
	}
	f.buildID = buildID(r, e)
	return f, nil
}

// place finds .eh_frame by its section or, where sections were taken out, by the index
// that is loaded with it.
func place(r io.ReaderAt, e *elf.File, f *File) (off, size uint64, ok bool) {
	if s := e.Section(".eh_frame"); s != nil && s.Type != elf.SHT_NOBITS && s.Flags&elf.SHF_COMPRESSED == 0 {
		f.addr = s.Addr
		return s.Offset, s.FileSize, s.FileSize > 0
	}
	for _, p := range e.Progs {
		if p.Type != elf.PT_GNU_EH_FRAME {
			continue
		}
		head := make([]byte, 12)
		if _, err := r.ReadAt(head, int64(p.Off)); err != nil || head[0] != 1 {
			return 0, 0, false
		}
		c := cursor{b: head, at: 4}
		if f.addr = c.pointer(head[1], p.Vaddr); c.bad {
			return 0, 0, false
		}
		for _, l := range e.Progs { // it ends with what is loaded with it, at the latest
			if l.Type == elf.PT_LOAD && f.addr >= l.Vaddr && f.addr-l.Vaddr < l.Filesz {
				in := f.addr - l.Vaddr
				f.open = true
				return l.Off + in, l.Filesz - in, true
			}
		}
	}
	return 0, 0, false
}

const maxNote = 1024

// buildID reads the name that the linker gave to what it made.
func buildID(r io.ReaderAt, e *elf.File) string {
	for _, p := range e.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > maxNote {
			continue
		}
		b := make([]byte, p.Filesz)
		if n, _ := r.ReadAt(b, int64(p.Off)); n < len(b) {
			continue
		}
		for c := (cursor{b: b}); c.left() >= 12 && !c.bad; {
			name, desc, kind := c.u32(), c.u32(), c.u32()
			who := c.take(uint64(name+3) &^ 3)
			what := c.take(uint64(desc+3) &^ 3)
			if !c.bad && kind == 3 && string(who) == "GNU\x00" && int(desc) <= len(what) {
				return hex.EncodeToString(what[:desc])
			}
		}
	}
	return ""
}

var seed = maphash.MakeSeed()

// ID names the table by what it is made of; a file that claims another's build id has
// another name all the same.
func (f *File) ID() ID {
	return ID{f.buildID, f.Base, f.addr, uint64(len(f.data)), maphash.Bytes(seed, f.data)}
}

// Rows makes the table.
func (f *File) Rows() ([]Row, error) {
	s := section{data: f.data, addr: f.addr, open: f.open, base: f.Base, cies: map[int]*cie{}, rows: make([]Row, 0, len(f.data)/6)}
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.table(), nil
}

// Find returns the rule that holds at a place.
func Find(rows []Row, pc uint32) Rule {
	i, found := slices.BinarySearchFunc(rows, pc, func(r Row, pc uint32) int { return cmp.Compare(r.PC, pc) })
	if !found {
		i--
	}
	if i < 0 {
		return Rule(Pointer)
	}
	return rows[i].Rule
}
