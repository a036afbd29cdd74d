package top

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// CPU is what one process did with processors, and what it had to wait.
type CPU struct {
	Pid  uint32 `json:"pid"`
	Comm string `json:"comm"`
	// On is the part of one processor that it had, in percent; threads add up.
	On float64 `json:"on_percent"`
	// Waits is how often it came to run after waiting for it, WaitSum how long that
	// was in all, WaitP50 and WaitP99 what half and nearly all of the waits reach.
	Waits   uint64 `json:"waits"`
	WaitSum uint64 `json:"wait_ns"`
	WaitP50 uint64 `json:"wait_p50_ns"`
	WaitP99 uint64 `json:"wait_p99_ns"`
	// Voluntary, Involuntary and Migrations are a second.
	Voluntary   float64 `json:"voluntary_per_s"`
	Involuntary float64 `json:"involuntary_per_s"`
	Migrations  float64 `json:"migrations_per_s"`
	// Blame is the process that ran the longest while this one waited.
	Blame *Blame `json:"blame,omitempty"`
}

// Blame is who ran while another waited.
type Blame struct {
	Pid  uint32 `json:"pid"`
	Comm string `json:"comm"`
	// Time is how long it ran meanwhile, in nanoseconds.
	Time uint64 `json:"ns"`
}

func (b *Blame) String() string {
	if b == nil {
		return "-"
	}
	return fmt.Sprintf("%s[%d]", b.Comm, b.Pid)
}

var cpuTable = table[CPU]{id: func(r *CPU) uint64 { return uint64(r.Pid) }, who: func(r *CPU) (uint32, string) { return r.Pid, r.Comm },
	columns: []column[CPU]{
		{"PID", func(r *CPU) string { return strconv.FormatUint(uint64(r.Pid), 10) }, nil},
		{"COMM", func(r *CPU) string { return r.Comm }, nil},
		{"ON%", func(r *CPU) string { return fmt.Sprintf("%.1f", r.On) }, func(r *CPU) float64 { return r.On }},
		{"WAITp50", func(r *CPU) string { return duration(r.WaitP50) }, func(r *CPU) float64 { return float64(r.WaitP50) }},
		{"WAITp99", func(r *CPU) string { return duration(r.WaitP99) }, func(r *CPU) float64 { return float64(r.WaitP99) }},
		{"VOL/s", func(r *CPU) string { return Rate(r.Voluntary) }, func(r *CPU) float64 { return r.Voluntary }},
		{"INV/s", func(r *CPU) string { return Rate(r.Involuntary) }, func(r *CPU) float64 { return r.Involuntary }},
		{"MIG/s", func(r *CPU) string { return Rate(r.Migrations) }, func(r *CPU) float64 { return r.Migrations }},
		{"BLAME", func(r *CPU) string { return r.Blame.String() }, nil},
	}}

type cpuWatch struct{ t *Top }

func openCPU(t *Top) (watch, error) { return cpuWatch{t}, nil }

// mark has nothing to add: the programs count for the interval that they find.
func (w cpuWatch) mark() error { return nil }

func (w cpuWatch) read(f *Frame) error {
	t := w.t
	sums, err := t.cpuSums()
	if err != nil {
		return err
	}
	rows := []CPU{}
	for pid, s := range sums {
		rows = append(rows, CPU{
			Pid: pid, Comm: s.comm, On: 100 * float64(s.on) / 1e9 / f.Took, Waits: s.waits, WaitSum: s.wait,
			WaitP50: percentile(s.slots, 50), WaitP99: percentile(s.slots, 99),
			Voluntary: float64(s.voluntary) / f.Took, Involuntary: float64(s.involuntary) / f.Took, Migrations: float64(s.migrations) / f.Took,
			Blame: s.blame,
		})
	}
	cpuTable.fill(f, rows, t.o.Sort)
	f.Host = hostCPU()
	return nil
}

// cpuSum is what the kernel summed up in an interval.
type cpuSum struct {
	comm                               string
	on, wait, waits                    uint64
	voluntary, involuntary, migrations uint64
	slots                              []uint32
	blame                              *Blame
}

// cpuSums reads the sums of the last interval, and adds what runs at its end.
func (t *Top) cpuSums() (map[uint32]*cpuSum, error) {
	sums := map[uint32]*cpuSum{}
	err := take(t, "cpu", func(k progWho) uint32 { return k.Epoch }, func(k progWho, v progCpuStat) {
		s := &cpuSum{comm: kernel.Text(v.Comm[:]), on: v.On, wait: v.Wait, voluntary: v.Voluntary, involuntary: v.Involuntary, migrations: v.Migrations, slots: v.Slot[:]}
		for _, n := range v.Slot {
			s.waits += uint64(n)
		}
		sums[k.Tgid] = s
	})
	if err != nil {
		return nil, err
	}
	err = take(t, "pairs", func(k progPairKey) uint32 { return k.Epoch }, func(k progPairKey, v progPair) {
		if s := sums[k.Waiter]; s != nil && (s.blame == nil || s.blame.Time < v.Ns) {
			s.blame = &Blame{k.Tgid, kernel.Text(v.Comm[:]), v.Ns}
		}
	})
	if err != nil {
		return nil, err
	}
	var runs []progRuns
	if err := t.coll.Maps["cpu_runs"].Lookup(uint32(0), &runs); err != nil {
		return nil, fmt.Errorf("reading what runs on the processors: %w", err)
	}
	for _, r := range runs {
		if r.Now.Wanted == 0 || r.Now.From >= t.ended { // it came after the interval's end
			continue
		}
		s := sums[r.Now.Tgid]
		if s == nil {
			s = &cpuSum{comm: kernel.Text(r.Now.Comm[:])}
			sums[r.Now.Tgid] = s
		}
		s.on += t.ended - max(r.Now.From, t.began)
	}
	return sums, nil
}

// slotsEach is how many slots there are for a power of two.
const slotsEach = 4

// percentile is the middle of the slot that p of a hundred times reach at most.
func percentile(slots []uint32, p uint64) uint64 {
	total, seen := uint64(0), uint64(0)
	for _, n := range slots {
		total += uint64(n)
	}
	want := (total*p + 99) / 100
	for i, n := range slots {
		if seen += uint64(n); n == 0 || seen < want {
			continue
		}
		if i < slotsEach {
			return uint64(i)
		}
		log, part := i/slotsEach, uint64(i%slotsEach)
		step := uint64(1) << (log - 2)
		return 1<<log + part*step + step/2
	}
	return 0
}

// hostCPU says how busy the processors are as a whole.
func hostCPU() string {
	out := []string{fmt.Sprintf("%d processors", runtime.NumCPU())}
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		for line := range strings.Lines(string(b)) {
			if n, ok := strings.CutPrefix(line, "procs_running "); ok {
				out = append(out, strings.TrimSpace(n)+" tasks run or wait to")
			}
		}
	}
	if b, err := os.ReadFile("/proc/pressure/cpu"); err == nil {
		if some, ok := pressureAverage(string(b)); ok {
			out = append(out, "pressure "+some+"% in 10 s")
		}
	}
	return strings.Join(out, ", ")
}

// pressureAverage reads the part of the last ten seconds in which some task waited.
func pressureAverage(text string) (string, bool) {
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) > 1 && w[0] == "some" {
			return strings.CutPrefix(w[1], "avg10=")
		}
	}
	return "", false
}
