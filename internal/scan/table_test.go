package scan

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestReadImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kallsyms")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1000 T _stext\n3000 T _etext\n5100 R ia32_sys_call_table\n7000 t x_stext\n5000 D sys_call_table\n6000 r x\n100 r sys_call_table\t[fake]\n8000 d mod_tree\nffff t stub\t[bpf]\nbroken\n\n")
	k, err := readImage(path)
	if err != nil || k.check() != nil || k.start != 0x1000 || k.end != 0x3000 || k.calls != 0x5000 || k.modules != 0x8000 {
		t.Errorf("the image is %+v, %v", k, err)
	}
	if want := map[string]string{"fake": "sys_call_table"}; !maps.Equal(k.symbols, want) {
		t.Errorf("modules are %v, want %v", k.symbols, want)
	}
	write("0000 T _stext\n0000 T _etext\n")
	if k, err := readImage(path); err != nil || k.check() == nil {
		t.Errorf("hidden addresses are taken for some: %v", err)
	}
	if _, err := readImage(path + "x"); err == nil {
		t.Error("a file that is not there has symbols")
	}
}

func TestOutside(t *testing.T) {
	k := &image{start: 0x1000, end: 0x3000}
	list := []operation{
		{of: "/proc/net/tcp", member: "seq_operations.show", addr: 0x2000},
		{of: "/proc/net/tcp6", member: "seq_operations.show", addr: 0x9000},
		{of: "system call 62", member: "sys_call_table", addr: 0x3000},
	}
	got := subjects(t, outside(k, list, nil), nil)
	if len(got) != 2 || got[0] != "/proc/net/tcp6seq_operations.show" || got[1] != "system call 62sys_call_table" {
		t.Errorf("found %q", got)
	}
}

func FuzzReadImage(f *testing.F) {
	f.Add("1000 T _stext\n3000 T _etext\n5000 D sys_call_table\n6000 r x\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "kallsyms")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := readImage(path); err == nil && k.check() == nil && k.end <= k.start {
			t.Errorf("%q makes %+v", text, k)
		}
	})
}
