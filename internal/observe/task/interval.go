package task

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

// Interval is a time in which one task did one thing.
type Interval struct {
	// At is when it began, Since how long that is after the trace began.
	At    time.Time     `json:"at"`
	Since time.Duration `json:"since_ns"`
	Took  time.Duration `json:"took_ns"`
	Pid   uint32        `json:"pid"`
	Tid   uint32        `json:"tid"`
	Comm  string        `json:"comm"`
	// What is ran, slept, waited (for a processor) or moved (to another one).
	What string `json:"what"`
	CPU  uint32 `json:"cpu"`
	// From is the processor that a task moved from, to CPU.
	From uint32 `json:"from_cpu,omitempty"`
	// Preempted is of a run that could have gone on.
	Preempted bool `json:"preempted,omitempty"`
	// Disk is of a sleep that waited for a device.
	Disk bool `json:"disk,omitempty"`
	// Other is who got the processor after a run, who ended a sleep, or who ran
	// longest while it waited; nil for none.
	Other *Process `json:"other,omitempty"`
	// Where are the kernel's functions in which it slept, innermost first.
	Where []string `json:"where,omitempty"`
}

// Process is another one.
type Process struct {
	Pid  uint32 `json:"pid"`
	Comm string `json:"comm"`
}

var whats = map[progWhat]string{progWhatRAN: "ran", progWhatSLEPT: "slept", progWhatWAITED: "waited", progWhatMOVED: "moved"}

// gatherer makes intervals of what the programs tell.
type gatherer struct {
	origin, begun time.Time
	names         kernel.Symbols
	stack         func(id int32) []uint64
}

// take reads a record; nil for what the programs do not write.
func (g *gatherer) take(raw []byte) *Interval {
	var n progNote
	if !kernel.Decode(raw, &n) || whats[progWhat(n.What)] == "" || n.To < n.From {
		return nil
	}
	i := &Interval{At: g.origin.Add(time.Duration(n.From)), Took: time.Duration(n.To - n.From), Pid: n.Tgid, Tid: n.Tid, Comm: kernel.Text(n.Comm[:]),
		What: whats[progWhat(n.What)], CPU: n.Cpu, Preempted: n.Preempted != 0, Disk: n.Disk != 0}
	i.Since = i.At.Sub(g.begun)
	if i.What == "moved" {
		i.From, i.CPU = n.A, n.B
	}
	if n.Other != 0 {
		i.Other = &Process{n.Other, kernel.Text(n.OtherComm[:])}
	}
	if n.Stack >= 0 {
		i.Where = g.where(g.stack(n.Stack))
	}
	return i
}

// where names the functions of a stack, without those of the scheduler and of tracing.
func (g *gatherer) where(stack []uint64) []string {
	var out []string
	for _, addr := range stack {
		name, _ := g.names.Find(addr)
		name, _, _ = strings.Cut(name, ".")
		if name == "" || slices.ContainsFunc(inside, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		if strings.HasPrefix(name, "do_syscall_64") || strings.HasPrefix(name, "entry_") || strings.HasPrefix(name, "x64_sys_call") {
			break
		}
		out = append(out, name)
	}
	return out
}

// inside are beginnings of names of functions that every sleep goes through.
var inside = []string{"bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "__schedule", "schedule", "preempt_schedule"}

// mostShown is of the functions of a sleep in a line.
const mostShown = 4

// WriteText writes one line.
func (i *Interval) WriteText(w io.Writer, clean func(string) string) error {
	_, err := fmt.Fprintf(w, "%12s %-16s %7d  %-6s %12s  cpu%-3d %s\n", fmt.Sprintf("+%.3fms", float64(i.Since)/1e6), clean(i.Comm), i.Tid, i.What, waterfall.Micro(i.Took), i.CPU, clean(i.Detail()))
	return err
}

// Detail says the rest in words.
func (i *Interval) Detail() string {
	other := "nobody"
	if i.Other != nil {
		other = fmt.Sprintf("%s[%d]", i.Other.Comm, i.Other.Pid)
	}
	switch i.What {
	case "ran":
		if i.Preempted {
			return other + " takes the processor"
		}
		return "until it sleeps"
	case "slept":
		where := strings.Join(i.Where[:min(len(i.Where), mostShown)], " < ")
		if where == "" {
			where = "in a place without a name"
		}
		if i.Disk {
			where += ", for a device"
		}
		if i.Other == nil {
			return where + "; woken by an interrupt while nobody ran"
		}
		return where + "; woken by " + other
	case "waited":
		if i.Other == nil {
			return "for a processor"
		}
		return other + " ran instead"
	}
	return fmt.Sprintf("from cpu%d", i.From)
}

// Sum is what one task did in all.
type Sum struct {
	Pid    uint32        `json:"pid"`
	Tid    uint32        `json:"tid"`
	Comm   string        `json:"comm"`
	Ran    time.Duration `json:"ran_ns"`
	Slept  time.Duration `json:"slept_ns"`
	Waited time.Duration `json:"waited_ns"`
	// Runs, Preempted and Moves count; Preempted is of the runs.
	Runs      int `json:"runs"`
	Preempted int `json:"preempted"`
	Moves     int `json:"moves"`
	// SleptIn and WaitedFor are the place and the process with the largest share.
	SleptIn   string `json:"slept_in,omitempty"`
	WaitedFor string `json:"waited_for,omitempty"`
	places    map[string]time.Duration
	others    map[string]time.Duration
}

// mostTasks is of how many tasks sums are kept.
const mostTasks = 4096

// Sums adds intervals up by thread.
type Sums struct {
	byTid map[uint32]*Sum
	// Left counts intervals of tasks for which there was no room.
	Left int
}

// Add adds one.
func (s *Sums) Add(i *Interval) {
	if s.byTid == nil {
		s.byTid = map[uint32]*Sum{}
	}
	x := s.byTid[i.Tid]
	if x == nil {
		if len(s.byTid) == mostTasks {
			s.Left++
			return
		}
		x = &Sum{Pid: i.Pid, Tid: i.Tid, places: map[string]time.Duration{}, others: map[string]time.Duration{}}
		s.byTid[i.Tid] = x
	}
	x.Comm = i.Comm
	switch i.What {
	case "ran":
		x.Ran += i.Took
		x.Runs++
		if i.Preempted {
			x.Preempted++
		}
	case "slept":
		x.Slept += i.Took
		place := "?"
		if len(i.Where) > 0 {
			place = i.Where[0]
		}
		x.places[place] += i.Took
	case "waited":
		x.Waited += i.Took
		if i.Other != nil {
			x.others[fmt.Sprintf("%s[%d]", i.Other.Comm, i.Other.Pid)] += i.Took
		}
	default:
		x.Moves++
	}
}

// List returns the sums, those that waited and ran most first.
func (s *Sums) List() []*Sum {
	out := slices.Collect(maps.Values(s.byTid))
	for _, x := range out {
		x.SleptIn, x.WaitedFor = most(x.places), most(x.others)
	}
	slices.SortFunc(out, func(a, b *Sum) int {
		return cmp.Or(cmp.Compare(b.Ran+b.Waited, a.Ran+a.Waited), cmp.Compare(a.Tid, b.Tid))
	})
	return out
}

func most(of map[string]time.Duration) string {
	best := ""
	for name, d := range of {
		if best == "" || d > of[best] || d == of[best] && name < best {
			best = name
		}
	}
	return best
}
