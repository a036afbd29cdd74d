package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSymbols(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kallsyms")
	if err := os.WriteFile(path, []byte("ffffffff81000200 T second\nffffffff81000100 t first\nffffffff81000300 d data\nffffffffc0000000 t fn\t[mod]\nbroken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readSymbols(path)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]string{
		0xffffffff81000100: "first+0x0", 0xffffffff810001ff: "first+0xff", 0xffffffff81000201: "second+0x1", 0xffffffffc0000010: "fn [mod]+0x10", 5: "0x5",
	} {
		if got := s.Name(addr); got != want {
			t.Errorf("%#x is %q, want %q", addr, got, want)
		}
	}
	if err := os.WriteFile(path, []byte("0000000000000000 T hidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSymbols(path); err == nil || !strings.Contains(err.Error(), "kptr_restrict") {
		t.Errorf("hidden addresses: %v", err)
	}
	if got := Symbols(nil).Name(16); got != "0x10" {
		t.Errorf("without symbols: %q", got)
	}
}
