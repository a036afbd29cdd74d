package call

import (
	"errors"
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/cilium/ebpf"
)

// loadCopies loads the programs of the rung that the wanted types need, and their
// copies, and returns the maps that they share with others.
func (s *Sensor) loadCopies(copies int) (map[string]*ebpf.Map, error) {
	spec, cpus, err := prepare(s.transport, &s.opts, copies)
	if err != nil {
		return nil, err
	}
	if err := s.rung.set(spec); err != nil {
		return nil, fmt.Errorf("setting up the programs for calls: %w", err)
	}
	shared := s.transport.Maps()
	if s.opts.ScopeMap != nil {
		shared["scope_tgids"] = s.opts.ScopeMap
	}
	for _, h := range s.rung.hookSpecs() {
		if !h.wanted(s.opts.Types) {
			delete(spec.Programs, h.prog)
		}
	}
	if s.coll, err = s.load(spec, shared); err != nil {
		return nil, err
	}
	for name, m := range s.coll.Maps {
		if shared[name] == nil && name != ".rodata" {
			shared[name] = m
		}
	}
	for n := 1; n < copies; n++ {
		again := spec.Copy()
		if err := errors.Join(again.Variables["copy"].Set(uint32(n)), again.Variables["first_slot"].Set(uint32(n*cpus))); err != nil {
			return nil, err
		}
		coll, err := s.transport.Load(again, shared)
		if err != nil {
			return nil, fmt.Errorf("loading copy %d of the programs for calls: %w", n, err)
		}
		s.copies = append(s.copies, coll)
	}
	return shared, nil
}

// load loads all programs, or each that the kernel takes.
func (s *Sensor) load(spec *ebpf.CollectionSpec, shared map[string]*ebpf.Map) (*ebpf.Collection, error) {
	coll, err := s.transport.Load(spec, shared)
	if err == nil {
		return coll, nil
	}
	if spec.Programs["bc_on_module"] == nil {
		return nil, fmt.Errorf("loading the programs for calls: %w", err)
	}
	// a kernel without modules has no such tracepoint
	s.fails = append(s.fails, kernel.HookStatus{Event: "module", Hook: "tp_btf/module_load", Error: kernel.Verdict(err)})
	delete(spec.Programs, "bc_on_module")
	if coll, err = s.transport.Load(spec, shared); err != nil {
		return nil, fmt.Errorf("loading the programs for calls: %w", err)
	}
	return coll, nil
}

// prepare fills in the programs' constants and the sizes of their maps.
func prepare(t *kernel.Transport, o *Options, copies int) (*ebpf.CollectionSpec, int, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, 0, fmt.Errorf("reading the programs for calls: %w", err)
	}
	cpus, err := setCommon(spec, t, o, copies)
	if err != nil {
		return nil, 0, err
	}
	spec.Maps["scratch"].MaxEntries = uint32(cpus*copies) + 1
	if copies > 1 {
		spec.Maps["marks"].MaxEntries = 16384
	} else {
		// not used; kernels before 5.11 have no storage for tasks
		m := spec.Maps["call_marks"]
		m.Type, m.MaxEntries = ebpf.Hash, 1
	}
	return spec, cpus, nil
}

// setCommon fills in what the programs for calls and those for io_uring share,
// and returns how many processors there may be.
func setCommon(spec *ebpf.CollectionSpec, t *kernel.Transport, o *Options, copies int) (int, error) {
	cpus, err := kernel.CPUs()
	if err != nil {
		return 0, err
	}
	for name, m := range t.Maps() {
		spec.Maps[name].MaxEntries = m.MaxEntries()
	}
	if o.Scope.Kind == kernel.ScopePid {
		spec.Maps["scope_tgids"].MaxEntries = 65536
		if o.ScopeMap != nil {
			spec.Maps["scope_tgids"].MaxEntries = o.ScopeMap.MaxEntries()
		}
	} else if o.ScopeMap != nil {
		spec.Maps["scope_tgids"].MaxEntries = o.ScopeMap.MaxEntries()
	}
	for name, v := range map[string]any{
		"critical_size": uint32(t.Size(event.Critical)),
		"bulk_size":     uint32(t.Size(event.Bulk)),
		"copies":        uint32(copies),
		"scope_kind":    uint32(o.Scope.Kind),
		"scope_cgroup":  o.Scope.CgroupID,
		"scope_subsys":  int32(o.Scope.Subsys),
	} {
		if err := spec.Variables[name].Set(v); err != nil {
			return 0, fmt.Errorf("setting the programs' constant %s: %w", name, err)
		}
	}
	return cpus, nil
}
