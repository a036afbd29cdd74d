package call

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// The programs of the two rungs. At sys_exit one program sees every call of every
// process; on the narrow rung the same code runs on the return of the wanted calls'
// own functions only, and of the function that asks a process's seccomp filter, which
// keeps refused calls from reaching theirs.
const (
	progCalls  = "bc_on_call"
	progReturn = "bc_on_return"
	hookReturn = "fexit.multi/sys_*"

	// what the program is given as cookie (call.bpf.c)
	cookieCall    = 0
	cookieRefused = 1
)

// narrow is the rung on the calls' own functions.
type narrow struct {
	kind ebpf.AttachType
	// ids are the functions' numbers in the kernel's types.
	ids map[string]btf.TypeID
	// refuse is the function that asks seccomp's filters; permits says that it
	// returns whether the call may be made, and not -1 where it may not.
	refuse  btf.TypeID
	permits bool
	// returns are the loaded programs, one for each copy, and attached the
	// functions that they are attached to.
	returns  []*ebpf.Program
	attached map[string]bool
}

// newNarrow looks whether this kernel offers the rung for all calls that Bearcat
// knows, so that no later change of what is wanted needs the other one.
func newNarrow(t *kernel.Transport) (*narrow, error) {
	types, err := t.Types().Kernel()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	n := &narrow{ids: map[string]btf.TypeID{}, attached: map[string]bool{}}
	if n.kind, err = kernel.FexitMulti(types); err != nil {
		return nil, err
	}
	find := func(function string) bool {
		var f *btf.Func
		if types.TypeByName(function, &f) != nil {
			return false
		}
		id, err := types.TypeID(f)
		n.ids[function] = id
		return err == nil
	}
	for name := range numbers64() {
		if f := function64(name); !find(f) {
			return nil, fmt.Errorf("this kernel's types do not describe %s", f)
		}
	}
	if find("__ia32_sys_unlink") { // else the kernel knows no 32-bit calls
		for name := range numbers32() {
			if f := functions32(name); !find(f[0]) && !find(f[1]) {
				return nil, fmt.Errorf("this kernel's types describe neither %s nor %s", f[0], f[1])
			}
		}
	}
	switch {
	case find("__seccomp_permit_syscall"):
		n.refuse, n.permits = n.ids["__seccomp_permit_syscall"], true
	case find("__secure_computing"):
		n.refuse = n.ids["__secure_computing"]
	default:
		return nil, errors.New("this kernel's types describe no function that asks seccomp's filters: calls that they refuse would not be seen")
	}
	return n, nil
}

// set gives the programs of the rung their type, and leaves those of the other out.
func (n *narrow) set(spec *ebpf.CollectionSpec) error {
	if n == nil {
		delete(spec.Programs, progReturn)
		return nil
	}
	delete(spec.Programs, progCalls)
	p := spec.Programs[progReturn]
	p.Type, p.AttachType, p.AttachTo = ebpf.Tracing, n.kind, ""
	permits := uint32(0)
	if n.permits {
		permits = 1
	}
	return spec.Variables["permits"].Set(permits)
}

// functions names those of the calls that types need, in order.
func (n *narrow) functions(want event.TypeSet) []string {
	table := entries(want)
	out := map[string]bool{}
	for name, nr := range numbers64() {
		if nr < tableSize && table[nr].Flags&descWanted != 0 {
			out[function64(name)] = true
		}
	}
	for name, nr := range numbers32() {
		if table[tableSize+nr].Flags&descWanted == 0 {
			continue
		}
		for _, f := range functions32(name) {
			if n.ids[f] != 0 {
				out[f] = true
				break
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// forget drops the programs, which are detached.
func (n *narrow) forget() {
	if n != nil {
		n.returns, n.attached = nil, map[string]bool{}
	}
}

// attach attaches the programs to the functions that types need and that they are
// not attached to yet, and returns the links. What is no longer wanted stays
// attached: the table leaves it out, and the next start does not attach it.
func (n *narrow) attach(types event.TypeSet) ([]*kernel.Hook, error) {
	if n == nil || len(n.returns) == 0 {
		return nil, nil
	}
	more := slices.DeleteFunc(n.functions(types), func(f string) bool { return n.attached[f] })
	if len(more) == 0 {
		return nil, nil
	}
	ids := make([]btf.TypeID, len(more))
	for i, f := range more {
		ids[i] = n.ids[f]
	}
	var out []*kernel.Hook
	// Of one function's programs the kernel runs the last attached first, and the
	// copies count on the first being first.
	try := func(ids []btf.TypeID, cookie uint64) error {
		for _, prog := range slices.Backward(n.returns) {
			h, err := kernel.AttachMulti("calls", hookReturn, streamCall, prog, n.kind, ids, cookie)
			if err != nil {
				return err
			}
			out = append(out, h)
		}
		return nil
	}
	err := try(ids, cookieCall)
	if err == nil && len(n.attached) == 0 {
		err = try([]btf.TypeID{n.refuse}, cookieRefused)
	}
	if err != nil {
		for _, h := range out {
			err = errors.Join(err, h.Close())
		}
		return nil, err
	}
	for _, f := range more {
		n.attached[f] = true
	}
	return out, nil
}

// attachReturns attaches what the narrow rung lacks for the wanted types. The lock is
// held.
func (s *Sensor) attachReturns() error {
	hooks, err := s.rung.attach(s.opts.Types)
	s.hooks = append(s.hooks, hooks...)
	return err
}

// widen leaves the narrow rung, which the kernel refuses after all, for sys_exit.
func (s *Sensor) widen(why error) {
	s.rung = nil
	s.fails = append(s.fails, kernel.HookStatus{Event: "calls", Hook: hookReturn, Error: kernel.Verdict(why)})
}

// attachWide loads and attaches the program at sys_exit in place of those that the
// kernel has loaded and will not attach.
func (s *Sensor) attachWide(why error) error {
	s.widen(why)
	spec, cpus, err := prepare(s.transport, &s.opts, 1+len(s.copies))
	if err != nil {
		return err
	}
	return s.loadMore(only(spec, map[string]bool{progCalls: true}), cpus, s.shared(), s.rung.hookSpecs()[:1])
}
