// Package call is the sensor for system calls: files, sockets, descriptors,
// privileges, other processes, the kernel. Its kernel part, call.bpf.c, is one
// program that a table tells which arguments of which call to follow; the table
// is made from package event's list of calls, for the types that the agent
// asks for. It hands the agent event.TaskRecords with a Call.
package call

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/cilium/ebpf"
)

// Opens says which opens are reported.
type Opens uint32

// The kinds of opens (enum bc_open).
const (
	OpenRead   Opens = 1 << iota // for reading only, and successful
	OpenWrite                    // for writing or creating
	OpenFailed                   // failed
	OpenRelay                    // of a FIFO or /dev/ptmx
	AllOpens   = OpenRead | OpenWrite | OpenFailed | OpenRelay
)

// Options say what the sensor looks at.
type Options struct {
	Scope kernel.Scope
	// ScopeMap holds the processes of a pid scope; another sensor keeps it.
	// Nil for a map of the sensor's own, which ScopeAdd fills.
	ScopeMap *ebpf.Map
	// Types are those wanted; at least one.
	Types event.TypeSet
	// Opens are the opens wanted where Types has Open; 0 for all.
	Opens Opens
	// Paths narrow kinds of opens to some paths; a kind without an entry is
	// wanted for all. A filter that is too large for the kernel's tables
	// counts as none. Opens through io_uring are not narrowed.
	Paths map[Opens]*event.PathFilter
	// Connects narrows connects to some addresses; nil for all. A filter that is
	// too large for the kernel's tables counts as none. Connects through io_uring
	// are not narrowed.
	Connects *event.ConnectFilter
	// Sockets narrows sockets that are made to some families and kinds; nil for all.
	Sockets *event.SocketFilter
	// StdioDups leaves out dups onto other descriptors than 0, 1 and 2,
	// RelayAccepts accepts of processes whose input is no pipe or FIFO.
	StdioDups, RelayAccepts bool
	// DNSPorts are those of name servers; nil for 53.
	DNSPorts []uint16
	// Reuse makes the call of one record, and what it points to, of that of the
	// record before: for who is done with each before decoding the next.
	Reuse bool
	// OwnCalls reports the agent's own calls of the bulk class too.
	OwnCalls bool
}

// Sensor is the sensor for calls. Decode is for one goroutine at a time; the
// rest may be called from anywhere.
type Sensor struct {
	decoder
	opts   Options
	coll   *ebpf.Collection
	copies []*ebpf.Collection
	uring  *uring
	rung   *narrow // nil where calls are seen at sys_exit
	fails  []kernel.HookStatus
	// transport serves programs that are loaded later; more holds them, and
	// loaded the types for which there are programs.
	transport *kernel.Transport
	more      []*ebpf.Collection
	loaded    event.TypeSet

	mu    sync.Mutex
	hooks []*kernel.Hook
	level Level
	// connects counts the filters of connects that were set.
	connects uint32
}

const preemptCopies = 3

type hookSpec struct {
	event, prog, tp string
	types           event.TypeSet
	stream          uint8
}

// hookSpecs are the programs of the rung; that of the calls comes first.
func (n *narrow) hookSpecs() []hookSpec {
	calls := hookSpec{"calls", progCalls, "tp_btf/sys_exit", event.TypeSet{}, streamCall}
	if n != nil {
		calls.prog, calls.tp = progReturn, hookReturn
	}
	return []hookSpec{
		calls,
		{"tcp", "bc_on_tcp", "tp_btf/inet_sock_set_state", event.TypesOf(event.TCP), streamTCP},
		{"module", "bc_on_module", "tp_btf/module_load", event.TypesOf(event.Module), streamModule},
	}
}

// wanted reports whether one of the hook's types is.
func (h *hookSpec) wanted(types event.TypeSet) bool {
	if h.types.IsZero() {
		return !types.Minus(event.TypesOf(event.TypeNone, event.TCP, event.Close)).IsZero()
	}
	return !types.And(h.types).IsZero()
}

// New loads the programs with the transport's rings. Nothing is attached yet.
// A hook that the kernel lacks is left out and told of by Hooks.
func New(t *kernel.Transport, o Options) (*Sensor, error) {
	copies := 1
	if kernel.ParseVersion(kernel.Release()).AtLeast(6, 19) {
		copies = preemptCopies
	}
	s := &Sensor{opts: o, decoder: newDecoder(), transport: t, loaded: o.Types}
	s.reuse = o.Reuse
	var err error
	if s.rung, err = newNarrow(t); err != nil && !errors.Is(err, kernel.ErrNoMulti) {
		s.widen(err)
	}
	shared, err := s.loadCopies(copies)
	if err != nil && s.rung != nil {
		s.unload()
		s.fails = nil
		s.widen(err)
		shared, err = s.loadCopies(copies)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.uring, err = newURing(t, &o, shared); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.fails = append(s.fails, s.uring.fails...)
	if err := s.configure(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Level says how much of the bulk class is left out (enum bc_level).
type Level uint32

// The levels; each leaves out what those before it do, and more.
const (
	LevelAll     Level = iota
	LevelReads         // opens for reading only that succeeded
	LevelRepeats       // what a process does again within a second
	LevelSample        // fifteen of sixteen
	numLevels
)

// MaxLevel is the last one.
const MaxLevel = numLevels - 1

// String says what is left out.
func (l Level) String() string {
	switch l {
	case LevelAll:
		return "nothing"
	case LevelReads:
		return "opens for reading"
	case LevelRepeats:
		return "opens for reading, and calls of the bulk class that a process repeats within a second"
	}
	return "opens for reading, repeated calls, and 15 of 16 of the other calls of the bulk class"
}

// SetLevel changes how much is left out, while the programs run.
func (s *Sensor) SetLevel(l Level) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = min(l, MaxLevel)
	return s.configure()
}

// configure writes the tables.
func (s *Sensor) configure() error {
	if err := fill(s.coll.Maps["calls"], s.coll.Maps[".data.wanted"], s.opts.Types); err != nil {
		return err
	}
	set := progBcSettings{Open: uint32(s.opts.Opens), Level: uint32(s.level)}
	if set.Open == 0 {
		set.Open = uint32(AllOpens)
	}
	if !s.opts.OwnCalls {
		set.Own = uint32(os.Getpid())
	}
	for i := range set.Sockets {
		set.Sockets[i] = math.MaxUint16
		if f := s.opts.Sockets; f != nil {
			set.Sockets[i] = f[i]
		}
	}
	if s.opts.StdioDups {
		set.DupStdio = 1
	}
	if s.opts.RelayAccepts {
		set.AcceptRelay = 1
	}
	for t, on := range map[event.Type]*uint32{event.DNS: &set.Dns, event.Send: &set.Send, event.PassFD: &set.Passfd} {
		if s.opts.Types.Has(t) {
			*on = 1
		}
	}
	if err := errors.Join(s.narrow(&set), s.narrowConnects(&set)); err != nil {
		return err
	}
	if err := s.coll.Maps["settings"].Put(uint32(0), set); err != nil {
		return fmt.Errorf("writing the settings of the programs for calls: %w", err)
	}
	ports := s.opts.DNSPorts
	if ports == nil {
		ports = []uint16{53}
	}
	for _, p := range ports {
		if err := s.coll.Maps["dns_ports"].Put(p, uint8(1)); err != nil {
			return fmt.Errorf("writing the name servers' port %d: %w", p, err)
		}
	}
	return nil
}

// Name returns "call".
func (s *Sensor) Name() string { return "call" }

// Attach starts the flow of records.
func (s *Sensor) Attach() error {
	for _, h := range s.rung.hookSpecs() {
		if !h.wanted(s.opts.Types) {
			continue
		}
		for _, coll := range append([]*ebpf.Collection{s.coll}, s.copies...) {
			prog := coll.Programs[h.prog]
			if prog == nil {
				continue
			}
			if err := s.hook(h.event, h.tp, h.stream, prog); err != nil {
				return errors.Join(err, s.Close())
			}
		}
	}
	s.mu.Lock()
	err := s.attachReturns()
	s.mu.Unlock()
	if err != nil {
		err = s.attachWide(err)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	for _, p := range s.uring.progs {
		if err := s.hook(p.event, p.hook, p.stream, p.prog); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return nil
}

func (s *Sensor) keep(h *kernel.Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, h)
}

// ScopeAdd takes a process into a pid scope that is the sensor's own.
func (s *Sensor) ScopeAdd(pid uint32) error {
	if s.opts.Scope.Kind != kernel.ScopePid || s.opts.ScopeMap != nil {
		return nil
	}
	if err := s.coll.Maps["scope_tgids"].Put(pid, uint32(1)); err != nil {
		return fmt.Errorf("taking process %d into the scope: %w", pid, err)
	}
	return nil
}

// Hooks describes the programs, attached or not. Copies of one count as one.
func (s *Sensor) Hooks() []kernel.HookStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(kernel.MergeCopies(s.hooks), s.fails...)
}

// Streams gives the kernel's counts.
func (s *Sensor) Streams() ([]sensor.StreamCount, error) {
	var out []sensor.StreamCount
	for i := range streams * (1 + len(s.copies)) {
		if i%streams < streamCall {
			continue
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

// StreamType returns what a stream carries, TypeNone where it is more than one
// type, and its ring.
func StreamType(stream uint8) (event.Type, event.Class) {
	switch stream % streams {
	case streamCall:
		return event.TypeNone, event.Critical
	case streamTCP:
		return event.TCP, event.Bulk
	case streamModule:
		return event.Module, event.Critical
	case streamSubmit:
		return event.IoUring, event.Bulk
	case streamClose:
		return event.Close, event.Bulk
	}
	for _, op := range uringOps {
		if op.stream == stream%streams {
			return op.typ, event.Bulk
		}
	}
	return event.TypeNone, event.Bulk
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
	s.rung.forget()
	return errors.Join(errs...)
}

// Close detaches and unloads everything.
func (s *Sensor) Close() error {
	err := s.Detach()
	if s.uring != nil {
		s.uring.close()
	}
	s.unload()
	return err
}

// unload gives the programs and maps back.
func (s *Sensor) unload() {
	for _, c := range append(s.copies, s.more...) {
		c.Close()
	}
	if s.coll != nil {
		s.coll.Close()
	}
	s.coll, s.copies, s.more = nil, nil, nil
}

var _ sensor.Sensor = (*Sensor)(nil)

// Probe loads each program by itself and reports what the kernel says, for
// `bearcat doctor`. It attaches nothing.
func Probe(t *kernel.Transport) ([]kernel.HookStatus, error) {
	spec, _, err := prepare(t, &Options{Scope: kernel.HostScope()}, 1)
	if err != nil {
		return nil, err
	}
	var out []kernel.HookStatus
	n, err := newNarrow(t)
	if err != nil && !errors.Is(err, kernel.ErrNoMulti) {
		out = append(out, kernel.HookStatus{Event: "calls", Hook: hookReturn, Error: kernel.Verdict(err)})
	}
	if err := n.set(spec); err != nil {
		return nil, err
	}
	for _, h := range n.hookSpecs() {
		one := spec.Copy()
		for name := range one.Programs {
			if name != h.prog {
				delete(one.Programs, name)
			}
		}
		st := kernel.HookStatus{Event: h.event, Hook: h.tp}
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
