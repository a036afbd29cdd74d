package kernel

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
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
// round that read more than a sixteenth of a ring; no record then pays for a
// wake-up. After idleRounds of nothing it asks the next record to wake it and
// sleeps, up to idleWait at a time.
const (
	busyWait   = 10 * time.Millisecond
	idleRounds = 3
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

	// types are the kernel's, which each load of programs needs and which take
	// as long to read as to verify most of them.
	types atomic.Pointer[btf.Cache]
}

// NewTransport makes the rings. Sizes are in bytes; each must be a power of
// two of at least one page.
func NewTransport(critical, bulk int) (*Transport, error) {
	liftMemlock()
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

// liftMemlock lifts the limit on locked memory, against which maps count before
// 5.11. Where it cannot be lifted the maps may still fit, and their error says
// the rest.
func liftMemlock() { _ = rlimit.RemoveMemlock() }

// Maps returns the maps by the names that the programs know them by.
func (t *Transport) Maps() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		"critical": t.rings[event.Critical], "bulk": t.rings[event.Bulk], "asleep": t.asleep,
	}
}

// Load loads programs on maps that are there, by name. The kernel's types are
// kept from one load to the next, until ForgetTypes.
func (t *Transport) Load(spec *ebpf.CollectionSpec, maps map[string]*ebpf.Map) (*ebpf.Collection, error) {
	return ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: maps, Cache: t.Types()})
}

// Types returns the kernel's types; safe at any time.
func (t *Transport) Types() *btf.Cache {
	c := t.types.Load()
	if c == nil {
		c = btf.NewCache()
		t.types.Store(c)
	}
	return c
}

// ForgetTypes gives back the memory of the kernel's types, when all is loaded. A
// later load reads them again.
func (t *Transport) ForgetTypes() { t.types.Store(nil) }

// Size returns the size of a class's ring in bytes.
func (t *Transport) Size(c event.Class) int { return t.sizes[c] }

// RingStats is the account of one ring.
type RingStats struct {
	// Received counts records read, Bytes their size.
	Received, Bytes uint64
}

// Stats returns the account of a class's ring; safe at any time.
func (t *Transport) Stats(c event.Class) RingStats {
	return RingStats{t.received[c].Load(), t.bytes[c].Load()}
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

// Handler takes what the rings' reader finds. Record gets each record's bytes,
// which are its own only during the call; the order is that of the records'
// times. Flush is called at the end of each batch with the number of its
// records, and at least once a second when nothing comes.
type Handler interface {
	Record(c event.Class, raw []byte)
	Flush(records int)
}

// Read reads the rings until ctx is done, then drains what is left.
func (t *Transport) Read(ctx context.Context, h Handler) error {
	r, err := newReader(t, h)
	if err != nil {
		return err
	}
	defer r.close()
	defer context.AfterFunc(ctx, r.wake)()
	for idle := 0; ctx.Err() == nil; {
		if !r.full {
			time.Sleep(busyWait)
		}
		n, err := r.round()
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
		if idle, err = 0, r.sleep(ctx); err != nil {
			return err
		}
	}
	for {
		n, err := r.round()
		if err != nil || n == 0 {
			return err
		}
	}
}
