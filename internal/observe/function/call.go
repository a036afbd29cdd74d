package function

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is one call of a function.
type Call struct {
	// At is since the host was started.
	At       time.Duration `json:"at_ns"`
	Function string        `json:"function"`
	// Caller is who called it; "" where Took is told, for then the kernel does not say.
	Caller string        `json:"caller,omitempty"`
	Took   time.Duration `json:"took_ns,omitempty"`
	CPU    int           `json:"cpu"`
	Tid    int           `json:"tid"`
	Comm   string        `json:"comm"`
}

var (
	// "     cat-4242    [001] ..... 12345.678901: vfs_read <-ksys_read"; some kernels
	// have fewer flags
	plain = regexp.MustCompile(`^\s*(.*)-(\d+)\s+\[(\d+)\]\s+\S+\s+(\d+)\.(\d+):\s+(\S+) <-(\S+)`)
	// " 12345.678901 |   1)    cat-4242    |   1.234 us    |  vfs_read();"
	graph = regexp.MustCompile(`^\s*(\d+)\.(\d+) \|\s+(\d+)\)\s+(.*)-(\d+)\s*\|\s*(.*?)\s*\|\s*(.*)$`)
)

// parse reads a line of ftrace. A line that is no call, or no whole one, gives nil; ok is
// false where a line is of no form that is known.
func parse(line string, withTimes bool) (c *Call, ok bool) {
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' || strings.HasPrefix(trimmed, "CPU:") || strings.HasPrefix(trimmed, "---") {
		return nil, true
	}
	if withTimes {
		return parseGraph(line)
	}
	m := plain.FindStringSubmatch(line)
	if m == nil {
		return nil, false
	}
	return &Call{At: seconds(m[4], m[5]), Function: m[6], Caller: m[7], CPU: number(m[3]), Tid: number(m[2]), Comm: strings.TrimSpace(m[1])}, true
}

func parseGraph(line string) (*Call, bool) {
	m := graph.FindStringSubmatch(line)
	if m == nil {
		// a change of tasks is drawn as a line between two others
		return nil, strings.Contains(line, "=>") || strings.Contains(line, "----")
	}
	c := &Call{At: seconds(m[1], m[2]), CPU: number(m[3]), Comm: strings.TrimSpace(m[4]), Tid: number(m[5])}
	what := strings.TrimSpace(m[7])
	took, ended := duration(m[6])
	switch {
	case strings.HasSuffix(what, "{"):
		return nil, true // it is told again when it ends
	case strings.HasPrefix(what, "}"):
		c.Function = strings.Trim(strings.TrimPrefix(what, "}"), " /*;")
	default:
		c.Function = strings.TrimRight(what, "(); ")
	}
	c.Function, _, _ = strings.Cut(c.Function, " ")
	c.Function = strings.TrimRight(c.Function, "();")
	if c.Function == "" {
		return nil, ended
	}
	c.Took = took
	return c, true
}

func seconds(whole, micro string) time.Duration {
	s, _ := strconv.ParseInt(whole, 10, 64)
	f, _ := strconv.ParseFloat("0."+micro, 64)
	return time.Duration(s)*time.Second + time.Duration(f*1e9)
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// duration reads as "1.234 us", with marks for long ones before it.
func duration(s string) (time.Duration, bool) {
	words := strings.Fields(strings.TrimLeft(s, "$@*#!+ "))
	if len(words) != 2 {
		return 0, false
	}
	f, err := strconv.ParseFloat(words[0], 64)
	unit, known := map[string]time.Duration{"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "sec": time.Second}[words[1]]
	if err != nil || !known || f < 0 || f > 1e9 {
		return 0, false
	}
	return time.Duration(f * float64(unit)), true
}

// WriteText writes one line.
func (c *Call) WriteText(w io.Writer, clean func(string) string) error {
	tail := ""
	if c.Caller != "" {
		tail = " < " + c.Caller
	} else if c.Took > 0 {
		tail = "  " + c.Took.String()
	}
	_, err := fmt.Fprintf(w, "%14.6f %-16s %7d  cpu%-3d %s%s\n", c.At.Seconds(), clean(c.Comm), c.Tid, c.CPU, clean(c.Function), clean(tail))
	return err
}

// Sum is what calls of one function came to.
type Sum struct {
	Function string        `json:"function"`
	Calls    int           `json:"calls"`
	Took     time.Duration `json:"took_ns,omitempty"`
	Longest  time.Duration `json:"longest_ns,omitempty"`
	// Caller and Process are those with the most calls, and how many those were.
	Caller       string `json:"caller,omitempty"`
	CallerCalls  int    `json:"caller_calls,omitempty"`
	Process      string `json:"process"`
	ProcessCalls int    `json:"process_calls"`
	callers      map[string]int
	processes    map[string]int
}

// mostNames is of how many callers and processes of one function counts are kept.
const mostNames = 1000

// Sums adds calls up by function.
type Sums map[string]*Sum

// Add adds one.
func (s Sums) Add(c *Call) {
	x := s[c.Function]
	if x == nil {
		x = &Sum{Function: c.Function, callers: map[string]int{}, processes: map[string]int{}}
		s[c.Function] = x
	}
	x.Calls++
	x.Took += c.Took
	x.Longest = max(x.Longest, c.Took)
	count(x.callers, c.Caller)
	count(x.processes, fmt.Sprintf("%s[%d]", c.Comm, c.Tid))
}

func count(m map[string]int, name string) {
	if _, ok := m[name]; ok || len(m) < mostNames {
		m[name]++
	}
}

// List returns the sums, those with the most calls first.
func (s Sums) List() []*Sum {
	out := slices.Collect(maps.Values(s))
	for _, x := range out {
		x.Caller, x.CallerCalls = most(x.callers)
		x.Process, x.ProcessCalls = most(x.processes)
	}
	slices.SortFunc(out, func(a, b *Sum) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Function, b.Function))
	})
	return out
}

func most(of map[string]int) (best string, n int) {
	for name, k := range of {
		if k > n || k == n && name < best {
			best, n = name, k
		}
	}
	return best, n
}
