package rule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// proc makes a process with its program and command line.
func proc(pid uint32, comm, exe string, parent *event.Process, argv ...string) *event.Process {
	img := &event.Image{Exe: event.File{Path: exe, Inode: 42, Mode: 0o100755, Nlink: 1}, Filename: exe, Argv: argv, Argc: len(argv), Cwd: "/root"}
	p := &event.Process{
		Key: event.Key{Pid: pid, Start: uint64(pid) * 1e9}, Parent: parent, NSPid: pid, Comm: comm, Image: img.Seal(),
		Sid: 100, Pgid: pid, NSPgid: pid, NSSid: 100, Time: time.Unix(1_700_000_000, 0),
		Cred: event.Cred{LoginUID: event.Unset, SessionID: event.Unset},
		User: "root", Group: "root", Node: "host1",
	}
	p.Cmdline = comm
	if a := img.Args(); a != "" {
		p.Cmdline += " " + a
	}
	if parent != nil {
		p.ParentKey, p.PPid, p.NSPPid = parent.Key, parent.Pid, parent.NSPid
	}
	return p
}

// execEvent is an exec of "nc -l -p 4444" below bash, sshd and systemd.
func execEvent() *event.Event {
	init := proc(1, "systemd", "/usr/lib/systemd/systemd", nil, "/sbin/init")
	sshd := proc(50, "sshd", "/usr/sbin/sshd", init, "sshd: root")
	bash := proc(100, "bash", "/usr/bin/bash", sshd, "-bash")
	nc := proc(200, "nc", "/usr/bin/nc.openbsd", bash, "nc", "-l", "-p", "4444")
	nc.Tty = event.Tty{Name: "pts0", Dev: 34816}
	nc.Cred.Effective = 1<<21 | 1<<12 // CAP_SYS_ADMIN, CAP_NET_ADMIN
	nc.Image.Env = []string{"PATH=/bin", "LD_PRELOAD=/tmp/x.so"}
	nc.Image.Stdio[0] = event.Stdio{Kind: event.StdioSocket, Inode: 9, Sock: &event.Socket{Family: "ipv4", Proto: "tcp", Remote: "10.0.0.9", RemotePort: 4444}}
	nc.Image.Exe.Ctime = time.Unix(1_699_999_990, 0).UnixNano()
	return &event.Event{Type: event.Exec, Time: time.Unix(1_700_000_001, 500), Boot: 201e9, Num: 7, CPU: 1, Proc: nc, Tid: 200, ExecInfo: &event.ExecInfo{}}
}

// ruleFile writes a rule with a condition.
func ruleFile(name, condition string) string {
	return fmt.Sprintf("- rule: %s\n  desc: d\n  priority: INFO\n  output: o\n  condition: %s\n", name, strings.ReplaceAll(fmt.Sprintf("%q", condition), `\'`, `'`))
}

// mustLoad loads rule text that has no errors.
func mustLoad(t testing.TB, text string) *Set {
	t.Helper()
	set, rep := Load([]File{{Name: "rules.yaml", Data: []byte(text)}}, Options{})
	if err := rep.Err(); err != nil {
		var b strings.Builder
		_ = rep.WriteText(&b)
		t.Fatalf("%v\n%s\n%s", err, b.String(), text)
	}
	return set
}

// matches lists the rules that an event satisfies.
func matches(set *Set, ev *event.Event) []string {
	var got []string
	NewEngine(set, MatchAll).Match(ev, func(r *Rule) { got = append(got, r.Info().Name) })
	return got
}
