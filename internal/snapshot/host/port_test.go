package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestGivenPorts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := givenPorts(dir + "/"); err == nil {
		t.Error("no file gives a range")
	}
	for _, bad := range []string{"", "1", "9\t1", "a b", "1 70000"} {
		write("ip_local_port_range", bad)
		if got, err := givenPorts(dir + "/"); err == nil {
			t.Errorf("%q gives %d ports", bad, len(got))
		}
	}
	write("ip_local_port_range", "65500\t65535\n")
	if got, err := givenPorts(dir + "/"); err != nil || len(got) != 36 || !got[65535] {
		t.Errorf("%d ports, %v, want 36", len(got), err)
	}
	write("ip_local_reserved_ports", "80,65510-65519,65535\n")
	if got, err := givenPorts(dir + "/"); err != nil || len(got) != 25 || got[65535] || got[65512] {
		t.Errorf("%d ports, %v, want 25", len(got), err)
	}
	write("ip_local_reserved_ports", "x\n")
	if _, err := givenPorts(dir + "/"); err == nil {
		t.Error("reserved ports that are none are taken")
	}
}

func FuzzParseEnds(f *testing.F) {
	f.Add(make([]byte, 72))
	f.Add([]byte{2, 1, 0, 0, 0x9c, 0x40, 0, 80})
	f.Fuzz(func(t *testing.T, b []byte) {
		local, remote, _, ok := parseEnds(b)
		if ok != (len(b) >= 72) || ok && (!local.IsValid() || !remote.IsValid()) {
			t.Errorf("%v %v %v of %d bytes", local, remote, ok, len(b))
		}
	})
}
