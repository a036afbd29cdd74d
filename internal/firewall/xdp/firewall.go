package xdp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/compile"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// DefaultDir is where the firewall is pinned.
const DefaultDir = "/sys/fs/bpf/bearcat/fw"

// Firewall is the loaded program with its maps. It is not safe for concurrent use.
type Firewall struct {
	dir   string // empty: not pinned
	objs  progObjects
	spec  *ebpf.CollectionSpec
	marks *ebpf.Memory // of the map of that name, mapped when it is first written
	// guard is the watcher of connections where it is not pinned.
	guard link.Link
	build string // that loaded it, where it says so
	held  bool   // the lock is, by whoever installs this one
}

// ErrNotThere means that no firewall is pinned.
var ErrNotThere = errors.New("no firewall is loaded: bearcat fw attach DEV loads it")

// Load loads the program, with the empty policy, for this process alone.
func Load() (*Firewall, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the firewall's program: %w", err)
	}
	f := &Firewall{spec: spec}
	if err := f.load(ebpf.CollectionOptions{}); err != nil {
		return nil, err
	}
	if err := f.objs.Control.Put(uint32(0), &progFwControl{Seed: rand.Uint64()}); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the control map: %w", err), f.Close())
	}
	if err := f.Apply(firewall.Empty()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// load tries for frames in several buffers first, which kernels before 5.18 lack.
func (f *Firewall) load(opts ebpf.CollectionOptions) error {
	// before 5.11 tables count against it
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("lifting the limit on locked memory: %w", err)
	}
	entry := f.spec.Programs["fw_entry"]
	match := f.spec.Programs["fw_match"]
	entry.Flags |= unix.BPF_F_XDP_HAS_FRAGS
	match.Flags |= unix.BPF_F_XDP_HAS_FRAGS
	coarse := uint8(0)
	if features.HaveProgramHelper(ebpf.XDP, asm.FnKtimeGetCoarseNs) == nil { // since 5.11
		coarse = 1
	}
	if err := errors.Join(f.spec.Variables["has_frags"].Set(uint8(1)), f.spec.Variables["has_coarse"].Set(coarse)); err != nil {
		return fmt.Errorf("preparing the firewall's program: %w", err)
	}
	if err := f.spec.LoadAndAssign(&f.objs, &opts); err == nil {
		return nil
	}
	entry.Flags &^= unix.BPF_F_XDP_HAS_FRAGS
	match.Flags &^= unix.BPF_F_XDP_HAS_FRAGS
	if err := f.spec.Variables["has_frags"].Set(uint8(0)); err != nil {
		return fmt.Errorf("preparing the firewall's program: %w", err)
	}
	if err := f.spec.LoadAndAssign(&f.objs, &opts); err != nil {
		return fmt.Errorf("loading the firewall: %w", err)
	}
	return nil
}

// Loaded says whether a firewall is pinned in dir.
func Loaded(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "entry"))
	return err == nil
}

// Open opens the firewall that is pinned in dir.
func Open(dir string) (*Firewall, error) {
	if _, err := os.Stat(filepath.Join(dir, "entry")); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, ErrNotThere
		}
		return nil, fmt.Errorf("looking for the firewall: %w", err)
	}
	// before 5.11 a policy's tables count against it
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lifting the limit on locked memory: %w", err)
	}
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the firewall's program: %w", err)
	}
	f := &Firewall{dir: dir, spec: spec}
	unlock, err := f.lockAs(unix.LOCK_SH) // pins are of one build while nobody installs another
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := f.openTables(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if f.objs.FwEntry, err = ebpf.LoadPinnedProgram(filepath.Join(dir, "entry"), nil); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the firewall's program: %w", err), f.Close())
	}
	return f, nil
}

// openTables opens the pinned tables, which must have the form that this build knows.
func (f *Firewall) openTables() error {
	before, err := readStamp(f.dir)
	if err != nil {
		return err
	}
	now, err := stampOf(f.spec, "")
	if err != nil {
		return err
	}
	f.build = before[buildKey]
	fields := f.fields()
	for name, spec := range pinnedTables(f.spec) {
		m, err := ebpf.LoadPinnedMap(filepath.Join(f.dir, name), nil)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("opening the firewall's map %s: %w", name, err)
		}
		if err == nil {
			*fields[name] = m
		}
		if err != nil || !sameLayout(before, now, name) || spec.Compatible(m) != nil {
			return &OtherBuildError{Build: f.build, Table: name}
		}
	}
	return nil
}

// fields gives where the tables stand, by name.
func (f *Firewall) fields() map[string]**ebpf.Map {
	out := map[string]**ebpf.Map{}
	all := reflect.ValueOf(&f.objs.progMaps).Elem()
	for i := range all.NumField() {
		if m, ok := all.Field(i).Addr().Interface().(**ebpf.Map); ok {
			out[all.Type().Field(i).Tag.Get("ebpf")] = m
		}
	}
	return out
}

// tables gives those tables that are pinned, by name.
func (f *Firewall) tables() map[string]*ebpf.Map {
	out, fields := map[string]*ebpf.Map{}, f.fields()
	for name := range pinnedTables(f.spec) {
		out[name] = *fields[name]
	}
	return out
}

// Program is what judges frames, for benchmarks that run it on frames of their own.
func (f *Firewall) Program() *ebpf.Program { return f.objs.FwEntry }

// Close lets go of the firewall. What is pinned stays.
func (f *Firewall) Close() error {
	if f.guard != nil {
		return errors.Join(f.guard.Close(), f.objs.Close())
	}
	return f.objs.Close()
}

func (f *Firewall) control() (progFwControl, error) {
	var c progFwControl
	if err := f.objs.Control.Lookup(uint32(0), &c); err != nil {
		return c, fmt.Errorf("reading the control map: %w", err)
	}
	return c, nil
}

// Apply puts a policy into the slot that is not in use and then switches to it with
// one store: each frame meets either the policy before or this one, whole.
func (f *Firewall) Apply(p *firewall.Policy) error {
	t, err := compile.Compile(p)
	if err != nil {
		return fmt.Errorf("compiling the policy: %w", err)
	}
	if err := f.flagBans(p); err != nil {
		return err
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	now, err := f.Slot()
	if err != nil {
		return err
	}
	slot := 1 - now&1
	ids, err := f.counterIDs(wantedCounters(p))
	if err != nil {
		return err
	}
	if err := f.fill(slot, p, t, ids); err != nil {
		return fmt.Errorf("writing the policy's tables (the policy before goes on): %w", err)
	}
	return f.Switch(slot)
}

// Slot gives the slot in use; the other holds the policy before.
func (f *Firewall) Slot() (uint32, error) {
	var slot uint32
	if err := f.objs.Active.Lookup(uint32(0), &slot); err != nil {
		return 0, fmt.Errorf("reading which policy is in use: %w", err)
	}
	return slot, nil
}

// Switch makes a slot the one in use and returns when no frame sees the other any
// more.
func (f *Firewall) Switch(slot uint32) error {
	if err := f.objs.Active.Put(uint32(0), slot); err != nil {
		return fmt.Errorf("switching the policy: %w", err)
	}
	// The kernel ends an update of an outer map when no program runs that began
	// before it, so putting in what is there already waits for them.
	if err := f.wait(); err != nil {
		return err
	}
	return f.setGuard(slot)
}

// lock keeps other processes from changing the firewall until it is undone.
func (f *Firewall) lock() (func(), error) { return f.lockAs(unix.LOCK_EX) }

func (f *Firewall) lockAs(how int) (func(), error) {
	if f.dir == "" || f.held {
		return func() {}, nil
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, fmt.Errorf("locking the firewall: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("locking the firewall: %w", err), d.Close())
	}
	return func() { _ = d.Close() }, nil
}

// bootNow is the clock that entries expire by.
func bootNow() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("reading the boot clock: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
