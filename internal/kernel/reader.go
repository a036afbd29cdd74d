package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// past is a deadline that has gone by: what is there is read, nothing waits.
var past = time.Unix(1, 0)

// roundRecords bounds what one round takes from each ring, so that a flood in
// one cannot keep the other from being read.
const roundRecords = 8192

// reader reads all rings as one stream in the order of time.
//
// A record of the bulk class must not overtake the critical records before it:
// a change of name means nothing without the exec. So a round first takes what
// the bulk ring holds, then reads the critical ring, which by then holds
// everything older, and puts the bulk records in between by their times.
type reader struct {
	t     *Transport
	h     Handler
	rings [event.NumClasses]*ringbuf.Reader
	epoll int
	event int // an eventfd that ends a sleep

	rec  ringbuf.Record
	bulk []byte // records of the round's bulk, one behind the other
	ends []int  // where each ends
	next int    // the first that has not been handed on
	full bool   // the last round read so much that the next shall follow at once

	pending int // records since the last Flush
}

func newReader(t *Transport, h Handler) (*reader, error) {
	r := &reader{t: t, h: h, epoll: -1, event: -1}
	for c, m := range t.rings {
		rd, err := ringbuf.NewReader(m)
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
			rd.Close()
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

// round hands on what the rings hold and returns how many records it was.
func (r *reader) round() (int, error) {
	r.full = false
	if err := r.takeBulk(); err != nil {
		return 0, err
	}
	n := len(r.ends)
	err := r.drain(event.Critical, func(raw []byte) {
		if r.next < len(r.ends) {
			r.giveBulk(stamp(raw))
		}
		r.give(event.Critical, raw)
		n++
	})
	if err != nil {
		return n, err
	}
	r.giveBulk(^uint64(0))
	r.h.Flush(r.pending)
	r.pending = 0
	return n, nil
}

// drain calls fn for the records that a ring holds, up to roundRecords.
func (r *reader) drain(c event.Class, fn func(raw []byte)) error {
	rd := r.rings[c]
	rd.SetDeadline(past)
	bytes := 0
	for range roundRecords {
		if err := rd.ReadInto(&r.rec); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return fmt.Errorf("reading the %s ring: %w", c, err)
		}
		bytes += len(r.rec.RawSample)
		r.full = r.full || bytes > r.t.sizes[c]/16
		r.t.received[c].Add(1)
		r.t.bytes[c].Add(uint64(len(r.rec.RawSample)))
		fn(r.rec.RawSample)
	}
	r.full = true
	return nil
}

func (r *reader) takeBulk() error {
	r.bulk, r.ends, r.next = r.bulk[:0], r.ends[:0], 0
	return r.drain(event.Bulk, func(raw []byte) {
		r.bulk = append(r.bulk, raw...)
		r.ends = append(r.ends, len(r.bulk))
	})
}

// giveBulk hands on the bulk records that are older than a time.
func (r *reader) giveBulk(before uint64) {
	for ; r.next < len(r.ends); r.next++ {
		start := 0
		if r.next > 0 {
			start = r.ends[r.next-1]
		}
		raw := r.bulk[start:r.ends[r.next]]
		if stamp(raw) >= before && before != ^uint64(0) {
			return
		}
		r.give(event.Bulk, raw)
	}
}

func (r *reader) give(c event.Class, raw []byte) {
	r.h.Record(c, raw)
	if r.pending++; r.pending == batchSize {
		r.h.Flush(r.pending)
		r.pending = 0
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
