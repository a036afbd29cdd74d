package flame

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/hist"
)

// Frame is a function in a stack.
type Frame struct {
	Name string `json:"name"`
	// File is the program, library or kernel module that it belongs to, "kernel" for
	// the kernel's own.
	File string `json:"file,omitempty"`
	// Kernel is whether it runs in the kernel.
	Kernel bool `json:"kernel,omitempty"`
}

// Stack is one way by which the occasion was reached, the outermost frame first.
type Stack struct {
	Pid  uint32 `json:"pid"`
	Comm string `json:"comm"`
	// Count is how often it was seen, Weight what that makes in the result's unit.
	Count  uint64  `json:"count"`
	Weight uint64  `json:"weight"`
	Frames []Frame `json:"frames"`
}

// read takes the stacks from the maps, with names.
func (r *Result) read(coll *ebpf.Collection, o Options, names *names, until uint64) error {
	var lost [3]uint64
	for i := range lost {
		if err := coll.Maps["lost"].Lookup(uint32(i), &lost[i]); err != nil {
			return fmt.Errorf("reading what was lost: %w", err)
		}
	}
	r.Lost, r.Unnamed = lost[0]+lost[2], lost[1]
	counts := map[progStackKey]progStackCount{}
	var key progStackKey
	var c progStackCount
	it := coll.Maps["counts"].Iterate()
	for it.Next(&key, &c) {
		counts[key] = c
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the counts of stacks: %w", err)
	}
	if o.Kind.Name == "offcpu" { // those that are still away have been so until now
		var pid uint32
		var a progAway
		it := coll.Maps["gone"].Iterate()
		for it.Next(&pid, &a) {
			if a.At != 0 && until > a.At {
				c := counts[a.Key]
				c.Count, c.Value = c.Count+1, c.Value+until-a.At
				counts[a.Key] = c
			}
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("reading which tasks are away: %w", err)
		}
	}
	for key := range counts {
		names.see(key.Tgid)
	}
	names.finish()
	for key, c := range counts {
		if c.Count == 0 {
			continue
		}
		s := Stack{Pid: key.Tgid, Comm: kernel.Text(key.Comm[:]), Count: c.Count, Weight: c.Count}
		if o.Kind.weighed {
			s.Weight = c.Value
		}
		var err error
		if s.Frames, err = r.frames(coll.Maps, o, key, names); err != nil {
			return err
		}
		r.Samples, r.Total = r.Samples+s.Count, r.Total+s.Weight
		r.Stacks = append(r.Stacks, s)
	}
	slices.SortFunc(r.Stacks, func(a, b Stack) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Comm, b.Comm), cmp.Compare(a.Pid, b.Pid), slices.CompareFunc(a.Frames, b.Frames, compareFrames))
	})
	return nil
}

func compareFrames(a, b Frame) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.File, b.File))
}

// frames names the frames of a stack: the user's part, then the kernel's.
func (r *Result) frames(maps map[string]*ebpf.Map, o Options, key progStackKey, names *names) ([]Frame, error) {
	var out []Frame
	if o.Kind.Name == "wake" {
		out = append(out, Frame{Name: fmt.Sprintf("wakes %s[%d]", kernel.Text(key.TargetComm[:]), key.Target)})
	}
	user, lost, err := userAddresses(maps, key.User)
	if err != nil {
		return nil, err
	}
	if lost {
		out = append(out, Frame{Name: "[no room for the stack]"})
	}
	part := make([]Frame, len(user))
	for i, addr := range user {
		if why, ok := cutShort(addr); ok {
			part[i] = Frame{Name: "[cut short: " + why + "]"}
			continue
		}
		if i > 0 { // where a call returns to may belong to the next function
			addr--
		}
		part[i] = names.user(key.Tgid, addr)
	}
	out = append(out, reversed(part)...)
	inKernel, lost, err := addresses(maps, key.Kernel)
	if err != nil {
		return nil, err
	}
	if lost {
		out = append(out, Frame{Name: "[no room for the stack]", Kernel: true})
	}
	part = make([]Frame, len(inKernel))
	for i, addr := range inKernel {
		if i > 0 {
			addr--
		}
		part[i] = names.kernel.frame(addr)
	}
	out = append(out, reversed(withoutProgram(part))...)
	if o.Kind.Name == "syscall" {
		out = append(out, Frame{Name: hist.CallName(key.Call), File: "system call", Kernel: true})
	}
	return out, nil
}

// addresses reads a stack, the innermost address first.
func addresses(maps map[string]*ebpf.Map, id int32) (addrs []uint64, lost bool, err error) {
	if id < 0 {
		return nil, id == lostSome, nil
	}
	stacks := maps["stacks"]
	if n := int32(stacks.MaxEntries()); id >= n {
		stacks, id = maps["more_stacks"], id-n
	}
	all := make([]uint64, stacks.ValueSize()/8)
	err = stacks.Lookup(uint32(id), all)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading a stack: %w", err)
	}
	for _, a := range all {
		if a == 0 {
			break
		}
		addrs = append(addrs, a)
	}
	return addrs, false, nil
}

// withoutProgram leaves out the frames of the program that took the stack, which are
// the innermost ones at a tracepoint.
func withoutProgram(frames []Frame) []Frame {
	const within = 12
	last := -1
	for i, f := range frames[:min(len(frames), within)] {
		for _, prefix := range []string{"bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_get_stackid"} {
			if strings.HasPrefix(f.Name, prefix) {
				last = i
			}
		}
	}
	return frames[last+1:]
}
