package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/task"
)

// hiddenRow is a process that runs and is not listed.
type hiddenRow struct {
	procRow
	// Opens is whether its folder in /proc can be opened by its name all the same.
	Opens bool `json:"opens_by_name"`
}

type hiddenAnswer struct {
	taskAnswer
	Processes []hiddenRow `json:"processes"`
	// Programs are BPF programs that can change what a listing of /proc says.
	Programs []host.Program `json:"programs"`
}

// writesToProcesses is the function by which a BPF program changes what a call has told.
const writesToProcesses = "bpf_probe_write_user"

// showHidden compares the kernel's list of processes with a listing of /proc.
func showHidden(f *taskFlags) (answer, error) {
	where, err := task.WhereProcess(f.fields)
	if err != nil {
		return nil, err
	}
	s, err := f.take(f.json)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	listed, err := listedIn("/proc")
	if err != nil {
		return nil, err
	}
	again, err := task.TakeBrief()
	if err != nil {
		return nil, err
	}
	defer again.Close()
	out := &hiddenAnswer{Processes: []hiddenRow{}, Programs: []host.Program{}}
	out.Notes = s.Notes
	t := host.Table{Title: "hidden processes", Of: &out.Processes, Columns: []string{"PID", "PPID", "USER", "NAME", "PROGRAM", "BY ITS NAME"}}
	for _, p := range unlisted(s.Processes(), listed, again.Processes()) {
		if !f.holds(p) || !where.Process(p) {
			continue
		}
		r := hiddenRow{procRow: rowOf(p)}
		_, err := os.Stat("/proc/" + decimal(p.Pid))
		r.Opens = err == nil
		opens := "there is no /proc/" + decimal(p.Pid)
		if r.Opens {
			opens = "/proc/" + decimal(p.Pid) + " opens"
		}
		out.Processes = append(out.Processes, r)
		t.Rows = append(t.Rows, []string{decimal(r.Pid), decimal(r.PPid), r.user(), r.Name, r.program(), opens})
	}
	out.tables = []host.Table{t, out.writers()}
	return out, nil
}

// listedIn has the names in a folder.
func listedIn(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be listed: %w", dir, err)
	}
	out := map[string]bool{}
	for _, e := range entries {
		out[e.Name()] = true
	}
	return out, nil
}

// unlisted are the processes that were there before a listing and after it, and are not
// in it: one that began or ended meanwhile is none of them.
func unlisted(before []*event.Process, listed map[string]bool, after []*event.Process) []*event.Process {
	there := map[event.Key]bool{}
	for _, p := range after {
		there[p.Key] = true
	}
	return slices.DeleteFunc(slices.Clone(before), func(p *event.Process) bool {
		return listed[strconv.FormatUint(uint64(p.Pid), 10)] || !there[p.Key]
	})
}

// writers finds the BPF programs that can have hidden them.
func (a *hiddenAnswer) writers() host.Table {
	t := host.Table{Title: "BPF programs that write to the memory of processes", Of: &a.Programs, Columns: []string{"ID", "NAME", "TYPE", "ATTACHED", "HELD BY", "PINS"}}
	all, err := host.ReadBPF()
	if err != nil {
		a.Notes = append(a.Notes, err.Error())
		return t
	}
	a.Notes = append(a.Notes, all.Notes...)
	for _, p := range all.Programs {
		if !slices.Contains(p.Helpers, writesToProcesses) {
			continue
		}
		var holders []string
		for _, h := range p.Held {
			holders = append(holders, h.String())
		}
		a.Programs = append(a.Programs, p)
		t.Rows = append(t.Rows, []string{decimal(p.ID), orDash(p.Name), p.Type, orDash(strings.Join(p.Attached, ", ")), orDash(strings.Join(holders, " ")), orDash(strings.Join(p.Pins, " "))})
	}
	return t
}
