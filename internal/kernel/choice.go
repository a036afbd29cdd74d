package kernel

import (
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// CommMax is how many bytes the kernel keeps of a task's name.
const CommMax = 15

// Choice says which tasks an observer's programs look at; what is set must all hold.
// It is decided in the kernel (chosen.h), and leaves this process out.
type Choice struct {
	// Pid chooses a process with its threads, Comm those whose thread or process has
	// the name; 0 and "" for all.
	Pid  uint32
	Comm string
	// Scope may be a control group, with those below it.
	Scope Scope
	// Net is the number of a network namespace; 0 for all. Programs that can choose
	// one include group.h.
	Net uint32
}

// Some tells whether some tasks are chosen, and not all. Net is not looked at.
func (c Choice) Some() bool { return c.Pid != 0 || c.Comm != "" || c.Scope.Kind != ScopeHost }

// Tasks is the choice without the namespace, for programs that choose it by themselves.
func (c Choice) Tasks() Choice {
	c.Net = 0
	return c
}

// Check refuses what cannot be chosen.
func (c Choice) Check() error {
	if len(c.Comm) > CommMax {
		return fmt.Errorf("%q is longer than the %d bytes that the kernel keeps of a name", c.Comm, CommMax)
	}
	if c.Pid == 0 {
		return nil
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", c.Pid)); err != nil {
		return fmt.Errorf("there is no process %d to look at: %w", c.Pid, err)
	}
	return nil
}

// Set sets the programs' constants.
func (c Choice) Set(spec *ebpf.CollectionSpec) error {
	var comm [16]uint8
	copy(comm[:], c.Comm)
	values := map[string]any{"only_tgid": c.Pid, "own": uint32(os.Getpid()), "only_comm": comm, "only_comm_len": uint32(len(c.Comm))}
	if c.Scope.Kind == ScopeCgroup {
		values["scope_kind"], values["scope_cgroup"], values["scope_subsys"] = uint32(c.Scope.Kind), c.Scope.CgroupID, int32(c.Scope.Subsys)
	}
	if c.Net != 0 {
		values["only_netns"] = c.Net
	}
	for name, v := range values {
		if err := setConstant(spec, name, v); err != nil {
			return err
		}
	}
	return nil
}

func setConstant(spec *ebpf.CollectionSpec, name string, v any) error {
	variable, ok := spec.Variables[name]
	if !ok {
		return fmt.Errorf("these programs have no constant %s", name)
	}
	if err := variable.Set(v); err != nil {
		return fmt.Errorf("setting the programs' constant %s: %w", name, err)
	}
	return nil
}

// NetOf returns the number of a process's network namespace.
func NetOf(pid uint32) (uint32, error) {
	st, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return 0, fmt.Errorf("the network namespace of process %d cannot be seen: %w", pid, err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("the network namespace of process %d has no number", pid)
	}
	return uint32(sys.Ino), nil
}

// TracepointArguments is how many a tracepoint has, 0 where there is no such tracepoint:
// releases add some at the end, and have taken others away.
func TracepointArguments(types *btf.Spec, name string) int {
	var def *btf.Typedef
	if types.TypeByName("btf_trace_"+name, &def) != nil {
		return 0
	}
	if p, ok := def.Type.(*btf.Pointer); ok {
		if f, ok := p.Target.(*btf.FuncProto); ok {
			return len(f.Params) - 1 // the first is the tracepoint's own
		}
	}
	return 0
}
