package packet

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/observe/filter"
)

// datagram is the first note of a packet of UDP with 57 bytes of data.
func datagram(life, at uint64) *progBirth {
	b := &progBirth{Length: 85, Family: familyIPv4, Has: 28, CallAt: at - 3000, Call: 44, Fd: 5, RouteAt: at - 1000, RouteTable: 254}
	b.Note = progNote{At: at, Life: life, What: uint16(progWhatSEND_QUEUED), How: uint16(progHowLIFE_BEGINS | progHowLIFE_SENT), Tgid: 42, Tid: 42, Stack: -1}
	copy(b.Bytes[:], []byte{0x45, 0, 0, 85, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 5, 1, 1, 1, 1, 0x9c, 0xb0, 0, 53, 0, 65, 0, 0})
	return b
}

func raw(v any) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, v)
	return b.Bytes()
}

func newTestGatherer() *gatherer { return newGatherer(time.Unix(1000, 0)) }

// TestHeaderIsTheFilters holds the programs' struct beside the one that filters are
// compiled for.
func TestHeaderIsTheFilters(t *testing.T) {
	var is progHeader
	var want filter.Header
	for name, at := range map[string][2]uintptr{
		"l4": {unsafe.Offsetof(is.L4), unsafe.Offsetof(want.L4)}, "length": {unsafe.Offsetof(is.Length), unsafe.Offsetof(want.Length)},
		"family": {unsafe.Offsetof(is.Family), unsafe.Offsetof(want.Family)}, "proto": {unsafe.Offsetof(is.Proto), unsafe.Offsetof(want.Proto)},
		"l4_has": {unsafe.Offsetof(is.L4Has), unsafe.Offsetof(want.L4Has)}, "sent": {unsafe.Offsetof(is.Sent), unsafe.Offsetof(want.Sent)},
		"size": {unsafe.Sizeof(is), unsafe.Sizeof(want)},
	} {
		if at[0] != at[1] {
			t.Errorf("%s is at %d, and compiled for %d", name, at[0], at[1])
		}
	}
}

func TestStagesAddUp(t *testing.T) {
	g := newTestGatherer()
	notes := []*progNote{
		{At: 20_000, What: uint16(progWhatDRIVER)},
		{At: 19_000, What: uint16(progWhatQDISC_OUT)}, // told late
		{At: 30_000, What: uint16(progWhatSENT), A: 57, B: 44},
		{At: 40_000, What: uint16(progWhatDONE)},
		{At: 90_000, What: uint16(progWhatDRIVER_BACK)}, // after the end: of another
	}
	if !g.take(raw(datagram(7, 10_000))) {
		t.Fatal("the first note is refused")
	}
	for _, n := range notes {
		n.Life = 7
		if !g.take(raw(n)) {
			t.Fatal("a note is refused")
		}
	}
	g.sweep(41_000)
	if len(g.done) != 0 {
		t.Fatal("it is over before its time")
	}
	g.sweep(uint64(grace) + 91_000)
	if len(g.done) != 1 || len(g.open) != 0 {
		t.Fatalf("%d are over, %d not", len(g.done), len(g.open))
	}
	l := g.done[0]
	var names []string
	var sum time.Duration
	for _, s := range l.Stages {
		names = append(names, s.Name)
		sum += s.Took
	}
	if got := strings.Join(names, ", "); got != "call, route, sending, queue out, driver, call done, done" {
		t.Errorf("stages %s", got)
	}
	if l.End != "done" || sum != l.Took || l.Took != 33*time.Microsecond || !l.At.Equal(time.Unix(1000, 7000)) {
		t.Errorf("%s, %s of %s, at %s", l.End, sum, l.Took, l.At)
	}
	if l.Title() != "#1 TX udp 10.0.0.5:40112 > 1.1.1.1:53 len 85  [42]" {
		t.Errorf("title %q", l.Title())
	}
	if l.payload() != 57 {
		t.Errorf("it has %d bytes of data", l.payload())
	}
}

// TestReadsFindTheirDatagram has two packets in one socket's queue, of different length.
func TestReadsFindTheirDatagram(t *testing.T) {
	g := newTestGatherer()
	for i, length := range []uint32{85, 85, 128} {
		b := datagram(uint64(i+1), uint64(1000*(i+4)))
		b.Length = length
		g.begin(b)
		g.add(&progNote{Life: uint64(i + 1), At: uint64(1000 * (i + 5)), What: uint16(progWhatSOCKET), Sock: 9, Stack: -1, Tgid: 8})
	}
	g.add(&progNote{At: 20_000, What: uint16(progWhatREAD), Sock: 9, A: 57, Tgid: 8, Tid: 8})  // the first
	g.add(&progNote{At: 21_000, What: uint16(progWhatREAD), Sock: 9, A: 100, Tgid: 8, Tid: 8}) // the third
	g.add(&progNote{At: 22_000, What: uint16(progWhatREAD), Sock: 9, A: 57, Tgid: 8, Tid: 8})  // the second
	g.add(&progNote{At: 23_000, What: uint16(progWhatREAD), Sock: 9, A: 57, Tgid: 8, Tid: 8})  // none
	g.sweep(0)
	for i, want := range []time.Duration{20, 22, 21} {
		l := g.done[i]
		if s := l.Stages[len(l.Stages)-1]; l.End != "copied" || s.Name != "copied" || l.At.Add(s.At).Sub(time.Unix(1000, 0)) != want*time.Microsecond || l.Reader.Pid != 8 {
			t.Errorf("#%d: %s %+v", l.ID, l.End, s)
		}
	}
	if len(g.sockets) != 0 {
		t.Errorf("sockets are kept: %v", g.sockets)
	}
}

// TestOrderOfBeginnings holds back a life that is over while one before it may end.
func TestOrderOfBeginnings(t *testing.T) {
	g := newTestGatherer()
	g.begin(datagram(1, 10_000))
	g.begin(datagram(2, 20_000))
	g.add(&progNote{Life: 2, At: 30_000, What: uint16(progWhatDONE)})
	g.sweep(30_000 + uint64(2*grace))
	if len(g.done) != 0 {
		t.Fatal("the second is given before the first")
	}
	g.sweep(20_000 + uint64(held))
	if len(g.done) != 1 {
		t.Fatal("the second waits for ever")
	}
	g.sweep(0)
	if len(g.done) != 2 || g.done[1].End != "open" {
		t.Fatalf("%d are given", len(g.done))
	}
}

func TestWriteForms(t *testing.T) {
	g := newTestGatherer()
	g.begin(datagram(1, 10_000))
	g.add(&progNote{Life: 1, At: 50_000, What: uint16(progWhatDROPPED), Where: 16, Stack: -1})
	g.sweep(0)
	l := g.done[0]
	var text bytes.Buffer
	if err := l.WriteText(&text, strings.ToUpper); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"#1 TX UDP", "+0.0us", "40.0us |####################| dropped", "SENDTO() FD 5", "AT 0X10", "43.0us"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, text.String())
		}
	}
	if f := l.Frame(); len(f) != 16+28 || f[1] != 4 || f[14] != 8 || f[16] != 0x45 {
		t.Errorf("the frame is % x", f)
	}
}

func FuzzTake(f *testing.F) {
	f.Add(raw(datagram(1, 10_000)), raw(&progNote{Life: 1, What: uint16(progWhatSOCKET), Sock: 3, At: 5}), raw(&progNote{What: uint16(progWhatREAD), Sock: 3}))
	f.Fuzz(func(_ *testing.T, a, b, c []byte) {
		g := newTestGatherer()
		for _, r := range [][]byte{a, b, c} {
			g.take(r)
		}
		g.sweep(1 << 40)
		g.sweep(0)
		for _, l := range g.done {
			_ = l.WriteText(&bytes.Buffer{}, strings.ToLower)
			_ = l.Comment()
		}
	})
}
