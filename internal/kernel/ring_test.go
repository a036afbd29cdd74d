package kernel

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// fakeRing is a ring in memory of our own, with the data twice as the kernel maps it.
func fakeRing(size int) *ring {
	return &ring{cons: new(uint64), prod: new(uint64), data: make([]byte, 2*size), mask: uint64(size) - 1}
}

// put writes a record as the kernel does.
func (r *ring) put(flags uint32, data string) {
	at := *r.prod & r.mask
	size := r.mask + 1
	write := func(off uint64, b byte) { r.data[off%size], r.data[off%size+size] = b, b }
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(data))|flags)
	for i, b := range head {
		write(at+uint64(i), b)
	}
	for i := range len(data) {
		write(at+ringHead+uint64(i), data[i])
	}
	*r.prod += ringHead + uint64(len(data)+7)&^7
}

func TestRing(t *testing.T) {
	r := fakeRing(64)
	for n := range 100 { // round and round
		want := "0123456789abcdef"[:1+n%16]
		r.put(ringDiscard, "x")
		r.put(0, want)
		if got := string(r.next()); got != want {
			t.Fatalf("record %d is %q, want %q", n, got, want)
		}
		if r.next() != nil {
			t.Fatalf("there is more after record %d", n)
		}
		if r.free(r.at); *r.cons != *r.prod {
			t.Fatalf("of %d bytes %d are free", *r.prod, *r.cons)
		}
	}
	r.put(ringDiscard, "gone")
	if r.next() != nil || r.at != *r.prod {
		t.Error("a record that was given up is not passed over")
	}
}

// TestRingBusy: a record that is being written is waited for.
func TestRingBusy(t *testing.T) {
	r := fakeRing(64)
	r.put(ringBusy, "late")
	done := make(chan string)
	go func() { done <- string(r.next()) }()
	select {
	case got := <-done:
		t.Fatalf("%q was read before it was there", got)
	case <-time.After(20 * time.Millisecond):
	}
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&r.data[0])), 4)
	if got := <-done; got != "late" {
		t.Errorf("read %q", got)
	}
}

// seen notes what a reader hands on.
type seen struct {
	got []string
	// then is called at the first record.
	then func()
}

func (s *seen) Record(c event.Class, raw []byte) {
	if s.then != nil {
		s.then()
		s.then = nil
	}
	s.got = append(s.got, c.String()+string(raw[8:]))
}
func (s *seen) Flush(int) {}

// TestRoundsKeepTheOrder: records that come while a round is at work are handed on by the
// next, so that a critical one does not overtake a bulk one that is older.
func TestRoundsKeepTheOrder(t *testing.T) {
	h := &seen{}
	r := &reader{t: &Transport{}, h: h}
	for c := range r.rings {
		r.rings[c] = fakeRing(1 << 12)
		r.t.sizes[c] = 1 << 12
	}
	at := func(c event.Class, text string) {
		r.rings[c].put(0, string(binary.NativeEndian.AppendUint64(nil, BootNow()))+text)
	}
	at(event.Critical, "1")
	at(event.Bulk, "2")
	at(event.Critical, "3")
	h.then = func() {
		at(event.Bulk, "4")
		at(event.Critical, "5")
	}
	for {
		n, err := r.round()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	if got, want := strings.Join(h.got, " "), "critical1 bulk2 critical3 bulk4 critical5"; got != want {
		t.Errorf("the order is %s, want %s", got, want)
	}
	if c := r.rings[event.Critical]; *c.cons != *c.prod || r.t.received[event.Critical].Load() != 3 {
		t.Errorf("of %d bytes %d were given back, and %d records counted", *c.prod, *c.cons, r.t.received[event.Critical].Load())
	}
}
