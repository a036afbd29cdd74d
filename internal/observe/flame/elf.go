package flame

import (
	"debug/elf"
	"debug/gosym"
	"fmt"
	"io"
	"strings"
)

// maxTable is how many bytes a table of names may have; a sparse file can claim any.
const maxTable = 256 << 20

// object is what is known of a program or library.
type object struct {
	functions symbols
	segments  []segment
}

// segment is a part of a file and the address that the file itself gives it.
type segment struct{ off, size, addr uint64 }

// readObject reads the functions of an ELF file: from its table of symbols; where that
// was taken out, from the one for dynamic linking, and in a Go program from its table
// of lines, which is always there. The file comes from anybody: whatever it holds, the
// worst is that there are no names.
func readObject(r io.ReaderAt) (o *object, err error) {
	defer func() { // the readers of foreign formats may stumble over one made to do so
		if p := recover(); p != nil {
			o, err = nil, fmt.Errorf("the file makes no sense: %v", p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("reading a program's functions: %w", err)
	}
	for _, s := range f.Sections {
		if (s.Type == elf.SHT_SYMTAB || s.Type == elf.SHT_DYNSYM || s.Type == elf.SHT_STRTAB || strings.HasSuffix(s.Name, ".gopclntab")) && max(s.Size, s.FileSize) > maxTable {
			return nil, fmt.Errorf("the section %q of %d bytes is larger than the %d that are read", s.Name, s.Size, maxTable)
		}
	}
	o = &object{}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			o.segments = append(o.segments, segment{p.Off, p.Filesz, p.Vaddr})
		}
	}
	table, err := f.Symbols()
	if err != nil || len(table) == 0 {
		if table, err = f.DynamicSymbols(); err != nil {
			table = nil
		}
		o.functions = goFunctions(f)
	}
	for _, s := range table {
		if t := elf.ST_TYPE(s.Info); (t == elf.STT_FUNC || t == elf.STT_GNU_IFUNC) && s.Section != elf.SHN_UNDEF && s.Value != 0 {
			o.functions = append(o.functions, symbol{addr: s.Value, size: s.Size, name: s.Name})
		}
	}
	o.functions.sort()
	return o, nil
}

func goFunctions(f *elf.File) symbols {
	section := f.Section(".gopclntab")
	if section == nil {
		section = f.Section(".data.rel.ro.gopclntab")
	}
	text := f.Section(".text")
	if section == nil || text == nil {
		return nil
	}
	data, err := section.Data()
	if err != nil {
		return nil
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return nil
	}
	var out symbols
	for i := range table.Funcs {
		fn := &table.Funcs[i]
		if fn.Sym != nil && fn.End > fn.Entry {
			out = append(out, symbol{addr: fn.Entry, size: fn.End - fn.Entry, name: fn.Sym.Name})
		}
	}
	return out
}

// at finds the function at an offset into the file.
func (o *object) at(off uint64) (symbol, bool) {
	for _, s := range o.segments {
		if off >= s.off && off-s.off < s.size {
			return o.functions.find(off - s.off + s.addr)
		}
	}
	return symbol{}, false
}
