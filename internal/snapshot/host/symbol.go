package host

import "github.com/bearcat-hids/bearcat/internal/kernel"

// symbolAddress finds a symbol; false where there is none or addresses are hidden.
func symbolAddress(name string) (uint64, bool) {
	var found uint64
	err := kernel.EachSymbol(kernel.Kallsyms, func(s *kernel.SymbolLine) bool {
		if string(s.Name) == name {
			found = s.Addr
		}
		return found == 0
	})
	return found, err == nil && found != 0
}

// nameSymbols fills in the names of addresses.
func nameSymbols(wanted map[uint64]string) error {
	return kernel.EachSymbol(kernel.Kallsyms, func(s *kernel.SymbolLine) bool {
		if known, ok := wanted[s.Addr]; ok && known == "" {
			wanted[s.Addr] = string(s.Name)
		}
		return true
	})
}
