package call

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sqe is an entry of a submission queue (struct io_uring_sqe).
type sqe struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	len, opFlags  uint32
	userData      uint64
	pad           [3]uint64
}

// ring is an io_uring with one entry at a time.
type ring struct {
	fd         int
	sq, cq     []byte
	sqes       []byte
	params     [120]byte
	tail, head *uint32
}

// newRing makes a ring, or skips the test where the kernel makes none.
func newRing(t *testing.T) *ring {
	t.Helper()
	r := &ring{}
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&r.params)), 0)
	if e != 0 {
		t.Skip("this kernel makes no io_uring: ", e)
	}
	r.fd = int(fd)
	for i, size := range []int{4096, 4096, 4096} {
		off := []int64{0, 0x8000000, 0x10000000}[i]
		mem, err := unix.Mmap(r.fd, off, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		need(t, err)
		*[]*[]byte{&r.sq, &r.cq, &r.sqes}[i] = mem
	}
	t.Cleanup(func() {
		for _, m := range [][]byte{r.sq, r.cq, r.sqes} {
			_ = unix.Munmap(m)
		}
		unix.Close(r.fd)
	})
	return r
}

// at is a number in the parameters (struct io_uring_params: sq_off at 40,
// cq_off at 80).
func (r *ring) at(mem []byte, off int) *uint32 {
	o := *(*uint32)(unsafe.Pointer(&r.params[off]))
	return (*uint32)(unsafe.Pointer(&mem[o]))
}

// do carries out one operation and returns its result.
func (r *ring) do(t *testing.T, e sqe) int32 {
	t.Helper()
	*(*sqe)(unsafe.Pointer(&r.sqes[0])) = e
	tail, array := r.at(r.sq, 44), r.at(r.sq, 40+24)
	*array = 0
	mask := *r.at(r.sq, 40+8)
	*(*uint32)(unsafe.Add(unsafe.Pointer(array), 4*uintptr(*tail&mask))) = 0
	*tail++
	if _, _, err := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, 1, 0, 0); err != 0 {
		t.Fatal("entering the ring: ", err)
	}
	head := r.at(r.cq, 80)
	cqes := r.at(r.cq, 80+20)
	res := *(*int32)(unsafe.Add(unsafe.Pointer(cqes), 16*uintptr(*head&*r.at(r.cq, 80+8))+8))
	*head++
	return res
}

// ptr is a string in memory that stays, as a number.
func ptr(t *testing.T, s string) uint64 {
	t.Helper()
	p, err := unix.BytePtrFromString(s)
	need(t, err)
	t.Cleanup(func() { _ = *p })
	return uint64(uintptr(unsafe.Pointer(p)))
}
