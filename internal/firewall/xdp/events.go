package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// Events reads scans, and the bans that rules and guards make, also those that were made since
// somebody last read, up to some 900. The log can be open at the same time. There is one
// reader at a time.
type Events struct {
	records
	r    *ringbuf.Reader
	lock *os.File
	// refused watches for packets that were for nobody, where the kernel has it.
	refused link.Link
	scans   bool // are looked for
}

// ErrEventsTaken means that somebody else reads the events.
var ErrEventsTaken = errors.New("another bearcat reads the firewall's events")

// OpenEvents begins to read.
func (f *Firewall) OpenEvents() (*Events, error) {
	e := &Events{records: records{f: f}}
	if f.dir != "" {
		path := filepath.Join(f.dir, "reader") // a directory to lock: nothing else in a BPF file system can be opened
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("opening the firewall's events: %w", err)
		}
		d, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("opening the firewall's events: %w", err)
		}
		if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, errors.Join(ErrEventsTaken, d.Close())
		}
		e.lock = d
	}
	err := e.begin()
	if err == nil {
		e.r, err = ringbuf.NewReader(f.objs.Events)
	}
	if err == nil {
		e.scans = true
		err = e.watchScans()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the firewall's events: %w", err), e.Close())
	}
	return e, nil
}

// Close ends the reading; a Next that waits gives os.ErrClosed.
func (e *Events) Close() error {
	var errs []error
	if e.scans {
		errs = append(errs, e.endScans())
	}
	if e.r != nil {
		errs = append(errs, e.r.Close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}

// Next waits for a ban or a scan until a time, and gives os.ErrDeadlineExceeded then.
func (e *Events) Next(until time.Time) (*Logged, error) {
	e.r.SetDeadline(until)
	rec, err := e.r.Read()
	if err != nil {
		return nil, err
	}
	return e.decode(rec.RawSample)
}

// Replaced says whether another firewall is pinned by now, or none, or one with tables of
// its own.
func (f *Firewall) Replaced() bool {
	for name, was := range map[string]*ebpf.Map{
		"control": f.objs.Control, "events": f.objs.Events, "reasons": f.objs.Reasons, "counters": f.objs.Counters, "names": f.objs.Names,
		"configs": f.objs.Configs, "rules": f.objs.Rules,
	} {
		now, err := ebpf.LoadPinnedMap(filepath.Join(f.dir, name), nil)
		if err != nil || idOf(now) != idOf(was) {
			return true
		}
		if err := now.Close(); err != nil {
			return true
		}
	}
	return false
}

func idOf(m *ebpf.Map) ebpf.MapID {
	info, err := m.Info()
	if err != nil {
		return 0
	}
	id, _ := info.ID()
	return id
}

// FloodRate is how many packets dropped a second make a flood.
const FloodRate = 1000

// floodAgain is how long a flood that goes on is not told again.
const floodAgain = time.Minute

// Flood is very much that was dropped, for the reason of most of it.
type Flood struct {
	Reason string
	Rule   string // where the reason is a rule: the one of most
	Rate   uint64 // packets a second, of all reasons
}

// Floods looks for floods in the counters of drops.
type Floods struct {
	f       *Firewall
	last    time.Time
	reasons map[string]uint64
	rules   map[string]uint64 // nil where the time before was no flood
	told    map[Flood]time.Time
}

// NewFloods begins with the first Look.
func (f *Firewall) NewFloods() *Floods { return &Floods{f: f, told: map[Flood]time.Time{}} }

// Look compares the counters with those of the time before: nil where that is no flood,
// or one that was told a minute ago or less.
func (w *Floods) Look() (*Flood, error) {
	reasons := map[string]uint64{}
	for i := range uint32(firewall.Reasons) {
		c, err := sum(w.f.objs.Reasons, uint32(firewall.Reasons)+i)
		if err != nil {
			return nil, err
		}
		reasons[firewall.Reason(i).String()] = c.Packets
	}
	return w.judge(reasons, time.Now(), w.f.dropsByRule)
}

// judge asks for the rules' counts only while there is a flood: a policy may have
// thousands.
func (w *Floods) judge(reasons map[string]uint64, now time.Time, rules func() (map[string]uint64, error)) (*Flood, error) {
	passed, before := now.Sub(w.last).Seconds(), w.reasons
	w.last, w.reasons = now, reasons
	most, total := rose(reasons, before)
	if before == nil || passed <= 0 || float64(total)/passed < FloodRate {
		w.rules = nil
		return nil, nil
	}
	f := Flood{Reason: most}
	if most == firewall.ByRule.String() {
		was := w.rules
		var err error
		if w.rules, err = rules(); err != nil {
			return nil, err
		}
		if was == nil { // which rule it is shows the next time
			return nil, nil
		}
		f.Rule, _ = rose(w.rules, was)
	}
	if at, ok := w.told[f]; ok && now.Sub(at) < floodAgain {
		return nil, nil
	}
	w.told[f] = now
	f.Rate = uint64(float64(total) / passed)
	return &f, nil
}

// rose gives the counter that rose most, and by how much all did. One that is less than
// before began anew.
func rose(now, before map[string]uint64) (most string, total uint64) {
	best := uint64(0)
	for name, n := range now {
		if was := before[name]; was <= n {
			n -= was
		}
		total += n
		if n > best || n == best && n > 0 && name < most {
			best, most = n, name
		}
	}
	return most, total
}

// dropsByRule counts what rules of the policy in use dropped.
func (f *Firewall) dropsByRule() (map[string]uint64, error) {
	names, err := f.counterNames()
	if err != nil {
		return nil, err
	}
	slot, err := f.Slot()
	if err != nil {
		return nil, err
	}
	var config progFwConfig
	if err := f.objs.Configs.Lookup(slot, &config); err != nil {
		return nil, fmt.Errorf("reading the policy in use: %w", err)
	}
	out := map[string]uint64{}
	for i := range config.Rules {
		var r progFwRule
		if err := f.objs.Rules.Lookup(slot*firewall.MaxRules+i, &r); err != nil {
			return nil, fmt.Errorf("reading the policy in use: %w", err)
		}
		action := firewall.Action(r.Action)
		if r.Monitor != 0 || action != firewall.Drop && action != firewall.Limit {
			continue
		}
		c, err := sum(f.objs.Counters, r.Counter)
		if err != nil {
			return nil, err
		}
		out[names[r.Counter]] = c.Packets
		if action == firewall.Limit {
			out[names[r.Counter]] = c.Over
		}
	}
	return out, nil
}
