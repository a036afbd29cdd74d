package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// question is a section of docs/hids-questions.md.
type question struct {
	title   string
	command string // how the answer is shown
	does    string // what the watched shell does meanwhile
}

// questions takes the sections out of the page: of each the command, which
// stands after a dollar sign in a console block, and the sh block.
func questions(t *testing.T) []question {
	t.Helper()
	var out []question
	for _, section := range strings.Split(page(t, "hids-questions.md"), "\n## ")[1:] {
		title, rest, _ := strings.Cut(section, "\n")
		if _, err := strconv.Atoi(strings.SplitN(title, ".", 2)[0]); err != nil {
			continue // of another kind
		}
		q := question{title: title}
		block := func(kind string) string {
			_, text, _ := strings.Cut(rest, "```"+kind+"\n")
			text, _, _ = strings.Cut(text, "\n```")
			return text
		}
		q.does = block("sh")
		command, _ := strings.CutPrefix(block("console"), "$ ")
		var lines []string
		for line := range strings.Lines(command) {
			line, more := strings.CutPrefix(line, "> ")
			if len(lines) > 0 && !more {
				break // what it printed
			}
			lines = append(lines, line)
		}
		q.command = strings.Join(lines, "")
		if q.does == "" || !strings.HasPrefix(q.command, "bearcat run --scope pid:$PID ") {
			t.Fatalf("%q has no commands: %q, %q", title, q.does, q.command)
		}
		out = append(out, q)
	}
	return out
}

// live is a command of the page while it runs.
type live struct {
	t      *testing.T
	cmd    *exec.Cmd
	ended  chan struct{}
	mu     sync.Mutex
	out    bytes.Buffer
	stderr bytes.Buffer
}

// locked writes to a buffer under a mutex.
type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// show starts a command as a person would type it, with this test binary as
// bearcat: with few rules and without the host's status socket.
func show(t *testing.T, command string, pid int) *live {
	t.Helper()
	rules, err := filepath.Abs("testdata/kernel/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\" --no-status --rules %s\n", linked(t, "bearcat"), rules)
	if err := os.WriteFile(filepath.Join(dir, "bearcat"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	v := &live{t: t, cmd: exec.Command("/bin/sh", "-c", command), ended: make(chan struct{})}
	v.cmd.Env = append(os.Environ(), "PATH="+dir+":/usr/sbin:/usr/bin:/sbin:/bin", "PID="+strconv.Itoa(pid))
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	v.cmd.Stdout, v.cmd.Stderr = locked{&v.mu, &v.out}, locked{&v.mu, &v.stderr}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = v.cmd.Wait()
		close(v.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGTERM)
		<-v.ended
		if t.Failed() {
			t.Logf("%s\nprinted:\n%s\nand said:\n%s", command, v.text(), v.stderr.String())
		}
	})
	eventually(t, "the agent is ready", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return strings.Contains(v.stderr.String(), "ready after")
	})
	return v
}

func (v *live) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.out.String()
}

// prints waits until a line that fits has been printed, and returns its groups.
func (v *live) prints(format string, args ...any) []string {
	v.t.Helper()
	pattern := regexp.MustCompile("(?m)" + fmt.Sprintf(format, args...))
	var found []string
	eventually(v.t, "the answer "+pattern.String()+" is printed", func() bool {
		found = pattern.FindStringSubmatch(v.text())
		return found != nil
	})
	return found
}

// eventually waits for what takes a while.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it was not so that %s", patience, what)
		}
	}
}

// children are the pids of a process's children.
func children(pid int) []int {
	var out []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if f := statFields(filepath.Base(d)); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(d))
			out = append(out, child)
		}
	}
	return out
}

// statFields are the fields of /proc/PID/stat after the name: state, parent …
func statFields(pid string) []string {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// parentOf is what /proc says of a process's parent.
func parentOf(pid int) int {
	f := statFields(strconv.Itoa(pid))
	if len(f) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(f[1])
	return parent
}

// endAll ends what a process has started.
func endAll(pid int) {
	for _, child := range children(pid) {
		endAll(child)
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// procLink is what a link below /proc/PID points to.
func procLink(pid int, name string) string {
	to, _ := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, name))
	return to
}

// runs waits until a process runs a program of that name.
func runs(t *testing.T, pid int, program string) int {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d runs %s", pid, program), func() bool {
		return filepath.Base(procLink(pid, "exe")) == program
	})
	return pid
}

// asked is a question while it is asked.
type asked struct {
	*live
	stage *stage
	last  int    // what the shell started last in the background
	dir   string // where it is
	port  int    // of the listener that stands for port 4444
	peers chan string
}

// TestHidsQuestions runs the commands of docs/hids-questions.md and holds what
// they print to what /proc and the system calls say.
func TestHidsQuestions(t *testing.T) {
	guest.NeedKernel(t)
	all, checks := questions(t), answers()
	if len(all) != len(checks) {
		t.Fatalf("the page has %d questions, want %d", len(all), len(checks))
	}
	for i, q := range all {
		t.Run(q.title, func(t *testing.T) {
			s := newStage(t)
			t.Cleanup(func() { endAll(s.pid()) })
			a := &asked{stage: s, dir: t.TempDir()}
			a.port, a.peers = listener(t)
			s.do("cd " + a.dir)
			a.live = show(t, strings.ReplaceAll(q.command, "4444", strconv.Itoa(a.port)), s.pid())
			s.do(strings.ReplaceAll(q.does, "4444", strconv.Itoa(a.port)) + "\necho $! >" + a.dir + "/last")
			if b, err := os.ReadFile(a.dir + "/last"); err == nil {
				a.last, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			}
			checks[i](t, a)
			t.Logf("$ %s\n%s", q.command, a.text())
		})
	}
}

// listener accepts connections on the loopback address, keeps them, and tells
// who made each.
func listener(t *testing.T) (int, chan string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		t.Fatal(err)
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	peers := make(chan string, 8)
	go func() {
		for {
			c, from, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			t.Cleanup(func() { unix.Close(c) })
			peers <- strconv.Itoa(from.(*unix.SockaddrInet4).Port)
		}
	}()
	t.Cleanup(func() { _ = unix.Shutdown(fd, unix.SHUT_RDWR); unix.Close(fd) })
	return own.(*unix.SockaddrInet4).Port, peers
}
