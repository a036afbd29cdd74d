package bench

import (
	"strings"
	"testing"
)

func TestDiscarded(t *testing.T) {
	agent := func(name string, open, exec uint64) AgentCost {
		return AgentCost{Name: name, Label: name, Work: map[string]*WorkloadCost{"open": {Received: open}, "exec": {Received: exec}}}
	}
	c := &Cost{Work: []string{"exec", "open"}, Agents: []AgentCost{agent(None, 0, 0), agent(Falco, 50, 7), agent(FalcoAll, 20000, 0)}}
	var b strings.Builder
	if err := c.writeDiscarded(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	last := strings.Fields(lines[len(lines)-1])
	if got := strings.Join(last, " "); got != "discarded in the kernel - 99.75 %" {
		t.Errorf("the last line is %q", got)
	}
	b.Reset()
	c.Agents = c.Agents[:2]
	if err := c.writeDiscarded(&b); err != nil || b.Len() > 0 {
		t.Errorf("with nothing to compare with it says %q, %v", b.String(), err)
	}
}
