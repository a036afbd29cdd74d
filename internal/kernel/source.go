package kernel

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// SourceKind is what kind of thing tells an observer what it shows.
type SourceKind string

// The kinds of sources. A Function is looked at by fentry, or by kprobes.
const (
	Tracepoint SourceKind = "tracepoint"
	Iterator   SourceKind = "iterator"
	Clock      SourceKind = "perf event"
	Function   SourceKind = "function"
	Tracer     SourceKind = "ftrace tracer"
	Argument   SourceKind = "tracepoint argument"
	Other      SourceKind = "other"
)

// Source is one thing that an observer has what it shows from.
type Source struct {
	Kind  SourceKind `json:"kind"`
	Name  string     `json:"name"`
	There bool       `json:"there"`
	// Optional is whether the observer works without it, and Lacks what it does not show
	// then; "" where others tell the same.
	Optional bool   `json:"optional,omitempty"`
	Lacks    string `json:"lacks,omitempty"`
}

// Observer is what can be looked at by one command, such as "top cpu".
type Observer struct {
	Name    string
	Sources []Source
}

// SourcesOf lists where a collection's programs are attached. Those that are in optional
// may be left out, with what is not shown then.
func SourcesOf(spec *ebpf.CollectionSpec, optional map[string]string) []Source {
	var out []Source
	for name, p := range spec.Programs {
		s := Source{Name: p.AttachTo}
		s.Lacks, s.Optional = optional[name]
		switch {
		case p.Type == ebpf.PerfEvent:
			s.Kind, s.Name = Clock, "cpu-clock"
		case p.Type != ebpf.Tracing || p.AttachTo == "":
			continue
		case p.AttachType == ebpf.AttachTraceIter:
			s.Kind = Iterator
		case p.AttachType == ebpf.AttachTraceRawTp:
			s.Kind = Tracepoint
		default:
			s.Kind = Function
		}
		if i := slices.IndexFunc(out, func(x Source) bool { return x.Kind == s.Kind && x.Name == s.Name }); i >= 0 {
			if !s.Optional { // one program can do without it, and another cannot
				out[i].Optional, out[i].Lacks = false, ""
			}
			continue
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Source) int { return strings.Compare(string(a.Kind)+a.Name, string(b.Kind)+b.Name) })
	return out
}

// FindSources finds out which sources this kernel has. What the observers have looked for
// themselves, it leaves as it is.
func FindSources(observers []Observer) error {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("reading the kernel's types: %w", err)
	}
	for i := range observers {
		observers[i].find(types)
	}
	return nil
}

func (o *Observer) find(types *btf.Spec) {
	for i := range o.Sources {
		s := &o.Sources[i]
		switch s.Kind {
		case Tracepoint:
			s.There = TracepointArguments(types, s.Name) > 0
		case Iterator:
			var f *btf.Func
			s.There = types.TypeByName("bpf_iter_"+s.Name, &f) == nil
		case Clock:
			s.There = hasClock()
		case Function:
			s.There = hasFunctions()
		}
	}
}

var hasClock = sync.OnceValue(func() bool {
	attr := &unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Sample: 99, Bits: unix.PerfBitFreq | unix.PerfBitDisabled}
	fd, err := unix.PerfEventOpen(attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
})

var hasFunctions = sync.OnceValue(func() bool { return tryFentry() == nil || tryKprobe() == nil })

// Check says whether the observer works here, from which sources, and what it lacks.
func (o *Observer) Check() Check {
	c := Check{Name: o.Name, State: OK, Sources: o.Sources}
	counts := map[SourceKind]int{}
	var order []SourceKind
	var parts, gone, lacks []string
	for _, s := range o.Sources {
		switch {
		case s.There && s.Kind == Other:
			parts = append(parts, s.Name)
		case s.There && counts[s.Kind] == 0:
			order = append(order, s.Kind)
			counts[s.Kind]++
		case s.There:
			counts[s.Kind]++
		case !s.Optional && s.Kind == Function:
			gone = append(gone, "neither fentry nor kprobes, by which functions are looked at")
		case !s.Optional:
			gone = append(gone, fmt.Sprintf("no %s %s", s.Kind, s.Name))
		case s.Lacks != "" && !slices.Contains(lacks, s.Lacks):
			lacks = append(lacks, s.Lacks)
		}
	}
	for _, k := range order {
		many := ""
		if counts[k] > 1 {
			many = "s"
		}
		parts = append(parts, fmt.Sprintf("%d %s%s", counts[k], k, many))
	}
	c.Detail = strings.Join(parts, ", ")
	switch {
	case len(gone) > 0:
		c.State = Absent
		c.Detail = "does not work: this kernel has " + strings.Join(gone, ", ")
		c.Advice = "nothing to do but another kernel"
	case len(lacks) > 0:
		c.State = Limited
		c.Detail += "; not told: " + strings.Join(lacks, "; ")
		c.Advice = "nothing to do: the rest is shown"
	}
	return c
}
