package kernel

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The head of a record in a ring: its length with two flags, and four bytes that
// are the kernel's own (Documentation/bpf/ringbuf.rst).
const (
	ringHead    = 8
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
)

// busySpins is how often the reader looks at once at a record that a program is
// writing, before it lets others run.
const busySpins = 200

// ring reads a ring's records where the kernel has put them, without copying. Its
// data are mapped twice, one behind the other, so that none is torn by the end.
type ring struct {
	own, shared []byte // mappings: the consumer's page; the producer's page and the data
	cons, prod  *uint64
	data        []byte
	mask        uint64
	// at is how far it has been read, freed how far the kernel may write again.
	at, freed uint64
}

func newRing(m *ebpf.Map) (*ring, error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	own, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the place of its reader: %w", err)
	}
	shared, err := unix.Mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Munmap(own)
		return nil, fmt.Errorf("mapping its %d bytes: %w", size, err)
	}
	r := &ring{own: own, shared: shared, data: shared[page:], mask: uint64(size) - 1}
	r.cons, r.prod = (*uint64)(unsafe.Pointer(&own[0])), (*uint64)(unsafe.Pointer(&shared[0]))
	r.at = atomic.LoadUint64(r.cons)
	r.freed = r.at
	return r, nil
}

func (r *ring) close() {
	_ = unix.Munmap(r.own)
	_ = unix.Munmap(r.shared)
}

// next returns the next record, in place, or nil where there is none. It is there
// until free is called.
func (r *ring) next() []byte {
	for spins := 0; ; {
		if r.at >= atomic.LoadUint64(r.prod) {
			return nil
		}
		start := r.at & r.mask
		head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[start])))
		if head&ringBusy != 0 { // the program that has reserved it is at work
			if spins++; spins%busySpins == 0 {
				time.Sleep(50 * time.Microsecond)
			}
			continue
		}
		size := uint64(head &^ ringDiscard)
		r.at += ringHead + (size+7)&^7
		if head&ringDiscard == 0 {
			return r.data[start+ringHead : start+ringHead+size : start+ringHead+size]
		}
	}
}

// free lets the kernel write again where records have been read up to a place.
func (r *ring) free(upTo uint64) {
	if upTo != r.freed {
		r.freed = upTo
		atomic.StoreUint64(r.cons, upTo)
	}
}

// stamp is the time with which every record begins (struct bc_hdr), in ns on
// the boot-time clock; 0 for what is too short to be a record.
func stamp(raw []byte) uint64 {
	if len(raw) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(raw)
}
