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

func TestSymbolLines(t *testing.T) {
	for line, want := range map[string]SymbolLine{
		"ffffffff81000000 T _stext":              {Addr: 0xffffffff81000000, Kind: 'T', Name: []byte("_stext")},
		"FF t fn.isra.0\t[mod]":                  {Addr: 0xff, Kind: 't', Name: []byte("fn.isra.0"), Module: []byte("mod")},
		"0000000000000000 d bpf_prog_1_x\t[bpf]": {Kind: 'd', Name: []byte("bpf_prog_1_x"), Module: []byte("bpf")},
	} {
		var s SymbolLine
		if !s.parse([]byte(line)) || s.Addr != want.Addr || s.Kind != want.Kind || string(s.Name) != string(want.Name) || string(s.Module) != string(want.Module) {
			t.Errorf("%q is %+v, want %+v", line, s, want)
		}
	}
	for _, bad := range []string{"", " ", "12", "12 T", "12 T ", "12  x", " T x", "zz T x", "12345678123456781 T x", "12 TT x", "12 T x\t[mod", "12 T x\t[]", "12 T x\t[mod] more"} {
		var s SymbolLine
		if s.parse([]byte(bad)) {
			t.Errorf("%q is a symbol: %+v", bad, s)
		}
	}
}

func FuzzSymbolLine(f *testing.F) {
	f.Add([]byte("ffffffff81000000 T _stext"))
	f.Add([]byte("ffffffffc0000000 t fn\t[mod]"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var s SymbolLine
		if s.parse(line) && (len(s.Name) == 0 || len(s.Name)+len(s.Module) > len(line)) {
			t.Errorf("%q is %+v", line, s)
		}
	})
}
