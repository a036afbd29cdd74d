package call

import (
	"errors"
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// uringOps are the functions of the kernel that carry out operations which stand
// for calls, each with the type of event that it makes and its stream.
var uringOps = [...]struct {
	name   string
	typ    event.Type
	stream uint8
}{
	{"openat2", event.Open, 9}, {"renameat", event.Rename, 10}, {"unlinkat", event.Unlink, 11}, {"mkdirat", event.Mkdir, 12},
	{"symlinkat", event.Symlink, 13}, {"linkat", event.Link, 14}, {"connect", event.Connect, 15},
}

const streamSubmit = 8

const closeHook = "fentry/__fput"

// uring holds the programs for io_uring: those at the kernel's functions where
// it takes them, and the one at the tracepoint of submissions; and the one for
// closes, which is at a function as well.
type uring struct {
	ops, submit *ebpf.Collection
	closing     *ebpf.Collection
	progs       []uringProg
	fails       []kernel.HookStatus
}

type uringProg struct {
	event, hook string
	stream      uint8
	prog        *ebpf.Program
}

// newURing loads what the wanted types need.
func newURing(t *kernel.Transport, o *Options, shared map[string]*ebpf.Map) (*uring, error) {
	u := &uring{}
	spec, err := prepareURing(t, o)
	if err != nil {
		return nil, err
	}
	// the scratch memory is their own, since they may run in the midst of the
	// others, and there is one copy of each
	maps := map[string]*ebpf.Map{}
	for name, m := range shared {
		if spec.Maps[name] != nil && name != "scratch" && name != "marks" {
			maps[name] = m
		}
	}
	if err := u.loadOps(t, spec, o, maps); err != nil {
		// fentry is missing, or a function has another name: not fatal
		u.fails = append(u.fails, kernel.HookStatus{Event: "io_uring", Hook: "fentry/io_*", Error: kernel.Verdict(err)})
	}
	if o.Types.Has(event.Close) {
		if err := u.loadClose(t, o, maps); err != nil {
			u.fails = append(u.fails, kernel.HookStatus{Event: "close", Hook: closeHook, Error: kernel.Verdict(err)})
		}
	}
	if o.Types.Has(event.IoUring) {
		if err := u.loadSubmit(t, spec, maps); err != nil {
			u.fails = append(u.fails, kernel.HookStatus{Event: "io_uring", Hook: "tp_btf/io_uring_submit_*", Error: kernel.Verdict(err)})
		}
	}
	return u, nil
}

func prepareURing(t *kernel.Transport, o *Options) (*ebpf.CollectionSpec, error) {
	spec, err := loadUring()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for io_uring: %w", err)
	}
	cpus, err := setCommon(spec, t, o, 1)
	if err != nil {
		return nil, err
	}
	spec.Maps["scratch"].MaxEntries = uint32(cpus)
	return spec, nil
}

// only keeps some programs of a spec.
func only(spec *ebpf.CollectionSpec, keep map[string]bool) *ebpf.CollectionSpec {
	out := spec.Copy()
	for name := range out.Programs {
		if !keep[name] {
			delete(out.Programs, name)
		}
	}
	return out
}

func (u *uring) loadOps(t *kernel.Transport, spec *ebpf.CollectionSpec, o *Options, shared map[string]*ebpf.Map) error {
	keep := map[string]bool{}
	for _, op := range uringOps {
		if o.Types.Has(op.typ) {
			keep["bc_in_"+op.name], keep["bc_out_"+op.name] = true, true
		}
	}
	if len(keep) == 0 {
		return nil
	}
	coll, err := t.Load(only(spec, keep), shared)
	if err != nil {
		return fmt.Errorf("loading the programs for operations of io_uring: %w", err)
	}
	u.ops = coll
	for _, op := range uringOps {
		// the end first: what has begun before it is attached is not told
		for _, part := range [][2]string{{"bc_out_", "fexit/io_"}, {"bc_in_", "fentry/io_"}} {
			if p := coll.Programs[part[0]+op.name]; p != nil {
				u.progs = append(u.progs, uringProg{op.typ.String() + " by io_uring", part[1] + op.name, op.stream, p})
			}
		}
	}
	return nil
}

// submitProg finds the tracepoint's name and arguments on this kernel.
func submitProg(t *kernel.Transport) (prog, hook string, err error) {
	spec, err := t.Types().Kernel()
	if err != nil {
		return "", "", fmt.Errorf("reading the kernel's types: %w", err)
	}
	params := func(name string) []btf.FuncParam {
		var td *btf.Typedef
		if spec.TypeByName("btf_trace_"+name, &td) != nil {
			return nil
		}
		ptr, ok := td.Type.(*btf.Pointer)
		if !ok {
			return nil
		}
		proto, ok := ptr.Target.(*btf.FuncProto)
		if !ok {
			return nil
		}
		return proto.Params
	}
	if len(params("io_uring_submit_req")) > 0 {
		return "bc_on_submit_req", "tp_btf/io_uring_submit_req", nil
	}
	switch p := params("io_uring_submit_sqe"); {
	case len(p) < 2:
		return "", "", errors.New("the kernel has no tracepoint of submissions to io_uring")
	case isRequest(p[1].Type):
		return "bc_on_submit_sqe", "tp_btf/io_uring_submit_sqe", nil
	case len(p) > 4:
		return "bc_on_submit_old", "tp_btf/io_uring_submit_sqe", nil
	}
	return "", "", errors.New("the arguments of the kernel's tracepoint io_uring_submit_sqe are not known")
}

// isRequest reports whether a tracepoint's first argument is the request.
func isRequest(t btf.Type) bool {
	ptr, ok := t.(*btf.Pointer)
	if !ok {
		return false
	}
	st, ok := ptr.Target.(*btf.Struct)
	return ok && st.Name == "io_kiocb"
}

func (u *uring) loadSubmit(t *kernel.Transport, spec *ebpf.CollectionSpec, shared map[string]*ebpf.Map) error {
	prog, hook, err := submitProg(t)
	if err != nil {
		return err
	}
	coll, err := t.Load(only(spec, map[string]bool{prog: true}), shared)
	if err != nil {
		return fmt.Errorf("loading the program for submissions to io_uring: %w", err)
	}
	u.submit = coll
	u.progs = append(u.progs, uringProg{"io_uring operations", hook, streamSubmit, coll.Programs[prog]})
	return nil
}

func (u *uring) loadClose(t *kernel.Transport, o *Options, shared map[string]*ebpf.Map) error {
	spec, err := loadClosing()
	if err != nil {
		return fmt.Errorf("reading the program for closes: %w", err)
	}
	cpus, err := setCommon(spec, t, o, 1)
	if err != nil {
		return err
	}
	spec.Maps["scratch"].MaxEntries = uint32(cpus)
	coll, err := t.Load(spec, shared)
	if err != nil {
		return fmt.Errorf("loading the program for closes: %w", err)
	}
	u.closing = coll
	u.progs = append(u.progs, uringProg{"close", closeHook, streamClose, coll.Programs["bc_on_close"]})
	return nil
}

// collections are those that were loaded.
func (u *uring) collections() []*ebpf.Collection {
	var out []*ebpf.Collection
	for _, c := range []*ebpf.Collection{u.ops, u.submit, u.closing} {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

func (u *uring) close() {
	for _, c := range u.collections() {
		c.Close()
	}
}
