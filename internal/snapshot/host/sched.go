package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Task is how one thread is scheduled.
type Task struct {
	TID        int           `json:"tid"`
	Name       string        `json:"name"`
	State      string        `json:"state"`  // a letter, as in /proc/PID/stat
	Policy     string        `json:"policy"` // other, fifo, rr, batch, idle, deadline, ext
	Nice       int           `json:"nice"`
	Priority   uint32        `json:"priority"` // of fifo and rr
	CPU        int           `json:"cpu"`      // it ran on last
	Allowed    string        `json:"allowed"`  // CPUs, as a list
	OnCPU      time.Duration `json:"on_cpu_ns"`
	Waited     time.Duration `json:"waited_ns"` // ready to run and not running
	Voluntary  uint64        `json:"voluntary_switches"`
	Forced     uint64        `json:"forced_switches"`
	Migrations *uint64       `json:"migrations,omitempty"`
	Vruntime   *float64      `json:"vruntime_ms,omitempty"`
	Slice      *float64      `json:"slice_ms,omitempty"`
	Deadline   *Deadline     `json:"deadline,omitempty"` // of the policy deadline
}

// Deadline is what a task of the policy deadline has reserved.
type Deadline struct {
	Runtime  time.Duration `json:"runtime_ns"`
	Deadline time.Duration `json:"deadline_ns"`
	Period   time.Duration `json:"period_ns"`
}

// Sched is how the threads of one process are scheduled.
type Sched struct {
	PID   int    `json:"pid"`
	Tasks []Task `json:"tasks"`
	Notes `json:"notes,omitempty"`
}

// ReadSched describes the threads of a process.
func ReadSched(pid int) (*Sched, error) {
	entries, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		if gone(err) {
			return nil, noProcess(pid)
		}
		return nil, fmt.Errorf("listing the threads of process %d: %w", pid, err)
	}
	out := &Sched{PID: pid, Tasks: []Task{}}
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		t, err := readTask(procPath(pid, "task/"+e.Name()), tid)
		if err != nil {
			if gone(err) {
				continue // the thread has ended
			}
			return nil, err
		}
		out.Tasks = append(out.Tasks, t)
	}
	if len(out.Tasks) == 0 {
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	if out.Tasks[0].Vruntime == nil {
		out.Notes = append(out.Notes, "vruntime, slice and migrations are not known: this kernel has no /proc/PID/sched (CONFIG_SCHED_DEBUG), or its tasks are not of a fair policy")
	} else if out.Tasks[0].Slice == nil {
		out.Notes = append(out.Notes, "the slice is not known: this kernel does not write it to /proc/PID/sched")
	}
	out.Notes = append(out.Notes, "the virtual deadline of fair tasks is not shown: no file of the kernel has it for one task")
	return out, nil
}

func readTask(dir string, tid int) (Task, error) {
	t := Task{TID: tid, Name: line(dir + "/comm")}
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return t, fmt.Errorf("asking how thread %d is scheduled: %w", tid, err)
	}
	t.Policy, t.Nice, t.Priority = policyName(attr.Policy), int(attr.Nice), attr.Priority
	if attr.Policy == unix.SCHED_DEADLINE {
		t.Deadline = &Deadline{time.Duration(attr.Runtime), time.Duration(attr.Deadline), time.Duration(attr.Period)}
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return t, err
	}
	t.State, t.CPU = parseTaskStat(string(stat))
	status := line(dir + "/status")
	t.Voluntary = colonNumber(status, "voluntary_ctxt_switches")
	t.Forced = colonNumber(status, "nonvoluntary_ctxt_switches")
	t.Allowed = colonText(status, "Cpus_allowed_list")
	if f := strings.Fields(line(dir + "/schedstat")); len(f) == 3 {
		t.OnCPU, t.Waited = nanoseconds(f[0]), nanoseconds(f[1])
	}
	sched := line(dir + "/sched")
	t.Vruntime, t.Slice = colonFloat(sched, "se.vruntime"), colonFloat(sched, "se.slice")
	if t.Slice != nil && !strings.Contains(colonText(sched, "se.slice"), ".") {
		*t.Slice /= 1e6 // unlike the times around it, it is written in nanoseconds
	}
	if m := colonFloat(sched, "se.nr_migrations"); m != nil {
		n := uint64(*m)
		t.Migrations = &n
	}
	return t, nil
}

// parseTaskStat takes the state and the last CPU from a line of stat.
func parseTaskStat(s string) (state string, cpu int) {
	end := strings.LastIndexByte(s, ')') // the name before it may hold anything
	f := strings.Fields(s[end+1:])
	const cpuField = 36 // field 39 of the whole line
	if len(f) <= cpuField {
		return "", -1
	}
	cpu, err := strconv.Atoi(f[cpuField])
	if err != nil {
		cpu = -1
	}
	return f[0], cpu
}

func policyName(p uint32) string {
	names := map[uint32]string{unix.SCHED_NORMAL: "other", unix.SCHED_FIFO: "fifo", unix.SCHED_RR: "rr", unix.SCHED_BATCH: "batch", unix.SCHED_IDLE: "idle", unix.SCHED_DEADLINE: "deadline", 7: "ext"}
	if n, ok := names[p]; ok {
		return n
	}
	return decimal(p)
}

func nanoseconds(s string) time.Duration {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n)
}

// colonText finds a line "key: text", with any blanks before the colon.
func colonText(text, key string) string {
	for l := range strings.Lines(text) {
		k, v, ok := strings.Cut(l, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func colonNumber(text, key string) uint64 {
	n, err := strconv.ParseUint(colonText(text, key), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func colonFloat(text, key string) *float64 {
	n, err := strconv.ParseFloat(colonText(text, key), 64)
	if err != nil {
		return nil
	}
	return &n
}

// Tables gives one row for each thread.
func (s *Sched) Tables() []Table {
	t := Table{Of: &s.Tasks, Minor: []string{"MIGRATIONS", "ALLOWED", "SLICE", "VRUNTIME", "PRIO", "NICE", "FORCED", "VOLUNTARY", "WAITED", "ON CPU", "CPU"}, Columns: []string{"TID", "NAME", "STATE", "POLICY", "NICE", "PRIO", "CPU", "ALLOWED", "ON CPU", "WAITED", "VOLUNTARY", "FORCED", "MIGRATIONS", "VRUNTIME", "SLICE", "RUNTIME/DEADLINE/PERIOD"}}
	for _, e := range s.Tasks {
		reserved := "-"
		if d := e.Deadline; d != nil {
			reserved = fmt.Sprintf("%v/%v/%v", d.Runtime, d.Deadline, d.Period)
		}
		t.Rows = append(t.Rows, []string{decimal(e.TID), e.Name, e.State, e.Policy, decimal(e.Nice), decimal(e.Priority), decimal(e.CPU), e.Allowed, e.OnCPU.String(), e.Waited.String(), decimal(e.Voluntary), decimal(e.Forced), plainOr(e.Migrations), milliseconds(e.Vruntime), milliseconds(e.Slice), reserved})
	}
	return []Table{t}
}

func milliseconds(f *float64) string {
	if f == nil {
		return "-"
	}
	return strconv.FormatFloat(*f, 'f', 3, 64) + " ms"
}
