package xdp

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
)

// TestManyRows has a policy with more different rows than the table of their beginnings
// takes, and then one that fits again.
func TestManyRows(t *testing.T) {
	f := load(t)
	frame := make([]byte, 64)
	copy(frame[12:], []byte{8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 0, 0, 30})
	for _, ports := range []int{heads + 300, heads - 300} {
		p := firewall.Empty()
		for i := range ports {
			r := firewall.Rule{Name: fmt.Sprintf("r%d", i), Action: firewall.Drop}
			r.Match.Has, r.Match.DstPort = firewall.DstPort, []firewall.Range{{Lo: uint16(i + 1), Hi: uint16(i + 1)}}
			p.Rules = append(p.Rules, r)
		}
		if err := f.Apply(p); err != nil {
			t.Fatal(err)
		}
		for _, port := range []int{0, 1, 64, 65, 1024, 1025, heads - 300, heads - 299, ports, ports + 1, 65535} {
			binary.BigEndian.PutUint16(frame[36:], uint16(port))
			ret, err := f.objs.FwEntry.Run(&ebpf.RunOptions{Data: frame})
			if drop := port >= 1 && port <= ports; err != nil || (ret == 1) != drop {
				t.Errorf("%d rules, port %d: the program gives %d, %v", ports, port, ret, err)
			}
		}
	}
}
