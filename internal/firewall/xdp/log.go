package xdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf/perf"
	"golang.org/x/sys/unix"
)

// Logged is one line of the log: a dropped frame, or a ban that a rule or a guard
// made. Among events are also scans.
type Logged struct {
	Time   time.Time
	Ban    time.Duration // of a ban, else 0
	Source netip.Prefix  // of a ban
	// Strikes is how many bans of the source went before.
	Strikes uint32
	// Of a scan: so many ports and addresses were tried, at least, and its Reason is
	// of the last try.
	Scan             bool
	Ports, Addresses uint32
	Refused          bool   // no socket waited; else it was dropped for the Reason
	Rule             string // that dropped or banned, if one did
	Reason           firewall.Reason
	Device           uint32 // index
	Length           uint32
	Out              bool   // it was to leave
	Frame            []byte // its first 256 bytes
	// Unsaid is how many drops before had no room in the rate.
	Unsaid uint64
}

// Log reads what is dropped while it is open. There is one reader at a time.
type Log struct {
	records
	r    *perf.Reader
	lock *os.File
	// Lost is how many records the reader was too slow for.
	Lost uint64
}

// As in fw.h: the kind of records about scans, and the reason of those that the kernel
// refused.
const (
	logScan = 2
	refused = 255
)

// OpenLog has up to rate drops a second and processor said, and every ban.
func (f *Firewall) OpenLog(rate int) (*Log, error) {
	if rate < 1 || rate > 1e6 {
		return nil, fmt.Errorf("a rate of %d drops a second is not within 1 to 1,000,000", rate)
	}
	l := &Log{records: records{f: f}}
	if f.dir != "" {
		d, err := os.Open(filepath.Join(f.dir, "links"))
		if err != nil {
			return nil, fmt.Errorf("opening the log: %w", err)
		}
		if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, errors.Join(errors.New("someone else reads the log: end that bearcat fw log first"), d.Close())
		}
		l.lock = d
	}
	err := l.begin()
	if err == nil {
		l.r, err = perf.NewReader(f.objs.Drops, 256<<10)
	}
	if err == nil {
		err = f.setLog(uint64(time.Second) / uint64(rate))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the log: %w", err), l.Close())
	}
	return l, nil
}

func (f *Firewall) setLog(ns uint64) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	c, err := f.control()
	if err != nil {
		return err
	}
	c.LogNs = ns
	return f.objs.Control.Put(uint32(0), &c)
}

// Close stops the log.
func (l *Log) Close() error {
	errs := []error{l.f.setLog(0)}
	if l.r != nil {
		errs = append(errs, l.r.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

// Next waits for a record until a time, and gives os.ErrDeadlineExceeded then.
func (l *Log) Next(until time.Time) (*Logged, error) {
	l.r.SetDeadline(until)
	for {
		rec, err := l.r.Read()
		if err != nil {
			return nil, err
		}
		l.Lost += rec.LostSamples
		if rec.LostSamples > 0 {
			continue
		}
		return l.decode(rec.RawSample)
	}
}

// records decodes what the programs say.
type records struct {
	f     *Firewall
	names map[uint32]string
	start time.Time // the boot clock's zero
}

// begin looks when the boot clock was at zero.
func (l *records) begin() error {
	now, err := bootNow()
	l.start = time.Now().Add(-now)
	return err
}

func (l *records) decode(b []byte) (*Logged, error) {
	var k progFwLog
	size := binary.Size(&k)
	if len(b) < size {
		return nil, fmt.Errorf("a record of the log has %d bytes, less than %d: the program is another version's", len(b), size)
	}
	if err := binary.Read(bytes.NewReader(b), binary.NativeEndian, &k); err != nil {
		return nil, fmt.Errorf("reading a record of the log: %w", err)
	}
	out := &Logged{
		Time: l.start.Add(time.Duration(k.Time)), Ban: time.Duration(k.BanNs), Strikes: k.Strikes, Reason: firewall.Reason(k.Reason),
		Device: k.Device, Out: k.Out != 0, Length: k.Length, Unsaid: k.Unsaid, Frame: b[size:min(len(b), size+int(k.Captured))],
	}
	if out.Scan = k.Kind == logScan; out.Scan {
		out.Ports, out.Addresses, out.Refused = k.Strikes, k.Length, k.Reason == refused
		out.Strikes, out.Length = 0, 0
	}
	if k.BanNs > 0 || out.Scan {
		out.Source = banned(k.Addr)
	}
	if k.Counter == nobody {
		return out, nil
	}
	if l.names[k.Counter] == "" { // a policy applied since
		names, err := l.f.counterNames()
		if err != nil {
			return nil, err
		}
		l.names = names
	}
	out.Rule = l.names[k.Counter]
	return out, nil
}
