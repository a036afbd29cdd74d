package bench

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
)

const statsSwitch = "/proc/sys/kernel/bpf_stats_enabled"

// setStats switches the kernel's accounting of program run time. It costs
// every run of a program two readings of the clock, so the wall-time
// measurements go without.
func setStats(on bool) error {
	v := "0"
	if on {
		v = "1"
	}
	if err := os.WriteFile(statsSwitch, []byte(v), 0o644); err != nil {
		return fmt.Errorf("switching the accounting of program run time: %w", err)
	}
	return nil
}

// kernelState is what the kernel holds of BPF.
type kernelState struct {
	Programs map[ebpf.ProgramID]programState
	// MapBytes is the memory of all maps.
	MapBytes uint64
}

type programState struct {
	Name    string
	Runtime time.Duration
	Runs    uint64
}

// readKernelState reads the host's programs and maps. Guests run nothing of
// the kind but the agent.
func readKernelState() (kernelState, error) {
	s := kernelState{Programs: map[ebpf.ProgramID]programState{}}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return s, fmt.Errorf("listing programs in the kernel: %w", err)
		}
		id = next
		if err := s.addProgram(id); err != nil {
			return s, err
		}
	}
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("listing maps in the kernel: %w", err)
		}
		id = next
		if err := s.addMap(id); err != nil {
			return s, err
		}
	}
}

func (s *kernelState) addProgram(id ebpf.ProgramID) error {
	p, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil // gone since it was listed
	}
	if err != nil {
		return fmt.Errorf("opening program %d: %w", id, err)
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return fmt.Errorf("reading about program %d: %w", id, err)
	}
	stats, err := p.Stats()
	if err != nil {
		return fmt.Errorf("reading the run time of program %d: %w", id, err)
	}
	s.Programs[id] = programState{info.Name, stats.Runtime, stats.RunCount}
	return nil
}

func (s *kernelState) addMap(id ebpf.MapID) error {
	m, err := ebpf.NewMapFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening map %d: %w", id, err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return fmt.Errorf("reading about map %d: %w", id, err)
	}
	if n, ok := info.Memlock(); ok {
		s.MapBytes += n
	}
	return nil
}

// ProgramCost is what one program of an agent ran during a workload.
type ProgramCost struct {
	Name string        `json:"name"`
	Runs uint64        `json:"runs"`
	Time time.Duration `json:"time_ns"`
}

// since returns what ran between before and s, programs of one name together.
func (s kernelState) since(before kernelState) (total time.Duration, costs map[string]ProgramCost) {
	costs = map[string]ProgramCost{}
	for id, now := range s.Programs {
		old := before.Programs[id]
		c := costs[now.Name]
		c.Name = now.Name
		c.Runs += now.Runs - old.Runs
		c.Time += now.Runtime - old.Runtime
		if c.Runs > 0 {
			costs[now.Name] = c
			total += now.Runtime - old.Runtime
		}
	}
	return total, costs
}
