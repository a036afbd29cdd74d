package drop

import (
	"testing"
)

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
		if got := Protocol(in[0], uint8(in[1])); got != want {
			t.Errorf("%v is %q, want %q", in, got, want)
		}
	}
}

func FuzzCounters(f *testing.F) {
	f.Add("Udp: A B\nUdp: 1 2\n")
	f.Add("Udp:\nUdp: 1 2\nx")
	f.Fuzz(func(t *testing.T, text string) { parseSNMP(text, map[string]uint64{}) })
}
