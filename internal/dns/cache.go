package dns

import (
	"net/netip"
	"time"
)

// How long a name is kept for an address: its TTL, within these bounds, and a
// while longer, since programs keep addresses longer than they should.
const (
	minLife = time.Minute
	maxLife = time.Hour
	grace   = 5 * time.Minute
)

// Cache knows which name led to an address. It holds a number of addresses and
// forgets the oldest first.
type Cache struct {
	max     int
	byAddr  map[netip.Addr]name
	order   []netip.Addr // as they came; those learned again stand twice
	evicted uint64
}

type name struct {
	text  string
	until time.Time
	gen   int // how often the address stands in order
}

// NewCache makes a cache for up to max addresses.
func NewCache(max int) *Cache {
	return &Cache{max: max, byAddr: make(map[netip.Addr]name)}
}

// Put notes that an answer gave an address for a name.
func (c *Cache) Put(addr netip.Addr, text string, ttl time.Duration, now time.Time) {
	addr = addr.Unmap()
	old := c.byAddr[addr]
	c.byAddr[addr] = name{text, now.Add(min(max(ttl, minLife), maxLife) + grace), old.gen + 1}
	c.order = append(c.order, addr)
	for len(c.byAddr) > c.max || len(c.order) > 4*c.max {
		first := c.order[0]
		c.order = c.order[1:]
		n := c.byAddr[first]
		if n.gen--; n.gen > 0 {
			c.byAddr[first] = n
			continue
		}
		delete(c.byAddr, first)
		c.evicted++
	}
}

// Name returns the name that led to an address.
func (c *Cache) Name(addr netip.Addr, now time.Time) (string, bool) {
	n, ok := c.byAddr[addr.Unmap()]
	if !ok || now.After(n.until) {
		return "", false
	}
	return n.text, true
}

// Len is how many addresses are known, Evicted how many were forgotten for want
// of room.
func (c *Cache) Len() int        { return len(c.byAddr) }
func (c *Cache) Evicted() uint64 { return c.evicted }

// Key is what a query and its answer have in common.
type Key struct {
	Pid           uint32
	ID, LocalPort uint16
	Name          string
	Type          uint16
}

// Pending remembers when queries were sent, up to a number of them.
type Pending struct {
	max     int
	sent    map[Key]uint64
	order   []Key
	expired uint64
}

// NewPending makes one for up to max queries.
func NewPending(max int) *Pending {
	return &Pending{max: max, sent: make(map[Key]uint64)}
}

// Query notes that a query was sent at a time in nanoseconds.
func (p *Pending) Query(k Key, at uint64) {
	p.sent[k] = at
	p.order = append(p.order, k)
	for len(p.order) > p.max {
		first := p.order[0]
		p.order = p.order[1:]
		if _, ok := p.sent[first]; ok {
			delete(p.sent, first)
			p.expired++
		}
	}
}

// Answer returns the time from the query to its answer; false where the query
// is not known.
func (p *Pending) Answer(k Key, at uint64) (time.Duration, bool) {
	sent, ok := p.sent[k]
	if !ok || at < sent {
		return 0, false
	}
	delete(p.sent, k)
	return time.Duration(at - sent), true
}

// Expired counts queries that were forgotten before an answer came.
func (p *Pending) Expired() uint64 { return p.expired }
