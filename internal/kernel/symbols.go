package kernel

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
)

// Symbols are the functions of the kernel, its modules and programs, by address.
type Symbols []symbol

type symbol struct {
	addr uint64
	name string
}

// ReadSymbols reads them. It is an error where the kernel hides its addresses.
func ReadSymbols() (Symbols, error) { return readSymbols(Kallsyms) }

// Kallsyms is where the kernel lists its symbols.
const Kallsyms = "/proc/kallsyms"

// SymbolLine is one of the kernel's symbols. Name and Module are only good until the next
// one is read; Module is empty for the kernel's own, and "bpf" for a program.
type SymbolLine struct {
	Addr         uint64
	Kind         byte // as nm has it: t or T for a function of the text
	Name, Module []byte
}

// Function tells whether it is a function, and no data.
func (s *SymbolLine) Function() bool {
	return s.Kind == 't' || s.Kind == 'T' || s.Kind == 'w' || s.Kind == 'W'
}

// EachSymbol reads a list of symbols until each returns false. There are very many: it
// keeps nothing. Lines that are not understood are left out.
func EachSymbol(path string, each func(s *SymbolLine) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the kernel's symbols have no names here: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	var s SymbolLine
	for lines.Scan() {
		if s.parse(lines.Bytes()) && !each(&s) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the kernel's symbols: %w", err)
	}
	return nil
}

// parse reads a line such as "ffffffff81000000 T _stext", with a module in brackets behind
// a tab where it is of one.
func (s *SymbolLine) parse(line []byte) bool {
	s.Addr = 0
	n := 0
	for ; n < len(line) && line[n] != ' '; n++ {
		digit, ok := hexDigit(line[n])
		if !ok || n == 16 {
			return false
		}
		s.Addr = s.Addr<<4 | uint64(digit)
	}
	if n == 0 || len(line) < n+4 || line[n+2] != ' ' {
		return false
	}
	s.Kind = line[n+1]
	s.Name, s.Module = line[n+3:], nil
	if i := bytes.IndexAny(s.Name, "\t "); i >= 0 {
		module := s.Name[i+1:]
		if len(module) < 3 || module[0] != '[' || bytes.IndexAny(module, "] \t") != len(module)-1 {
			return false
		}
		s.Name, s.Module = s.Name[:i], module[1:len(module)-1]
	}
	return len(s.Name) > 0
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func readSymbols(path string) (Symbols, error) {
	var out Symbols
	err := EachSymbol(path, func(s *SymbolLine) bool {
		if !s.Function() || s.Addr == 0 {
			return true
		}
		name := string(s.Name)
		if len(s.Module) > 0 {
			name += " [" + string(s.Module) + "]"
		}
		out = append(out, symbol{s.Addr, name})
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b symbol) int { return cmp.Compare(a.addr, b.addr) })
	if len(out) == 0 {
		return nil, fmt.Errorf("the kernel hides where its functions are: sysctl kernel.kptr_restrict=0 shows names of places")
	}
	return out, nil
}

// Find returns the function that holds an address, and how far into it that is; ""
// where it is not known.
func (s Symbols) Find(addr uint64) (name string, offset uint64) {
	i, found := slices.BinarySearchFunc(s, addr, func(x symbol, a uint64) int { return cmp.Compare(x.addr, a) })
	if !found {
		i--
	}
	if i < 0 {
		return "", 0
	}
	return s[i].name, addr - s[i].addr
}

// Name names an address: a function with an offset, or the number.
func (s Symbols) Name(addr uint64) string {
	name, offset := s.Find(addr)
	if name == "" {
		return fmt.Sprintf("%#x", addr)
	}
	return fmt.Sprintf("%s+%#x", name, offset)
}
