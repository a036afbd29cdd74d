package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
)

// Ring sizes: powers of two and multiples of the page size.
const (
	DefaultCriticalSize = 8 << 20
	DefaultBulkSize     = 4 << 20
	minRingSize         = 4096
	maxRingSize         = 1 << 30
)

// While records come, the reader looks every busyWait, or at once after a
// batch of more than a sixteenth of the ring; no record then pays for a
// wake-up. After idleRounds of nothing it asks the next record to wake it and
// sleeps up to idleWait.
const (
	busyWait   = 10 * time.Millisecond
	idleRounds = 10
	idleWait   = time.Second
	batchSize  = 512
)

// Transport holds the rings. All sensors' programs write to the same ones.
type Transport struct {
	rings  [event.NumClasses]*ebpf.Map
	asleep *ebpf.Map
	sizes  [event.NumClasses]int

	received [event.NumClasses]atomic.Uint64
	bytes    [event.NumClasses]atomic.Uint64
	wakes    [event.NumClasses]atomic.Uint64
}

// NewTransport makes the rings. Sizes are in bytes; each must be a power of
// two of at least one page.
func NewTransport(critical, bulk int) (*Transport, error) {
	// Before 5.11 maps count against the locked-memory limit. Where it cannot
	// be lifted the maps may still fit, and their error says the rest.
	_ = rlimit.RemoveMemlock()
	t := &Transport{sizes: [event.NumClasses]int{event.Critical: critical, event.Bulk: bulk}}
	for c, size := range t.sizes {
		if size < minRingSize || size > maxRingSize || size&(size-1) != 0 {
			t.Close()
			return nil, fmt.Errorf("the %s ring of %d bytes cannot be made: take a power of two from %d to %d",
				event.Class(c), size, minRingSize, maxRingSize)
		}
		m, err := ebpf.NewMap(&ebpf.MapSpec{
			Name: event.Class(c).String(), Type: ebpf.RingBuf, MaxEntries: uint32(size),
		})
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("making the %s ring of %d bytes: %w", event.Class(c), size, err)
		}
		t.rings[c] = m
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "asleep", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: uint32(event.NumClasses),
	})
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("making the wake-up map: %w", err)
	}
	t.asleep = m
	return t, nil
}

// Maps returns the maps by the names that the programs know them by.
func (t *Transport) Maps() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		"critical": t.rings[event.Critical], "bulk": t.rings[event.Bulk], "asleep": t.asleep,
	}
}

// Size returns the size of a class's ring in bytes.
func (t *Transport) Size(c event.Class) int { return t.sizes[c] }

// RingStats is the account of one ring.
type RingStats struct {
	// Received counts records read, Bytes their size, Wakes how often the
	// reader slept and was woken.
	Received, Bytes, Wakes uint64
}

// Stats returns the account of a class's ring; safe at any time.
func (t *Transport) Stats(c event.Class) RingStats {
	return RingStats{t.received[c].Load(), t.bytes[c].Load(), t.wakes[c].Load()}
}

// Close releases the maps. Read must have returned.
func (t *Transport) Close() {
	for _, m := range t.rings {
		if m != nil {
			m.Close()
		}
	}
	if t.asleep != nil {
		t.asleep.Close()
	}
}

// Handler takes what a ring's reader finds. Record gets each record's bytes,
// which are its own only during the call. Flush is called at the end of each
// batch, and at least once a second when nothing comes; first says that the
// batch held records.
type Handler interface {
	Record(c event.Class, raw []byte)
	Flush(c event.Class, records int)
}

// Read reads a class's ring until ctx is done, then drains what is left.
func (t *Transport) Read(ctx context.Context, c event.Class, h Handler) error {
	rd, err := ringbuf.NewReader(t.rings[c])
	if err != nil {
		return fmt.Errorf("opening the %s ring: %w", c, err)
	}
	defer rd.Close()
	stop := context.AfterFunc(ctx, func() { _ = rd.Flush() })
	defer stop()
	r := ringReader{t: t, rd: rd, c: c, h: h}
	for idle := 0; ctx.Err() == nil; {
		if r.bytes < t.sizes[c]/16 {
			time.Sleep(busyWait)
		}
		n, err := r.round(past)
		if err != nil {
			return err
		}
		if n > 0 {
			idle = 0
			continue
		}
		if idle++; idle < idleRounds {
			continue
		}
		if err := r.sleep(ctx); err != nil {
			return err
		}
		idle = idleRounds - 2 // two quiet rounds and it sleeps again
	}
	_, err = r.round(past)
	return err
}

// past is a deadline that has gone by: what is there is read, nothing waits.
var past = time.Unix(1, 0)

type ringReader struct {
	t   *Transport
	rd  *ringbuf.Reader
	c   event.Class
	h   Handler
	rec ringbuf.Record
	// bytes is what the last round read.
	bytes int
}

// sleep has the next record wake the reader. A record that came before the
// kernel saw that wish is found by the look in between.
func (r *ringReader) sleep(ctx context.Context) error {
	if err := r.t.asleep.Put(uint32(r.c), uint32(1)); err != nil {
		return fmt.Errorf("asking to be woken: %w", err)
	}
	n, err := r.round(past)
	if err != nil || n > 0 || ctx.Err() != nil {
		return err
	}
	if _, err = r.round(time.Now().Add(idleWait)); err != nil {
		return err
	}
	r.t.wakes[r.c].Add(1)
	return nil
}

// round waits for records until the deadline and hands on all there are.
func (r *ringReader) round(deadline time.Time) (int, error) {
	r.rd.SetDeadline(deadline)
	n, pending := 0, 0
	r.bytes = 0
	for {
		err := r.rd.ReadInto(&r.rec)
		if err != nil {
			r.h.Flush(r.c, pending)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ringbuf.ErrFlushed) {
				return n, nil
			}
			return n, fmt.Errorf("reading the %s ring: %w", r.c, err)
		}
		n++
		r.bytes += len(r.rec.RawSample)
		r.t.received[r.c].Add(1)
		r.t.bytes[r.c].Add(uint64(len(r.rec.RawSample)))
		r.h.Record(r.c, r.rec.RawSample)
		if pending++; pending == batchSize {
			r.h.Flush(r.c, pending)
			pending = 0
		}
	}
}
