package host

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// eachSymbol reads /proc/kallsyms until f returns false.
func eachSymbol(f func(address uint64, name string) bool) error {
	file, err := os.Open("/proc/kallsyms")
	if err != nil {
		return fmt.Errorf("reading kernel symbols: %w", err)
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		addr, rest, _ := strings.Cut(s.Text(), " ")
		_, name, ok := strings.Cut(rest, " ")
		n, err := strconv.ParseUint(addr, 16, 64)
		if !ok || err != nil {
			continue
		}
		name, _, _ = strings.Cut(name, "\t") // the module follows
		if !f(n, name) {
			break
		}
	}
	return nil
}

// symbolAddress finds a symbol; false where there is none or addresses are hidden.
func symbolAddress(name string) (uint64, bool) {
	var found uint64
	err := eachSymbol(func(address uint64, n string) bool {
		if n == name {
			found = address
		}
		return found == 0
	})
	return found, err == nil && found != 0
}

// nameSymbols fills in the names of addresses.
func nameSymbols(wanted map[uint64]string) error {
	return eachSymbol(func(address uint64, name string) bool {
		if known, ok := wanted[address]; ok && known == "" {
			wanted[address] = name
		}
		return true
	})
}
