package bench

import (
	"fmt"
	"io"
	"strings"
)

// target is the most that an agent may cost a workload, as a ratio of times.
type target struct {
	agent, work string
	most        float64
}

// targets are what the project sets itself, for the agent with the shipped rules.
func targets() []target {
	return []target{
		{Alerts, "open", 1.25},
		{Alerts, "rw", 1.15},
		{Alerts, "connect", 1.10},
		{Alerts, "compile", 1.05},
	}
}

// mostOfLibbpf is the most that writing everything may add, as a part of what
// the three programs of libbpf-tools add.
const mostOfLibbpf = 0.5

// agent returns what was measured of an agent, nil where it was not.
func (c *Cost) agent(name string) *AgentCost {
	for i := range c.Agents {
		if c.Agents[i].Name == name {
			return &c.Agents[i]
		}
	}
	return nil
}

// writeTargets prints each target of an agent that was measured. A ratio is
// compared as it is, not as it is printed.
func (c *Cost) writeTargets(w io.Writer) error {
	t := newTable(w)
	head := "\ntarget\tworkload\tat most\tmeasured\t"
	for _, g := range targets() {
		a := c.agent(g.agent)
		if a == nil || a.Work[g.work] == nil {
			continue
		}
		if head != "" {
			fmt.Fprintln(t, head)
			head = ""
		}
		ratio := a.Work[g.work].Ratio()
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.3f\t%s\n", a.Label, g.work, g.most, ratio, verdict(ratio, g.most))
	}
	return t.Flush()
}

func verdict(is, most float64) string {
	if is <= most {
		return "kept"
	}
	return "missed"
}

// part is what an agent adds to a workload as a part of what another adds; ok
// is false where the other adds nothing.
func part(a, other *WorkloadCost) (of float64, ok bool) {
	if a == nil || other == nil || other.Added() <= 0 {
		return 0, false
	}
	return float64(a.Added()) / float64(other.Added()), true
}

// writeParts prints what other agents add as a part of what libbpf-tools' add.
func (c *Cost) writeParts(w io.Writer) error {
	base := c.agent(Libbpf)
	if base == nil || len(c.Agents) < 2 {
		return nil
	}
	t := newTable(w)
	fmt.Fprintf(t, "\nadded time, as a part of what %s add (target of Bearcat: %.1f)\t%s\n", base.Label, mostOfLibbpf, strings.Join(c.Work, "\t"))
	for _, a := range c.Agents {
		if a.Name == Libbpf {
			continue
		}
		fmt.Fprint(t, a.Label)
		for _, name := range c.Work {
			if of, ok := part(a.Work[name], base.Work[name]); ok {
				fmt.Fprintf(t, "\t%.2f", of)
			} else {
				fmt.Fprint(t, "\t–")
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// writeSeen prints how much of what was made the agents' output holds.
func (c *Cost) writeSeen(w io.Writer) error {
	kinds := []string{"exec", "open", "connect"}
	t := newTable(w)
	head := "\nseen of made\t" + strings.Join(kinds, "\t")
	for _, a := range c.Agents {
		if len(a.Seen) == 0 {
			continue
		}
		if head != "" {
			fmt.Fprintln(t, head)
			head = ""
		}
		fmt.Fprint(t, a.Label)
		for _, k := range kinds {
			if n, ok := a.Seen[k]; ok {
				fmt.Fprintf(t, "\t%d of %d", n, a.Made[k])
			} else {
				fmt.Fprint(t, "\t–")
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// writeKernelTimes prints the run time of the agents' programs for each
// operation of each workload, from the run with the kernel's accounting on.
func (c *Cost) writeKernelTimes(w io.Writer) error {
	t := newTable(w)
	head := "\nBPF programs, one operation\t" + strings.Join(c.Work, "\t")
	for _, a := range c.Agents {
		if a.Programs == 0 {
			continue
		}
		if head != "" {
			fmt.Fprintln(t, head)
			head = ""
		}
		fmt.Fprint(t, a.Label)
		for _, name := range c.Work {
			fmt.Fprintf(t, "\t%s", shortTime(float64(a.Work[name].KernelTime)))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// explained are the workloads whose programs are printed one by one.
func explained() []string { return []string{"exec", "open", "rw", "connect"} }

// mostPrograms is how many programs of a workload are printed: those that ran
// longest.
const mostPrograms = 6

// writePrograms prints which programs ran, how often and how long each time.
func (c *Cost) writePrograms(w io.Writer) {
	fmt.Fprintln(w)
	for _, name := range explained() {
		for _, a := range c.Agents {
			e := a.Work[name]
			if e == nil || len(e.Programs) == 0 {
				continue
			}
			var parts []string
			for _, p := range e.Programs[:min(mostPrograms, len(e.Programs))] {
				parts = append(parts, fmt.Sprintf("%s %d × %s", p.Name, p.Runs, shortTime(float64(p.Time)/float64(max(1, p.Runs)))))
			}
			fmt.Fprintf(w, "programs in %s, %s: %s\n", name, a.Label, strings.Join(parts, ", "))
		}
	}
}
