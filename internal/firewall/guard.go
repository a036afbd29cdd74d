package firewall

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// MaxGuardedRanges is how many ranges of ports the guards of a policy may have.
const MaxGuardedRanges = 64

type fileGuard struct {
	Name        string `yaml:"name"`
	Comment     string `yaml:"comment"`
	Ports       list   `yaml:"ports"`
	Connections string `yaml:"connections"`
	Ban         string `yaml:"ban"`
	Grow        bool   `yaml:"grow"`
	HalfOpen    string `yaml:"half_open"`
	Monitor     bool   `yaml:"monitor"`
}

// guards reads the guards of a policy.
func guards(file string, nodes []yaml.Node) (out []Guard, errs []error) {
	seen := map[string]bool{}
	ranges := 0
	for i := range nodes {
		g, err := readGuard(&nodes[i])
		if err == nil && seen[g.Name] {
			err = fmt.Errorf("there is a guard %q already: names are unique, counters go by them", g.Name)
		}
		if ranges += len(g.Ports); err == nil && ranges > MaxGuardedRanges {
			err = fmt.Errorf("the guards have more than %d ranges of ports: join ranges", MaxGuardedRanges)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: guard: %w", file, nodes[i].Line, err))
			continue
		}
		seen[g.Name] = true
		out = append(out, g)
	}
	return out, errs
}

func readGuard(n *yaml.Node) (Guard, error) {
	var f fileGuard
	if err := decode(n, &f); err != nil {
		return Guard{}, err
	}
	g := Guard{Name: f.Name, Comment: f.Comment, Grow: f.Grow, Monitor: f.Monitor, Ban: 10 * time.Minute, HalfOpen: 20}
	if f.Name == "" || strings.ContainsAny(f.Name, " \t\n") || len(f.Name) > 48 {
		return g, fmt.Errorf("name: %q: a guard needs a name without blanks, of at most 48 bytes", f.Name)
	}
	if len(f.Ports) == 0 {
		return g, errors.New("ports: a guard needs the ports that it guards, such as [22]")
	}
	for _, s := range f.Ports {
		r, err := parseRange(s, 65535)
		if err != nil {
			return g, fmt.Errorf("ports: %w", err)
		}
		g.Ports = append(g.Ports, r)
	}
	var err error
	if g.Connections, g.Per, err = parseRate(f.Connections); err != nil {
		return g, fmt.Errorf("connections: %w", err)
	}
	if f.Ban != "" {
		if g.Ban, err = parseBan(f.Ban); err != nil {
			return g, err
		}
	}
	if f.HalfOpen != "" {
		per := time.Duration(0)
		if g.HalfOpen, per, err = parseRate(f.HalfOpen); err != nil || per != time.Second {
			return g, fmt.Errorf("half_open: %q is not a rate a second, such as 20/s", f.HalfOpen)
		}
	}
	return g, nil
}
