// Package explain says in words what the firewall does: what decides on the packets of
// a source, what became of a logged frame, and what would become of others. Policies,
// lists and records of the log go in, lines come out. cmd/bearcat prints them.
package explain

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

// Step is one thing that decides on a source's packets, in the order in which the
// firewall looks.
type Step struct {
	What    string `json:"what"`
	Says    string `json:"says"`
	Verdict string `json:"verdict,omitempty"` // pass or drop where it decides
}

// Lists are those of a firewall that is loaded.
type Lists interface {
	Allowed() ([]xdp.Entry, error)
	Blocked() ([]xdp.Entry, error)
	Bans() ([]xdp.Entry, error)
}

// Source goes through protection, lists and rules for packets from a. comments are as
// host.State has them.
func Source(a netip.Addr, protected []host.Protected, l Lists, comments map[string]string, policy *firewall.Policy) ([]Step, error) {
	var out []Step
	for _, x := range protected {
		if x.Addr == a {
			out = append(out, Step{What: "protected", Says: x.Why})
		}
	}
	for _, l := range []struct {
		list    host.List
		read    func() ([]xdp.Entry, error)
		verdict string
	}{{host.AllowList, l.Allowed, "pass"}, {host.BlockList, l.Blocked, "drop"}, {host.BanList, l.Bans, "drop"}} {
		entries, err := l.read()
		if err != nil {
			return nil, err
		}
		for i := range entries {
			if entries[i].Prefix.Contains(a) {
				out = append(out, Step{string(l.list), says(l.list, &entries[i], comments), l.verdict})
			}
		}
	}
	return append(out, Rules(policy, a)...), nil
}

// says describes an entry of a list.
func says(list host.List, e *xdp.Entry, comments map[string]string) string {
	s := e.Prefix.String()
	if list == host.AllowList {
		s += ": nothing well formed is dropped, whatever follows"
	}
	if e.Left > 0 {
		s += fmt.Sprintf(", for %s more", e.Left.Round(time.Second))
	}
	if e.By != "" {
		s += ", by " + e.By
	}
	if c := comments[string(list)+" "+e.Prefix.String()]; c != "" {
		s += ": " + c
	}
	return s
}

// Rules names the rules that may hold for packets from a, up to the first that holds for
// all of them.
func Rules(policy *firewall.Policy, a netip.Addr) []Step {
	var out []Step
	for _, r := range policy.Active() {
		if r.Out {
			continue
		}
		m := r.Match
		if m.Has&firewall.Src != 0 {
			in := false
			for _, x := range m.Src {
				in = in || x.Contains(a)
			}
			if in == (m.Not&firewall.Src != 0) {
				continue
			}
		}
		rest := m.Has &^ firewall.Src
		s := Step{What: "rule", Says: r.Name + ": " + r.Action.String()}
		if rest != 0 {
			s.Says += ", where " + rest.String() + " fit"
		}
		if r.Monitor {
			s.Says += " (monitor: only counted)"
		}
		final := rest == 0 && !r.Monitor && (r.Action == firewall.Pass || r.Action == firewall.Drop)
		if final {
			s.Verdict = r.Action.String()
		}
		if out = append(out, s); final {
			return out
		}
	}
	return append(out, Step{"default", "no rule decided", policy.Default.String()})
}
