package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settleTime is between an agent's being ready and the first measurement; what
// the agent uses in it is its rate of idling.
const settleTime = time.Second

// CostOptions says what to measure.
type CostOptions struct {
	// Tools make the load.
	Tools Tools
	// Bearcat is the binary to measure.
	Bearcat string
	// Args are more arguments for it.
	Args []string
	// Agents are measured in this order; those not installed are passed over.
	Agents []string
	// Pairs is how often each workload runs without and with each agent.
	Pairs int
	// Dir takes what the agents write.
	Dir string
	// Progress gets a line for each step.
	Progress io.Writer
}

// Cost is what the agents cost on one boot.
type Cost struct {
	Host   Host        `json:"host"`
	Pairs  int         `json:"pairs"`
	Work   []string    `json:"workloads"`
	Agents []AgentCost `json:"agents"`
	// Skipped says which agents were not measured, and why.
	Skipped []string `json:"skipped,omitempty"`
}

// AgentCost is what one agent costs.
type AgentCost struct {
	Name  string                   `json:"name"`
	Label string                   `json:"label"`
	Work  map[string]*WorkloadCost `json:"workloads"`
	// Made counts operations of a workload while the agent ran, Seen its
	// events about them; Lost is what it says it lost.
	Made   map[string]int `json:"made"`
	Seen   map[string]int `json:"seen"`
	Lost   int            `json:"lost"`
	Alerts int            `json:"alerts"`
	// Startup is the median time to readiness, in nanoseconds.
	Startup time.Duration `json:"startup_ns"`
	// RSS and PeakRSS are the medians at the end of the work, in bytes.
	RSS      uint64 `json:"rss"`
	PeakRSS  uint64 `json:"peak_rss"`
	MapBytes uint64 `json:"map_bytes"`
	Programs int    `json:"programs"`

	startups, rss, peaks []float64
}

// WorkloadCost is what an agent costs one workload.
type WorkloadCost struct {
	Pairs
	// AgentCPU is the agent's own processor time per operation, less what it
	// uses when idle, in nanoseconds; the median of the pairs.
	AgentCPU time.Duration `json:"agent_cpu_ns"`
	// KernelTime is the run time of the agent's BPF programs per operation,
	// measured in a run of its own.
	KernelTime time.Duration `json:"bpf_ns"`
	// Received is how many records of calls came to the agent in that run, where it is
	// one that can be asked.
	Received uint64 `json:"received,omitempty"`
	// Programs is KernelTime by program, for the whole run.
	Programs []ProgramCost `json:"programs,omitempty"`

	cpu []float64
}

// MeasureCost measures the agents, one after the other, in pairs of runs.
func MeasureCost(ctx context.Context, o CostOptions) (*Cost, error) {
	jail := filepath.Join(o.Dir, "root")
	if err := makeJail(jail, o.Tools); err != nil {
		return nil, err
	}
	m := &meter{CostOptions: o, work: workloads(o.Tools, jail)}
	c := &Cost{Host: readHost(), Pairs: o.Pairs}
	for _, w := range m.work {
		c.Work = append(c.Work, w.Name)
	}
	if err := bringUpLoopback(); err != nil {
		return nil, err
	}
	m.progress("warming up")
	for _, w := range m.work {
		if _, err := w.run(ctx, o.Tools); err != nil {
			return nil, err
		}
	}
	// once, before any agent: what one leaves is freed some time after its end
	var err error
	if m.before, err = readKernelState(); err != nil {
		return nil, err
	}
	for _, name := range o.Agents {
		a, err := findAgent(name, o.Tools, o.Bearcat, o.Args...)
		if err != nil {
			m.progress("skipped %s: %v", name, err)
			c.Skipped = append(c.Skipped, name+": "+err.Error())
			continue
		}
		r, err := m.agent(ctx, a)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", a.Label, err)
		}
		c.Agents = append(c.Agents, *r)
	}
	return c, nil
}

type meter struct {
	CostOptions
	work   []Workload
	before kernelState // before any agent
}

func (m *meter) progress(format string, args ...any) {
	fmt.Fprintf(m.Progress, "  "+format+"\n", args...)
}

func (m *meter) agent(ctx context.Context, a Agent) (*AgentCost, error) {
	r := &AgentCost{
		Name: a.Name, Label: a.Label,
		Work: map[string]*WorkloadCost{}, Made: map[string]int{}, Seen: map[string]int{},
	}
	for _, w := range m.work {
		r.Work[w.Name] = &WorkloadCost{}
	}
	for i := range m.Pairs {
		begin := time.Now()
		if err := m.pair(ctx, a, r); err != nil {
			return nil, fmt.Errorf("pair %d: %w", i+1, err)
		}
		e := r.Work["exec"]
		m.progress("%s: pair %d of %d, exec %s without and %s with it (%s of the guest's time)", a.Label, i+1, m.Pairs,
			shortTime(e.Without[i]), shortTime(e.With[i]), time.Since(begin).Round(100*time.Millisecond))
	}
	if len(a.Programs) > 0 {
		if err := m.kernelShare(ctx, a, r); err != nil {
			return nil, fmt.Errorf("measuring the share of the kernel: %w", err)
		}
	}
	r.Startup = time.Duration(median(r.startups))
	r.RSS, r.PeakRSS = uint64(median(r.rss)), uint64(median(r.peaks))
	for _, w := range r.Work {
		w.AgentCPU = time.Duration(median(w.cpu))
	}
	return r, nil
}

// pair runs all workloads without the agent and then with it.
func (m *meter) pair(ctx context.Context, a Agent, r *AgentCost) error {
	for _, w := range m.work {
		ns, err := w.run(ctx, m.Tools)
		if err != nil {
			return err
		}
		r.Work[w.Name].Without = append(r.Work[w.Name].Without, ns)
	}
	return m.session(ctx, a, r, func(s *Session) error {
		before, err := s.Usage()
		if err != nil {
			return err
		}
		if err := sleep(ctx, settleTime); err != nil {
			return err
		}
		settled, err := s.Usage()
		if err != nil {
			return err
		}
		idle := float64(settled.CPU-before.CPU) / float64(settleTime)
		for _, w := range m.work {
			if err := m.with(ctx, s, w, r, idle); err != nil {
				return err
			}
		}
		last, err := s.Usage()
		if err != nil {
			return err
		}
		r.startups = append(r.startups, float64(s.Startup))
		r.rss = append(r.rss, float64(last.RSS))
		r.peaks = append(r.peaks, float64(last.PeakRSS))
		return nil
	})
}

// with runs one workload under the agent; idle is the agent's processor time
// per time when nothing happens.
func (m *meter) with(ctx context.Context, s *Session, w Workload, r *AgentCost, idle float64) error {
	begin := time.Now()
	before, err := s.Usage()
	if err != nil {
		return err
	}
	ns, err := w.run(ctx, m.Tools)
	if err != nil {
		return err
	}
	if err := s.drain(ctx); err != nil {
		return err
	}
	after, err := s.Usage()
	if err != nil {
		return err
	}
	cpu := float64(after.CPU-before.CPU) - idle*float64(time.Since(begin))
	c := r.Work[w.Name]
	c.With = append(c.With, ns)
	c.cpu = append(c.cpu, max(0, cpu/float64(w.N)))
	r.Made[w.Name] += w.N
	return nil
}

// session starts the agent, calls do, stops the agent and adds up what it saw.
func (m *meter) session(ctx context.Context, a Agent, r *AgentCost, do func(*Session) error) error {
	dir := filepath.Join(m.Dir, a.Name)
	s, err := startAgent(ctx, a, dir)
	if err != nil {
		return err
	}
	if err := do(s); err != nil {
		s.kill()
		if a.Cleanup != nil {
			err = errors.Join(err, a.Cleanup())
		}
		return err
	}
	c, err := s.stop(m.Tools)
	if a.Cleanup != nil {
		err = errors.Join(err, a.Cleanup())
	}
	if err != nil {
		return err
	}
	for w, n := range c.Seen {
		r.Seen[w] += n
	}
	r.Lost += c.Lost
	r.Alerts += c.Alerts
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing what the agent wrote: %w", err)
	}
	return nil
}

// kernelShare runs the workloads once more with the kernel's accounting on.
func (m *meter) kernelShare(ctx context.Context, a Agent, r *AgentCost) error {
	if err := setStats(true); err != nil {
		return err
	}
	defer setStats(false)
	return m.session(ctx, a, r, func(s *Session) error {
		// long enough for what the agent before left to be freed
		if err := sleep(ctx, 5*settleTime); err != nil {
			return err
		}
		before, err := readKernelState()
		if err != nil {
			return err
		}
		r.MapBytes = before.MapBytes - min(m.before.MapBytes, before.MapBytes)
		r.Programs = len(before.Programs) - len(m.before.Programs)
		received, err := m.received(ctx, a)
		if err != nil {
			return err
		}
		for _, w := range m.work {
			if _, err := w.run(ctx, m.Tools); err != nil {
				return err
			}
			if err := s.drain(ctx); err != nil {
				return err
			}
			after, err := readKernelState()
			if err != nil {
				return err
			}
			total, costs := after.since(before)
			c := r.Work[w.Name]
			c.KernelTime = total / time.Duration(w.N)
			last := received
			if received, err = m.received(ctx, a); err != nil {
				return err
			}
			c.Received = received - last
			for _, p := range costs {
				c.Programs = append(c.Programs, p)
			}
			slices.SortFunc(c.Programs, func(a, b ProgramCost) int {
				if a.Time != b.Time {
					return int(b.Time - a.Time)
				}
				return strings.Compare(a.Name, b.Name)
			})
			r.Made[w.Name] += w.N
			before = after
		}
		m.progress("%s: BPF run time %s of each exec, in a run of its own", a.Label, shortTime(float64(r.Work["exec"].KernelTime)))
		return nil
	})
}

// received asks the agent how many records of calls have come to it.
func (m *meter) received(ctx context.Context, a Agent) (uint64, error) {
	if a.Status == "" {
		return 0, nil
	}
	var account Account
	err := account.ask(ctx, a.Status, "/run/bearcat/bearcat.sock")
	return account.Received, err
}
