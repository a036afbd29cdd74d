package kernel

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Symbols are the functions of the kernel, its modules and programs, by address.
type Symbols []symbol

type symbol struct {
	addr uint64
	name string
}

// ReadSymbols reads them. It is an error where the kernel hides its addresses.
func ReadSymbols() (Symbols, error) { return readSymbols("/proc/kallsyms") }

func readSymbols(path string) (Symbols, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the kernel's functions have no names here: %w", err)
	}
	defer func() { _ = f.Close() }()
	var out Symbols
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 3 || !strings.ContainsAny(w[1], "tTwW") {
			continue
		}
		addr, err := strconv.ParseUint(w[0], 16, 64)
		if err != nil || addr == 0 {
			continue
		}
		name := w[2]
		if len(w) > 3 {
			name += " " + w[3] // the module
		}
		out = append(out, symbol{addr, name})
	}
	slices.SortFunc(out, func(a, b symbol) int { return cmp.Compare(a.addr, b.addr) })
	if len(out) == 0 {
		return nil, fmt.Errorf("the kernel hides where its functions are: sysctl kernel.kptr_restrict=0 shows names of places")
	}
	return out, lines.Err()
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
