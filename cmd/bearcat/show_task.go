package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/task"
	"github.com/spf13/cobra"
)

// taskFlags are those of the nouns about processes and their files.
type taskFlags struct {
	showFlags
	pid       uint32
	path      string
	only      string
	listen    bool
	container string
	netns     uint64
	hidden    bool
	// cgroup is the control group of the container, where one is asked for.
	cgroup string
}

// taskNouns are the nouns of bearcat show that are about processes.
func taskNouns() []*cobra.Command {
	return []*cobra.Command{procNoun(), treeNoun(), fdNoun(), socketNoun(), pipeNoun()}
}

// taskNoun builds a noun that takes up to most arguments; build makes its answer
// from a snapshot.
func taskNoun(use, short, long, example string, most int, rules bool, build func(f *taskFlags, args []string) (answer, error)) (*cobra.Command, *taskFlags) {
	f := &taskFlags{showFlags: showFlags{rules: rules}}
	cmd := noun(&f.showFlags, use, short, long, example, most, func(args []string) (answer, error) {
		if err := f.resolve(); err != nil {
			return nil, err
		}
		return build(f, args)
	})
	cmd.Flags().StringVar(&f.container, "container", "", "of one container, by the first digits of its `ID`")
	return cmd, f
}

// resolve finds the control group of the container that is asked for.
func (f *taskFlags) resolve() (err error) {
	if f.container != "" {
		f.cgroup, err = kernel.ContainerCgroup(f.container)
	}
	return err
}

// holds tells whether a process is among those that the flags ask for.
func (f *taskFlags) holds(p *event.Process) bool {
	switch {
	case f.pid != 0 && p.Pid != f.pid,
		f.netns != 0 && (p.NS == nil || uint64(p.NS.Net) != f.netns),
		f.cgroup != "" && (p.Cgroup == nil || p.Cgroup.Path != f.cgroup && !strings.HasPrefix(p.Cgroup.Path, f.cgroup+"/")):
		return false
	}
	return true
}

// taskAnswer is what a noun about processes gives: what is printed as JSON and the
// same as a table.
type taskAnswer struct {
	Notes  host.Notes `json:"notes,omitempty"`
	tables []host.Table
}

func (a *taskAnswer) Tables() []host.Table { return a.tables }

func (a *taskAnswer) Missing() host.Notes { return a.Notes }

// pidOf reads the pid that a noun was given; 0 for none.
func pidOf(args []string) (uint32, error) {
	if len(args) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil || n == 0 || n > host.MaxPID {
		return 0, usageError{fmt.Errorf("%q is no process: give its pid", args[0])}
	}
	return uint32(n), nil
}

// procRow is a process as JSON has it.
type procRow struct {
	Pid       uint32     `json:"pid"`
	PPid      uint32     `json:"ppid"`
	Start     *time.Time `json:"start,omitempty"`
	Name      string     `json:"name"`
	Exe       string     `json:"exe,omitempty"`
	Deleted   bool       `json:"deleted,omitempty"`
	Memfd     bool       `json:"memfd,omitempty"`
	Args      []string   `json:"args,omitempty"`
	UID       uint32     `json:"uid"`
	EUID      uint32     `json:"euid"`
	User      string     `json:"user,omitempty"`
	LoginUID  *uint32    `json:"loginuid,omitempty"`
	Tty       string     `json:"tty,omitempty"`
	Container string     `json:"container,omitempty"`
	Cgroup    string     `json:"cgroup,omitempty"`
	KThread   bool       `json:"kthread,omitempty"`
	From      string     `json:"from,omitempty"`
}

func rowOf(p *event.Process) procRow {
	r := procRow{Pid: p.Pid, PPid: p.PPid, Name: p.Comm, UID: p.Cred.UID, EUID: p.Cred.EUID, User: p.User, Tty: p.Tty.Name, KThread: p.KThread, From: event.SSHFrom(p)}
	if !p.Time.IsZero() {
		r.Start = &p.Time
	}
	if p.Cred.LoginUID != event.Unset {
		r.LoginUID = &p.Cred.LoginUID
	}
	if i := p.Image; i != nil {
		r.Exe, r.Deleted, r.Memfd, r.Args = i.Exe.Path, i.Exe.Deleted, i.Exe.Memfd, i.Argv
	}
	if c := p.Cgroup; c != nil {
		r.Container, r.Cgroup = c.ContainerID, c.Path
	}
	return r
}

// program is the file that a process runs, with what is odd about it.
func (r *procRow) program() string {
	switch {
	case r.KThread:
		return "[kernel]"
	case r.Deleted:
		return r.Exe + " (deleted)"
	}
	return orDash(r.Exe)
}

// startSeconds is what processes are sorted by: their start as text is an hour or a day.
func (r *procRow) startSeconds() float64 {
	if r.Start == nil {
		return 0
	}
	return float64(r.Start.UnixNano()) / 1e9
}

// startClock writes when processes started: many of them in one second.
type startClock struct {
	now  time.Time
	last int64 // the second that text is of
	text string
}

func (c *startClock) of(start *time.Time) string {
	if start == nil {
		return "-"
	}
	if s := start.Unix(); c.text == "" || s != c.last {
		form := "2006-01-02"
		if c.now.Sub(*start) < 20*time.Hour {
			form = "15:04:05"
		}
		c.last, c.text = s, start.Local().Format(form)
	}
	return c.text
}

// cellSlab gives rows room for their cells, many rows at once.
type cellSlab struct{ free []string }

func (s *cellSlab) row(n int) []string {
	if len(s.free) < n {
		s.free = make([]string, 256*n)
	}
	row := s.free[:0:n]
	s.free = s.free[n:]
	return row
}

func (r *procRow) user() string {
	u := r.User
	if u == "" {
		u = strconv.FormatUint(uint64(r.UID), 10)
	}
	if r.EUID != r.UID {
		u += ">" + strconv.FormatUint(uint64(r.EUID), 10)
	}
	return u
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

type procAnswer struct {
	taskAnswer
	Processes []procRow `json:"processes"`
}

func procNoun() *cobra.Command {
	cmd, f := taskNoun("proc [PID]", "processes, from the kernel's list of tasks",
		`Lists the processes that run, or all that is known of one: from the kernel's
own list, which a process cannot leave by covering its folder in /proc.
PROGRAM is the file that really runs, whatever the process calls itself. USER
has uid>euid where they differ. --wide adds control group and arguments.

--hidden lists only processes that a listing of /proc does not have, and the BPF
programs that can have taken them out of it.`,
		"  bearcat show proc\n  bearcat show proc 4242\n  bearcat show proc --container 3f9a1c77\n  bearcat show proc --where 'proc.exepath startswith /tmp/' --json\n  bearcat show proc --hidden",
		1, true, showProc)
	cmd.Flags().BoolVar(&f.hidden, "hidden", false, "only those that a listing of /proc does not have")
	return cmd
}

// procTable is the table of all processes, without its rows.
var procTable = host.Table{More: 2, Minor: []string{"TTY", "PPID", "STARTED", "CONTAINER", "USER"}, Columns: []string{"PID", "PPID", "USER", "STARTED", "TTY", "CONTAINER", "NAME", "PROGRAM", "CGROUP", "ARGUMENTS"}}

func showProc(f *taskFlags, args []string) (answer, error) {
	if f.hidden && len(args) > 0 {
		return nil, usageError{errors.New("--hidden looks for processes among all: give no PID with it")}
	}
	if f.hidden {
		return showHidden(f)
	}
	where, err := task.WhereProcess(f.fields)
	if err != nil {
		return nil, err
	}
	pid, err := pidOf(args)
	if err != nil {
		return nil, err
	}
	argv := f.view.Wide || f.view.Uses("ARGUMENTS")
	s, err := f.take(argv || f.json || len(args) > 0)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if len(args) > 0 {
		return onePage(f, s, pid)
	}
	out := &procAnswer{Processes: []procRow{}}
	out.Notes = s.Notes
	t := procTable
	if f.json {
		t.Of = &out.Processes
	}
	t.Rows = make([][]string, 0, len(s.Processes()))
	var started []float64
	cells, clock := cellSlab{}, startClock{now: time.Now()}
	for _, p := range s.Processes() {
		if !f.holds(p) || !where.Process(p) {
			continue
		}
		r := rowOf(p)
		if f.json {
			out.Processes = append(out.Processes, r)
		}
		row := append(cells.row(len(t.Columns)), decimal(r.Pid), decimal(r.PPid), r.user(), clock.of(r.Start), orDash(r.Tty), orDash(r.Container), r.Name, r.program(), orDash(r.Cgroup))
		if argv {
			row = append(row, orDash(strings.Join(r.Args, " ")))
		}
		t.Rows = append(t.Rows, row)
		if f.view.Sort != "" {
			started = append(started, r.startSeconds())
		}
	}
	if f.view.Sort != "" {
		t.Exact = map[string][]float64{"STARTED": started}
	}
	out.tables = []host.Table{t}
	return out, nil
}

// take takes a snapshot of processes: with all that is known of them where it is wanted,
// or where a condition over fields may ask about it, else with what a table shows.
func (f *taskFlags) take(whole bool) (*task.Snapshot, error) {
	if whole || f.fields != "" {
		return task.Take(whole || asksArguments(f.fields))
	}
	return task.TakeBrief()
}

// asksArguments tells whether a condition may need what is only in a process's memory.
func asksArguments(condition string) bool {
	return strings.Contains(condition, "args") || strings.Contains(condition, "line")
}

// find looks up a process, which has to be in the container that is asked for.
func (f *taskFlags) find(s *task.Snapshot, pid uint32) (*event.Process, error) {
	p, err := s.Find(pid)
	if err == nil && !f.holds(p) {
		return nil, fmt.Errorf("process %d is not in container %s: bearcat show proc --container %s lists those that are", pid, f.container, f.container)
	}
	return p, err
}

// onePage tells all of one process.
func onePage(f *taskFlags, s *task.Snapshot, pid uint32) (answer, error) {
	p, err := f.find(s, pid)
	if err != nil {
		return nil, err
	}
	r := rowOf(p)
	out := &procAnswer{Processes: []procRow{r}}
	out.Notes = s.Notes
	out.tables = []host.Table{processPage(p, &r)}
	return out, nil
}

// processPage has all that is known of a process.
func processPage(p *event.Process, r *procRow) host.Table {
	t := host.Table{}
	add := func(name, value string) {
		if value != "" {
			t.Rows = append(t.Rows, []string{name, value})
		}
	}
	add("process", decimal(r.Pid)+" "+r.Name)
	add("identity", p.Key.String())
	add("program", r.program())
	if i := p.Image; i != nil {
		add("called as", i.Filename)
		add("script", i.Script)
		add("working folder", i.Cwd)
		add("arguments", strings.Join(i.Argv, " "))
	}
	if r.Start != nil {
		add("started", r.Start.Local().Format("2006-01-02 15:04:05.000"))
	}
	add("user", r.user())
	add("group", orDash(p.Group))
	if r.LoginUID != nil {
		add("logged in as", strings.TrimSpace(decimal(*r.LoginUID)+" "+p.LoginUser))
	}
	add("came from", r.From)
	add("capabilities", fmt.Sprintf("%#x effective, %#x permitted, %#x bounding", p.Cred.Effective, p.Cred.Permitted, p.Cred.Bounding))
	add("terminal", r.Tty)
	add("session", decimal(p.Sid))
	add("container", r.Container)
	add("control group", r.Cgroup)
	if n := p.NS; n != nil {
		add("namespaces", fmt.Sprintf("mnt %d, pid %d, net %d, user %d, uts %d, ipc %d, cgroup %d", n.Mnt, n.Pid, n.Net, n.User, n.Uts, n.IPC, n.Cgroup))
	}
	if p.NSPid != p.Pid && p.NSPid != 0 {
		add("pid inside", decimal(p.NSPid))
	}
	add("node", p.Node)
	var chain []string
	for a := p.Parent; a != nil && len(chain) < 32; a = a.Parent {
		chain = append(chain, a.Comm+"["+decimal(a.Pid)+"]")
	}
	add("started by", strings.Join(chain, " < "))
	return t
}

func treeNoun() *cobra.Command {
	cmd, _ := taskNoun("tree [PID]", "processes below the one that started them",
		`Draws who started whom, as far as the kernel knows it, with program, user and
container; of a PID, what is below it.`,
		"  bearcat show tree\n  bearcat show tree 1\n  bearcat show tree --json | jq '.processes | length'",
		1, false, showTree)
	return cmd
}

// treeTable is the table of the tree, without its rows.
var treeTable = host.Table{Minor: []string{"STARTED", "CONTAINER", "USER"}, Columns: []string{"TREE", "USER", "STARTED", "CONTAINER", "PROGRAM"}}

func showTree(f *taskFlags, args []string) (answer, error) {
	pid, err := pidOf(args)
	if err != nil {
		return nil, err
	}
	s, err := f.take(f.json)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := &procAnswer{Processes: []procRow{}}
	out.Notes = s.Notes
	var procs []*event.Process
	for _, p := range s.Processes() {
		if f.holds(p) {
			procs = append(procs, p)
		}
	}
	kids := task.Children(procs)
	var started []float64
	clock := startClock{now: time.Now()}
	t := treeTable
	t.Of = &out.Processes
	var draw func(p *event.Process, lead, last string)
	draw = func(p *event.Process, lead, last string) {
		r := rowOf(p)
		out.Processes = append(out.Processes, r)
		started = append(started, r.startSeconds())
		t.Rows = append(t.Rows, []string{lead + last + r.Name + "[" + decimal(r.Pid) + "]", r.user(), clock.of(r.Start), orDash(r.Container), r.program()})
		switch last {
		case "├─":
			lead += "│ "
		case "└─":
			lead += "  "
		}
		below := kids[p.Pid]
		for i, k := range below {
			branch := "├─"
			if i == len(below)-1 {
				branch = "└─"
			}
			draw(k, lead, branch)
		}
	}
	roots := kids[0]
	if pid != 0 {
		p, err := f.find(s, pid)
		if err != nil {
			return nil, err
		}
		roots = []*event.Process{p}
	}
	for _, p := range roots {
		draw(p, "", "")
	}
	t.Exact = map[string][]float64{"STARTED": started}
	out.tables = []host.Table{t}
	return out, nil
}
