package flame

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// symbols are functions, by address.
type symbols []symbol

type symbol struct {
	addr uint64
	size uint64 // 0 where it is not known: up to the next
	name string
	file string // of the kernel's: the module
}

func (s symbols) sort() {
	slices.SortStableFunc(s, func(a, b symbol) int { return cmp.Compare(a.addr, b.addr) })
}

// find finds the function that holds an address.
func (s symbols) find(addr uint64) (symbol, bool) {
	i, found := slices.BinarySearchFunc(s, addr, func(x symbol, a uint64) int { return cmp.Compare(x.addr, a) })
	if !found {
		i--
	}
	if i < 0 {
		return symbol{}, false
	}
	// of several at one address the one with a size can tell whether it reaches
	for j := i; j >= 0 && s[j].addr == s[i].addr; j-- {
		if s[j].size == 0 || addr-s[j].addr < s[j].size {
			return s[j], true
		}
	}
	return symbol{}, false
}

// readKernel reads the kernel's functions and those of its modules and programs.
func readKernel(path string) (symbols, error) {
	var out symbols
	err := kernel.EachSymbol(path, func(l *kernel.SymbolLine) bool {
		if !l.Function() || l.Addr == 0 {
			return true
		}
		s := symbol{addr: l.Addr, name: string(l.Name), file: "kernel"}
		if len(l.Module) > 0 {
			s.file = string(l.Module)
		}
		out = append(out, s)
		return true
	})
	if err == nil && len(out) == 0 {
		err = errors.New("the kernel hides where its functions are: sysctl kernel.kptr_restrict=0 shows their names")
	}
	out.sort()
	return out, err
}

// frame names an address in the kernel.
func (s symbols) frame(addr uint64) Frame {
	if f, ok := s.find(addr); ok {
		return Frame{f.name, f.file, true}
	}
	return Frame{"[kernel]", "kernel", true}
}

// maxMap is how much is read of a perf map, and of a list of mappings.
const maxMap = 64 << 20

// parsePerfMap reads what a just-in-time compiler says of its functions: begin, size
// and name on each line. Others are left out.
func parsePerfMap(r io.Reader) symbols {
	var out symbols
	lines := bufio.NewScanner(io.LimitReader(r, maxMap))
	for lines.Scan() {
		begin, rest, _ := strings.Cut(lines.Text(), " ")
		size, name, ok := strings.Cut(rest, " ")
		addr, err := strconv.ParseUint(strings.TrimPrefix(begin, "0x"), 16, 64)
		n, err2 := strconv.ParseUint(strings.TrimPrefix(size, "0x"), 16, 64)
		if ok && err == nil && err2 == nil && n > 0 && name != "" {
			out = append(out, symbol{addr: addr, size: n, name: name})
		}
	}
	out.sort()
	return out
}
