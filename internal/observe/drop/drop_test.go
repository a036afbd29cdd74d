package drop

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
		if got := s.name(addr); got != want {
			t.Errorf("%#x is %q, want %q", addr, got, want)
		}
	}
	if err := os.WriteFile(path, []byte("0000000000000000 T hidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSymbols(path); err == nil || !strings.Contains(err.Error(), "kptr_restrict") {
		t.Errorf("hidden addresses: %v", err)
	}
	if got := symbols(nil).name(16); got != "0x10" {
		t.Errorf("without symbols: %q", got)
	}
}

func TestCounters(t *testing.T) {
	out := map[string]uint64{}
	parseSNMP("Udp: InDatagrams NoPorts InErrors\nUdp: 7 3 x\nTcp: A\nIp: 1\nlone", out)
	if out["Udp.NoPorts"] != 3 || out["Udp.InDatagrams"] != 7 || len(out) != 2 {
		t.Errorf("read %v", out)
	}
	type counts = map[uint64]map[string]uint64
	got := rose(counts{1: {"Udp.NoPorts": 3, "Udp.InDatagrams": 1}, 2: {}}, counts{1: {"Udp.NoPorts": 5, "Udp.InDatagrams": 9, "Udp.InErrors": 0}, 2: {"Udp.NoPorts": 4}, 3: {"Udp.NoPorts": 9}})
	if len(got) != 1 || got[0].Name != "Udp.NoPorts" || got[0].Rose != 6 {
		t.Errorf("rose %v", got)
	}
}

func TestProtocol(t *testing.T) {
	for want, in := range map[string][2]uint16{"tcp": {0x0800, 6}, "icmpv6": {0x86dd, 58}, "arp": {0x0806, 0}, "ip 47": {0x0800, 47}, "0x88cc": {0x88cc, 0}, "none": {0, 0}} {
		if got := protocol(in[0], uint8(in[1])); got != want {
			t.Errorf("%v is %q, want %q", in, got, want)
		}
	}
}

func FuzzCounters(f *testing.F) {
	f.Add("Udp: A B\nUdp: 1 2\n")
	f.Add("Udp:\nUdp: 1 2\nx")
	f.Fuzz(func(t *testing.T, text string) { parseSNMP(text, map[string]uint64{}) })
}
