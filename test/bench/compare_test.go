package bench

import (
	"strings"
	"testing"
)

// worked is a workload that took 100 ns without and some time with an agent.
func worked(with float64) *WorkloadCost {
	return &WorkloadCost{Pairs: Pairs{Without: []float64{100}, With: []float64{with}}}
}

func TestPart(t *testing.T) {
	if of, ok := part(worked(120), worked(150)); !ok || of != 0.4 {
		t.Errorf("20 ns of 50 ns = %v, %v; want 0.4", of, ok)
	}
	for name, other := range map[string]*WorkloadCost{"nothing": worked(100), "less": worked(90), "no measurement": nil} {
		if of, ok := part(worked(120), other); ok {
			t.Errorf("a part of %s = %v, want none", name, of)
		}
	}
}

func TestTargetsSayWhatIsMissed(t *testing.T) {
	c := &Cost{Work: []string{"open", "rw"}, Agents: []AgentCost{
		{Name: Events, Label: "every", Work: map[string]*WorkloadCost{"open": worked(900), "rw": worked(900)}},
		{Name: Alerts, Label: "alerts", Work: map[string]*WorkloadCost{"open": worked(125), "rw": worked(115.1)}},
	}}
	var b strings.Builder
	if err := c.writeTargets(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	want := "target workload at most measured alerts open 1.25 1.250 kept alerts rw 1.15 1.151 missed"
	if got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	b.Reset()
	c.Agents = c.Agents[:1]
	if err := c.writeTargets(&b); err != nil || b.Len() != 0 {
		t.Errorf("printed %q (%v) without an agent that has a target", b.String(), err)
	}
}

func TestParts(t *testing.T) {
	c := &Cost{Work: []string{"open", "rw"}, Agents: []AgentCost{
		{Name: Events, Label: "every", Work: map[string]*WorkloadCost{"open": worked(130), "rw": worked(130)}},
		{Name: Libbpf, Label: "three", Work: map[string]*WorkloadCost{"open": worked(140), "rw": worked(100)}},
	}}
	var b strings.Builder
	if err := c.writeParts(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if got := strings.Fields(lines[len(lines)-1]); len(lines) != 2 || strings.Join(got, " ") != "every 0.75 –" {
		t.Errorf("printed %q, want every 0.75 and nothing", b.String())
	}
}

func TestSeen(t *testing.T) {
	c := &Cost{Agents: []AgentCost{
		{Name: Alerts, Label: "alerts", Seen: map[string]int{}},
		{Name: Events, Label: "every", Seen: map[string]int{"open": 7}, Made: map[string]int{"open": 9}},
	}}
	var b strings.Builder
	if err := c.writeSeen(&b); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(b.String()), " "); got != "seen of made exec open connect every – 7 of 9 –" {
		t.Errorf("printed %q", got)
	}
}
