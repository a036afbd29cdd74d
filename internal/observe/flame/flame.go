// Package flame counts stacks in the kernel: on a clock, at switches, faults, system
// calls, wake-ups, allocations and drops.
//
// In come a kind and a filter; out come, after a while, the different stacks with
// names of functions and how often each was seen, to be written as a flame graph, as
// folded lines or as a pprof profile. `bearcat flame` calls it.
package flame

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Kind is an occasion at which stacks are taken.
type Kind struct {
	Name string
	// Doc is what its graph shows.
	Doc string
	// Unit is what the width of a frame stands for: samples, nanoseconds or bytes
	// or what is counted.
	Unit    string
	program string
	weighed bool // by the value, not by the count
}

// Kinds lists the kinds.
func Kinds() []Kind {
	return []Kind{
		{"cpu", "where processors spend their time, by a clock", "samples", "on_clock", false},
		{"offcpu", "where tasks leave the processor, by the time until they are back", "nanoseconds", "on_switch", true},
		{"fault", "where programs touch memory that is not there yet", "faults", "on_fault", false},
		{"syscall", "where programs call the kernel, and for what", "calls", "on_call", false},
		{"wake", "who wakes tasks, and from where", "wake-ups", "on_wakeup", false},
		{"alloc", "where the kernel takes pages of memory, by their bytes", "bytes", "on_alloc", true},
		{"drop", "where the kernel drops packets", "packets", "on_drop", false},
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

// Options say what to count.
type Options struct {
	Kind Kind
	// Pid chooses a process with its threads, Comm those whose thread or process has
	// the name; 0 and "" for all.
	Pid  uint32
	Comm string
	// Scope may be a control group, with those below it.
	Scope kernel.Scope
	// Net is the number of a network namespace; 0 for all.
	Net uint32
	// Rate is how often a second the clock of the kind cpu ticks on each processor.
	Rate uint64
	// For is how long to count, from when all is in place; 0 until the context ends.
	For time.Duration
}

// DefaultRate is no divisor of what programs themselves do every so often.
const DefaultRate = 99

const (
	maxRate  = 5000
	depth    = 127
	lostSome = -2
)

// Result is what was counted.
type Result struct {
	Kind string `json:"kind"`
	Unit string `json:"unit"`
	// Rate is the clock's, for the kind cpu.
	Rate uint64  `json:"rate,omitempty"`
	Took float64 `json:"took_s"`
	// Samples is how many stacks were taken, and Total the sum of their weights.
	Samples uint64  `json:"samples"`
	Total   uint64  `json:"total"`
	Stacks  []Stack `json:"stacks"`
	// Lost counts stacks that were not counted for want of room, and Unnamed those
	// that were counted, but whose frames found no room. Missed is calls of the
	// program that the kernel skipped.
	Lost    uint64 `json:"lost"`
	Unnamed uint64 `json:"lost_frames"`
	Missed  uint64 `json:"missed"`
	// User says how the stacks of programs were unwound.
	User *Unwound `json:"user_stacks,omitempty"`
	// BPF is the time that the program took, where the kernel counts it, and Own what
	// Bearcat itself used of a processor meanwhile and for the names.
	BPF     time.Duration `json:"bpf_ns,omitempty"`
	Own     time.Duration `json:"own_ns"`
	Sources []string      `json:"sources"`
	Notes   []string      `json:"notes,omitempty"`
}

// choice is the part of the options that every observer has.
func (o *Options) choice() kernel.Choice {
	return kernel.Choice{Pid: o.Pid, Comm: o.Comm, Scope: o.Scope, Net: o.Net}
}

// check refuses what cannot be.
func (o *Options) check() error {
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Rate > maxRate {
		return fmt.Errorf("a clock of %d Hz would mostly measure itself: take at most %d", o.Rate, maxRate)
	}
	return o.choice().Check()
}

// Count runs the program for a while, or until ctx ends, and reads what it found.
func Count(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	coll, err := load(o)
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	before := kernel.OwnTime()
	r := &Result{Kind: o.Kind.Name, Unit: o.Kind.Unit, Stacks: []Stack{}}
	prog := coll.Programs[o.Kind.program]
	// the kernel counts the program's time only while somebody asks for it
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		defer func() { _ = stats.Close() }()
	}
	names := newNames(&r.Notes)
	defer names.close()
	if o.Pid != 0 {
		names.see(o.Pid)
	}
	unwinder, err := newUnwinder(coll)
	if err != nil {
		return nil, err
	}
	defer unwinder.close()
	unwinder.prepare(o)
	unwinder.start()
	stop, err := r.attach(prog, o)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	counting, cancel := ctx, context.CancelFunc(func() {})
	if o.For > 0 {
		counting, cancel = context.WithTimeout(ctx, o.For)
	}
	watch(counting, coll, names, unwinder.changed)
	cancel()
	stop()
	until := kernel.MonotonicNow()
	unwinder.close()
	r.Took = time.Since(begun).Seconds()
	if st, err := prog.Stats(); err == nil {
		r.BPF, r.Missed = st.Runtime, st.RecursionMisses
	}
	if r.User, err = unwinder.result(); err != nil {
		return nil, err
	}
	if err := r.read(coll, o, names, until); err != nil {
		return nil, err
	}
	r.Own = kernel.OwnTime() - before
	return r, nil
}

// watch looks at the processes that turn up, and at those whose code changed, while they
// live: their names of functions are gone with them.
func watch(ctx context.Context, coll *ebpf.Collection, names *names, changed <-chan uint32) {
	wait := 50 * time.Millisecond
	next := time.NewTimer(wait)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case pid := <-changed:
			names.again(pid)
			continue
		case <-next.C:
		}
		wait = min(2*wait, 500*time.Millisecond)
		var key progStackKey
		var c progStackCount
		it := coll.Maps["counts"].Iterate()
		for it.Next(&key, &c) {
			names.see(key.Tgid)
		}
		next.Reset(wait)
	}
}

// attach starts the program, and returns what stops it.
func (r *Result) attach(prog *ebpf.Program, o Options) (stop func(), err error) {
	if o.Kind.Name == "cpu" {
		r.Rate = o.Rate
		r.Sources = []string{fmt.Sprintf("the software clock at %d Hz on each processor", o.Rate)}
		return startClocks(prog, o.Rate)
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: prog})
	if err != nil {
		return nil, fmt.Errorf("attaching the program for %s: %w", o.Kind.Name, err)
	}
	spec, err := loadProg()
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	r.Sources = []string{spec.Programs[o.Kind.program].AttachTo}
	return func() { _ = l.Close() }, nil
}

// startClocks starts a clock on each processor. It is the kernel's timer, which virtual
// machines have too.
func startClocks(prog *ebpf.Program, rate uint64) (stop func(), err error) {
	var fds []int
	stop = func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	cpus, err := kernel.CPUs()
	if err != nil {
		return nil, err
	}
	attr := &unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Sample: rate, Bits: unix.PerfBitFreq | unix.PerfBitDisabled}
	for cpu := range cpus {
		fd, err := unix.PerfEventOpen(attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) { // it is off
			continue
		}
		if err != nil {
			stop()
			return nil, fmt.Errorf("starting a clock on processor %d: %w: it needs root, and a kernel with perf events", cpu, err)
		}
		fds = append(fds, fd)
		if err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); err == nil {
			err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0)
		}
		if err != nil {
			stop()
			return nil, fmt.Errorf("binding the program to the clock of processor %d: %w", cpu, err)
		}
	}
	if len(fds) == 0 {
		return nil, errors.New("no processor takes a clock: the kernel offers no perf events")
	}
	return stop, nil
}

func load(o Options) (*ebpf.Collection, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for stacks: %w", err)
	}
	for name := range spec.Programs {
		if name != o.Kind.program {
			delete(spec.Programs, name)
		}
	}
	for _, name := range []string{"stacks", "more_stacks"} {
		spec.Maps[name].ValueSize = 8 * maxDepth("/proc/sys/kernel/perf_event_max_stack")
	}
	if err := o.choice().Set(spec); err != nil {
		return nil, err
	}
	t, err := kernel.NewTransport(4096, 4096) // lifts the limit on locked memory
	if err != nil {
		return nil, err
	}
	defer t.Close()
	coll, err := t.Load(spec, nil)
	if err != nil {
		return nil, fmt.Errorf("loading the program for %s: %w", o.Kind.Name, errors.New(kernel.Verdict(err)))
	}
	return coll, nil
}

// maxDepth is how many frames a stack may have: fewer where the kernel is set so, which
// refuses maps for more.
func maxDepth(path string) uint32 {
	b, err := os.ReadFile(path)
	if err != nil {
		return depth
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil || n == 0 {
		return depth
	}
	return uint32(min(n, depth))
}

// reversed puts the outermost frame first.
func reversed(frames []Frame) []Frame {
	slices.Reverse(frames)
	return frames
}
