package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/cilium/ebpf"
)

// seed fills the table with what already runs. The programs are attached by
// then, so what happens meanwhile waits in the rings.
func (a *Agent) seed() error {
	a.pipe.mu.Lock()
	defer a.pipe.mu.Unlock()
	if err := a.inventory(); err != nil {
		return err
	}
	live, _ := a.pipe.table.Len()
	a.seeded.Store(int64(live))
	if a.pipe.shells != nil {
		a.pipe.seedShells()
	}
	if a.cfg.Scope.Kind == config.ScopePid {
		return a.seedScope()
	}
	return nil
}

// inventory compares the table with the kernel's list of processes.
func (a *Agent) inventory() error {
	t := a.pipe.table
	begun := kernel.BootNow()
	t.BeginResync()
	err := a.sensor.Inventory(func(rec *event.TaskRecord) { a.seedOne(rec) })
	if err == nil {
		a.seedMissing(begun)
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		a.warn("the processes that already run are read from /proc, which knows starts to 10 ms only: %v", err)
		err = a.proc.SeedFromProc(func(rec *event.TaskRecord) error { t.Seed(rec); return nil })
	}
	if err != nil {
		t.AbortResync()
		return fmt.Errorf("taking stock of the processes that run: %w", err)
	}
	t.EndResync(kernel.BootNow())
	return nil
}

// seedMissing adds what /proc shows and the iterator did not: some kernels
// keep processes out of it, such as pid 1 of a sandbox. A process that came
// after begun is left to its own records, which know it exactly.
func (a *Agent) seedMissing(begun uint64) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return // the iterator's word must do
	}
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil || a.pipe.table.ByPid(uint32(pid)) != nil {
			continue
		}
		rec, err := a.proc.ReadProc(uint32(pid))
		if err == nil && rec.Key.Start < begun {
			a.pipe.table.Seed(&rec)
		}
	}
}

// seedOne hands an iterator's record to the table. Arguments and environment
// lie in the process's own memory, where the iterator cannot look: they come
// from /proc, unless the table knows them from the exec.
func (a *Agent) seedOne(rec *event.TaskRecord) {
	t := a.pipe.table
	known := t.ByKey(rec.Key)
	if rec.Image != nil && (known == nil || known.Image == nil || len(known.Image.Argv) == 0) {
		// An error means that the process has gone or runs something else by
		// now; a live record tells of that.
		_ = a.proc.CompleteFromProc(rec)
	}
	t.Seed(rec)
}

// resync is called by the pipeline after a gap.
func (a *Agent) resync() {
	if err := a.inventory(); err != nil {
		a.log.Error("records were lost and the process table could not be compared with the kernel", "error", err)
		return
	}
	if g := a.pipe.shells; g != nil {
		g.Prune(func(k event.Key) bool {
			p := a.pipe.table.ByKey(k)
			return p != nil && p.Alive()
		})
	}
}

// seedScope takes the living descendants of a pid scope's process into the
// scope. A child that one of them makes while this runs is taken in by the
// kernel or found by the second look.
func (a *Agent) seedScope() error {
	for range 2 {
		var failed error
		a.pipe.table.Range(func(p *event.Process) bool {
			if p.Alive() && descends(p, a.cfg.Scope.Pid) {
				failed = errors.Join(failed, a.sensor.ScopeAdd(p.Pid))
			}
			return true
		})
		if failed != nil {
			return failed
		}
		if err := a.inventory(); err != nil {
			return err
		}
	}
	return nil
}

func descends(p *event.Process, pid uint32) bool {
	for ; p != nil; p = p.Parent {
		if p.Pid == pid && p.Alive() {
			return true
		}
	}
	return false
}
