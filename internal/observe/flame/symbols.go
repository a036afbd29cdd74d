package flame

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
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
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the kernel's functions have no names here: %w", err)
	}
	defer func() { _ = f.Close() }()
	s, err := parseKernel(f)
	if err == nil && len(s) == 0 {
		err = fmt.Errorf("the kernel hides where its functions are: sysctl kernel.kptr_restrict=0 shows their names")
	}
	return s, err
}

func parseKernel(r io.Reader) (symbols, error) {
	var out symbols
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 3 || !strings.ContainsAny(w[1], "tTwW") {
			continue
		}
		addr, err := strconv.ParseUint(w[0], 16, 64)
		if err != nil || addr == 0 {
			continue
		}
		s := symbol{addr: addr, name: w[2], file: "kernel"}
		if len(w) > 3 {
			s.file = strings.Trim(w[3], "[]")
		}
		out = append(out, s)
	}
	out.sort()
	if err := lines.Err(); err != nil {
		return out, fmt.Errorf("reading the names of the kernel's functions: %w", err)
	}
	return out, nil
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
