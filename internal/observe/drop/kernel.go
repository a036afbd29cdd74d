package drop

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// counters reads the kernel's own counts of what it drops, by network namespace and
// name: of one, or of all that have a process. The processors' are under 0.
func (o Options) counters() map[uint64]map[string]uint64 {
	if o.Net != 0 {
		return map[uint64]map[string]uint64{uint64(o.Net): countersOf("/proc/" + strconv.FormatUint(uint64(o.Member), 10) + "/net/")}
	}
	out := map[uint64]map[string]uint64{0: softnet()}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range append([]string{"/proc/self"}, procs...) {
		st, err := os.Stat(proc + "/ns/net")
		if err != nil {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && out[sys.Ino] == nil {
			out[sys.Ino] = countersOf(proc + "/net/")
		}
	}
	return out
}

func countersOf(dir string) map[string]uint64 {
	out := map[string]uint64{}
	for _, name := range []string{"snmp", "netstat"} {
		if b, err := os.ReadFile(dir + name); err == nil {
			parseSNMP(string(b), out)
		}
	}
	if b, err := os.ReadFile(dir + "snmp6"); err == nil {
		for line := range strings.Lines(string(b)) {
			if w := strings.Fields(line); len(w) == 2 {
				if n, err := strconv.ParseUint(w[1], 10, 64); err == nil {
					out[w[0]] = n
				}
			}
		}
	}
	return out
}

// softnet reads what processors dropped for want of room in their backlog.
func softnet() map[string]uint64 {
	out := map[string]uint64{}
	if b, err := os.ReadFile("/proc/net/softnet_stat"); err == nil {
		for line := range strings.Lines(string(b)) {
			if w := strings.Fields(line); len(w) > 1 {
				if n, err := strconv.ParseUint(w[1], 16, 64); err == nil {
					out["softnet.dropped"] += n
				}
			}
		}
	}
	return out
}

// parseSNMP reads pairs of lines: names and values, both behind "Group:".
func parseSNMP(text string, out map[string]uint64) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || len(values) == 0 || names[0] != values[0] {
			continue
		}
		for k := 1; k < min(len(names), len(values)); k++ {
			if n, err := strconv.ParseUint(values[k], 10, 64); err == nil {
				out[strings.TrimSuffix(names[0], ":")+"."+names[k]] = n
			}
		}
	}
}

// dropping are parts of names of counters that tell of drops.
var dropping = []string{"Drop", "Discard", "Err", "NoPorts", "NoRoutes", "Overflow", "dropped", "Prune", "Unknown", "Hdr", "ReversePathFilter"}

// rose returns the counters of drops that rose, in namespaces that were there all the
// time.
func rose(before, after map[uint64]map[string]uint64) []Counter {
	sum := map[string]uint64{}
	for net, counts := range after {
		if before[net] == nil {
			continue
		}
		for name, n := range counts {
			if n > before[net][name] && slices.ContainsFunc(dropping, func(part string) bool { return strings.Contains(name, part) }) {
				sum[name] += n - before[net][name]
			}
		}
	}
	out := []Counter{}
	for name, n := range sum {
		out = append(out, Counter{Name: name, Rose: n})
	}
	slices.SortFunc(out, func(a, b Counter) int { return strings.Compare(a.Name, b.Name) })
	return out
}
