// Package process is the sensor for processes: exec, fork, exit and change of
// name as they happen, and an inventory of what already runs. Its kernel part
// is process.bpf.c; it hands the agent event.TaskRecords, which the process
// table links.
package process

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Limits of what an exec record carries, in bytes.
const (
	DefaultArgLimit = 64 << 10
	MaxArgLimit     = 2 << 20
)

// Options say what the sensor looks at and how much of it it brings.
type Options struct {
	Scope kernel.Scope
	// ArgvLimit and EnvLimit bound what is copied of argv and environment,
	// in bytes; 0 means DefaultArgLimit, a negative number nothing at all;
	// more than MaxArgLimit is refused.
	ArgvLimit, EnvLimit int
	// Env picks from an environment block (variables separated by NUL) those
	// to keep, as "KEY=value". Nil keeps none.
	Env func(block []byte) []string
	// ScopeMax bounds how many processes a pid scope can hold at once.
	ScopeMax int
}

// Sensor is the process sensor. Decode is for one goroutine at a time per
// ring class; the rest may be called from anywhere.
type Sensor struct {
	decoder
	opts   Options
	coll   *ebpf.Collection
	copies []*ebpf.Collection
	fails  []kernel.HookStatus

	mu    sync.Mutex
	hooks []*kernel.Hook
}

// streamTypes says what the programs' streams carry (enum bc_stream).
var streamTypes = [...]struct {
	typ   event.Type
	class event.Class
}{
	{event.Exec, event.Critical}, {event.Fork, event.Critical},
	{event.Exit, event.Critical}, {event.Comm, event.Bulk},
}

// streamsPerCopy is BC_STREAMS: each copy of the programs has its own numbers.
const streamsPerCopy = 24

// Since 7.0 tracepoints are preemptible, and a program that is already running
// on a CPU is skipped there: each is then attached this many times, and the
// first that is free handles the event (bc_mine in transport.h).
const preemptCopies = 3

// StreamType returns the event type and the ring of a stream's number.
func StreamType(stream uint8) (event.Type, event.Class) {
	s := streamTypes[int(stream)%streamsPerCopy%len(streamTypes)]
	return s.typ, s.class
}

type hookSpec struct {
	typ  event.Type
	prog string
	tp   string
	// stream is the program's (enum bc_stream).
	stream uint8
}

func hookSpecs() []hookSpec {
	return []hookSpec{
		// exit before fork before exec: what is attached first must be able
		// to end what is attached later, never the other way round.
		{event.Exit, "bc_on_exit", "tp_btf/sched_process_exit", 2},
		{event.Comm, "bc_on_comm", "tp_btf/task_rename", 3},
		{event.Exec, "bc_on_exec", "tp_btf/sched_process_exec", 0},
		{event.Fork, "bc_on_fork", "tp_btf/sched_process_fork", 1},
	}
}

// iterProg is the task iterator's program.
const iterProg = "bc_tasks"

// New loads the programs with the transport's rings. Nothing is attached yet.
// Where the kernel refuses only the task iterator, the sensor works without
// it: Inventory then says so.
func New(t *kernel.Transport, o Options) (*Sensor, error) {
	copies := 1
	if kernel.ParseVersion(kernel.Release()).AtLeast(6, 19) {
		copies = preemptCopies
	}
	spec, cpus, err := prepare(t, &o, copies)
	if err != nil {
		return nil, err
	}
	coll, err := t.Load(spec, t.Maps())
	s := &Sensor{opts: o, coll: coll}
	if err != nil {
		iterErr := err
		delete(spec.Programs, iterProg)
		if s.coll, err = t.Load(spec, t.Maps()); err != nil {
			return nil, fmt.Errorf("loading the process programs: %w", err)
		}
		s.fails = append(s.fails, kernel.HookStatus{Event: "inventory", Hook: "iter/task", Error: kernel.Verdict(iterErr)})
	}
	s.decoder = newDecoder(o.Env)
	for n := 1; n < copies; n++ {
		if err := s.loadCopy(t, spec, n, cpus); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// loadCopy loads the programs once more, as copy n, on the same maps.
func (s *Sensor) loadCopy(t *kernel.Transport, spec *ebpf.CollectionSpec, n, cpus int) error {
	again := spec.Copy()
	delete(again.Programs, iterProg)
	shared := map[string]*ebpf.Map{}
	for _, name := range []string{"scratch", "counters", "marks", "scope_tgids", "scope_full"} {
		shared[name] = s.coll.Maps[name]
	}
	maps.Copy(shared, t.Maps())
	err := errors.Join(again.Variables["copy"].Set(uint32(n)), again.Variables["first_slot"].Set(uint32(n*cpus)))
	if err != nil {
		return fmt.Errorf("setting the constants of the programs' copy %d: %w", n, err)
	}
	coll, err := t.Load(again, shared)
	if err != nil {
		return fmt.Errorf("loading copy %d of the process programs: %w", n, err)
	}
	s.copies = append(s.copies, coll)
	return nil
}

// prepare fills in the programs' constants and the sizes of their maps.
func prepare(t *kernel.Transport, o *Options, copies int) (*ebpf.CollectionSpec, int, error) {
	for _, l := range []*int{&o.ArgvLimit, &o.EnvLimit} {
		if *l == 0 {
			*l = DefaultArgLimit
		}
		if *l < 0 {
			*l = 0
		}
		if *l > MaxArgLimit {
			return nil, 0, fmt.Errorf("a limit of %d bytes for argv or environment is not possible: take up to %d", *l, MaxArgLimit)
		}
	}
	if o.ScopeMax == 0 {
		o.ScopeMax = 65536
	}
	cpus, err := kernel.CPUs()
	if err != nil {
		return nil, 0, err
	}
	spec, err := loadProg()
	if err != nil {
		return nil, 0, fmt.Errorf("reading the process programs: %w", err)
	}
	for name, m := range t.Maps() {
		spec.Maps[name].MaxEntries = m.MaxEntries()
	}
	spec.Maps["scratch"].MaxEntries = uint32(cpus*copies) + 1
	if copies > 1 {
		spec.Maps["marks"].MaxEntries = 8192
	}
	if o.Scope.Kind == kernel.ScopePid {
		spec.Maps["scope_tgids"].MaxEntries = uint32(o.ScopeMax)
	}
	for name, v := range map[string]any{
		"critical_size": uint32(t.Size(event.Critical)),
		"bulk_size":     uint32(t.Size(event.Bulk)),
		"iter_slot":     uint32(cpus * copies),
		"copies":        uint32(copies),
		"argv_limit":    uint32(o.ArgvLimit),
		"env_limit":     uint32(o.EnvLimit),
		"scope_kind":    uint32(o.Scope.Kind),
		"scope_cgroup":  o.Scope.CgroupID,
		"scope_subsys":  int32(o.Scope.Subsys),
	} {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, 0, fmt.Errorf("setting the programs' constant %s: %w", name, err)
		}
	}
	return spec, cpus, nil
}

// ScopeMap is the kernel's set of processes in a pid scope, for other sensors.
func (s *Sensor) ScopeMap() *ebpf.Map { return s.coll.Maps["scope_tgids"] }

// Name returns "process".
func (s *Sensor) Name() string { return "process" }

// Attach starts the flow of records. A pid scope begins with the process
// itself; its living descendants are added by ScopeAdd.
func (s *Sensor) Attach() error {
	if s.opts.Scope.Kind == kernel.ScopePid {
		if err := s.ScopeAdd(uint32(s.opts.Scope.Pid)); err != nil {
			return err
		}
	}
	for _, h := range hookSpecs() {
		for _, coll := range append([]*ebpf.Collection{s.coll}, s.copies...) {
			hook, err := kernel.AttachTracepoint(h.typ.String(), h.tp, h.stream, coll.Programs[h.prog])
			if err != nil {
				return errors.Join(err, s.Close())
			}
			s.mu.Lock()
			s.hooks = append(s.hooks, hook)
			s.mu.Unlock()
		}
	}
	return nil
}

// ScopeAdd takes a process into a pid scope.
func (s *Sensor) ScopeAdd(pid uint32) error {
	if s.opts.Scope.Kind != kernel.ScopePid {
		return nil
	}
	if err := s.coll.Maps["scope_tgids"].Put(pid, uint32(1)); err != nil {
		return fmt.Errorf("taking process %d into the scope: %w", pid, err)
	}
	return nil
}

// ScopeFull counts children that did not fit into a pid scope.
func (s *Sensor) ScopeFull() uint64 {
	var n uint64
	if err := s.coll.Maps["scope_full"].Lookup(uint32(0), &n); err != nil {
		return 0
	}
	return n
}

// Inventory gives every process there is, from the kernel's own list, to fn,
// which may keep nothing of rec. Arguments and environment are not in it: the
// iterator cannot read another process's memory. It reports
// ebpf.ErrNotSupported where the kernel has no task iterator.
func (s *Sensor) Inventory(fn func(rec *event.TaskRecord)) error {
	prog := s.coll.Programs[iterProg]
	if prog == nil {
		return fmt.Errorf("listing tasks: %w", ebpf.ErrNotSupported)
	}
	return iterate(prog, fn)
}

// ListTasks calls fn for each process that runs, as Inventory does, with a program
// that is loaded for it alone.
func ListTasks(t *kernel.Transport, fn func(rec *event.TaskRecord)) error {
	spec, _, err := prepare(t, &Options{Scope: kernel.HostScope()}, 1)
	if err != nil {
		return err
	}
	for name := range spec.Programs {
		if name != iterProg {
			delete(spec.Programs, name)
		}
	}
	coll, err := t.LoadIterators(spec, t.Maps())
	if err != nil {
		return fmt.Errorf("loading the task iterator: %w", err)
	}
	defer coll.Close()
	return iterate(coll.Programs[iterProg], fn)
}

func iterate(prog *ebpf.Program, fn func(rec *event.TaskRecord)) error {
	it, err := link.AttachIter(link.IterOptions{Program: prog})
	if err != nil {
		return fmt.Errorf("attaching the task iterator: %w", err)
	}
	defer it.Close()
	rd, err := it.Open()
	if err != nil {
		return fmt.Errorf("opening the task iterator: %w", err)
	}
	defer rd.Close()
	raw, err := io.ReadAll(rd)
	if err != nil {
		return fmt.Errorf("reading the task iterator: %w", err)
	}
	d := newDecoder(nil)
	return d.inventory(raw, fn)
}

// Hooks describes the programs, attached or not. Copies of one program count
// as one.
func (s *Sensor) Hooks() []kernel.HookStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := kernel.MergeCopies(s.hooks)
	if s.coll.Programs[iterProg] != nil {
		out = append(out, kernel.HookStatus{Event: "inventory", Hook: "iter/task", Attached: true})
	}
	return append(out, s.fails...)
}

// Streams gives the kernel's counts.
func (s *Sensor) Streams() ([]sensor.StreamCount, error) {
	var out []sensor.StreamCount
	for i := range streamsPerCopy * (1 + len(s.copies)) {
		if i%streamsPerCopy >= len(streamTypes) {
			continue // other sensors'
		}
		var per []progBcCounter
		if err := s.coll.Maps["counters"].Lookup(uint32(i), &per); err != nil {
			return nil, fmt.Errorf("reading the programs' counters: %w", err)
		}
		typ, class := StreamType(uint8(i))
		for cpu, c := range per {
			out = append(out, sensor.StreamCount{
				CPU: uint16(cpu), Stream: uint8(i), Type: typ, Class: class,
				Produced: c.Produced, Lost: c.Lost, Runs: c.Runs, Filtered: c.Filtered,
			})
		}
	}
	return out, nil
}

// Detach stops the flow but keeps the maps, so that the last counts can be
// read.
func (s *Sensor) Detach() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, h := range s.hooks {
		errs = append(errs, h.Close())
	}
	s.hooks = nil
	return errors.Join(errs...)
}

// Close detaches and unloads everything.
func (s *Sensor) Close() error {
	err := s.Detach()
	for _, c := range s.copies {
		c.Close()
	}
	s.coll.Close()
	return err
}

var _ sensor.Sensor = (*Sensor)(nil)

// Probe loads each program by itself and reports what the kernel says, for
// `bearcat doctor`. It attaches nothing.
func Probe(t *kernel.Transport) ([]kernel.HookStatus, error) {
	o := Options{Scope: kernel.HostScope()}
	spec, _, err := prepare(t, &o, 1)
	if err != nil {
		return nil, err
	}
	specs := append(hookSpecs(), hookSpec{prog: iterProg, tp: "iter/task"})
	var out []kernel.HookStatus
	for _, h := range specs {
		one := spec.Copy()
		for name := range one.Programs {
			if name != h.prog {
				delete(one.Programs, name)
			}
		}
		st := kernel.HookStatus{Event: h.typ.String(), Hook: h.tp}
		if h.prog == iterProg {
			st.Event = "inventory"
		}
		coll, err := t.Load(one, t.Maps())
		if err != nil {
			st.Error = kernel.Verdict(err)
		} else {
			st.Attached = true
			coll.Close()
		}
		out = append(out, st)
	}
	return out, nil
}
