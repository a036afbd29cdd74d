package status

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// maxRules is how many rules the text names: those that matched most.
const maxRules = 10

// WriteStatus writes s as text for people, in aligned tables.
func WriteStatus(w io.Writer, s Status) error {
	var b strings.Builder
	up := time.Duration(s.UptimeSeconds * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(&b, "bearcat %s, pid %d on %s, Linux %s, watching %s\n", termtext.String(s.Version), s.Pid,
		termtext.String(s.Host), termtext.String(s.Kernel), termtext.String(s.Scope))
	fmt.Fprintf(&b, "up %v since %s, %s of memory, %s of cpu time\n", up, s.Started.Format("2006-01-02 15:04:05 MST"),
		bytesText(s.Process.RSSBytes), time.Duration(s.Process.CPUSeconds*float64(time.Second)).Round(10*time.Millisecond))
	for _, warning := range s.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", termtext.String(warning))
	}
	if c := s.Canary; c != nil {
		fmt.Fprintf(&b, "canary: %d sent, %d not seen, last seen %s%s\n", c.Runs, c.Failures, ago(c.LastOK), problem(c.Problem))
	}
	hooks := [][]string{{"EVENT", "HOOK", "ATTACHED", "LAST EVENT", "RUNS", "MISSED", "NOTE"}}
	for _, h := range s.Hooks {
		hooks = append(hooks, []string{h.Event, h.Hook, yesNo(h.Attached), ago(h.LastEvent), optional(h.Runs), optional(h.Missed), h.Note})
	}
	rings := [][]string{{"RING", "SIZE", "RECEIVED", "LOST IN KERNEL", "GAPS", "LOST COUNTED", "LEFT OUT"}}
	for _, r := range s.Rings {
		rings = append(rings, []string{r.Class, bytesText(r.Size), num(r.Received), num(r.LostInKernel), num(r.Gaps), num(r.LostCounted), num(r.LeftOut)})
	}
	stages := [][]string{{"STAGE", "IN", "OUT", "DROPPED"}}
	for _, t := range s.Stages {
		stages = append(stages, []string{t.Name, num(t.In), num(t.Out), num(t.Dropped)})
	}
	t := s.Table
	table := [][]string{
		{"PROCESSES", "ALIVE", "LIMIT", "MEMORY", "EVICTED", "UNKNOWN", "RESYNCS"},
		{num(t.Processes), num(t.Alive), num(t.Limit), bytesText(t.Bytes), num(t.Evicted), num(t.Unknown), num(t.Resyncs)},
	}
	var shells [][]string
	if x := s.Shells; x != nil {
		shells = [][]string{
			{"SHELLS", "OBJECTS", "FORGOTTEN", "ASKED", "FOUND", "REFUTED", "UNASKED"},
			{num(x.Processes), num(x.Objects), num(x.Forgotten), num(x.Asked), num(x.Found), num(x.Refuted), num(x.Unasked)},
		}
	}
	var counts [][]string
	if x := s.Counts; x != nil {
		counts = [][]string{
			{"COUNTED GROUPS", "MEMORY", "EVICTED", "LATE"},
			{num(x.Groups), bytesText(x.Bytes), num(x.Evicted), num(x.Late)},
		}
	}
	var fw [][]string
	if x := s.Firewall; x != nil {
		var dropped uint64
		for _, p := range x.Reasons {
			if p.Verdict == "drop" {
				dropped += p.Packets
			}
		}
		fw = [][]string{
			{"FIREWALL AT", "DROPPED", "BANS", "BLOCKED BY ALERTS", "REFUSED", "PROBLEM"},
			{strings.Join(x.Devices, " "), num(dropped), strconv.Itoa(x.Bans), num(x.Blocked), num(x.Refused), x.Problem},
		}
	}
	r := s.Rules
	rules := [][]string{
		{"RULES LIVE", "WAITING", "DISABLED", "ALERTS", "SUPPRESSED", "KEPT", "FORGOTTEN", "RELOADS", "REFUSED", "LAST RELOAD"},
		{strconv.Itoa(r.Live), strconv.Itoa(r.Waiting), strconv.Itoa(r.Disabled), num(r.Matched), num(r.Suppressed), num(r.Kept), num(r.Forgotten),
			num(r.Reloads), num(r.Refused), ago(r.LastReload)},
	}
	sinks := [][]string{{"OUTPUT", "IN", "WRITTEN", "WAITING", "LOST", "ALERTS LOST", "BYTES", "ERRORS", "LAST ERROR"}}
	for _, k := range s.Sinks {
		sinks = append(sinks, []string{k.Name, num(k.In), num(k.Out), num(k.Waiting), num(k.Dropped), num(k.DroppedAlerts),
			bytesText(k.Bytes), num(k.Errors), k.LastError})
	}
	for _, rows := range [][][]string{hooks, rings, stages, table, shells, hostPaths(s.HostPaths), counts, fw, rules, topRules(r.ByRule), sinks} {
		if err := writeTable(&b, rows); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func hostPaths(x *HostPaths) [][]string {
	if x == nil {
		return nil
	}
	return [][]string{
		{"HOST PATHS", "FOUND", "HIDDEN", "NAMELESS", "UNSURE", "UNMATCHED", "NO MOUNTS", "NAMESPACES", "READS", "EVICTED"},
		{num(x.Asked), num(x.Found), num(x.Hidden), num(x.Nameless), num(x.Unsure), num(x.Unmatched), num(x.NoMounts), num(x.Namespaces), num(x.Reads), num(x.Evicted)},
	}
}

// ago is how long a time lies back.
func ago(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return time.Since(*t).Round(time.Second).String() + " ago"
}

func problem(s string) string {
	if s == "" {
		return ""
	}
	return ": " + termtext.String(s)
}

// topRules makes a table of the rules that matched most.
func topRules(byRule map[string]uint64) [][]string {
	type count struct {
		name string
		n    uint64
	}
	var all []count
	for name, n := range byRule {
		if n > 0 {
			all = append(all, count{name, n})
		}
	}
	slices.SortFunc(all, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	rows := [][]string{{"RULE", "ALERTS"}}
	for _, c := range all[:min(len(all), maxRules)] {
		rows = append(rows, []string{c.name, num(c.n)})
	}
	return rows
}

// writeTable writes rows below their heading, and nothing where there are
// none. Cells are escaped: names of rules and errors hold text from files.
func writeTable(b *strings.Builder, rows [][]string) error {
	if len(rows) < 2 {
		return nil
	}
	b.WriteByte('\n')
	var lines strings.Builder
	tw := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = termtext.String(c)
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(lines.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return nil
}

func num(n uint64) string { return strconv.FormatUint(n, 10) }

func optional(n *uint64) string {
	if n == nil {
		return "-"
	}
	return num(*n)
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

func bytesText(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1fGiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1fKiB", float64(n)/(1<<10))
	}
	return num(n)
}
