package process

import (
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Defaults of Config.
const (
	DefaultMaxProcesses = 100_000
	DefaultMaxBytes     = 192 << 20
	DefaultGrace        = 30 * time.Second
)

// hardFactor times a limit is where even living processes are dropped.
const hardFactor = 2

// tick is the resolution of process starts in /proc: USER_HZ is 100 on every
// architecture that the agent runs on.
const tick = uint64(10 * time.Millisecond)

// Config says how a Table works. The zero value is usable.
type Config struct {
	// MaxProcesses and MaxBytes (an estimate) bound the table: above them,
	// dead processes are dropped, those without descendants first, oldest
	// first. Living processes are dropped only above twice these limits.
	MaxProcesses int
	MaxBytes     int64
	// Grace is how long a dead process stays for late records, in event
	// time; two seconds at most for those beyond the 4096 that died last.
	// Negative for none.
	Grace time.Duration
	// Users gives names to numeric ids; nil for no names.
	Users *Users
	// Offset is what to add to the boot-time clock to get the wall clock. It
	// is asked about once a second of event time. Nil for an offset read
	// from /proc/uptime, exact to 10 ms.
	Offset func() time.Duration
	// Now reads the boot-time clock, in ns; BeginResync alone asks it. Nil
	// for a reading of /proc/uptime.
	Now func() uint64
}

// Table is the process table. All methods but Stats belong to one goroutine.
type Table struct {
	cfg Config

	// gained is what Gained returns.
	gained *event.CredsInfo

	byPid map[uint32]*entry    // living
	dead  map[event.Key]*entry // dead
	// waiting holds, by the key of a parent that was not found, the list of
	// its children, linked as siblings.
	waiting map[event.Key]*entry

	live, leaf, inner, held list
	bytes                   int64
	now                     uint64 // boot time of the latest record
	// evicted is the latest end of a process that was dropped.
	evicted uint64

	roots *roots // names inside containers; nil for none

	offset     time.Duration // boot-time to wall clock
	offsetBoot uint64        // when it was asked for
	offsetOK   bool

	resync resync

	names    interner
	cgroups  cache[cgroupKey, *event.Cgroup]
	ns       cache[event.Namespaces, *event.Namespaces]
	noImage  event.Image
	counters counters
}

// entry is a process with what only the table needs.
type entry struct {
	event.Process

	parent     *entry // of Process.Parent
	kid        *entry // first child
	prev, next *entry // siblings, or fellows in a waiting list

	before, after *entry // in the list that in names

	cost *imageCost
	own  int64 // estimated bytes without the image

	// imageBoot and commBoot are the times of the records that image and
	// comm come from; lastBoot is that of the latest live record.
	imageBoot, commBoot, lastBoot uint64

	refs int32
	gen  uint32 // of the resync that saw it last
	in   listID

	forked      bool // its fork record was seen
	execed      bool // an exec record was seen
	credKnown   bool // Cred comes from a record or from the creator
	synthesised bool // first met in the middle of its life
	presumed    bool // end not reported but concluded
	waits       bool // in a waiting list
	born        bool // in resync.born
	// unprivileged is true where the process had no way to become root when its
	// program began, and no thread of it can have found one since.
	unprivileged bool
}

// imageCost is the estimated size of an image, shared like it.
type imageCost struct {
	refs, bytes int32
}

// entryBytes estimates an entry and its place in a map.
const entryBytes = int64(unsafe.Sizeof(entry{})) + 48

// NewTable returns an empty table.
func NewTable(cfg Config) *Table {
	if cfg.MaxProcesses <= 0 {
		cfg.MaxProcesses = DefaultMaxProcesses
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	switch {
	case cfg.Grace == 0:
		cfg.Grace = DefaultGrace
	case cfg.Grace < 0:
		cfg.Grace = 0
	}
	if cfg.Now == nil {
		cfg.Now = func() uint64 { return uptime("/proc") }
	}
	if cfg.Offset == nil {
		cfg.Offset = func() time.Duration {
			return time.Duration(time.Now().UnixNano() - int64(uptime("/proc")))
		}
	}
	var inside *roots
	if cfg.Users != nil {
		inside = newRoots("/proc")
	}
	return &Table{
		cfg:     cfg,
		roots:   inside,
		byPid:   make(map[uint32]*entry),
		dead:    make(map[event.Key]*entry),
		waiting: make(map[event.Key]*entry),
		live:    list{id: listLive},
		leaf:    list{id: listLeaf},
		inner:   list{id: listInner},
		held:    list{id: listHeld},
		names:   newInterner(),
		cgroups: newCache[cgroupKey, *event.Cgroup](cgroupEntries),
		ns:      newCache[event.Namespaces, *event.Namespaces](nsEntries),
	}
}

// ByPid returns the living process with the pid, or nil.
func (t *Table) ByPid(pid uint32) *event.Process {
	if e := t.byPid[pid]; e != nil {
		return &e.Process
	}
	return nil
}

// ByKey returns the process, living or dead, or nil.
func (t *Table) ByKey(k event.Key) *event.Process {
	if e := t.find(k); e != nil {
		return &e.Process
	}
	return nil
}

// Range calls fn with every process, living ones first, until it returns
// false. The table must not be changed meanwhile.
func (t *Table) Range(fn func(*event.Process) bool) {
	for _, l := range []*list{&t.live, &t.held, &t.inner, &t.leaf} {
		for e := l.head; e != nil; e = e.after {
			if !fn(&e.Process) {
				return
			}
		}
	}
}

// Len returns the number of living and dead processes.
func (t *Table) Len() (live, dead int) { return t.live.n, len(t.dead) }

// find returns the entry of a key. Where one of the two is exact to a tick
// only, being from /proc, the exact one becomes the entry's key.
func (t *Table) find(k event.Key) *entry {
	e := t.byPid[k.Pid]
	if e != nil && e.Start == k.Start {
		return e
	}
	if len(t.dead) > 0 {
		if d := t.dead[k]; d != nil {
			return d
		}
	}
	if e == nil || e.Start/tick != k.Start/tick {
		return nil
	}
	if e.Start%tick == 0 {
		t.rekey(e, k)
		return e
	}
	if k.Start%tick == 0 {
		return e
	}
	return nil
}

// rekey gives a living process its exact key.
func (t *Table) rekey(e *entry, k event.Key) {
	t.adopt(e, k)
	if e.ExecBoot == e.Start {
		e.ExecBoot = k.Start
	}
	e.Key = k
	e.Time = t.wall(k.Start)
	for c := e.kid; c != nil; c = c.next {
		c.ParentKey = k
	}
	inc(&t.counters.rekeyed)
}

// create adds a process that the table does not hold. It is dead from the
// beginning where a younger process has the pid already.
func (t *Table) create(k event.Key) *entry {
	e := &entry{own: entryBytes}
	e.Key = k
	e.ExecBoot = k.Start
	e.Time = t.wall(k.Start)
	t.bytes += e.own
	other := t.byPid[k.Pid]
	switch {
	case other == nil:
		t.byPid[k.Pid] = e
	case other.Start < k.Start:
		// the record of the elder's end has been lost or is late
		t.presumeDead(other, k.Start)
		t.byPid[k.Pid] = e
		inc(&t.counters.displaced)
	default:
		e.ExitBoot = max(other.Start, 1)
		e.presumed = true
		t.dead[k] = e
	}
	t.place(e)
	t.adopt(e, k)
	return e
}

// markDead moves a living process to the dead.
func (t *Table) markDead(e *entry, boot uint64) {
	e.ExitBoot = max(boot, 1)
	delete(t.byPid, e.Pid)
	t.dead[e.Key] = e
	t.place(e)
}

// presumeDead marks a process whose end was concluded, not reported.
func (t *Table) presumeDead(e *entry, boot uint64) {
	e.presumed = true
	t.markDead(e, boot)
}

// revive undoes presumeDead where a later record proves it wrong.
func (t *Table) revive(e *entry, boot uint64) {
	if !e.presumed || boot <= e.ExitBoot || t.byPid[e.Pid] != nil {
		return
	}
	e.presumed = false
	e.ExitBoot = 0
	delete(t.dead, e.Key)
	t.byPid[e.Pid] = e
	t.place(e)
	inc(&t.counters.revived)
}

// wall turns boot time into wall-clock time.
func (t *Table) wall(boot uint64) time.Time {
	return time.Unix(0, int64(boot)+int64(t.offset)) // wraps only on rubbish
}

// advance moves the table's clock to a record's time, lets go of what is due,
// and makes room for one more process.
func (t *Table) advance(boot uint64) {
	if boot != 0 {
		t.now = boot
	}
	if d := t.now - t.offsetBoot; !t.offsetOK || (d >= uint64(time.Second) && -d >= uint64(time.Second)) {
		t.offset, t.offsetBoot, t.offsetOK = t.cfg.Offset(), t.now, true
		if t.cfg.Users != nil {
			if t.cfg.Users.Refresh() != nil {
				inc(&t.counters.userErrors)
			}
		}
	}
	t.expire()
	t.shrink()
}

// Tick lets go of dead processes whose grace is over at the given boot time.
// The pipeline calls it when no records come.
func (t *Table) Tick(boot uint64) {
	t.advance(boot)
	t.publish()
}
