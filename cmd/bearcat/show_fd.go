package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/table"
	"github.com/bearcat-hids/bearcat/internal/snapshot/task"
	"github.com/spf13/cobra"
)

// fdRow is an open file as JSON has it.
type fdRow struct {
	Pid     uint32   `json:"pid"`
	Name    string   `json:"process"`
	Num     int32    `json:"fd"`
	Kind    string   `json:"kind"`
	Mode    string   `json:"mode"` // "r", "w", "rw"
	Path    string   `json:"path,omitempty"`
	Deleted bool     `json:"deleted,omitempty"`
	Inode   uint64   `json:"inode"`
	Pos     int64    `json:"pos"`
	Flags   uint32   `json:"flags"`
	Socket  *sockRow `json:"socket,omitempty"`
	// Ends are the processes at the other end of a pipe.
	Ends []string `json:"ends,omitempty"`
	Tid  uint32   `json:"tid,omitempty"` // of a thread with descriptors of its own
}

func modeOf(f *task.File) string {
	switch {
	case f.Read && f.Write:
		return "rw"
	case f.Read:
		return "r"
	case f.Write:
		return "w"
	}
	return "-"
}

// holders writes who holds an end, the first few of many.
func holders(list []task.Holder, but uint32) []string {
	var out []string
	for _, h := range list {
		if h.Proc.Pid != but {
			out = append(out, h.Proc.Comm+"["+decimal(h.Proc.Pid)+"] fd "+strconv.Itoa(int(h.Num)))
		}
	}
	return out
}

func few(list []string) string {
	const most = 3
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}

type fdAnswer struct {
	taskAnswer
	Files []fdRow `json:"files"`
}

func fdNoun() *cobra.Command {
	cmd, f := taskNoun("fd", "open files of processes, with what stands behind each",
		`Lists descriptors, from the kernel's list of open files: what each is, its
absolute path, the ends of a socket, who is at the other end of a pipe, and
the position.`,
		"  bearcat show fd --pid 4242\n  bearcat show fd --deleted\n  bearcat show fd --where 'fd.name startswith /etc and proc.name = nginx' --json",
		0, true, showFD)
	f.pidFlag(cmd)
	cmd.Flags().StringVar(&f.path, "path", "", "of files whose path begins with `PREFIX`")
	cmd.Flags().Bool("socket", false, "sockets only")
	cmd.Flags().Bool("deleted", false, "files that have no name any more")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		for _, n := range []string{"socket", "deleted"} {
			if on, _ := cmd.Flags().GetBool(n); on {
				f.only = n
			}
		}
	}
	cmd.MarkFlagsMutuallyExclusive("socket", "deleted")
	return cmd
}

func (f *taskFlags) pidFlag(cmd *cobra.Command) {
	cmd.Flags().Uint32Var(&f.pid, "pid", 0, "of one `PROCESS`")
}

// files takes a snapshot with its open files, and those that a condition keeps.
func files(f *taskFlags) (s *task.Snapshot, all, kept []task.File, err error) {
	where, err := task.WhereFile(f.fields)
	if err != nil {
		return nil, nil, nil, err
	}
	if s, err = f.take(false); err != nil {
		return nil, nil, nil, err
	}
	if all, err = s.Files(); err != nil {
		s.Close()
		return nil, nil, nil, err
	}
	if where == nil && f.pid == 0 && f.netns == 0 && f.cgroup == "" {
		return s, all, all, nil
	}
	for i := range all {
		if f.holds(all[i].Proc) && (where == nil || where.File(&all[i])) {
			kept = append(kept, all[i])
		}
	}
	return s, all, kept, nil
}

func (f *taskFlags) wants(x *task.File) bool {
	switch {
	case f.path != "" && !strings.HasPrefix(x.FD.File.Path, f.path),
		f.only == "socket" && x.FD.Sock == nil,
		f.only == "deleted" && !x.FD.File.Deleted && !x.FD.File.Memfd:
		return false
	}
	return true
}

// fdTable is the table of open files, without its rows.
var fdTable = host.Table{Minor: []string{"POS", "MODE", "KIND"}, Columns: []string{"PID", "PROCESS", "FD", "KIND", "MODE", "POS", "WHAT"}}

func showFD(f *taskFlags, _ []string) (answer, error) {
	s, all, kept, err := files(f)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := &fdAnswer{Files: []fdRow{}}
	out.Notes = s.Notes
	pipes := map[pipeKey]task.Pipe{}
	for _, p := range task.Pipes(all) {
		pipes[pipeKey{p.Inode, p.Path}] = p
	}
	t := fdTable
	if f.json {
		t.Of = &out.Files
	}
	var cells cellSlab
	if f.needsCells() {
		t.Rows = make([][]string, 0, len(kept))
	}
	for i := range kept {
		x := &kept[i]
		if !f.wants(x) {
			continue
		}
		r, what := fdRowOf(x, pipes)
		if f.json {
			out.Files = append(out.Files, r)
		}
		if f.needsCells() {
			t.Rows = append(t.Rows, append(cells.row(len(t.Columns)), decimal(r.Pid), r.Name, strconv.Itoa(int(r.Num)), r.Kind, r.Mode, strconv.FormatInt(r.Pos, 10), orDash(what)))
		}
	}
	out.tables = []host.Table{t}
	return out, nil
}

type pipeKey struct {
	inode uint64
	path  string
}

// fdRowOf describes an open file, and what stands behind it.
func fdRowOf(x *task.File, pipes map[pipeKey]task.Pipe) (r fdRow, what string) {
	r = fdRow{Pid: x.Key.Pid, Name: x.Proc.Comm, Num: x.FD.Num, Kind: x.FD.Kind.String(), Mode: modeOf(x), Path: x.FD.File.Path,
		Deleted: x.FD.File.Deleted, Inode: x.FD.Inode(), Pos: x.Pos, Flags: x.Flags, Socket: sockOf(x.FD.Sock)}
	if x.Tid != x.Key.Pid {
		r.Tid = x.Tid
	}
	what = r.Path
	switch {
	case r.Socket != nil:
		what = r.Socket.text()
	case x.FD.Kind == event.StdioPipe || x.FD.Kind == event.StdioFifo:
		p := pipes[pipeKey{x.FD.Inode(), x.FD.File.Path}]
		what = strings.TrimSpace(fmt.Sprintf("%s [%d]", r.Path, r.Inode))
		if x.Read {
			list := holders(p.Writers, r.Pid)
			r.Ends = append(r.Ends, list...)
			what += " <- " + orDash(few(list))
		}
		if x.Write {
			list := holders(p.Readers, r.Pid)
			r.Ends = append(r.Ends, list...)
			what += " -> " + orDash(few(list))
		}
	case r.Deleted:
		what += " (deleted)"
	}
	return r, what
}

// pipeRow is a pipe as JSON has it.
type pipeRow struct {
	Inode   uint64   `json:"inode"`
	Path    string   `json:"path,omitempty"`
	Writers []string `json:"writers"`
	Readers []string `json:"readers"`
}

type pipeAnswer struct {
	taskAnswer
	Pipes []pipeRow `json:"pipes"`
}

func pipeNoun() *cobra.Command {
	cmd, f := taskNoun("pipe", "pipes and FIFOs: who writes to whom",
		`Lists pipes and FIFOs with the processes at both ends. One without readers or
without writers is marked with a dash.`,
		"  bearcat show pipe\n  bearcat show pipe --where 'proc.name = bash' --json",
		0, true, showPipe)
	f.pidFlag(cmd)
	return cmd
}

// pipeTable is the table of pipes, without its rows.
var pipeTable = host.Table{Columns: []string{"PIPE", "WRITERS", "READERS"}}

func showPipe(f *taskFlags, _ []string) (answer, error) {
	s, all, kept, err := files(f)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	wanted := map[pipeKey]bool{}
	for _, p := range task.Pipes(kept) {
		wanted[pipeKey{p.Inode, p.Path}] = true
	}
	out := &pipeAnswer{Pipes: []pipeRow{}}
	out.Notes = s.Notes
	t := pipeTable
	t.Of = &out.Pipes
	for _, p := range task.Pipes(all) {
		if !wanted[pipeKey{p.Inode, p.Path}] {
			continue
		}
		r := pipeRow{Inode: p.Inode, Path: p.Path, Writers: append([]string{}, holders(p.Writers, 0)...), Readers: append([]string{}, holders(p.Readers, 0)...)}
		out.Pipes = append(out.Pipes, r)
		name := strconv.FormatUint(r.Inode, 10)
		if r.Path != "" {
			name = r.Path
		}
		t.Rows = append(t.Rows, []string{name, table.List(r.Writers), table.List(r.Readers)})
	}
	out.tables = []host.Table{t}
	return out, nil
}
