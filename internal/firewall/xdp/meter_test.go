package xdp

import (
	"testing"
)

func TestPerSecond(t *testing.T) {
	before := []Rate{
		{Kind: KindRule, Name: "a", Packets: 10, Bytes: 1000, Over: 1},
		{Kind: KindRule, Name: "cleared", Packets: 50},
		{Kind: KindSource, Name: "192.0.2.1", Note: "block", Packets: 7},
	}
	now := []Rate{
		{Kind: KindRule, Name: "a", Packets: 30, Bytes: 5000, Over: 5},
		{Kind: KindRule, Name: "cleared", Packets: 6},
		{Kind: KindSource, Name: "192.0.2.1", Note: "block", Packets: 7},
		{Kind: KindSource, Name: "192.0.2.1", Note: "ban", Packets: 4},
	}
	got := perSecond(now, before, 2)
	for i, want := range [][3]float64{{10, 2000, 2}, {3, 0, 0}, {0, 0, 0}, {2, 0, 0}} {
		if r := got[i]; r.PacketsPerSecond != want[0] || r.BytesPerSecond != want[1] || r.OverPerSecond != want[2] {
			t.Errorf("%+v, want %v a second", r, want)
		}
	}
	for _, r := range perSecond(now, nil, 0) {
		if r.PacketsPerSecond != 0 {
			t.Errorf("no time gives the rate %v", r.PacketsPerSecond)
		}
	}
}

const netDev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 2776770   11307    0    0    0     0          0         0  2776770   11307    0    0    0     0       0          0
eth0.7:1215645    2751    0    0    0     0          0         0  1782404    4324    0    0    0   427       0          0
`

func TestReceivedBy(t *testing.T) {
	got := receivedBy([]byte(netDev))
	if len(got) != 2 || got["lo"].Packets != 11307 || got["eth0.7"].Bytes != 1215645 || got["eth0.7"].Packets != 2751 {
		t.Errorf("%+v", got)
	}
}

func FuzzReceivedBy(f *testing.F) {
	f.Add([]byte(netDev))
	f.Add([]byte("a:1\nb: -1 x\n:1 2"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, c := range receivedBy(b) {
			again := receivedBy([]byte(name + ": " + "1 2"))
			if c.Name != "" || len(again) > 1 {
				t.Errorf("%q of %q", name, b)
			}
		}
	})
}
