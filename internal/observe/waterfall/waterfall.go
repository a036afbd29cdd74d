// Package waterfall writes what happened to one thing, stage by stage: as text with a
// bar for each stage, and as a trace for ui.perfetto.dev.
//
// Stages come from the packages that follow packets, calls and tasks.
package waterfall

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Stage is one place on the way.
type Stage struct {
	// Name is a word or two, as the page of the command lists them.
	Name string `json:"name"`
	// At is since the beginning, Took since the stage before.
	At   time.Duration `json:"at_ns"`
	Took time.Duration `json:"took_ns"`
	CPU  uint32        `json:"cpu"`
	// Detail says it in words; Source is the kernel's tracepoint.
	Detail string `json:"detail,omitempty"`
	Source string `json:"source"`
}

// Longest returns the stage that took longest, the zero Stage where there is none.
func Longest(stages []Stage) Stage {
	var best Stage
	for _, s := range stages {
		if s.Took > best.Took {
			best = s
		}
	}
	return best
}

// barWidth is of the stage that took longest.
const barWidth = 20

// Text writes a line for each stage: since the beginning, since the stage before, and a
// bar for that. Clean makes names safe for a terminal.
func Text(b *strings.Builder, stages []Stage, clean func(string) string) {
	longest := max(1, Longest(stages).Took)
	for _, s := range stages {
		bar := strings.Repeat("#", int(int64(s.Took)*barWidth/int64(longest)))
		fmt.Fprintf(b, "  %10s %10s |%-*s| %-14s %s  (%s, cpu%d)\n", "+"+Micro(s.At), Micro(s.Took), barWidth, bar, s.Name, clean(s.Detail), s.Source, s.CPU)
	}
}

// Micro writes a time in microseconds.
func Micro(d time.Duration) string { return fmt.Sprintf("%.1fus", float64(d)/1000) }

// Share says which stage the most time was spent before; "" where there was none.
func Share(stages []Stage, took time.Duration) string {
	s := Longest(stages)
	if s.Took == 0 || took <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%% before %q", int64(s.Took)*100/int64(took), s.Name)
}

// Trace writes stories in the format of Chrome's traces, which ui.perfetto.dev opens:
// each story is a track, each stage a slice. Close must be called.
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
type Trace struct {
	w      io.Writer
	begun  bool
	groups map[string]int
}

// NewTrace begins a trace.
func NewTrace(w io.Writer) *Trace { return &Trace{w: w, groups: map[string]int{}} }

type slice struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"`
	At    float64        `json:"ts"` // microseconds
	Took  float64        `json:"dur,omitempty"`
	Group int            `json:"pid"`
	Track uint64         `json:"tid"`
	Args  map[string]any `json:"args,omitempty"`
}

// Name gives a track of a group its title.
func (t *Trace) Name(group string, track uint64, title string) error {
	id, err := t.group(group)
	if err != nil {
		return err
	}
	return t.put(slice{Name: "thread_name", Phase: "M", Group: id, Track: track, Args: map[string]any{"name": title}})
}

// Slice writes one slice of a track. Those that lie within another come after it.
func (t *Trace) Slice(group string, track uint64, name string, at, took time.Duration, args map[string]any) error {
	id, err := t.group(group)
	if err != nil {
		return err
	}
	return t.put(slice{name, "X", float64(at) / 1000, float64(took) / 1000, id, track, args})
}

// group is the number of a group, which gets one when it is seen first.
func (t *Trace) group(name string) (int, error) {
	id, known := t.groups[name]
	if known {
		return id, nil
	}
	id = len(t.groups) + 1
	t.groups[name] = id
	return id, t.put(slice{Name: "process_name", Phase: "M", Group: id, Args: map[string]any{"name": name}})
}

// Add writes one story to a track of a group.
func (t *Trace) Add(group string, track uint64, title string, at time.Time, stages []Stage) error {
	if err := t.Name(group, track, title); err != nil {
		return err
	}
	id := t.groups[group]
	begin := float64(at.UnixNano()) / 1000
	for i, s := range stages {
		if i == 0 {
			continue // a stage lasts until it is reached, from the one before
		}
		if err := t.put(slice{s.Name, "X", begin + float64(s.At-s.Took)/1000, float64(s.Took) / 1000, id, track,
			map[string]any{"detail": s.Detail, "cpu": s.CPU, "source": s.Source}}); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trace) put(s slice) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("writing a stage of a trace: %w", err)
	}
	before := ",\n"
	if !t.begun {
		before, t.begun = `{"displayTimeUnit":"ns","traceEvents":[`+"\n", true
	}
	if _, err := io.WriteString(t.w, before+string(b)); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}

// Close ends the trace.
func (t *Trace) Close() error {
	end := "\n]}\n"
	if !t.begun {
		end = `{"displayTimeUnit":"ns","traceEvents":[]}` + "\n"
	}
	if _, err := io.WriteString(t.w, end); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}
