package process

import "github.com/bearcat-hids/bearcat/internal/event"

// resync is the state between BeginResync and EndResync.
type resync struct {
	on    bool
	gen   uint32
	begun uint64
	born  []*entry
}

// BeginResync opens a comparison of the table with the kernel: the caller then
// hands every process there is to Seed and closes with EndResync, or with
// AbortResync where it could not see them all. Live records may be applied in
// between and win over older iterator records. The first filling of the table
// is a resync too.
func (t *Table) BeginResync() {
	t.resync = resync{on: true, gen: t.resync.gen + 1, begun: t.cfg.Now()}
}

// Seed takes an iterator record: a process that is there at rec.Boot, or now
// where that is 0. Without a BeginResync it only adds and completes.
func (t *Table) Seed(rec *event.TaskRecord) {
	if rec.Key.IsZero() {
		inc(&t.counters.ignored)
		return
	}
	boot := rec.Boot
	if boot == 0 {
		boot = max(t.now, t.resync.begun)
	}
	t.advance(t.now) // makes room; the clock is that of live records
	inc(&t.counters.seeded)
	e := t.find(rec.Key)
	if e == nil {
		e = t.create(rec.Key)
		e.Seeded = true
		if t.resync.on {
			e.born = true
			t.resync.born = append(t.resync.born, e)
		}
	}
	e.gen = t.resync.gen
	t.revive(e, boot)
	if e.Alive() {
		t.seedInto(e, rec, boot)
	}
	t.publish()
}

// seedInto completes e, unless a live record of a later time has come before.
func (t *Table) seedInto(e *entry, rec *event.TaskRecord, boot uint64) {
	if e.ParentKey.IsZero() {
		t.link(e, rec.Parent)
	}
	if boot < e.lastBoot {
		if !e.credKnown {
			t.setTask(e, rec) // better old than nothing
		}
		return
	}
	t.setTask(e, rec)
	if img := rec.Image; img != nil && boot >= e.imageBoot {
		known := e.Image
		if known == nil || !seenProgram(known, img) {
			t.program(e, img)
			e.execed = false
			switch {
			case rec.ExecBoot != 0:
				e.ExecBoot = rec.ExecBoot
			case known != nil:
				e.ExecBoot = boot // an exec was missed: now at the latest
			}
		}
		e.imageBoot = boot
	}
	if boot >= e.commBoot {
		t.setComm(e, rec.Comm, boot)
	}
}

// seenProgram reports whether the table knows the program of an iterator
// record already, and then mostly better, from its exec.
func seenProgram(known, img *event.Image) bool {
	if known.Exe.Path != img.Exe.Path {
		return false
	}
	return len(img.Argv) == 0 || known.Cmdline() == img.Cmdline()
}

// EndResync closes the comparison at the boot time now. It returns the
// processes that the table had missed, and those that have ended without a
// record: living ones that neither the iterator nor a live record of a time
// after BeginResync has shown. Of their end only a
// latest time is known; a late exit record still completes it.
func (t *Table) EndResync(now uint64) (born, died []*event.Process) {
	if !t.resync.on {
		return nil, nil
	}
	t.resync.on = false
	for _, e := range t.resync.born {
		if e.born && e.Alive() && t.byPid[e.Pid] == e {
			born = append(born, &e.Process)
		}
		e.born = false
	}
	t.resync.born = nil
	var next *entry
	for e := t.live.head; e != nil; e = next {
		next = e.after
		if e.gen == t.resync.gen || e.lastBoot >= t.resync.begun {
			continue
		}
		t.presumeDead(e, max(now, e.Start))
		died = append(died, &e.Process)
	}
	inc(&t.counters.resyncs)
	t.counters.resyncBorn.Add(uint64(len(born)))
	t.counters.resyncDied.Add(uint64(len(died)))
	t.publish()
	return born, died
}

// AbortResync gives a resync up: what Seed has brought stays, nothing is
// concluded from what it has not.
func (t *Table) AbortResync() {
	for _, e := range t.resync.born {
		e.born = false
	}
	t.resync.on, t.resync.born = false, nil
}
