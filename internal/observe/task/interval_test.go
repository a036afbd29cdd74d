package task

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
	return &gatherer{origin: time.Unix(1000, 0), begun: time.Unix(1000, 5000), stack: func(int32) []uint64 { return nil }}
}

func note(what progWhat, from, to uint64) progNote {
	n := progNote{What: uint32(what), From: from, To: to, Tgid: 42, Tid: 43, Cpu: 1, Stack: -1}
	copy(n.Comm[:], []int8{'c', 'a', 't'})
	return n
}

func TestIntervals(t *testing.T) {
	g := newGatherer()
	ran, slept, waited, moved := note(progWhatRAN, 10_000, 30_000), note(progWhatSLEPT, 30_000, 50_000), note(progWhatWAITED, 50_000, 51_000), note(progWhatMOVED, 50_500, 50_500)
	ran.Preempted, ran.Other = 1, 7
	slept.Disk = 1
	waited.Other = 9
	copy(waited.OtherComm[:], []int8{'s', 'h'})
	moved.A, moved.B = 1, 3
	var sums Sums
	var text strings.Builder
	for _, n := range []progNote{ran, slept, moved, waited} {
		i := g.take(raw(n))
		if i == nil {
			t.Fatalf("%+v is refused", n)
		}
		sums.Add(i)
		if err := i.WriteText(&text, strings.ToUpper); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"+0.005ms CAT", "ran          20.0us  cpu1", "[7] TAKES THE PROCESSOR", "slept        20.0us", "FOR A DEVICE; WOKEN BY AN INTERRUPT", "SH[9] RAN INSTEAD", "cpu3   FROM CPU1"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, text.String())
		}
	}
	s := sums.List()[0]
	if s.Ran != 20_000 || s.Slept != 20_000 || s.Waited != 1000 || s.Runs != 1 || s.Preempted != 1 || s.Moves != 1 || s.WaitedFor != "sh[9]" || s.SleptIn != "?" {
		t.Errorf("the sum is %+v", s)
	}
	for name, b := range map[string][]byte{"short": raw(ran)[1:], "no kind": raw(note(77, 1, 2)), "backwards": raw(note(progWhatRAN, 5, 4))} {
		if g.take(b) != nil {
			t.Errorf("a note that is %s is taken", name)
		}
	}
}

func TestSumsAreBounded(t *testing.T) {
	var sums Sums
	for tid := range uint32(mostTasks + 10) {
		sums.Add(&Interval{Tid: tid, What: "ran"})
	}
	if sums.Left != 10 || len(sums.List()) != mostTasks {
		t.Errorf("%d tasks, %d left", len(sums.List()), sums.Left)
	}
}

func FuzzTake(f *testing.F) {
	f.Add(raw(note(progWhatSLEPT, 1, 2)))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if i := newGatherer().take(b); i != nil {
			_ = i.WriteText(&bytes.Buffer{}, strings.ToLower)
			(&Sums{}).Add(i)
		}
	})
}
