package xdp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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
}

// ErrNotThere means that no firewall is pinned.
var ErrNotThere = errors.New("no firewall is loaded: bearcat fw attach DEV loads it")

// Load loads the program, with the empty policy. It is pinned in dir, with what was
// pinned there before; with an empty dir it goes with the process.
func Load(dir string) (*Firewall, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lifting the limit on locked memory: %w", err)
	}
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the firewall's program: %w", err)
	}
	f := &Firewall{dir: dir, spec: spec}
	var opts ebpf.CollectionOptions
	fresh := true
	if dir != "" {
		if err := os.MkdirAll(filepath.Join(dir, "links"), 0o700); err != nil {
			return nil, fmt.Errorf("making %s: %w: mount -t bpf bpf /sys/fs/bpf, if that is missing", dir, err)
		}
		opts.Maps.PinPath = dir
		for _, m := range spec.Maps {
			if !strings.HasPrefix(m.Name, ".") && m.Name != "again" {
				m.Pinning = ebpf.PinByName
			}
		}
		_, err := os.Stat(filepath.Join(dir, "control"))
		fresh = err != nil
	}
	if err := f.load(opts); err != nil {
		return nil, err
	}
	if fresh {
		c := progFwControl{Seed: rand.Uint64()}
		if err := f.objs.Control.Put(uint32(0), &c); err != nil {
			return nil, errors.Join(fmt.Errorf("writing the control map: %w", err), f.Close())
		}
		if err := f.Apply(firewall.Empty()); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if dir != "" {
		if err := f.replace(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if err := f.replaceEgress(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if err := f.replaceGuard(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// load tries for frames in several buffers first, which kernels before 5.18 lack.
func (f *Firewall) load(opts ebpf.CollectionOptions) error {
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
		if errors.Is(err, ebpf.ErrMapIncompatible) {
			return fmt.Errorf("loading the firewall: %w: another version's maps are pinned in %s: bearcat fw panic removes them", err, f.dir)
		}
		return fmt.Errorf("loading the firewall: %w", err)
	}
	return nil
}

// replace puts this program where the one before was, on every device, and then
// lets that one go. The map through which a program calls itself is pinned as long
// as the program is attached: the kernel empties it otherwise.
func (f *Firewall) replace() error {
	return swapPins(f.dir, f.objs.FwEntry, f.objs.Again, func() error {
		attached, err := f.Attached()
		if err != nil {
			return err
		}
		for _, a := range attached {
			if err := f.update(a.Device); err != nil {
				return err
			}
		}
		return nil
	})
}

// swapPins pins a program and the map through which it calls itself where those before are
// pinned, and calls use in between: when both are there.
func swapPins(dir string, entry *ebpf.Program, again *ebpf.Map, use func() error) error {
	fresh := map[string]func(string) error{"entry": entry.Pin, "again": again.Pin}
	for name, pin := range fresh {
		path := filepath.Join(dir, name+"-new")
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing %s, left by an attempt before: %w", path, err)
		}
		if err := pin(path); err != nil {
			return fmt.Errorf("pinning to %s: %w", path, err)
		}
	}
	if err := use(); err != nil {
		return err
	}
	for name := range fresh {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the pin of the program before: %w", err)
		}
		if err := os.Rename(path+"-new", path); err != nil {
			return fmt.Errorf("pinning the program: %w", err)
		}
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
	f := &Firewall{dir: dir}
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the firewall's program: %w", err)
	}
	f.spec = spec
	for name, to := range f.maps() {
		if *to, err = ebpf.LoadPinnedMap(filepath.Join(dir, name), nil); err != nil {
			return nil, errors.Join(fmt.Errorf("opening the firewall's map %s: %w", name, err), f.Close())
		}
	}
	if f.objs.FwEntry, err = ebpf.LoadPinnedProgram(filepath.Join(dir, "entry"), nil); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the firewall's program: %w", err), f.Close())
	}
	return f, nil
}

// maps are those that commands and other programs use too, by their names.
func (f *Firewall) maps() map[string]**ebpf.Map {
	m := &f.objs
	return map[string]**ebpf.Map{
		"rows": &m.Rows, "rules": &m.Rules, "payloads": &m.Payloads, "tries": &m.Tries, "flats": &m.Flats, "heads": &m.Heads, "source6": &m.Source6, "target6": &m.Target6,
		"configs": &m.Configs, "control": &m.Control, "active": &m.Active, "block4": &m.Block4, "block6": &m.Block6, "blocknet4": &m.Blocknet4,
		"blocknet6": &m.Blocknet6, "allow4": &m.Allow4, "allow6": &m.Allow6, "bans": &m.Bans, "buckets": &m.Buckets,
		"reasons": &m.Reasons, "counters": &m.Counters, "names": &m.Names, "guards": &m.Guards, "drops": &m.Drops, "near4": &m.Near4, "marks": &m.Marks, "log_paid": &m.LogPaid,
		"events": &m.Events,
	}
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
func (f *Firewall) lock() (func(), error) {
	if f.dir == "" {
		return func() {}, nil
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, fmt.Errorf("locking the firewall: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
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
