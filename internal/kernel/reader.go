package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// roundRecords bounds what one round takes from each ring, so that a flood in
// one cannot keep the other from being read.
const roundRecords = 8192

// freeBytes is how much of the bulk ring is read before the kernel gets it back.
const freeBytes = 64 << 10

// reader reads all rings as one stream in the order of time.
//
// A record of the bulk class must not overtake the critical records before it:
// a change of name means nothing without the exec. So a round first looks at what
// the bulk ring holds, then reads the critical ring, which by then holds
// everything older, and puts the bulk records in between by their times. Critical
// records from after the look are left to the next round, as there may be older bulk
// records that the look did not find. Records stay where they are until they have been
// handed on.
type reader struct {
	t     *Transport
	h     Handler
	rings [event.NumClasses]*ring
	epoll int
	event int // an eventfd that ends a sleep

	bulk []placed // the round's records of the bulk ring
	next int      // the first that has not been handed on
	full bool     // the last round read so much that the next shall follow at once

	pending int // records since the last Flush
}

// placed is a record and where it ends in its ring.
type placed struct {
	raw []byte
	end uint64
}

func newReader(t *Transport, h Handler) (*reader, error) {
	r := &reader{t: t, h: h, epoll: -1, event: -1}
	for c, m := range t.rings {
		rd, err := newRing(m)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("opening the %s ring: %w", event.Class(c), err)
		}
		r.rings[c] = rd
	}
	if err := r.watch(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// watch makes the set of descriptors that sleep waits for.
func (r *reader) watch() (err error) {
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("making an epoll instance: %w", err)
	}
	if r.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("making an eventfd: %w", err)
	}
	fds := []int{r.event}
	for _, m := range r.t.rings {
		fds = append(fds, m.FD())
	}
	for _, fd := range fds {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return fmt.Errorf("watching the rings: %w", err)
		}
	}
	return nil
}

func (r *reader) close() {
	for _, rd := range r.rings {
		if rd != nil {
			rd.close()
		}
	}
	for _, fd := range []int{r.epoll, r.event} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// wake ends a sleep.
func (r *reader) wake() {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(r.event, one)
}

// sleep returns when there is something to read or ctx is done. The next
// record of either ring is asked to wake the reader; one that came before the
// kernel saw that wish is found by the look in between.
func (r *reader) sleep(ctx context.Context) error {
	for c := range event.NumClasses {
		if err := r.t.asleep.Put(uint32(c), uint32(1)); err != nil {
			return fmt.Errorf("asking to be woken: %w", err)
		}
	}
	n, err := r.round()
	if err != nil || n > 0 {
		return err
	}
	var evs [4]unix.EpollEvent
	for ctx.Err() == nil {
		n, err := unix.EpollWait(r.epoll, evs[:], int(idleWait.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for records: %w", err)
		}
		if n > 0 {
			return nil
		}
		r.h.Flush(0)
	}
	return nil
}

// round hands on what the rings hold and returns how many records it was, with one that
// it left to the next.
func (r *reader) round() (int, error) {
	r.full = false
	looked := BootNow()
	if looked == 0 {
		looked = ^uint64(0)
	}
	r.takeBulk()
	n, left := len(r.bulk), 0
	c := r.rings[event.Critical]
	from := c.at
	for range roundRecords {
		at := c.at
		raw := c.next()
		if raw == nil {
			break
		}
		if stamp(raw) > looked {
			c.at, left = at, 1
			break
		}
		if r.next < len(r.bulk) {
			r.giveBulk(stamp(raw))
		}
		r.give(event.Critical, raw)
		n++
		c.free(c.at)
	}
	c.free(c.at) // of what programs gave up, too
	r.account(event.Critical, n-len(r.bulk), c.at-from)
	r.giveBulk(^uint64(0))
	b := r.rings[event.Bulk]
	b.free(b.at)
	r.h.Flush(r.pending)
	r.pending = 0
	return n + left, nil
}

// account counts what was read of a ring.
func (r *reader) account(c event.Class, records int, bytes uint64) {
	r.t.received[c].Add(uint64(records))
	r.t.bytes[c].Add(bytes - uint64(records)*ringHead)
	r.full = r.full || records == roundRecords || bytes > uint64(r.t.sizes[c])/16
}

func (r *reader) takeBulk() {
	r.bulk, r.next = r.bulk[:0], 0
	b := r.rings[event.Bulk]
	from := b.at
	for range roundRecords {
		raw := b.next()
		if raw == nil {
			break
		}
		r.bulk = append(r.bulk, placed{raw, b.at})
	}
	r.account(event.Bulk, len(r.bulk), b.at-from)
}

// giveBulk hands on the bulk records that are older than a time. The kernel gets
// their place back bit by bit: a flood must not have to wait for all of them.
func (r *reader) giveBulk(before uint64) {
	b := r.rings[event.Bulk]
	for ; r.next < len(r.bulk); r.next++ {
		p := r.bulk[r.next]
		if stamp(p.raw) >= before && before != ^uint64(0) {
			return
		}
		r.give(event.Bulk, p.raw)
		if p.end-b.freed >= freeBytes {
			b.free(p.end)
		}
	}
}

func (r *reader) give(c event.Class, raw []byte) {
	r.h.Record(c, raw)
	if r.pending++; r.pending == batchSize {
		r.h.Flush(r.pending)
		r.pending = 0
	}
}
