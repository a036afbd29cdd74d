package flame

import (
	"encoding/binary"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

const (
	areaSize = 32
	// putOff is how long nobody looks again at a process that is as it was.
	putOff = time.Second
	// maxTold is how often it is told that a process has other code: a compiler would
	// have it told all the time.
	maxTold = 8
)

// publish tells the kernel program of a process's areas.
func (u *unwinder) publish(pid uint32, mm uint64, areas []progArea) {
	s := u.processes[pid]
	if s != nil && s.mm == mm && slices.Equal(s.areas, areas) {
		// looking again does not help with what has no area
		u.tell(pid, s, kernel.MonotonicNow()+uint64(putOff))
		return
	}
	if s == nil || s.size < len(areas) {
		n := 1 << bits.Len(uint(len(areas)+len(areas)/2))
		next := &slots{size: n}
		for i := range next.at {
			at, ok := u.allocate(n)
			if !ok {
				if i > 0 {
					u.free[n] = append(u.free[n], next.at[0])
				}
				return
			}
			next.at[i] = at
		}
		if s != nil {
			next.told = s.told
		}
		// the old ones may still be read: they are given back when this is told
		defer u.release(s)
		s = next
		u.processes[pid] = s
	}
	s.mm, s.areas, s.current = mm, areas, 1-s.current
	b := make([]byte, 0, len(areas)*areaSize)
	for _, a := range areas {
		b = binary.NativeEndian.AppendUint64(b, a.Start)
		b = binary.NativeEndian.AppendUint64(b, a.End)
		b = binary.NativeEndian.AppendUint64(b, a.Base)
		b = binary.NativeEndian.AppendUint32(b, a.First)
		b = binary.NativeEndian.AppendUint32(b, a.Count)
	}
	at := s.at[s.current]
	if _, err := u.areas.WriteAt(b, int64(at)*areaSize); err != nil {
		return
	}
	u.tell(pid, s, kernel.MonotonicNow())
	if mm == 0 || s.told == maxTold {
		return
	}
	s.told++
	select {
	case u.changed <- pid:
	default:
	}
}

// tell tells where a process's areas are. Without room for it the kernel program counts
// its stacks.
func (u *unwinder) tell(pid uint32, s *slots, asked uint64) {
	_ = u.tables.Put(pid, progProcessTables{Mm: s.mm, Asked: asked, First: s.at[s.current], Count: uint32(len(s.areas))})
}

// allocate finds room for areas.
func (u *unwinder) allocate(n int) (uint32, bool) {
	if f := u.free[n]; len(f) > 0 {
		u.free[n] = f[:len(f)-1]
		return f[len(f)-1], true
	}
	if uint64(u.usedAreas)+uint64(n) > u.roomAreas {
		return 0, false
	}
	at := u.usedAreas
	u.usedAreas += uint32(n)
	return at, true
}

func (u *unwinder) release(s *slots) {
	if s != nil {
		u.free[s.size] = append(u.free[s.size], s.at[:]...)
	}
}

// sweep forgets the processes that have ended.
func (u *unwinder) sweep() {
	var pid uint32
	var p progProcessTables
	var ended []uint32
	for it := u.tables.Iterate(); it.Next(&pid, &p); {
		if _, err := os.Stat("/proc/" + strconv.FormatUint(uint64(pid), 10)); os.IsNotExist(err) {
			ended = append(ended, pid)
		}
	}
	for _, pid := range ended {
		_ = u.tables.Delete(pid)
		u.release(u.processes[pid])
		delete(u.processes, pid)
	}
}
