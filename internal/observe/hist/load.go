package hist

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// running is the programs in place.
type running struct {
	coll     *ebpf.Collection
	programs []string
	links    []link.Link
	sources  []string
	notes    []string
}

func (r *running) stop() {
	for _, l := range r.links {
		_ = l.Close()
	}
	r.links = nil
}

func (r *running) close() {
	r.stop()
	if r.coll != nil {
		r.coll.Close()
	}
}

// start loads the programs and puts them in place. Functions are looked at by fentry and
// fexit, and where the kernel has not these, by kprobes.
func start(o Options, groups *kernel.Groups) (*running, error) {
	if o.Kind.Name == "runq" && !o.tracked && kernel.AccountsWaits() {
		if r, err := startPrograms(o, groups, accounted); err == nil {
			return r, nil
		} // as without groups of tasks in the scheduler, which few kernels lack
	}
	if o.Kind.function == "" {
		return startPrograms(o, groups, o.Kind.programs)
	}
	var fentry error
	switch {
	case o.probes:
	case strings.HasPrefix(o.Kind.Name, FunctionPrefix) && !kernel.ParseVersion(kernel.Release()).AtLeast(5, 12):
		// commit ca06f55b9002 "bpf: Add per-program recursion prevention mechanism"
		fentry = errors.New("before 5.12 the kernel does not notice a program that calls the function that it is at")
	default:
		var r *running
		if r, fentry = startPrograms(o, groups, o.Kind.programs); fentry == nil {
			return r, nil
		}
	}
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		return nil, &FunctionError{o.Kind.function, fentry, errors.New("this kernel has none")}
	}
	probes := []string{o.Kind.programs[0] + "_probe", o.Kind.programs[1] + "_probe"}
	r, kprobe := startPrograms(o, groups, probes)
	if kprobe != nil {
		return nil, &FunctionError{o.Kind.function, fentry, kprobe}
	}
	if fentry != nil {
		r.notes = append(r.notes, "by kprobes, which cost more; fentry: "+fentry.Error())
	}
	return r, nil
}

// FunctionError says that the kernel does not let it be measured how long a function
// takes.
type FunctionError struct {
	Function       string
	Fentry, Kprobe error
}

func (e *FunctionError) Error() string {
	return fmt.Sprintf("how long calls of %s take cannot be known here; fentry: %v; kprobes: %v: it needs a kernel built with CONFIG_KPROBES, or one that lets programs in at fentry, "+
		"and a function that is not inlined; bearcat trace func tells how often it is called", e.Function, e.Fentry, e.Kprobe)
}

func startPrograms(o Options, groups *kernel.Groups, programs []string) (_ *running, err error) {
	r := &running{programs: programs}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.coll, err = load(o, groups, programs); err != nil {
		return nil, err
	}
	for _, name := range programs {
		p := r.coll.Programs[name]
		var l link.Link
		switch {
		case p.Type() == ebpf.Tracing:
			l, err = link.AttachTracing(link.TracingOptions{Program: p})
		case strings.HasSuffix(name, "_end_probe"):
			l, err = link.Kretprobe(o.Kind.function, p, nil)
		default:
			l, err = link.Kprobe(o.Kind.function, p, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("attaching the program for %s: %w", o.Kind.Name, err)
		}
		r.links = append(r.links, l)
	}
	r.sources, err = o.sources(programs)
	return r, err
}

// sources are the tracepoints, or the function and how it is looked at.
func (o *Options) sources(programs []string) ([]string, error) {
	if o.Kind.function != "" {
		how := "fentry and fexit"
		if strings.HasSuffix(programs[0], "_probe") {
			how = "kprobes"
		}
		return []string{how + " of " + o.Kind.function}, nil
	}
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for histograms: %w", err)
	}
	var out []string
	for _, p := range programs {
		out = append(out, spec.Programs[p].AttachTo)
	}
	return out, nil
}

func load(o Options, groups *kernel.Groups, programs []string) (*ebpf.Collection, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for histograms: %w", err)
	}
	for name, p := range spec.Programs {
		if !slices.Contains(programs, name) {
			delete(spec.Programs, name)
		} else if o.Kind.function != "" {
			p.AttachTo = o.Kind.function
		}
	}
	if err := o.choice().Set(spec); err != nil {
		return nil, err
	}
	if groups != nil {
		if err := groups.Set(spec); err != nil {
			return nil, err
		}
	}
	by := map[By]uint32{ByAll: 0, ByProcess: 1, ByCPU: 2, ByOwn: 3, ByDevice: 3, ByCgroup: 4, ByContainer: 4}[o.By]
	if err := spec.Variables["by"].Set(by); err != nil {
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
	if errors.Is(err, btf.ErrNotFound) && o.Kind.function != "" {
		return nil, errors.New("it is not among the kernel's types")
	}
	if errors.Is(err, os.ErrPermission) && o.Kind.function != "" {
		return nil, errors.New("the kernel refuses them")
	}
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
