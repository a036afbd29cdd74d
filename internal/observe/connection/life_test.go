package connection

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

func raw(v any) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, v)
	return b.Bytes()
}

func newGatherer() *gatherer {
	return &gatherer{origin: time.Unix(1000, 0), open: map[uint64]*growing{}}
}

// note is of a connection from 10.0.0.5:40112 to 1.1.1.1:443.
func note(what progWhat, at uint64, a, b uint32) progNote {
	n := progNote{What: uint32(what), At: at, Id: 7, A: a, B: b, Family: 0x0800, LocalPort: 40112, RemotePort: 443, Tgid: 42}
	copy(n.Local[:], []byte{10, 0, 0, 5})
	copy(n.Remote[:], []byte{1, 1, 1, 1})
	copy(n.Comm[:], []int8{'c', 'u', 'r', 'l'})
	return n
}

func TestLifeOfAConnection(t *testing.T) {
	begin := note(progWhatSTATE, 10_000, 7, 2)
	begin.How = uint16(progHowBEGINS)
	end := note(progWhatEND, 90_000, 5, 7)
	end.Sent, end.Received, end.RttUs, end.Again = 100, 2000, 20, 1
	for name, c := range map[string]struct {
		between []progNote
		end     progNote
		want    string
		stages  int
	}{
		"closed":    {[]progNote{note(progWhatSTATE, 30_000, 2, 1), note(progWhatAGAIN, 40_000, 1, 0), note(progWhatSTATE, 50_000, 1, 4), note(progWhatSTATE, 60_000, 4, 5)}, end, "closed", 6},
		"reset":     {[]progNote{note(progWhatSTATE, 30_000, 2, 1), note(progWhatRESET_RECEIVED, 40_000, 1, 0)}, note(progWhatEND, 90_000, 1, 7), "reset", 4},
		"refused":   {[]progNote{note(progWhatRESET_RECEIVED, 40_000, 2, 0)}, note(progWhatEND, 90_000, 2, 7), "refused", 3},
		"no answer": {[]progNote{note(progWhatAGAIN, 40_000, 2, 0)}, note(progWhatEND, 90_000, 2, 7), "timed out", 3},
		"lost":      {[]progNote{note(progWhatSTATE, 30_000, 2, 1), note(progWhatAGAIN, 40_000, 1, 0)}, note(progWhatEND, 90_000, 1, 7), "timed out", 4},
	} {
		g := newGatherer()
		for _, n := range append(append([]progNote{begin}, c.between...), c.end) {
			if !g.take(raw(n)) {
				t.Fatalf("%s: a note is refused", name)
			}
		}
		if len(g.done) != 1 || len(g.open) != 0 {
			t.Fatalf("%s: %d ended, %d open", name, len(g.done), len(g.open))
		}
		l := g.done[0]
		if l.End != c.want || len(l.Stages) != c.stages || l.Took != 80*time.Microsecond || !l.Outgoing {
			t.Errorf("%s: %+v", name, l)
		}
		if name != "closed" {
			continue
		}
		var text strings.Builder
		if err := l.WriteText(&text, strings.ToUpper); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"#1 TCP 10.0.0.5:40112 > 1.1.1.1:443  CURL[42]", "sent again", "WHILE ESTABLISHED", "80.0us: closed, 100 bytes sent, 2000 received, connected after 20.0us, round trip 20µs, 1 segments sent again"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the text has no %q:\n%s", want, text.String())
			}
		}
	}
}

func TestStagesAreBounded(t *testing.T) {
	g := newGatherer()
	begin := note(progWhatSTATE, 1, 7, 2)
	begin.How = uint16(progHowBEGINS)
	g.take(raw(begin))
	for i := range uint64(3 * mostStages) {
		g.take(raw(note(progWhatAGAIN, 2+i, 2, 0)))
	}
	g.take(raw(note(progWhatEND, 1<<30, 2, 7)))
	if l := g.done[0]; len(l.Stages) != mostStages+1 || l.Took != 1<<30-1 {
		t.Errorf("%d stages in %s", len(l.Stages), l.Took)
	}
	g.take(raw(begin))
	g.sweep(uint64(2*forgotten), false)
	if len(g.done) != 2 || g.done[1].End != "open" {
		t.Errorf("what was not heard of for long is kept")
	}
	if !g.take(raw(note(progWhatEND, 5, 1, 7))) || len(g.done) != 2 || g.take([]byte("x")) {
		t.Error("an end without a beginning, or what is no note")
	}
}

func FuzzTake(f *testing.F) {
	begin := note(progWhatSTATE, 10_000, 7, 2)
	begin.How = uint16(progHowBEGINS)
	f.Add(raw(begin), raw(note(progWhatEND, 5, 1, 7)))
	f.Fuzz(func(_ *testing.T, a, b []byte) {
		g := newGatherer()
		g.take(a)
		g.take(b)
		g.sweep(0, true)
		for _, l := range g.done {
			_ = l.WriteText(&bytes.Buffer{}, strings.ToLower)
		}
	})
}
