package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// As in fw.h: which kinds of entries there are.
const (
	flagAddr4 = 1 << iota
	flagNet4
	flagAddr6
	flagNet6
	flagAllow4
	flagAllow6
	flagBan
	flagBanNet
)

// forget is how long after its end a ban is remembered, so that the next is longer.
const forget = 24 * time.Hour

// Entry is a source on a list.
type Entry struct {
	Prefix netip.Prefix  `json:"prefix"`
	Left   time.Duration `json:"left_ns,omitempty"` // 0: for ever
	Hits   uint64        `json:"hits"`
	// Of bans: the rule or guard that made it, empty for a command; and how many
	// bans of the source went before.
	By      string `json:"by,omitempty"`
	Strikes uint32 `json:"strikes,omitempty"`
}

// flag tells the program to look at a list.
func (f *Firewall) flag(bit uint64) error {
	c, err := f.control()
	if err != nil || c.Blocks&bit != 0 {
		return err
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if c, err = f.control(); err != nil {
		return err
	}
	c.Blocks |= bit
	if err := f.objs.Control.Put(uint32(0), &c); err != nil {
		return fmt.Errorf("writing the control map: %w", err)
	}
	return nil
}

// place says in which map a prefix stands, and under which key.
func (f *Firewall) place(p netip.Prefix, allow bool) (*ebpf.Map, any, uint64) {
	m := &f.objs
	k4, k6 := key4{Bits: uint32(p.Bits())}, key6{Bits: uint32(p.Bits())}
	if p.Addr().Is4() {
		k4.Addr = p.Addr().As4()
		switch {
		case allow:
			return m.Allow4, &k4, flagAllow4
		case p.IsSingleIP():
			return m.Block4, &k4.Addr, flagAddr4
		}
		return m.Blocknet4, &k4, flagNet4
	}
	k6.Addr = p.Addr().As16()
	switch {
	case allow:
		return m.Allow6, &k6, flagAllow6
	case p.IsSingleIP():
		return m.Block6, &k6.Addr, flagAddr6
	}
	return m.Blocknet6, &k6, flagNet6
}

func (f *Firewall) put(m *ebpf.Map, key any, flag uint64, p netip.Prefix, d time.Duration) error {
	until := uint64(0)
	if d > 0 {
		now, err := bootNow()
		if err != nil {
			return err
		}
		until = uint64(now + d)
	}
	var b any = &progFwBlock{Until: until}
	if m == f.objs.Bans {
		b = &progFwBan{Until: until, By: nobody}
	}
	if err := m.Put(key, b); err != nil {
		if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("the list is full, %s was not added: remove entries, or use prefixes", p)
		}
		return fmt.Errorf("adding %s: %w", p, err)
	}
	return f.flag(flag)
}

// Block drops what comes from p, for ever or for d. Only single addresses can
// expire: an expired prefix would hide a wider one.
func (f *Firewall) Block(p netip.Prefix, d time.Duration) error {
	if d > 0 && !p.IsSingleIP() {
		return fmt.Errorf("%s is not a single address: only those can be blocked for a time", p)
	}
	if err := f.setNear([]netip.Prefix{p}); err != nil {
		return err
	}
	m, key, flag := f.place(p, false)
	return f.put(m, key, flag, p, d)
}

// Allow makes that nothing well formed from p is dropped.
func (f *Firewall) Allow(p netip.Prefix) error {
	m, key, flag := f.place(p, true)
	return f.put(m, key, flag, p, 0)
}

// Unblock takes p from the block list, Unallow from the allow list; false means
// that it was not there.
func (f *Firewall) Unblock(p netip.Prefix) (bool, error) {
	m, key, _ := f.place(p, false)
	return remove(m, key, p)
}

// Unallow takes p from the allow list; false means that it was not there.
func (f *Firewall) Unallow(p netip.Prefix) (bool, error) {
	m, key, _ := f.place(p, true)
	return remove(m, key, p)
}

func remove(m *ebpf.Map, key any, p netip.Prefix) (bool, error) {
	switch err := m.Delete(key); {
	case err == nil:
		return true, nil
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("removing %s: %w", p, err)
	}
}

// banKey gives the key of a ban: of an address, or of 64 bits of IPv6, which stand with
// the rest of the address empty.
func banKey(p netip.Prefix) (*progAddr6, error) {
	if !p.IsSingleIP() && (p.Addr().Is4() || p.Bits() != 64) {
		return nil, fmt.Errorf("%s is neither an address nor a /64 of IPv6: bearcat fw add blocks prefixes", p)
	}
	return &progAddr6{Addr: p.Masked().Addr().As16()}, nil
}

// Ban drops what comes from an address or a /64 of IPv6 for d, which is at most
// firewall.MaxBan.
func (f *Firewall) Ban(p netip.Prefix, d time.Duration) error {
	if d <= 0 || d > firewall.MaxBan {
		return fmt.Errorf("a ban lasts up to %s, not %s", firewall.MaxBan, d)
	}
	key, err := banKey(p)
	if err != nil {
		return err
	}
	flag := uint64(flagBan)
	if !p.IsSingleIP() {
		flag |= flagBanNet
	}
	if err := f.put(f.objs.Bans, key, flag, p, d); err != nil {
		return err
	}
	return f.mark(key)
}

// Banned gives the ban that holds for a source, by itself or by its 64 bits of IPv6; nil
// where there is none.
func (f *Firewall) Banned(p netip.Prefix) (*Entry, error) {
	now, err := bootNow()
	if err != nil {
		return nil, err
	}
	tries := []netip.Prefix{p}
	if p.Addr().Is6() && p.Bits() > 64 {
		tries = append(tries, netip.PrefixFrom(p.Addr(), 64).Masked())
	}
	for _, p := range tries {
		key, err := banKey(p)
		if err != nil {
			return nil, err
		}
		var b progFwBan
		switch err := f.objs.Bans.Lookup(key, &b); {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			continue
		case err != nil:
			return nil, fmt.Errorf("looking for a ban of %s: %w", p, err)
		}
		if left := time.Duration(b.Until) - now; left > 0 {
			return &Entry{Prefix: p, Left: left, Hits: b.Hits, Strikes: b.Strikes}, nil
		}
	}
	return nil, nil
}

// Unban ends a ban; false means that there was none.
func (f *Firewall) Unban(p netip.Prefix) (bool, error) {
	key, err := banKey(p)
	if err != nil {
		return false, err
	}
	return remove(f.objs.Bans, key, p)
}

// Blocked, Allowed and Bans give the lists in the order of addresses, and take out
// what has expired.
func (f *Firewall) Blocked() ([]Entry, error) {
	m := &f.objs
	return entries(map[*ebpf.Map]keyKind{m.Block4: addr4, m.Blocknet4: net4, m.Block6: addr6, m.Blocknet6: net6})
}

// Allowed gives the allow list.
func (f *Firewall) Allowed() ([]Entry, error) {
	return entries(map[*ebpf.Map]keyKind{f.objs.Allow4: net4, f.objs.Allow6: net6})
}

// Bans gives the bans that hold, and takes out what nothing needs any more.
func (f *Firewall) Bans() ([]Entry, error) {
	now, err := bootNow()
	if err != nil {
		return nil, err
	}
	names, err := f.counterNames()
	if err != nil {
		return nil, err
	}
	var out []Entry
	var key progAddr6
	var b progFwBan
	var old []progAddr6
	it := f.objs.Bans.Iterate()
	for it.Next(&key, &b) {
		e := Entry{Prefix: banned(key.Addr), Hits: b.Hits, Strikes: b.Strikes, Left: time.Duration(b.Until) - now}
		if b.By != nobody {
			e.By = names[b.By]
		}
		switch {
		case e.Left > 0:
			out = append(out, e)
		case e.Left < -forget:
			old = append(old, key)
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("reading the bans: %w", err)
	}
	for i := range old {
		if err := f.objs.Bans.Delete(&old[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, fmt.Errorf("removing what has expired: %w", err)
		}
	}
	if err := f.sweep(len(out)); err != nil {
		return nil, err
	}
	sortEntries(out)
	return out, nil
}

// banned gives what a key of the map of bans stands for.
func banned(key [16]byte) netip.Prefix {
	p := addr6.prefix(key[:])
	if p.Addr().Is6() && [8]byte(key[8:]) == [8]byte{} {
		return netip.PrefixFrom(p.Addr(), 64)
	}
	return p
}

type keyKind int

const (
	addr4 keyKind = iota
	net4
	addr6
	net6
)

func (k keyKind) prefix(b []byte) netip.Prefix {
	bits := -1
	if k == net4 || k == net6 {
		bits = int(b[0]) // up to 128, little-endian
		b = b[4:]
	}
	a, _ := netip.AddrFromSlice(b)
	if k == addr6 {
		a = a.Unmap() // bans of IPv4 sources
	}
	if bits < 0 {
		bits = a.BitLen()
	}
	return netip.PrefixFrom(a, bits)
}

func entries(maps map[*ebpf.Map]keyKind) ([]Entry, error) {
	now, err := bootNow()
	if err != nil {
		return nil, err
	}
	var out []Entry
	for m, kind := range maps {
		var key []byte
		var b progFwBlock
		var old [][]byte
		it := m.Iterate()
		for it.Next(&key, &b) {
			e := Entry{Prefix: kind.prefix(key), Hits: b.Hits}
			if b.Until != 0 {
				if e.Left = time.Duration(b.Until) - now; e.Left <= 0 {
					old = append(old, slices.Clone(key))
					continue
				}
			}
			out = append(out, e)
		}
		if err := it.Err(); err != nil {
			return nil, fmt.Errorf("reading a list: %w", err)
		}
		for _, key := range old {
			if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return nil, fmt.Errorf("removing what has expired: %w", err)
			}
		}
	}
	sortEntries(out)
	return out, nil
}

func sortEntries(out []Entry) {
	slices.SortFunc(out, func(a, b Entry) int {
		if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
			return c
		}
		return a.Prefix.Bits() - b.Prefix.Bits()
	})
}

// Flush empties the block list and the bans, and gives how many entries went.
func (f *Firewall) Flush() (int, error) {
	n := 0
	blocked, err := f.Blocked()
	if err != nil {
		return 0, err
	}
	for _, e := range blocked {
		if _, err := f.Unblock(e.Prefix); err != nil {
			return n, err
		}
		n++
	}
	bans, err := f.Bans()
	if err != nil {
		return n, err
	}
	for _, e := range bans {
		if _, err := f.Unban(e.Prefix); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
