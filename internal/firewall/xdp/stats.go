package xdp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
)

// Counts is how much met a rule or had a reason. Over counts what a rule in monitor,
// or a rule of a policy in monitor, would have dropped, and what a limit was over.
type Counts struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict,omitempty"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Over    uint64 `json:"over,omitempty"`
}

// Stats are the counts since the firewall was loaded.
type Stats struct {
	Reasons []Counts `json:"reasons"`       // of what comes in: those that happened
	Out     []Counts `json:"out,omitempty"` // of what goes out
	Rules   []Counts `json:"rules"`         // of the policy in use
}

func sum(m *ebpf.Map, key uint32) (Counts, error) {
	var per []progFwCount
	if err := m.Lookup(key, &per); err != nil {
		return Counts{}, fmt.Errorf("reading counters: %w", err)
	}
	var c Counts
	for _, p := range per {
		c.Packets += p.Packets
		c.Bytes += p.Bytes
		c.Over += p.Over
	}
	return c, nil
}

// Stats reads the counters.
func (f *Firewall) Stats() (*Stats, error) {
	s := &Stats{Reasons: []Counts{}, Rules: []Counts{}}
	for i := range 4 * uint32(firewall.Reasons) {
		c, err := sum(f.objs.Reasons, i)
		if err != nil {
			return nil, err
		}
		if c.Packets+c.Over == 0 {
			continue
		}
		c.Name, c.Verdict = firewall.Reason(i%uint32(firewall.Reasons)).String(), "pass"
		if i/uint32(firewall.Reasons)%2 == 1 {
			c.Verdict = "drop"
		}
		if i < 2*uint32(firewall.Reasons) {
			s.Reasons = append(s.Reasons, c)
		} else {
			s.Out = append(s.Out, c)
		}
	}
	names, err := f.counterNames()
	if err != nil {
		return nil, err
	}
	used, err := f.countersInUse()
	if err != nil {
		return nil, err
	}
	for id := range used {
		c, err := sum(f.objs.Counters, id)
		if err != nil {
			return nil, err
		}
		c.Name = names[id]
		s.Rules = append(s.Rules, c)
	}
	slices.SortFunc(s.Rules, func(a, b Counts) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// Status is what the firewall is and where.
type Status struct {
	Attached   []Attachment `json:"attached"`
	Rules      uint32       `json:"rules"`
	Engine     string       `json:"engine"`
	Default    string       `json:"default"`
	DefaultOut string       `json:"default_out"`
	Monitor    bool         `json:"monitor"`
	Build      string       `json:"build,omitempty"` // of bearcat, that loaded it
}

// Status asks where the firewall is and what it goes by.
func (f *Firewall) Status() (*Status, error) {
	attached, err := f.Attached()
	if err != nil {
		return nil, err
	}
	slot, err := f.Slot()
	if err != nil {
		return nil, err
	}
	var c progFwConfig
	if err := f.objs.Configs.Lookup(slot, &c); err != nil {
		return nil, fmt.Errorf("reading the policy in use: %w", err)
	}
	s := &Status{
		Attached: attached, Rules: c.Rules, Default: firewall.Action(c.DefaultAction).String(), DefaultOut: firewall.Action(c.DefaultOut).String(),
		Monitor: c.Monitor != 0, Build: f.build,
	}
	s.Engine = "no rules: lists and the default decide"
	if c.Rules > 0 {
		s.Engine = fmt.Sprintf("bit vectors: five rows of %d words, and the rules that all five accept", c.Words)
	}
	if s.Attached == nil {
		s.Attached = []Attachment{}
	}
	return s, nil
}
