// Package top sums up, an interval at a time, what processes use of the host and what
// they suffer, such as processors and waiting for them; each such table is a view.
//
// In come a view and a filter; out comes a table for each interval. The summing up is
// done in the kernel, by programs at tracepoints, and the filter is decided there.
// `bearcat top` calls it.
package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// View is a table that is made again each interval.
type View struct {
	Name string
	// Doc is what it shows.
	Doc string
	// Columns are those that it can be sorted by, the usual one first.
	Columns  []string
	table    tabler
	programs []string
	// waits are those that are not needed where the kernel keeps how long tasks wait.
	waits []string
	// optional are programs at tracepoints that a kernel may lack, with what is
	// missing then.
	optional map[string]string
	open     func(t *Top) (watch, error)
	// chooses says which filters there are for what is no task, "" for all.
	chooses string
}

// watch is a view at work.
type watch interface {
	// mark is called as an interval ends, and once before the first.
	mark() error
	// read fills a frame with what the last interval held.
	read(f *Frame) error
}

// Views lists the views.
func Views() []View {
	views := []View{
		{Name: "cpu", Doc: "processes: running, waiting to run, switches, and who ran instead", table: &cpuTable,
			programs: []string{"cpu_wakeup", "cpu_wakeup_new", "cpu_migrate", "cpu_switch"}, waits: []string{"cpu_wakeup", "cpu_wakeup_new"}, open: openCPU},
		{Name: "mem", Doc: "processes: page faults by kind, memory, and stalls to free some", table: &memTable,
			programs: []string{"mem_fault_user", "mem_fault_kernel", "mem_exit", "mem_free_begin", "mem_free_end"},
			optional: map[string]string{"mem_group_begin": noGroupStalls, "mem_group_end": noGroupStalls}, open: openMem},
		{Name: "tcp", Doc: "processes: TCP connections, bytes, round trips, retransmits and resets", table: &tcpTable,
			programs: tcpPrograms, optional: tcpOptional, open: openTCP},
		{Name: "conn", Doc: "the same of each TCP connection, with its addresses and its state", table: &connTable,
			programs: tcpPrograms, optional: tcpOptional, open: openConn},
		{Name: "file", Doc: "processes and files: bytes, calls and how long they take, with paths", table: &fileTable,
			programs: []string{"file_enter", "file_exit", "file_gone"}, open: openFiles},
		{Name: "bpf", Doc: "BPF programs of the host: how often they run, and what that costs", table: &bpfTable, open: openBPF, chooses: "none of --pid, --comm, --cgroup and --netns"},
		{Name: "cgroup", Doc: "control groups: processors, throttling and memory", table: &groupTable, open: openGroups, chooses: "--cgroup and none of --pid, --comm and --netns"},
	}
	for i := range views {
		views[i].Columns = views[i].table.names()
	}
	return views
}

// ViewNamed finds a view.
func ViewNamed(name string) (View, bool) {
	for _, v := range Views() {
		if v.Name == name {
			return v, true
		}
	}
	return View{}, false
}

// Column finds the column that is meant, in whatever case it is written; the view's first
// for "".
func (v View) Column(name string) (string, error) {
	if name == "" {
		return v.Columns[0], nil
	}
	for _, c := range v.Columns {
		if strings.EqualFold(c, name) {
			return c, nil
		}
	}
	return "", fmt.Errorf("top %s has no column %q to sort by: there are %s", v.Name, name, strings.Join(v.Columns, ", "))
}

// Options say what to look at.
type Options struct {
	View View
	// Pid chooses a process with its threads, Comm those whose thread or process has
	// the name; 0 and "" for all.
	Pid  uint32
	Comm string
	// Scope may be a control group, with those below it; Cgroup is its path then.
	Scope  kernel.Scope
	Cgroup string
	// Net is the number of a network namespace, whose processes are looked at; 0 for all.
	Net uint32
	// Sort is the column to sort by; "" for the view's first.
	Sort string
	// tracked has waiting tasks followed, though the kernel may keep how long they wait.
	tracked bool
}

// Frame is the table of one interval.
type Frame struct {
	View string    `json:"view"`
	Time time.Time `json:"time"`
	// Took is how long the interval was.
	Took float64 `json:"took_s"`
	// Host is what is true of the host as a whole.
	Host string `json:"host,omitempty"`
	// Rows are the view's own, sorted.
	Rows any `json:"rows"`
	// Columns and Cells are the same as text.
	Columns []string   `json:"-"`
	Cells   [][]string `json:"-"`
	// Lost counts what was not summed up for want of room, Missed calls of the
	// programs that the kernel skipped, both in this interval.
	Lost   uint64 `json:"lost"`
	Missed uint64 `json:"missed"`
	// BPF is the time that the programs took, where the kernel counts it, and Own what
	// Bearcat itself used of a processor meanwhile.
	BPF     time.Duration `json:"bpf_ns"`
	Own     time.Duration `json:"own_ns"`
	Sources []string      `json:"sources"`
	// Notes say what the table lacks on this kernel, and how to read it.
	Notes []string `json:"notes,omitempty"`
}

// Top runs the programs of one view.
type Top struct {
	o       Options
	coll    *ebpf.Collection
	links   []link.Link
	stats   interface{ Close() error }
	sources []string
	notes   []string
	types   *btf.Spec
	progs   map[string]*ebpf.ProgramSpec
	watch   watch

	epoch uint32
	// began and ended are the last interval's bounds, on the kernel's monotonic clock.
	began, ended uint64
	// before is what had been counted at the end of the last interval.
	before struct {
		lost, missed uint64
		bpf, own     time.Duration
	}
}

// ForProcesses tells whether a view is about processes, so that some can be chosen.
func (v View) ForProcesses() bool { return v.chooses == "" }

// choice is the part of the options that every observer has.
func (o *Options) choice() kernel.Choice {
	return kernel.Choice{Pid: o.Pid, Comm: o.Comm, Scope: o.Scope, Net: o.Net}
}

// chooses tells whether only some processes are asked for.
func (t *Top) chooses() bool {
	return t.o.Pid != 0 || t.o.Comm != "" || t.o.Net != 0 || t.o.Scope.Kind != kernel.ScopeHost
}

// check refuses what cannot be.
func (o *Options) check() error {
	var err error
	if o.Sort, err = o.View.Column(o.Sort); err != nil {
		return err
	}
	grouped := o.Scope.Kind != kernel.ScopeHost
	if o.View.chooses != "" && (o.Pid != 0 || o.Comm != "" || o.Net != 0 || grouped && (o.View.Name == "bpf" || o.Cgroup == "")) {
		return fmt.Errorf("top %s is not about processes: it takes %s", o.View.Name, o.View.chooses)
	}
	return o.choice().Check()
}

// Open starts the programs, and with them the first interval.
func Open(o Options) (*Top, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	t := &Top{o: o}
	if len(o.View.programs) > 0 {
		if err := t.load(); err != nil {
			return nil, err
		}
	}
	// the kernel counts the programs' time only while somebody asks for it
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		t.stats = stats
	}
	if err := t.begin(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// begin attaches the programs and begins the first interval.
func (t *Top) begin() error {
	for name, spec := range t.progs {
		if spec.AttachType == ebpf.AttachTraceIter {
			continue // it runs when its view wants to
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: t.coll.Programs[name]})
		if err != nil {
			return fmt.Errorf("attaching the program %s of top %s: %w", name, t.o.View.Name, err)
		}
		t.links = append(t.links, l)
	}
	var err error
	if t.watch, err = t.o.View.open(t); err != nil {
		return err
	}
	if err := t.turn(); err != nil {
		return err
	}
	return t.account(&Frame{})
}

// Close removes the programs.
func (t *Top) Close() {
	for _, l := range t.links {
		_ = l.Close()
	}
	if t.stats != nil {
		_ = t.stats.Close()
	}
	if t.coll != nil {
		t.coll.Close()
	}
}

// Next waits for an interval to pass, or for the end of ctx, and tells what it held. An
// interval that is cut short is told too.
func (t *Top) Next(ctx context.Context, interval time.Duration) (*Frame, error) {
	select {
	case <-ctx.Done():
	case <-time.After(interval):
	}
	if err := t.turn(); err != nil {
		return nil, err
	}
	f := &Frame{View: t.o.View.Name, Time: time.Now(), Took: float64(t.ended-t.began) / 1e9, Sources: t.sources, Notes: t.notes}
	if err := t.watch.read(f); err != nil {
		return nil, err
	}
	return f, t.account(f)
}

// turn ends the interval and begins the next one.
func (t *Top) turn() error {
	if err := t.watch.mark(); err != nil {
		return err
	}
	t.epoch++
	t.began, t.ended = t.ended, kernel.MonotonicNow()
	if t.coll == nil {
		return nil
	}
	if err := t.coll.Maps["intervals"].Put(uint32(0), progInterval{Began: t.ended, Epoch: t.epoch}); err != nil {
		return fmt.Errorf("beginning an interval: %w", err)
	}
	return nil
}

// account adds to a frame what it cost and what it lacks.
func (t *Top) account(f *Frame) error {
	was := t.before
	t.before.lost, t.before.missed, t.before.bpf = 0, 0, 0
	if t.coll != nil {
		if err := t.countLost(); err != nil {
			return err
		}
	}
	t.before.own = kernel.OwnTime()
	f.Lost, f.Missed = t.before.lost-was.lost, t.before.missed-was.missed
	f.BPF, f.Own = t.before.bpf-was.bpf, t.before.own-was.own
	return nil
}

// countLost adds up what the programs lost, and what they took.
func (t *Top) countLost() error {
	lost := t.coll.Maps["lost"]
	for i := range lost.MaxEntries() {
		var n uint64
		if err := lost.Lookup(i, &n); err != nil {
			return fmt.Errorf("reading what was lost: %w", err)
		}
		t.before.lost += n
	}
	for _, p := range t.coll.Programs {
		if st, err := p.Stats(); err == nil {
			t.before.bpf += st.Runtime
			t.before.missed += st.RecursionMisses
		}
	}
	return nil
}

func (t *Top) load() error {
	o := &t.o
	spec, err := loadProg()
	if err != nil {
		return fmt.Errorf("reading the programs of top: %w", err)
	}
	tr, err := kernel.NewTransport(4096, 4096) // lifts the limit on locked memory
	if err != nil {
		return err
	}
	defer tr.Close()
	if t.types, err = tr.Types().Kernel(); err != nil {
		return fmt.Errorf("reading the kernel's types: %w", err)
	}
	accounted := o.View.waits != nil && !o.tracked && kernel.AccountsWaits() && kernelHasField(t.types, "sched_info", "last_queued") && kernelHasField(t.types, "cfs_rq", "rq")
	if accounted {
		o.View.programs = slices.DeleteFunc(slices.Clone(o.View.programs), func(name string) bool { return slices.Contains(o.View.waits, name) })
		if err := spec.Variables["accounted"].Set(uint32(1)); err != nil {
			return fmt.Errorf("setting the programs' constant accounted: %w", err)
		}
	}
	t.keep(spec)
	t.progs = spec.Programs
	if err := t.o.choice().Set(spec); err != nil {
		return err
	}
	if err := spec.Variables["since_boot"].Set(kernel.BootNow()); err != nil {
		return fmt.Errorf("setting the programs' constant since_boot: %w", err)
	}
	if t.coll, err = tr.Load(spec, nil); err != nil {
		return fmt.Errorf("loading the programs of top %s: %w", t.o.View.Name, errors.New(kernel.Verdict(err)))
	}
	return nil
}

// keep leaves in spec the view's programs that this kernel has an occasion for, and the
// maps that they use.
func (t *Top) keep(spec *ebpf.CollectionSpec) {
	used := map[string]bool{}
	for name, p := range spec.Programs {
		lacks, optional := t.o.View.optional[name]
		has := slices.Contains(t.o.View.programs, name) || optional
		if optional && kernel.TracepointArguments(t.types, p.AttachTo) == 0 {
			has = false
			if !slices.Contains(t.notes, lacks) {
				t.notes = append(t.notes, lacks)
			}
		}
		if !has {
			delete(spec.Programs, name)
			continue
		}
		if p.AttachType == ebpf.AttachTraceIter {
			t.sources = append(t.sources, "the list of "+p.AttachTo)
		} else {
			t.sources = append(t.sources, p.AttachTo)
		}
		for _, in := range p.Instructions {
			used[in.Reference()] = true
		}
	}
	slices.Sort(t.sources)
	for name := range spec.Maps {
		if !used[name] && name[0] != '.' { // constants are in maps with a dot
			delete(spec.Maps, name)
		}
	}
}

// take gives each entry of a map that belongs to the ended interval, and removes it.
func take[K, V any](t *Top, name string, epoch func(K) uint32, each func(K, V)) error {
	var done []K
	var k K
	var v V
	m := t.coll.Maps[name]
	it := m.Iterate()
	for it.Next(&k, &v) {
		e := epoch(k)
		if e == t.epoch { // it has begun
			continue
		}
		if e+1 == t.epoch { // older ones were added while their interval turned
			each(k, v)
		}
		done = append(done, k)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the kernel's sums in %s: %w", name, err)
	}
	for i := range done {
		if err := m.Delete(&done[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("removing the kernel's sums in %s: %w", name, err)
		}
	}
	return nil
}

// kernelHasField tells whether a struct of this kernel has a member, also within a part of
// it that has no name.
func kernelHasField(types *btf.Spec, name, field string) bool {
	var st *btf.Struct
	return types.TypeByName(name, &st) == nil && hasMember(st.Members, field)
}

func hasMember(members []btf.Member, name string) bool {
	for _, m := range members {
		if m.Name == name {
			return true
		}
		if m.Name != "" {
			continue
		}
		switch inner := m.Type.(type) {
		case *btf.Struct:
			if hasMember(inner.Members, name) {
				return true
			}
		case *btf.Union:
			if hasMember(inner.Members, name) {
				return true
			}
		}
	}
	return false
}
