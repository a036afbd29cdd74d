package top

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// BPFCost is what one BPF program of the host did and took in an interval.
type BPFCost struct {
	ID   uint32 `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
	Runs uint64 `json:"runs"`
	Time uint64 `json:"ns"`
	// Share is the part of one processor, in percent.
	Share float64 `json:"cpu_percent"`
	// Missed are calls that the kernel skipped, as the program was running already.
	Missed uint64 `json:"missed"`
	// Holder is a process that keeps it, or where it is pinned or attached.
	Holder string `json:"holder,omitempty"`

	took float64
}

var bpfTable = table[BPFCost]{id: func(r *BPFCost) uint64 { return uint64(r.ID) }, length: func(r *BPFCost, s float64) { r.took = s }, columns: []column[BPFCost]{
	{"ID", func(r *BPFCost) string { return strconv.FormatUint(uint64(r.ID), 10) }, nil},
	{"NAME", func(r *BPFCost) string { return orDash(r.Name) }, nil},
	{"TYPE", func(r *BPFCost) string { return r.Type }, nil},
	{"CPU%", func(r *BPFCost) string { return fmt.Sprintf("%.2f", r.Share) }, func(r *BPFCost) float64 { return r.Share }},
	{"RUNS/s", func(r *BPFCost) string { return Rate(float64(r.Runs) / max(r.took, 0.001)) }, func(r *BPFCost) float64 { return float64(r.Runs) }},
	timeOf("EACH", func(r *BPFCost) uint64 { return r.Time / max(r.Runs, 1) }),
	timeOf("TIME", func(r *BPFCost) uint64 { return r.Time }),
	count("MISSED", func(r *BPFCost) uint64 { return r.Missed }),
	{"HOLDER", func(r *BPFCost) string { return orDash(r.Holder) }, nil},
}}

// bpfCounts are the kernel's counts of a program.
type bpfCounts struct {
	name, kind         string
	runs, time, missed uint64
}

// bpfWatch compares the counts of all programs at the bounds of intervals.
type bpfWatch struct {
	t       *Top
	was, is map[uint32]bpfCounts
	holders map[uint32]string
}

func openBPF(t *Top) (watch, error) {
	if t.stats == nil {
		t.notes = append(t.notes, "this kernel takes no request to count what programs take: there are figures only while the sysctl kernel.bpf_stats_enabled is 1")
	}
	t.notes = append(t.notes, "counting itself adds some 20 ns to each run, and ends with this command")
	t.sources = []string{"the list of bpf_prog", "BPF_ENABLE_STATS"}
	return &bpfWatch{t: t, holders: map[uint32]string{}}, nil
}

// mark reads the counts of all programs.
func (w *bpfWatch) mark() error {
	w.was, w.is = w.is, map[uint32]bpfCounts{}
	var id ebpf.ProgramID
	for {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing BPF programs: %w: it needs root, or CAP_BPF and CAP_SYS_ADMIN", err)
		}
		id = next
		c, err := countsOf(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // unloaded meanwhile
		}
		if err != nil {
			return fmt.Errorf("reading BPF program %d: %w", id, err)
		}
		w.is[uint32(id)] = c
	}
}

func countsOf(id ebpf.ProgramID) (bpfCounts, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return bpfCounts{}, err
	}
	defer func() { _ = p.Close() }()
	info, err := p.Info()
	if err != nil {
		return bpfCounts{}, err
	}
	st, err := p.Stats()
	if err != nil {
		return bpfCounts{}, err
	}
	return bpfCounts{info.Name, info.Type.String(), st.RunCount, uint64(st.Runtime), st.RecursionMisses}, nil
}

func (w *bpfWatch) read(f *Frame) error {
	rows := []BPFCost{}
	for id, c := range w.is {
		was := w.was[id] // a new one has counted from nothing
		r := BPFCost{ID: id, Name: c.name, Type: c.kind, Runs: since(c.runs, was.runs), Time: since(c.time, was.time), Missed: since(c.missed, was.missed), took: f.Took}
		if r.Runs == 0 && r.Missed == 0 {
			continue
		}
		r.Share = 100 * float64(r.Time) / 1e9 / max(f.Took, 0.001)
		if _, ok := w.holders[id]; !ok {
			w.findHolders()
		}
		r.Holder = w.holders[id]
		rows = append(rows, r)
	}
	bpfTable.fill(f, rows, w.t.o.Sort)
	all := uint64(0)
	for _, r := range rows {
		all += r.Time
	}
	f.Host = fmt.Sprintf("%d programs, together %.2f%% of a processor", len(w.is), 100*float64(all)/1e9/max(f.Took, 0.001))
	return nil
}

// findHolders finds out who keeps the programs. That takes longer than their counts, and
// is done only when one is there whose holder is not known.
func (w *bpfWatch) findHolders() {
	for id := range w.is {
		if _, ok := w.holders[id]; !ok {
			w.holders[id] = ""
		}
	}
	all, err := host.ReadBPF()
	if err != nil {
		return // the counts are there without
	}
	for _, p := range all.Programs {
		switch {
		case len(p.Held) > 0:
			w.holders[p.ID] = p.Held[0].String()
		case len(p.Pins) > 0:
			w.holders[p.ID] = p.Pins[0]
		case len(p.Attached) > 0:
			w.holders[p.ID] = p.Attached[0]
		default:
			w.holders[p.ID] = ""
		}
	}
}
