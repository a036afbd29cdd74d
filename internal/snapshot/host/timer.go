package host

import (
	"fmt"
	"os"
	"strings"
)

// Timer is one timer of a process.
type Timer struct {
	Process
	Kind     string `json:"kind"`            // timerfd or posix
	ID       string `json:"id"`              // descriptor, or the timer's number
	Clock    string `json:"clock,omitempty"` // number, as in clock_gettime
	Left     string `json:"left,omitempty"`  // "seconds, nanoseconds"
	Interval string `json:"interval,omitempty"`
	Notify   string `json:"notify,omitempty"` // what a POSIX timer does when it ends
}

// Timers are the timers of all processes.
type Timers struct {
	Timers []Timer `json:"timers"`
	Notes  `json:"notes,omitempty"`
}

// ReadTimers finds timer descriptors and POSIX timers of all processes. Timers of
// sleeping calls and of the kernel itself are not among them.
func ReadTimers() (*Timers, error) {
	list, err := pids()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	out := &Timers{Timers: []Timer{}, Notes: hidden("timers of other users' processes")}
	unread := 0
	for _, pid := range list {
		p := Process{pid, comm(pid)}
		entries, err := os.ReadDir(procPath(pid, "fd"))
		if err != nil {
			if !gone(err) {
				unread++
			}
			continue
		}
		for _, e := range entries {
			if link, err := os.Readlink(procPath(pid, "fd/"+e.Name())); err == nil && link == "anon_inode:[timerfd]" {
				info := line(procPath(pid, "fdinfo/"+e.Name()))
				out.Timers = append(out.Timers, Timer{Process: p, Kind: "timerfd", ID: e.Name(), Clock: colonText(info, "clockid"), Left: pair(info, "it_value"), Interval: pair(info, "it_interval")})
			}
		}
		out.Timers = append(out.Timers, parsePosixTimers(p, line(procPath(pid, "timers")))...)
	}
	if _, err := os.Stat("/proc/self/timers"); err != nil {
		out.Notes = append(out.Notes, "POSIX timers are not known: this kernel has no /proc/PID/timers (CONFIG_CHECKPOINT_RESTORE)")
	}
	if unread > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("the timers of %d processes could not be read: run as root", unread))
	}
	return out, nil
}

// pair takes "(1, 2)" of a line "key: (1, 2)" without its brackets.
func pair(text, key string) string { return strings.Trim(colonText(text, key), "()") }

// parsePosixTimers reads blocks of lines, each of which begins with "ID:".
func parsePosixTimers(p Process, text string) []Timer {
	var out []Timer
	for l := range strings.Lines(text) {
		key, v, _ := strings.Cut(strings.TrimSpace(l), ":")
		v = strings.TrimSpace(v)
		if key == "ID" {
			out = append(out, Timer{Process: p, Kind: "posix", ID: v})
			continue
		}
		if len(out) == 0 {
			continue
		}
		switch last := &out[len(out)-1]; key {
		case "notify":
			last.Notify = v
		case "ClockID":
			last.Clock = v
		}
	}
	return out
}

// Tables gives one row for each timer.
func (t *Timers) Tables() []Table {
	out := Table{Of: &t.Timers, Minor: []string{"CLOCK", "ID", "NOTIFY"}, Columns: []string{"PROCESS", "KIND", "ID", "CLOCK", "LEFT s, ns", "INTERVAL s, ns", "NOTIFY"}}
	for _, e := range t.Timers {
		out.Rows = append(out.Rows, []string{e.Process.String(), e.Kind, e.ID, dash(e.Clock), dash(e.Left), dash(e.Interval), dash(e.Notify)})
	}
	return []Table{out}
}
