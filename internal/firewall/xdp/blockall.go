package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// setNear marks the 24 bits of IPv4 in which prefixes lie. Marks stay when entries go:
// a mark without an entry costs a packet a look-up and nothing else.
func (f *Firewall) setNear(prefixes []netip.Prefix) error {
	words := map[uint32]uint64{}
	for _, p := range prefixes {
		if !p.Addr().Is4() {
			continue
		}
		a := p.Masked().Addr().As4()
		first := binary.BigEndian.Uint32(a[:]) >> 8
		for n := range uint32(1) << max(0, 24-p.Bits()) {
			words[(first+n)>>6] |= 1 << ((first + n) & 63)
		}
	}
	if len(words) == 0 {
		return nil
	}
	unlock, err := f.lock() // a word is read, changed and written
	if err != nil {
		return err
	}
	defer unlock()
	if len(words) > manyWords {
		return f.setNearAll(words)
	}
	for key, bits := range words {
		var now uint64
		if err := f.objs.Near4.Lookup(key, &now); err != nil {
			return fmt.Errorf("reading what is near the block list: %w", err)
		}
		if now|bits == now {
			continue
		}
		if err := f.objs.Near4.Put(key, now|bits); err != nil {
			return fmt.Errorf("writing what is near the block list: %w", err)
		}
	}
	return nil
}

const (
	nearWords = 262144 // 64 nets in each
	// manyWords are faster written with all the others than by themselves.
	manyWords = 2048
)

func (f *Firewall) setNearAll(words map[uint32]uint64) error {
	keys, values := make([]uint32, nearWords), make([]uint64, nearWords)
	var cursor ebpf.MapBatchCursor
	n, err := f.objs.Near4.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // that is the end
		return fmt.Errorf("reading what is near the block list: %w", err)
	}
	for i, key := range keys[:n] {
		values[i] |= words[key]
		delete(words, key)
	}
	if len(words) > 0 {
		return fmt.Errorf("reading what is near the block list: %d of %d parts came", n, nearWords)
	}
	if _, err := f.objs.Near4.BatchUpdate(keys[:n], values[:n], nil); err != nil {
		return fmt.Errorf("writing what is near the block list: %w", err)
	}
	return nil
}

// batch is how many entries go to the kernel at a time.
const batch = 10_000

// BlockAll drops what comes from any of these, for ever. It gives how many of the
// first ones were added, all of them but for an error.
func (f *Firewall) BlockAll(prefixes []netip.Prefix) (int, error) {
	if err := f.setNear(prefixes); err != nil {
		return 0, err
	}
	for done := 0; done < len(prefixes); done += batch {
		if err := f.blockSome(prefixes[done:min(len(prefixes), done+batch)]); err != nil {
			return done, err
		}
	}
	return len(prefixes), nil
}

func (f *Firewall) blockSome(prefixes []netip.Prefix) error {
	var v4 [][4]byte
	var v6 []progAddr6
	for _, p := range prefixes {
		switch {
		case !p.IsSingleIP():
			m, key, flag := f.place(p, false)
			if err := f.put(m, key, flag, p, 0); err != nil {
				return err
			}
		case p.Addr().Is4():
			v4 = append(v4, p.Addr().As4())
		default:
			v6 = append(v6, progAddr6{Addr: p.Addr().As16()})
		}
	}
	return errors.Join(putAll(f, f.objs.Block4, flagAddr4, v4), putAll(f, f.objs.Block6, flagAddr6, v6))
}

func putAll[K any](f *Firewall, m *ebpf.Map, flag uint64, keys []K) error {
	if len(keys) == 0 {
		return nil
	}
	if _, err := m.BatchUpdate(keys, make([]progFwBlock, len(keys)), nil); err != nil {
		if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) {
			return errors.New("the list is full: remove entries, or use prefixes")
		}
		return fmt.Errorf("adding %d addresses: %w", len(keys), err)
	}
	return f.flag(flag)
}
