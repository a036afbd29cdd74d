// Package hist gathers times into histograms in the kernel: of waiting for a
// processor, of running, of being away from it, of interrupts and of system calls; of
// connections, round trips, packets in queues and requests to disks.
//
// In come a kind, a grouping and a filter; out comes, after a while, a histogram for
// each group with its percentiles. The kernel keeps four slots for each power of two,
// so that a percentile is exact to about an eighth. All programs are at tracepoints.
// `bearcat hist` calls it.
package hist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Kind is what is measured.
type Kind struct {
	Name string
	// Doc is what it measures.
	Doc string
	// Own is what "own" groups by, "" where the kind has nothing of its own.
	Own      string
	programs []string
	tasks    bool // it is about tasks, so that they can be chosen
	label    func(id uint32, name string) string
}

// Kinds lists the kinds.
func Kinds() []Kind {
	return []Kind{
		{"runq", "waiting for a processor: from being woken, or put off it while able to run, to running", "", []string{"runq_wakeup", "runq_wakeup_new", "runq_switch"}, true, nil},
		{"oncpu", "running, from being put on a processor to leaving it", "", []string{"oncpu_switch"}, true, nil},
		{"offcpu", "being away from the processor, asleep or waiting for it", "", []string{"offcpu_switch"}, true, nil},
		{"softirq", "soft interrupts, each from its begin to its end", "vector", []string{"softirq_begin", "softirq_end"}, false, softirqName},
		{"irq", "handlers of hardware interrupts", "handler", []string{"irq_handler_begin", "irq_handler_end"}, false, irqName},
		{"syscall", "system calls, from entry to return", "call", []string{"syscall_begin", "syscall_end"}, true, syscallName},
		{"connect", "TCP connections, from a program's first packet to being there", "", []string{"connect_state"}, true, nil},
		{"rtt", "round trips, as TCP takes them at each segment that comes in", "", []string{"rtt_probe"}, false, nil},
		{"rxwait", "packets, from the device to the read of a program", "", []string{"rxwait_receive", "rxwait_copy"}, true, nil},
		{"qdisc", "packets, from the queueing discipline to the driver", "device", []string{"qdisc_queue", "qdisc_xmit"}, false, deviceName},
		{"block", "requests to disks, from being given to the device to their end", "device", []string{"block_issue", "block_complete"}, false, deviceName},
		{"reclaim", "tasks that must free memory before they get any, on the whole host or in their control group", "", []string{"reclaim_begin", "reclaim_end", "reclaim_group_begin", "reclaim_group_end"}, true, nil},
	}
}

// KindNamed finds a kind.
func KindNamed(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// By is what histograms are grouped by.
type By string

// The groupings (enum hist_by): Own is by what the kind has of its own.
const (
	ByAll     By = "all"
	ByProcess By = "process"
	ByCPU     By = "cpu"
	ByOwn     By = "own"
)

// Options say what to gather.
type Options struct {
	Kind Kind
	By   By
	// Pid and Comm choose processes; 0 and "" for all.
	Pid  uint32
	Comm string
	// ready is called when all programs are in place; nil for nothing.
	ready func()
}

const (
	sub      = 4
	slots    = 64 * sub
	groupMax = 2048
)

// Bucket is a range of nanoseconds and how many times fell into it.
type Bucket struct {
	From uint64 `json:"from_ns"`
	To   uint64 `json:"to_ns"` // not in it
	N    uint64 `json:"n"`
}

// Row is the histogram of one group. Times are in nanoseconds.
type Row struct {
	Group   string   `json:"group"`
	Count   uint64   `json:"count"`
	Sum     uint64   `json:"sum_ns"`
	Max     uint64   `json:"max_ns"`
	P50     uint64   `json:"p50_ns"`
	P90     uint64   `json:"p90_ns"`
	P99     uint64   `json:"p99_ns"`
	Buckets []Bucket `json:"buckets"` // one for each power of two, without empty ones
}

// Result is what was gathered.
type Result struct {
	Kind string  `json:"kind"`
	By   By      `json:"by"`
	Took float64 `json:"took_s"`
	Rows []Row   `json:"rows"`
	// Lost counts times that were not gathered as there were too many groups or
	// tasks, Missed calls of the programs that the kernel skipped.
	Lost   uint64 `json:"lost"`
	Missed uint64 `json:"missed"`
	// BPF is the time that the programs themselves took, where the kernel counts it.
	BPF time.Duration `json:"bpf_ns,omitempty"`
	// Sources are the tracepoints.
	Sources []string `json:"sources"`
}

// check refuses what does not go together.
func (o *Options) check() error {
	switch {
	case o.By == ByOwn && o.Kind.Own == "":
		return fmt.Errorf("%s has nothing of its own to group by: use all, process or cpu", o.Kind.Name)
	case o.By == ByProcess && !o.Kind.tasks:
		return fmt.Errorf("%s belongs to no process: use all, cpu or own", o.Kind.Name)
	case (o.Pid != 0 || o.Comm != "") && !o.Kind.tasks:
		return fmt.Errorf("%s belongs to no process, so none can be chosen", o.Kind.Name)
	case len(o.Comm) > kernel.CommMax:
		return fmt.Errorf("%q is longer than the %d bytes that the kernel keeps of a name", o.Comm, kernel.CommMax)
	}
	return nil
}

// Gather runs the programs until ctx ends, and reads what they found.
func Gather(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	coll, err := load(o)
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	r := &Result{Kind: o.Kind.Name, By: o.By}
	var links []link.Link
	defer func() {
		for _, l := range links {
			_ = l.Close()
		}
	}()
	for _, name := range o.Kind.programs {
		l, err := link.AttachTracing(link.TracingOptions{Program: coll.Programs[name]})
		if err != nil {
			return nil, fmt.Errorf("attaching the program for %s: %w", o.Kind.Name, err)
		}
		links = append(links, l)
	}
	// the kernel counts the programs' time only while somebody asks for it
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		defer func() { _ = stats.Close() }()
	}
	begun := time.Now()
	if o.ready != nil {
		o.ready()
	}
	<-ctx.Done()
	r.Took = time.Since(begun).Seconds()
	for _, name := range o.Kind.programs {
		if st, err := coll.Programs[name].Stats(); err == nil {
			r.BPF += st.Runtime
			r.Missed += st.RecursionMisses
		}
	}
	for _, l := range links {
		_ = l.Close()
	}
	links = nil
	return r, r.read(coll, o)
}

func load(o Options) (*ebpf.Collection, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for histograms: %w", err)
	}
	for name := range spec.Programs {
		if !slices.Contains(o.Kind.programs, name) {
			delete(spec.Programs, name)
		}
	}
	if err := (kernel.Choice{Pid: o.Pid, Comm: o.Comm}).Set(spec); err != nil {
		return nil, err
	}
	if err := spec.Variables["by"].Set(map[By]uint32{ByAll: 0, ByProcess: 1, ByCPU: 2, ByOwn: 3}[o.By]); err != nil {
		return nil, fmt.Errorf("setting the programs' constant by: %w", err)
	}
	t, err := kernel.NewTransport(4096, 4096) // lifts the limit on locked memory
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if o.Kind.Name == "block" {
		if err := setRequestPlace(spec, t.Types()); err != nil {
			return nil, err
		}
	}
	coll, err := t.Load(spec, nil)
	if err != nil {
		return nil, fmt.Errorf("loading the programs for %s: %w", o.Kind.Name, errors.New(kernel.Verdict(err)))
	}
	return coll, nil
}

// setRequestPlace tells the programs where this kernel's tracepoint has the request.
func setRequestPlace(spec *ebpf.CollectionSpec, types *btf.Cache) error {
	all, err := types.Kernel()
	if err != nil {
		return fmt.Errorf("reading the kernel's types: %w", err)
	}
	second := uint8(0)
	switch kernel.TracepointArguments(all, "block_rq_issue") {
	case 0:
		return errors.New("this kernel has no tracepoint block_rq_issue")
	case 2: // queue, request
		second = 1
	}
	if err := spec.Variables["request_second"].Set(second); err != nil {
		return fmt.Errorf("setting the programs' constant request_second: %w", err)
	}
	return nil
}

// read takes the histograms from the maps.
func (r *Result) read(coll *ebpf.Collection, o Options) error {
	for i := range uint32(2) {
		var n uint64
		if err := coll.Maps["lost"].Lookup(i, &n); err != nil {
			return fmt.Errorf("reading what was lost: %w", err)
		}
		r.Lost += n
	}
	r.Rows = []Row{}
	var key progHistKey
	var h progHist
	it := coll.Maps["hists"].Iterate()
	for it.Next(&key, &h) {
		name := ""
		for _, c := range key.Name {
			if c == 0 {
				break
			}
			name += string(rune(byte(c)))
		}
		row := Row{Group: o.group(key.Id, name), Count: h.Count, Sum: h.Sum, Max: h.Max}
		row.fill(h.Slot[:])
		r.Rows = append(r.Rows, row)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the histograms: %w", err)
	}
	slices.SortFunc(r.Rows, func(a, b Row) int { return cmp.Or(cmp.Compare(b.Sum, a.Sum), cmp.Compare(a.Group, b.Group)) })
	spec, err := loadProg()
	if err != nil {
		return err
	}
	for _, p := range o.Kind.programs {
		r.Sources = append(r.Sources, spec.Programs[p].AttachTo)
	}
	return nil
}

func (o *Options) group(id uint32, name string) string {
	switch o.By {
	case ByProcess:
		return name + "[" + strconv.FormatUint(uint64(id), 10) + "]"
	case ByCPU:
		return "cpu " + strconv.FormatUint(uint64(id), 10)
	case ByOwn:
		return o.Kind.label(id, name)
	}
	return "all"
}

// bounds are the nanoseconds of a slot: from the first, and not to the second.
func bounds(slot int) (from, to uint64) {
	if slot < sub {
		return uint64(slot), uint64(slot) + 1
	}
	log, part := slot/sub, slot%sub
	from = 1<<log + uint64(part)<<(log-2)
	return from, from + 1<<(log-2)
}

// fill makes buckets and percentiles of the kernel's slots.
func (r *Row) fill(slot []uint64) {
	total := uint64(0)
	for _, n := range slot {
		total += n
	}
	percentile := func(p uint64) uint64 {
		if total == 0 {
			return 0
		}
		want, seen := (total*p+99)/100, uint64(0)
		for i, n := range slot {
			if seen += n; seen >= want {
				from, to := bounds(i)
				return min(from+(to-from)/2, max(r.Max, from))
			}
		}
		return r.Max
	}
	r.P50, r.P90, r.P99 = percentile(50), percentile(90), percentile(99)
	for i, n := range slot {
		if n == 0 {
			continue
		}
		from, to := bounds(i)
		if i >= sub { // the whole power of two
			from, to = 1<<(i/sub), 1<<(i/sub+1)
		}
		if k := len(r.Buckets); k > 0 && r.Buckets[k-1].From == from {
			r.Buckets[k-1].N += n
			continue
		}
		r.Buckets = append(r.Buckets, Bucket{from, to, n})
	}
}
