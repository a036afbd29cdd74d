package flame

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Unwound says how the stacks of programs were unwound.
type Unwound struct {
	// Whole is how many were followed to their outermost frame, and Cut those that end
	// before, by the reason.
	Whole uint64 `json:"whole"`
	Cut   []Ends `json:"cut_short,omitempty"`
	// Pointers are those that the kernel followed by frame pointers alone, by the
	// reason. Whether they are whole is not known.
	Pointers []Ends `json:"by_frame_pointers,omitempty"`
	// Files is how many files have a table, Rows what these have together, and Over how
	// many files found no room.
	Files int `json:"files"`
	Rows  int `json:"rows"`
	Over  int `json:"files_without_room,omitempty"`
}

// Ends is how many stacks have the same reason for how they end.
type Ends struct {
	Why   string `json:"why"`
	Count uint64 `json:"count"`
}

// Ends of stacks, as the kernel program numbers them.
const (
	endWhole = 1
	endCut   = 6
)

// endNames are those from 2 on, which are followed by frame pointers up to endCut.
var endNames = []string{
	"", "",
	"before their process had tables",
	"without room for tables of their process",
	"taken inside another",
	"not of 64-bit code",
	"deeper than 127 frames",
	"no table and no frame pointer",
	"a table leads nowhere",
	"memory cannot be read",
	"in no code that is known",
}

// cutShort says whether an address is none, but the reason for a stack's end.
func cutShort(addr uint64) (string, bool) {
	if addr < endCut || addr >= uint64(len(endNames)) {
		return "", false
	}
	return endNames[addr], true
}

// result reads how stacks ended.
func (u *unwinder) result() (*Unwound, error) {
	r := &Unwound{Files: u.made, Rows: int(u.usedRows), Over: u.over}
	for i := endWhole; i < len(endNames); i++ {
		var each []uint64
		if err := u.ends.Lookup(uint32(i), &each); err != nil {
			return nil, fmt.Errorf("reading how stacks end: %w", err)
		}
		n := uint64(0)
		for _, c := range each {
			n += c
		}
		switch {
		case n == 0:
		case i == endWhole:
			r.Whole = n
		case i < endCut:
			r.Pointers = append(r.Pointers, Ends{endNames[i], n})
		default:
			r.Cut = append(r.Cut, Ends{endNames[i], n})
		}
	}
	return r, nil
}

// ownStack is the bit in the names of stacks that were unwound by tables.
const ownStack = 1 << 62

// userAddresses reads the user's part of a stack, from the map that it is in.
func userAddresses(maps map[string]*ebpf.Map, id int64) (addrs []uint64, lost bool, err error) {
	if id < ownStack {
		return addresses(maps, int32(id))
	}
	var s progUserStack
	err = maps["user_stacks"].Lookup(uint64(id), &s)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading a stack: %w", err)
	}
	return s.Addrs[:min(s.Len, uint64(len(s.Addrs)))], false, nil
}
