package xdp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// The kinds of rows that a Meter gives, in their order.
const (
	KindDevice = "device"
	KindDrop   = "drop"
	KindPass   = "pass"
	KindRule   = "rule"
	KindSource = "source"
)

// Rate is a counter with what came a second since the reading before.
type Rate struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Note is a device's mode, or the list that a source is on and by what.
	Note             string  `json:"note,omitempty"`
	PacketsPerSecond float64 `json:"packets_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
	OverPerSecond    float64 `json:"over_per_second"`
	Packets          uint64  `json:"packets"`
	Bytes            uint64  `json:"bytes"`
	Over             uint64  `json:"over"`
}

// Rates is what a Meter read: Passed and Dropped are packets a second. Of sources only
// those of the block list and the bans are there that sent something.
type Rates struct {
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"`
	Passed  float64   `json:"passed_per_second"`
	Dropped float64   `json:"dropped_per_second"`
	Rows    []Rate    `json:"rows"`
}

// Meter reads the counters again and again.
type Meter struct {
	f      *Firewall
	before []Rate
	last   time.Time
}

// NewMeter reads the counters for the first time.
func (f *Firewall) NewMeter() (*Meter, error) {
	m := &Meter{f: f}
	var err error
	m.before, err = m.read()
	m.last = time.Now()
	return m, err
}

// Next reads the counters and compares them with those of the time before.
func (m *Meter) Next() (*Rates, error) {
	now, err := m.read()
	if err != nil {
		return nil, err
	}
	at := time.Now()
	r := &Rates{Time: at, Seconds: at.Sub(m.last).Seconds()}
	r.Rows = perSecond(now, m.before, r.Seconds)
	m.before, m.last = now, at
	kept := r.Rows[:0]
	for _, x := range r.Rows {
		switch {
		case x.Kind == KindPass:
			r.Passed += x.PacketsPerSecond
		case x.Kind == KindDrop:
			r.Dropped += x.PacketsPerSecond
		case x.Kind == KindSource && x.PacketsPerSecond == 0:
			continue
		}
		kept = append(kept, x)
	}
	r.Rows = kept
	return r, nil
}

// perSecond fills in what was added. A counter that was not there before, or has less than
// before, began anew.
func perSecond(now, before []Rate, seconds float64) []Rate {
	type key struct{ kind, name, note string }
	was := make(map[key]*Rate, len(before))
	for i := range before {
		b := &before[i]
		was[key{b.Kind, b.Name, b.Note}] = b
	}
	out := make([]Rate, len(now))
	for i, r := range now {
		w := was[key{r.Kind, r.Name, r.Note}]
		if w == nil || w.Packets > r.Packets || w.Bytes > r.Bytes || w.Over > r.Over {
			w = &Rate{}
		}
		if seconds > 0 {
			r.PacketsPerSecond = float64(r.Packets-w.Packets) / seconds
			r.BytesPerSecond = float64(r.Bytes-w.Bytes) / seconds
			r.OverPerSecond = float64(r.Over-w.Over) / seconds
		}
		out[i] = r
	}
	return out
}

// read gives all counters, without rates.
func (m *Meter) read() ([]Rate, error) {
	out, err := m.f.deviceCounts()
	if err != nil {
		return nil, err
	}
	s, err := m.f.Stats()
	if err != nil {
		return nil, err
	}
	row := func(kind string, c *Counts) {
		out = append(out, Rate{Kind: kind, Name: c.Name, Packets: c.Packets, Bytes: c.Bytes, Over: c.Over})
	}
	for _, verdict := range []string{KindDrop, KindPass} {
		for i := range s.Reasons {
			if c := &s.Reasons[i]; c.Verdict == verdict {
				row(verdict, c)
			}
		}
	}
	for i := range s.Rules {
		row(KindRule, &s.Rules[i])
	}
	sources, err := m.f.sourceCounts()
	return append(out, sources...), err
}

// deviceCounts gives what the kernel counts of the devices where the firewall is.
func (f *Firewall) deviceCounts() ([]Rate, error) {
	at, err := f.Attached()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return nil, fmt.Errorf("reading the counters of devices: %w", err)
	}
	counts := receivedBy(text)
	out := make([]Rate, 0, len(at))
	for _, a := range at {
		c := counts[a.Device]
		out = append(out, Rate{Kind: KindDevice, Name: a.Device, Note: string(a.Mode), Packets: c.Packets, Bytes: c.Bytes})
	}
	return out, nil
}

// receivedBy reads /proc/net/dev: what each device has received. Lines that are none of
// a device, such as the head, are left out.
func receivedBy(text []byte) map[string]Counts {
	out := map[string]Counts{}
	for line := range bytes.Lines(text) {
		name, rest, ok := strings.Cut(string(line), ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseUint(fields[0], 10, 64)
		packets, err2 := strconv.ParseUint(fields[1], 10, 64)
		if errors.Join(err, err2) == nil {
			out[strings.TrimSpace(name)] = Counts{Packets: packets, Bytes: n}
		}
	}
	return out
}

// sourceCounts gives the entries of the block list and the bans that dropped something.
func (f *Firewall) sourceCounts() ([]Rate, error) {
	names, err := f.counterNames()
	if err != nil {
		return nil, err
	}
	var out []Rate
	add := func(p netip.Prefix, hits uint64, note string) {
		if hits == 0 {
			return
		}
		name := p.Addr().String()
		if !p.IsSingleIP() {
			name = p.String()
		}
		out = append(out, Rate{Kind: KindSource, Name: name, Note: note, Packets: hits})
	}
	err = errors.Join(
		each(f.objs.Block4, func(k [4]byte, b progFwBlock) { add(addr4.prefix(k[:]), b.Hits, "block") }),
		each(f.objs.Block6, func(k [16]byte, b progFwBlock) { add(addr6.prefix(k[:]), b.Hits, "block") }),
		each(f.objs.Blocknet4, func(k key4, b progFwBlock) {
			add(netip.PrefixFrom(netip.AddrFrom4(k.Addr), int(k.Bits)), b.Hits, "block")
		}),
		each(f.objs.Blocknet6, func(k key6, b progFwBlock) {
			add(netip.PrefixFrom(netip.AddrFrom16(k.Addr), int(k.Bits)), b.Hits, "block")
		}),
		each(f.objs.Bans, func(k [16]byte, b progFwBan) {
			note := "ban"
			if b.By != nobody && names[b.By] != "" {
				note += " by " + names[b.By]
			}
			add(banned(k), b.Hits, note)
		}),
	)
	return out, err
}

// each goes through a map, many entries at once where the kernel can: a block list may
// have a million.
func each[K, V any](m *ebpf.Map, f func(K, V)) error {
	const many = 4096
	keys, values := make([]K, many), make([]V, many)
	var cursor ebpf.MapBatchCursor
	for first := true; ; first = false {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if first && errors.Is(err, ebpf.ErrNotSupported) { // prefixes, before 5.13
			break
		}
		for i := range n {
			f(keys[i], values[i])
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) { // that is the end
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a list of sources: %w", err)
		}
	}
	it := m.Iterate()
	for it.Next(&keys[0], &values[0]) {
		f(keys[0], values[0])
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading a list of sources: %w", err)
	}
	return nil
}
