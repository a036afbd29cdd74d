// Package hist gathers times into histograms in the kernel: of waiting for a
// processor, of running, of being away from it, of interrupts and of system calls; of
// connections, round trips, packets in queues and requests to disks.
//
// In come a kind, a grouping and a filter; out comes, after a while, a histogram for
// each group with its percentiles. The kernel keeps four slots for each power of two,
// so that a percentile is exact to about an eighth. All programs are at tracepoints, but
// those for page faults and for functions by name.
// `bearcat hist` calls it.
package hist

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
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
	net      bool // it is about packets or connections, whose network namespace is known
	// function is the kernel's that programs are at, "" for tracepoints.
	function string
}

// accounted are the programs of runq where the kernel keeps how long tasks wait: they have
// less to do.
var accounted = []string{"runq_arrive", "runq_move"}

// Kinds lists the kinds.
func Kinds() []Kind {
	return []Kind{
		{"runq", "waiting for a processor: from being woken, or put off it while able to run, to running", "who ran before", []string{"runq_wakeup", "runq_wakeup_new", "runq_switch"}, true, processName, false, ""},
		{"oncpu", "running, from being put on a processor to leaving it", "", []string{"oncpu_switch"}, true, nil, false, ""},
		{"offcpu", "being away from the processor, asleep or waiting for it", "", []string{"offcpu_switch"}, true, nil, false, ""},
		{"softirq", "soft interrupts, each from its begin to its end", "vector", []string{"softirq_begin", "softirq_end"}, false, softirqName, false, ""},
		{"irq", "handlers of hardware interrupts", "handler", []string{"irq_handler_begin", "irq_handler_end"}, false, irqName, false, ""},
		{"syscall", "system calls, from entry to return", "call", []string{"syscall_begin", "syscall_end"}, true, syscallName, false, ""},
		{"connect", "TCP connections, from a program's first packet to being there", "", []string{"connect_state"}, true, nil, false, ""},
		{"rtt", "round trips, as TCP takes them at each segment that comes in", "", []string{"rtt_probe"}, false, nil, true, ""},
		{"rxwait", "packets, from the device to the read of a program", "device", []string{"rxwait_receive", "rxwait_copy"}, true, deviceName, false, ""},
		{"qdisc", "packets, from the queueing discipline to the driver", "device", []string{"qdisc_queue", "qdisc_xmit"}, false, deviceName, true, ""},
		{"block", "requests to disks, from being given to the device to their end", "device", []string{"block_issue", "block_complete"}, false, deviceName, false, ""},
		{"reclaim", "tasks that must free memory before they get any, on the whole host or in their control group", "", []string{"reclaim_begin", "reclaim_end", "reclaim_group_begin", "reclaim_group_end"}, true, nil, false, ""},
		{"fault", "page faults, from the kernel's taking one up to the page's being there", "kind of fault", []string{"fault_begin", "fault_end"}, true, faultName, false, "handle_mm_fault"},
	}
}

// FunctionPrefix begins the names of kinds that are functions of the kernel.
const FunctionPrefix = "func:"

// endless are functions that a task does not come back from. A program at the end of one
// would stay in the kernel: older releases do not refuse it.
var endless = []string{"do_exit", "do_group_exit", "make_task_dead", "kthread_exit", "kthread_complete_and_exit", "__module_put_and_kthread_exit", "rewind_stack_and_make_dead", "panic"}

// FunctionKind is how long calls of a function of the kernel take.
func FunctionKind(name string) (Kind, error) {
	strange := func(r rune) bool {
		return r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	if name == "" || len(name) > 127 || strings.ContainsFunc(name, strange) {
		return Kind{}, fmt.Errorf("%q is no name of a function of the kernel: letters, digits, _ and . are", name)
	}
	if slices.Contains(endless, name) {
		return Kind{}, fmt.Errorf("%s never returns, so it takes no time that could be told", name)
	}
	return Kind{Name: FunctionPrefix + name, Doc: "calls of " + name, programs: []string{"func_begin", "func_end"}, tasks: true, function: name}, nil
}

// KindNamed finds a kind that is no function.
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
	ByAll       By = "all"
	ByProcess   By = "process"
	ByCgroup    By = "cgroup"
	ByContainer By = "container"
	ByCPU       By = "cpu"
	ByDevice    By = "device"
	ByOwn       By = "own"
)

// Groupings lists them.
func Groupings() []By {
	return []By{ByAll, ByProcess, ByCgroup, ByContainer, ByCPU, ByDevice, ByOwn}
}

// Options say what to gather.
type Options struct {
	Kind Kind
	By   By
	// Pid and Comm choose processes; 0 and "" for all.
	Pid  uint32
	Comm string
	// Scope may be a control group, with those below it.
	Scope kernel.Scope
	// Net is the number of a network namespace; 0 for all.
	Net uint32
	// For is how long to gather, from when all is in place; 0 until the context ends.
	For time.Duration
	// Every is how long an interval is, to tell the times by interval too; 0 for not.
	Every time.Duration
	// probes has functions looked at by kprobes, though there may be better.
	probes bool
	// tracked has waiting tasks followed, though the kernel may keep how long they wait.
	tracked bool
	// ready is called when all programs are in place; nil for nothing.
	ready func()
}

const (
	sub      = 4
	slots    = 64 * sub
	groupMax = 2048
)

// MostIntervals is how many are told. What comes later is not told by interval.
const MostIntervals = 4096

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
	// Columns are those of intervals in which something came.
	Columns []Column `json:"columns,omitempty"`
}

// Column is what came in one interval.
type Column struct {
	Interval int      `json:"interval"` // from 0
	Buckets  []Bucket `json:"buckets"`
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
	// Sources are the tracepoints, or the function.
	Sources []string `json:"sources"`
	// Ends are when intervals ended, since the beginning.
	Ends  []float64 `json:"interval_ends_s,omitempty"`
	Notes []string  `json:"notes,omitempty"`
}

// choice is the part of the options that every observer has.
func (o *Options) choice() kernel.Choice {
	return kernel.Choice{Pid: o.Pid, Comm: o.Comm, Scope: o.Scope, Net: o.Net}
}

// check refuses what does not go together.
func (o *Options) check() error {
	byTask := o.By == ByProcess || o.By == ByCgroup || o.By == ByContainer
	switch {
	case o.By == ByOwn && o.Kind.Own == "":
		return fmt.Errorf("%s has nothing of its own to group by: use all, process, cgroup, container or cpu", o.Kind.Name)
	case o.By == ByDevice && o.Kind.Own != "device":
		return fmt.Errorf("%s has no device to group by", o.Kind.Name)
	case byTask && !o.Kind.tasks:
		return fmt.Errorf("%s belongs to no process: use all, cpu or own", o.Kind.Name)
	case (o.Pid != 0 || o.Comm != "" || o.Scope.Kind != kernel.ScopeHost) && !o.Kind.tasks:
		return fmt.Errorf("%s belongs to no process, so none can be chosen", o.Kind.Name)
	case o.Net != 0 && !o.Kind.tasks && !o.Kind.net:
		return fmt.Errorf("%s belongs to no network namespace, so none can be chosen", o.Kind.Name)
	}
	return o.choice().Check()
}

// Gather runs the programs until ctx ends, and reads what they found.
func Gather(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	found, err := newReading(o)
	if err != nil {
		return nil, err
	}
	running, err := start(o, found.groups)
	if err != nil {
		return nil, err
	}
	defer running.close()
	r := &Result{Kind: o.Kind.Name, By: o.By, Sources: running.sources, Notes: running.notes}
	// the kernel counts the programs' time only while somebody asks for it
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		defer func() { _ = stats.Close() }()
	}
	counting := running.coll.Variables["counting"]
	if err := counting.Set(uint32(1)); err != nil {
		return nil, fmt.Errorf("starting to count: %w", err)
	}
	begun := time.Now()
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	if o.ready != nil {
		o.ready()
	}
	if err := r.wait(ctx, running.coll, found, begun); err != nil {
		return nil, err
	}
	if err := counting.Set(uint32(0)); err != nil {
		return nil, fmt.Errorf("ending to count: %w", err)
	}
	r.Took = time.Since(begun).Seconds()
	for _, name := range running.programs {
		if st, err := running.coll.Programs[name].Stats(); err == nil {
			r.BPF += st.Runtime
			r.Missed += st.RecursionMisses
		}
	}
	running.stop()
	for i := range uint32(2) {
		var n uint64
		if err := running.coll.Maps["lost"].Lookup(i, &n); err != nil {
			return nil, fmt.Errorf("reading what was lost: %w", err)
		}
		r.Lost += n
	}
	if err := found.read(running.coll); err != nil {
		return nil, err
	}
	if o.Every > 0 {
		r.end(found, r.Took)
	}
	r.Rows = found.finish()
	return r, nil
}

// wait waits for ctx to end, and looks at each interval meanwhile.
func (r *Result) wait(ctx context.Context, coll *ebpf.Collection, found *reading, begun time.Time) error {
	every := found.o.Every
	if every <= 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for len(r.Ends) < MostIntervals {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := found.read(coll); err != nil {
			return err
		}
		r.end(found, time.Since(begun).Seconds())
	}
	<-ctx.Done()
	return nil
}

// end ends an interval.
func (r *Result) end(found *reading, at float64) {
	found.interval(len(r.Ends))
	r.Ends = append(r.Ends, at)
}
