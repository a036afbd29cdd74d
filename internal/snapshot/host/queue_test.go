package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSoftnet(t *testing.T) {
	got, err := parseSoftnet("0000000a 00000002 00000003 0 0 0 0 0 0 00000004 00000005 00000006 00000001 0 0\n")
	if d := cmp.Diff([]Softnet{{CPU: 1, Processed: 10, Dropped: 2, Squeezed: 3, RPS: 4, Backlog: 6}}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if got, err := parseSoftnet("1 2 3 0 0 0 0 0 0 4 5\n"); err != nil || got[0] != (Softnet{Processed: 1, Dropped: 2, Squeezed: 3, RPS: 4}) {
		t.Errorf("older columns: %+v, %v", got, err)
	}
	for _, bad := range []string{"x\n", "1 2\n", "\n"} {
		if _, err := parseSoftnet(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseSocketQueues(t *testing.T) {
	const text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		"  12: 0100007F:0035 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 4242 2 0000000000000000 9\n" +
		"  13: 0100007F:0036 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4243 2 0000000000000000 0\n" +
		"  14: broken\n"
	same := cmp.AllowUnexported(SocketQueue{})
	idle := SocketQueue{Protocol: "udp", Local: "127.0.0.1:54", Remote: "0.0.0.0:0", Inode: 4243}
	want := []SocketQueue{{Protocol: "udp", Local: "127.0.0.1:53", Remote: "0.0.0.0:0", Inode: 4242, Receive: 0x300, Drops: 9}, idle}
	if d := cmp.Diff(want, parseSocketQueues("udp", text), same); d != "" {
		t.Error(d)
	}
	const listener = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 77 1 0000000000000000 100 0 0 10 0\n"
	want = []SocketQueue{{Protocol: "tcp", Local: "127.0.0.1:22", Remote: "0.0.0.0:0", Inode: 77, Receive: 2, listens: true}}
	if d := cmp.Diff(want, parseSocketQueues("tcp", listener), same); d != "" {
		t.Error(d)
	}
	if a, ok := parseAddress("00000000000000000000000001000000:1F90"); !ok || a != "[::1]:8080" {
		t.Errorf("%q", a)
	}
}

func FuzzQueues(f *testing.F) {
	f.Add("1 2 3 0 0 0 0 0 0 4 5 6 7\n", []byte("0123456789abcdef0123\x08\x00\x01\x00abcd"))
	f.Add("  12: 0100007F:0035 00000000:0000 07 0:300 00:0 0 0 0 42 2 0 9\n", []byte{})
	f.Fuzz(func(t *testing.T, text string, b []byte) {
		parseSoftnet(text)
		for _, s := range parseSocketQueues("udp", text) {
			if s.listens || s.Local == "" {
				t.Errorf("a UDP socket that listens, or without an address: %+v", s)
			}
		}
		if q, ok := parseQdisc(b, nil); ok && q.Interface == "" {
			t.Errorf("a discipline without an interface: %+v", q)
		}
		parseTaskStat(text)
	})
}
