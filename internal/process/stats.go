package process

import "sync/atomic"

// Stats is a snapshot of what the table holds and has done.
type Stats struct {
	// Live and Dead are the processes held; Bytes estimates their memory.
	Live, Dead int
	Bytes      int64

	// Applied counts the records that became events; Duplicates those that
	// said again what was known; Ignored those of no use (an unknown type,
	// no key, the name of a thread).
	Applied, Duplicates, Ignored uint64
	// Late counts records older than what was known of the process.
	Late uint64
	// Seeded counts iterator records.
	Seeded uint64
	// Synthesised counts processes first met in the middle of their lives;
	// Orphans those whose parent was not known when they came.
	Synthesised, Orphans uint64
	// Displaced counts processes presumed dead because their pid had a new
	// owner; Revived those that then turned out to live.
	Displaced, Revived uint64
	// Rekeyed counts processes from /proc that got their exact start.
	Rekeyed uint64
	// Loops counts links refused because they would have closed a circle.
	Loops uint64
	// UserErrors counts failures to read the names of users and groups again.
	UserErrors uint64
	// Resyncs counts completed ones; ResyncBorn and ResyncDied what they
	// found.
	Resyncs, ResyncBorn, ResyncDied uint64

	// Expired counts dead processes dropped in their time. The others were
	// dropped for want of room: dead without descendants, dead ancestors,
	// retained ones, and living ones (above twice the limits).
	Expired, EvictedLeaves, EvictedAncestors, EvictedHeld, EvictedLiving uint64
}

// Evicted is the sum of what was dropped for want of room.
func (s Stats) Evicted() uint64 {
	return s.EvictedLeaves + s.EvictedAncestors + s.EvictedHeld + s.EvictedLiving
}

// counters are written by the table's goroutine only and read by any.
type counters struct {
	live, dead, bytes atomic.Int64

	applied, duplicates, ignored, late, seeded atomic.Uint64
	synthesised, orphans                       atomic.Uint64
	displaced, revived, rekeyed, loops         atomic.Uint64
	userErrors                                 atomic.Uint64
	resyncs, resyncBorn, resyncDied            atomic.Uint64

	expired                    atomic.Uint64
	evictedLeaf, evictedInner  atomic.Uint64
	evictedHeld, evictedLiving atomic.Uint64
}

func inc(c *atomic.Uint64) { c.Add(1) }

// publish makes the gauges visible to Stats.
func (t *Table) publish() {
	t.counters.live.Store(int64(t.live.n))
	t.counters.dead.Store(int64(len(t.dead)))
	t.counters.bytes.Store(t.bytes)
}

// Stats may be called from any goroutine at any time. The numbers are each
// exact, but not of one instant.
func (t *Table) Stats() Stats {
	c := &t.counters
	return Stats{
		Live:             int(c.live.Load()),
		Dead:             int(c.dead.Load()),
		Bytes:            c.bytes.Load(),
		Applied:          c.applied.Load(),
		Duplicates:       c.duplicates.Load(),
		Ignored:          c.ignored.Load(),
		Late:             c.late.Load(),
		Seeded:           c.seeded.Load(),
		Synthesised:      c.synthesised.Load(),
		Orphans:          c.orphans.Load(),
		Displaced:        c.displaced.Load(),
		Revived:          c.revived.Load(),
		Rekeyed:          c.rekeyed.Load(),
		Loops:            c.loops.Load(),
		UserErrors:       c.userErrors.Load(),
		Resyncs:          c.resyncs.Load(),
		ResyncBorn:       c.resyncBorn.Load(),
		ResyncDied:       c.resyncDied.Load(),
		Expired:          c.expired.Load(),
		EvictedLeaves:    c.evictedLeaf.Load(),
		EvictedAncestors: c.evictedInner.Load(),
		EvictedHeld:      c.evictedHeld.Load(),
		EvictedLiving:    c.evictedLiving.Load(),
	}
}
