package host

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// inetMessage makes an inet_diag_msg by hand.
func inetMessage(state, retrans byte, receive, send, inode uint32, attrs ...[]byte) []byte {
	b := make([]byte, 72)
	b[0], b[1], b[3] = unix.AF_INET, state, retrans
	native.PutUint32(b[56:], receive)
	native.PutUint32(b[60:], send)
	native.PutUint32(b[68:], inode)
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

func attribute(typ uint16, v []byte) []byte {
	b := make([]byte, 4, 4+len(v)+3)
	native.PutUint16(b, uint16(4+len(v)))
	native.PutUint16(b[2:], typ)
	b = append(b, v...)
	return append(b, make([]byte, -len(v)&3)...)
}

func TestParseInetDiag(t *testing.T) {
	info := unix.TCPInfo{Rtt: 1500, Rttvar: 20, Snd_cwnd: 10, Snd_mss: 1448, Unacked: 3, Lost: 2, Total_retrans: 7, Min_rtt: 900}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&info)), unix.SizeofTCPInfo)
	memory := make([]byte, 36)
	native.PutUint32(memory[32:], 4)
	inode, got, ok := parseInetDiag(inetMessage(1, 1, 1234, 99, 4242, attribute(diagMemory, memory), attribute(diagInfo, raw)))
	want := SocketState{Receive: 1234, Send: 99, Drops: 4, TCP: &TCPState{RTT: 1500, RTTVar: 20, MinRTT: 900, Window: 10, SegmentSize: 1448, Unacked: 3, Lost: 2, Retransmitted: 7, TimedOut: 1}}
	if d := cmp.Diff(want, got); d != "" || inode != 4242 || !ok {
		t.Error(inode, ok, d)
	}
	most := uint64(5)
	_, got, _ = parseInetDiag(inetMessage(stateListen, 0, 2, 5, 4243, attribute(diagInfo, raw)))
	if d := cmp.Diff(SocketState{Backlog: &Backlog{Waiting: 2, Max: &most}}, got); d != "" {
		t.Error(d)
	}
	// an older kernel's tcp_info ends earlier, one cut short is none
	if _, got, _ = parseInetDiag(inetMessage(1, 0, 0, 0, 1, attribute(diagInfo, raw[:104]))); got.TCP == nil || got.TCP.MinRTT != 0 || got.TCP.Retransmitted != 7 {
		t.Errorf("a short tcp_info gives %+v", got.TCP)
	}
	if _, got, _ = parseInetDiag(inetMessage(1, 0, 0, 0, 1, attribute(diagInfo, raw[:90]))); got.TCP != nil {
		t.Errorf("a tcp_info that is cut short gives %+v", got.TCP)
	}
	if _, _, ok := parseInetDiag(inetMessage(1, 0, 0, 0, 0)); ok {
		t.Error("a socket without an inode was taken")
	}
}

func TestMessages(t *testing.T) {
	message := func(typ uint16, data ...byte) []byte {
		b := make([]byte, unix.SizeofNlMsghdr)
		native.PutUint32(b, uint32(len(b)+len(data)))
		native.PutUint16(b[4:], typ)
		b = append(b, data...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	refused := make([]byte, 4)
	native.PutUint32(refused, uint32(0xffffffff)) // -EPERM
	for _, c := range []struct {
		in   []byte
		each string
		done bool
		err  error
	}{
		{append(message(20, 'a', 'b', 'c'), message(20, 'd')...), "abc;d;", false, nil},
		{append(message(20, 'a'), message(unix.NLMSG_DONE, 0, 0, 0, 0)...), "a;", true, nil},
		{message(unix.NLMSG_DONE, refused...), "", true, unix.EPERM},
		{message(unix.NLMSG_ERROR, refused...), "", true, unix.EPERM},
		{message(unix.NLMSG_ERROR, 1), "", true, unix.EBADMSG},
		{message(20, 'a')[:17], "a;", false, nil},
		{[]byte{200, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "", true, unix.EBADMSG},
	} {
		var got string
		done, err := messages(c.in, func(_ uint16, data []byte) { got += string(data) + ";" })
		if got != c.each || done != c.done || !errors.Is(err, c.err) {
			t.Errorf("%x: %q, %v, %v; want %q, %v, %v", c.in, got, done, err, c.each, c.done, c.err)
		}
	}
}

// TestSocketOfAnotherNamespace finds a socket that is not where its holder is.
func TestSocketOfAnotherNamespace(t *testing.T) {
	s := SocketStates{spaces: []uint64{1, 2}, found: map[socketKey]SocketState{{1, 7}: {Send: 1}, {2, 7}: {Send: 2}, {2, 8}: {Send: 3}}}
	for _, c := range []struct{ inode, ns, send uint64 }{{7, 1, 1}, {7, 2, 2}, {8, 1, 3}, {8, 9, 3}} {
		if got := s.Of(c.inode, c.ns); got == nil || got.Send != c.send {
			t.Errorf("socket %d of namespace %d: %+v, want %d bytes", c.inode, c.ns, got, c.send)
		}
	}
	if got := s.Of(9, 1); got != nil {
		t.Errorf("a socket that is not there: %+v", got)
	}
}

func FuzzSockDiag(f *testing.F) {
	f.Add(inetMessage(1, 0, 1, 2, 3, attribute(diagInfo, make([]byte, 160)), attribute(diagMemory, make([]byte, 36))))
	f.Add(append([]byte{1, 1, 10, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, attribute(unixDiagQueue, make([]byte, 8))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (uint64, SocketState, bool){parseInetDiag, parseUnixDiag} {
			if inode, s, ok := parse(b); ok && (inode == 0 || s.Backlog != nil && (s.Receive != 0 || s.Backlog.Max == nil || s.TCP != nil)) {
				t.Errorf("inode %d, %+v", inode, s)
			}
		}
		n := 0
		_, _ = messages(b, func(_ uint16, data []byte) { n += len(data) + unix.SizeofNlMsghdr })
		if n > len(b) {
			t.Errorf("messages of %d bytes from %d", n, len(b))
		}
	})
}
