package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// markCount is how many bytes a table of marks has, as in fw.h.
const markCount = 262144

// mix is the hash that the program uses for its tables, with a secret as the seed.
func mix(h uint64, values ...uint64) uint64 {
	for _, v := range values {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

// markOf gives the byte of a key of the map of bans.
func markOf(seed uint64, key *progAddr6) int64 {
	hi, lo := binary.NativeEndian.Uint64(key.Addr[:8]), binary.NativeEndian.Uint64(key.Addr[8:])
	return int64(mix(seed, hi, lo, 0) >> 32 & (markCount - 1))
}

// mapMarks makes the marks writable byte by byte, as the program writes them.
func (f *Firewall) mapMarks() error {
	if f.marks != nil {
		return nil
	}
	m, err := f.objs.Marks.Memory()
	if err != nil {
		return fmt.Errorf("mapping the marks of bans: %w", err)
	}
	f.marks = m
	return nil
}

func (f *Firewall) setMark(table, at int64) error {
	if _, err := f.marks.WriteAt([]byte{1}, table*markCount+at); err != nil {
		return fmt.Errorf("marking a ban: %w", err)
	}
	return nil
}

// mark makes the program look for a ban, which must be in its map already.
func (f *Firewall) mark(key *progAddr6) error {
	c, err := f.control()
	if err != nil {
		return err
	}
	if err := f.mapMarks(); err != nil {
		return err
	}
	at := markOf(c.Seed, key)
	return errors.Join(f.setMark(0, at), f.setMark(1, at))
}

// sweep makes the marks anew when most of them are of bans that are over: a mark
// without a ban costs the packets that meet it a look-up. The table that is not read
// is cleared, filled from the bans, and then read. Meanwhile whoever bans marks both
// tables after the ban is in its map, so either the filling or the mark finds it.
func (f *Firewall) sweep(bans int) error {
	if err := f.mapMarks(); err != nil {
		return err
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	c, err := f.control()
	if err != nil {
		return err
	}
	table := make([]byte, markCount)
	if _, err := f.marks.ReadAt(table, int64(c.Marks&1)*markCount); err != nil {
		return fmt.Errorf("reading the marks of bans: %w", err)
	}
	marked := 0
	for _, b := range table {
		marked += int(b)
	}
	if marked <= 2*bans+64 {
		return nil
	}
	other := 1 - int64(c.Marks&1)
	if _, err := f.marks.WriteAt(make([]byte, markCount), other*markCount); err != nil {
		return fmt.Errorf("clearing the marks of bans: %w", err)
	}
	now, err := bootNow()
	if err != nil {
		return err
	}
	var key progAddr6
	var b progFwBan
	it := f.objs.Bans.Iterate()
	for it.Next(&key, &b) {
		if b.Until <= uint64(now) {
			continue
		}
		if err := f.setMark(other, markOf(c.Seed, &key)); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the bans: %w", err)
	}
	c.Marks = uint32(other)
	if err := f.objs.Control.Put(uint32(0), &c); err != nil {
		return fmt.Errorf("writing the control map: %w", err)
	}
	return nil
}
