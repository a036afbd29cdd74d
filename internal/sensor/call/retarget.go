package call

import (
	"errors"
	"fmt"
	"maps"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/cilium/ebpf"
)

// Want is what a sensor is to collect: the fields of Options with these names.
type Want struct {
	Types event.TypeSet
	Opens Opens
	Paths map[Opens]*event.PathFilter

	Connects *event.ConnectFilter
	Sockets  *event.SocketFilter

	StdioDups, RelayAccepts bool
}

// Retarget changes what is collected, while the programs run: programs that were
// not needed so far are loaded and attached, and what is no longer wanted is left
// out by the tables. On an error the sensor goes on with what it had.
func (s *Sensor) Retarget(w Want) error {
	if w.Types.IsZero() { // would stand for all
		w.Types = event.TypesOf(event.TypeNone)
	}
	if more := w.Types.Minus(s.loaded); !more.IsZero() {
		if err := s.extend(more); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.opts
	s.opts.Types, s.opts.Opens, s.opts.Paths, s.opts.Connects = w.Types, w.Opens, w.Paths, w.Connects
	s.opts.Sockets, s.opts.StdioDups, s.opts.RelayAccepts = w.Sockets, w.StdioDups, w.RelayAccepts
	if err := s.configure(); err != nil {
		s.opts = old
		return errors.Join(err, s.configure())
	}
	return errors.Join(s.attachReturns(), s.trim())
}

// trim detaches the programs that no wanted type needs. They are loaded anew
// should one be wanted again.
func (s *Sensor) trim() error {
	var errs []error
	needed := func(stream uint8) bool {
		if typ, _ := StreamType(stream); typ != event.TypeNone {
			return s.opts.Types.Has(typ)
		}
		calls := s.rung.hookSpecs()[0]
		return calls.wanted(s.opts.Types)
	}
	kept := s.hooks[:0]
	for _, h := range s.hooks {
		if needed(h.Stream) {
			kept = append(kept, h)
		} else {
			errs = append(errs, h.Close())
		}
	}
	s.hooks = kept
	if !needed(streamCall) {
		s.rung.forget()
	}
	s.loaded = s.loaded.And(s.opts.Types)
	return errors.Join(errs...)
}

// extend loads and attaches the programs that more types need.
func (s *Sensor) extend(more event.TypeSet) error {
	opts := s.opts
	opts.Types = more
	before := s.loaded
	spec, cpus, err := prepare(s.transport, &opts, 1+len(s.copies))
	if err != nil {
		return err
	}
	if err := s.rung.set(spec); err != nil {
		return err
	}
	var fresh []hookSpec
	keep := map[string]bool{}
	for _, h := range s.rung.hookSpecs() {
		if h.wanted(more) && !h.wanted(before) {
			fresh, keep[h.prog] = append(fresh, h), true
		}
	}
	shared := s.shared()
	if len(fresh) > 0 {
		if err := s.loadMore(only(spec, keep), cpus, shared, fresh); err != nil {
			return err
		}
	}
	u, err := newURing(s.transport, &opts, shared)
	if err != nil {
		return err
	}
	s.more = append(s.more, u.collections()...)
	for _, p := range u.progs {
		if err := s.hook(p.event, p.hook, p.stream, p.prog); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.fails = append(s.fails, u.fails...)
	s.mu.Unlock()
	s.loaded.Add(more)
	return nil
}

// shared are the maps that programs loaded later use too.
func (s *Sensor) shared() map[string]*ebpf.Map {
	shared := s.transport.Maps()
	maps.Copy(shared, s.coll.Maps)
	if s.opts.ScopeMap != nil {
		shared["scope_tgids"] = s.opts.ScopeMap
	}
	delete(shared, ".rodata")
	return shared
}

// loadMore loads programs, with their copies, on the maps that are there, and
// attaches them.
func (s *Sensor) loadMore(spec *ebpf.CollectionSpec, cpus int, shared map[string]*ebpf.Map, hooks []hookSpec) error {
	for n := range 1 + len(s.copies) {
		again := spec.Copy()
		if n > 0 {
			if err := errors.Join(again.Variables["copy"].Set(uint32(n)), again.Variables["first_slot"].Set(uint32(n*cpus))); err != nil {
				return err
			}
		}
		coll, err := s.transport.Load(again, shared)
		if err != nil {
			return fmt.Errorf("loading more programs for calls: %w", err)
		}
		s.more = append(s.more, coll)
		for _, h := range hooks {
			if err := s.hook(h.event, h.tp, h.stream, coll.Programs[h.prog]); err != nil {
				return err
			}
		}
	}
	return nil
}

// hook attaches a program and keeps it. Those of the narrow rung wait for
// attachReturns, which knows their functions.
func (s *Sensor) hook(event, hook string, stream uint8, prog *ebpf.Program) error {
	if hook == hookReturn {
		s.rung.returns = append(s.rung.returns, prog)
		return nil
	}
	h, err := kernel.AttachTracepoint(event, hook, stream, prog)
	if err != nil {
		return err
	}
	s.keep(h)
	return nil
}
