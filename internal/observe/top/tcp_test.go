package top

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

func seenOf(sk uint64, flags uint32, sent, received uint64, owner, holder uint32) progTcpSeen {
	s := progTcpSeen{Sk: sk, Sent: sent, Received: received, Family: familyInet, State: 1, LocalPort: 80, RemotePort: 4000, RttUs: 100}
	s.Conn.Born, s.Conn.Flags, s.Conn.Whose.Tgid, s.Holder.Tgid = 7, flags, owner, holder
	copy(s.Local[:], []uint8{10, 0, 0, 1})
	return s
}

// TestTrafficOf has a connection from before, a new one and one that several hold.
func TestTrafficOf(t *testing.T) {
	w := &tcpWatch{t: &Top{epoch: 1}, known: map[tcpKey]*tcpKnown{}}
	add := func(s progTcpSeen) *traffic { return w.add(map[tcpKey]*traffic{}, tcpKey{s.Sk, s.Conn.Born}, s) }
	if x := add(seenOf(1, 0, 500, 500, 0, 9)); x.in+x.out > 0 || x.opened || x.accepted {
		t.Errorf("what was before is told: %+v", x)
	}
	if x := add(seenOf(1, 0, 510, 503, 0, 9)); x.in != 3 || x.out != 10 {
		t.Errorf("%+v, want 3 bytes in and 10 out", x)
	}
	if x := add(seenOf(2, tcpIn, 40, 30, 0, 9)); x.in != 30 || x.out != 40 || !x.accepted {
		t.Errorf("a new connection: %+v", x)
	}
	if x := add(seenOf(2, tcpIn, 1, 1, 0, 9)); x.in+x.out > 0 {
		t.Errorf("counts that fall have risen: %+v", x)
	}
	parent, child := seenOf(3, 0, 0, 0, 5, 5), seenOf(3, 0, 0, 0, 5, 6)
	if o := ownerAmong([]progTcpSeen{parent, child}); o.Tgid != 5 {
		t.Errorf("it belongs to %d, want who opened it", o.Tgid)
	}
	child.Conn.Whose.Tgid = 1
	if o := ownerAmong([]progTcpSeen{child, child}); o.Tgid != 6 {
		t.Errorf("it belongs to %d, want who has it", o.Tgid)
	}
}

func TestConnRows(t *testing.T) {
	s := seenOf(1, 0, 0, 0, 0, 9)
	s.State, s.Before = 7, 5
	rows := connRows(map[tcpKey]*traffic{{1, 7}: {seen: s, ended: true, in: 2}}, 1)
	if r := rows[0]; r.State != "FIN_WAIT2" || r.Local != "10.0.0.1:80" || r.Remote != "0.0.0.0:4000" || !r.Ended || r.In != 2 {
		t.Errorf("%+v", r)
	}
	if w := walkOf(0x214); !slices.Equal(w, []string{"SYN_SENT", "ESTABLISHED", "FIN_WAIT1"}) {
		t.Errorf("%q", w)
	}
	s.Before = 77
	if rows := connRows(map[tcpKey]*traffic{{1, 7}: {seen: s, ended: true}}, 1); rows[0].State != "state 77" {
		t.Errorf("%+v", rows[0])
	}
}

func FuzzDecodeSeen(f *testing.F) {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.NativeEndian, seenOf(1, 0, 1, 2, 3, 4))
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:20])
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := decodeSeen(raw)
		if err == nil && len(all)*b.Len() != len(raw) {
			t.Errorf("%d bytes are %d connections", len(raw), len(all))
		}
		for _, s := range all {
			connRows(map[tcpKey]*traffic{{s.Sk, s.Conn.Born}: {seen: s, ended: s.Before > 0}}, 1)
		}
	})
}
