package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/status"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// patience is for what has no bound of its own; emulated guests are slow.
const patience = 90 * time.Second

// endTime is how long the agent may take to end: two seconds on a machine, and
// more where every instruction is emulated.
func endTime() time.Duration {
	if guest.Name() != "" {
		return 15 * time.Second
	}
	return 2 * time.Second
}

// stage is a shell that does what it is told: the scope of most tests.
type stage struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	n   int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, cmd: exec.Command("/bin/sh")}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.in.Close()
		_ = s.cmd.Wait()
	})
	return s
}

func (s *stage) pid() int { return s.cmd.Process.Pid }

func (s *stage) scope() string { return fmt.Sprintf("pid:%d", s.pid()) }

// do runs shell commands and returns when they have ended. Output of the
// commands goes nowhere.
func (s *stage) do(commands string) {
	s.t.Helper()
	s.n++
	mark := fmt.Sprintf("done-%d", s.n)
	if _, err := fmt.Fprintf(s.in, "{ %s\n} >/dev/null\necho %s\n", commands, mark); err != nil {
		s.t.Fatal(err)
	}
	line, err := s.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != mark {
		s.t.Fatalf("the shell answered %q (%v), want %q", line, err, mark)
	}
}

// repeat runs a command n times, each as a process of its own.
func (s *stage) repeat(n int, command string) {
	s.t.Helper()
	s.do(fmt.Sprintf("i=0; while [ $i -lt %d ]; do %s; i=$((i+1)); done", n, command))
}

// command makes this test binary stand in for a program of that name.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{Path: self, Args: append([]string{name}, args...)}
}

// linked makes a path under which this test binary is the program of that name.
func linked(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// line is a line of output and when it came.
type line struct {
	text string
	at   time.Time
}

// agentRun is a running bearcat.
type agentRun struct {
	t      *testing.T
	cmd    *exec.Cmd
	socket string
	ended  chan struct{} // closed when it has been waited for

	mu     sync.Mutex
	out    []line
	stderr bytes.Buffer
}

// runOptions are what tests change.
type runOptions struct {
	config string   // more settings
	args   []string // after bearcat run
	stdout *os.File // in place of the test's own reading
	socket string   // in place of one of its own
	rules  string   // in place of the tests'
}

// start starts bearcat run with the tests' rules and waits until it is ready.
func start(t *testing.T, o runOptions) *agentRun {
	t.Helper()
	dir := t.TempDir()
	a := &agentRun{t: t, socket: o.socket, ended: make(chan struct{})}
	if a.socket == "" {
		a.socket = filepath.Join(dir, "status.sock")
	}
	rules, err := filepath.Abs("testdata/kernel/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if o.rules != "" {
		rules = o.rules
	}
	config := filepath.Join(dir, "bearcat.yaml")
	text := fmt.Sprintf("status:\n  socket: %q\n%s", a.socket, o.config)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a.cmd = command(t, "bearcat", append([]string{"run", "--config", config, "--rules", rules}, o.args...)...)
	var readers sync.WaitGroup
	if o.stdout != nil {
		a.cmd.Stdout = o.stdout
	} else {
		out, err := a.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() { a.read(out) })
	}
	errOut, err := a.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	readers.Go(func() { a.readErr(errOut) })
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		readers.Wait()
		_ = a.cmd.Wait()
		close(a.ended)
	}()
	t.Cleanup(func() {
		if a.running() {
			_ = a.cmd.Process.Kill()
			<-a.ended
		}
		if t.Failed() {
			t.Logf("bearcat's standard error:\n%s", a.said())
		}
	})
	a.until("it is ready", func() bool { return strings.Contains(a.said(), "ready after") })
	return a
}

func (a *agentRun) read(r io.Reader) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		l := line{sc.Text(), time.Now()}
		a.mu.Lock()
		a.out = append(a.out, l)
		a.mu.Unlock()
	}
}

func (a *agentRun) readErr(r io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		a.mu.Lock()
		a.stderr.Write(b[:n])
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (a *agentRun) said() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stderr.String()
}

func (a *agentRun) lines() []line {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out[:len(a.out):len(a.out)]
}

func (a *agentRun) running() bool {
	select {
	case <-a.ended:
		return false
	default:
		return true
	}
}

// until waits for something that the running agent will do.
func (a *agentRun) until(what string, ok func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
		if !a.running() && !ok() {
			a.t.Fatalf("the agent ended before %s:\n%s", what, a.said())
		}
	}
	a.t.Fatalf("after %v it was not so that %s; it said:\n%s", patience, what, a.said())
}

// stop sends a signal and returns the exit status, and how long the end took.
func (a *agentRun) stop(sig os.Signal) (int, time.Duration) {
	a.t.Helper()
	begun := time.Now()
	if err := a.cmd.Process.Signal(sig); err != nil {
		a.t.Fatal(err)
	}
	return a.wait(), time.Since(begun)
}

// wait waits for the agent's end and returns its exit status.
func (a *agentRun) wait() int {
	a.t.Helper()
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.t.Fatalf("the agent does not end:\n%s", a.said())
	}
	ws := a.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		a.t.Fatalf("the agent was ended by signal %v:\n%s", ws.Signal(), a.said())
	}
	return ws.ExitStatus()
}

// seen is the part of an event that these tests look at.
type seen struct {
	Type    string `json:"type"`
	Rule    string `json:"rule"`
	OldComm string `json:"old_comm"`
	Process struct {
		Pid  int      `json:"pid"`
		Argv []string `json:"argv"`
		Exe  struct {
			Path  string `json:"path"`
			Host  string `json:"host_path"`
			Memfd bool   `json:"memfd"`
		} `json:"exe"`
		Parent struct {
			Pid int `json:"pid"`
		} `json:"parent"`
	} `json:"process"`
	Ancestors []struct {
		Pid  int      `json:"pid"`
		Argv []string `json:"argv"`
	} `json:"ancestors"`
	Gap struct {
		N    uint64 `json:"n"`
		Lost string `json:"lost"`
	} `json:"gap"`
	Event *seen `json:"event"`

	at time.Time
}

// events reads all lines of JSON that came so far.
func (a *agentRun) events() []seen {
	a.t.Helper()
	var out []seen
	for _, l := range a.lines() {
		var s seen
		if err := json.Unmarshal([]byte(l.text), &s); err != nil {
			a.t.Fatalf("a line is not JSON: %v: %s", err, l.text)
		}
		s.at = l.at
		out = append(out, s)
	}
	return out
}

// find waits for a line.
func (a *agentRun) find(what string, ok func(*seen) bool) seen {
	a.t.Helper()
	var found seen
	a.until(what, func() bool {
		for _, s := range a.events() {
			if ok(&s) {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// execOf matches an exec with that argument.
func execOf(arg string) func(*seen) bool {
	return func(s *seen) bool {
		if s.Type != "exec" {
			return false
		}
		for _, a := range s.Process.Argv {
			if a == arg {
				return true
			}
		}
		return false
	}
}

// status asks the agent as bearcat status --json does.
func (a *agentRun) status() status.Status {
	a.t.Helper()
	out, err := command(a.t, "bearcat", "status", "--json", "--socket", a.socket).Output()
	if err != nil {
		a.t.Fatalf("bearcat status: %v", err)
	}
	var s status.Status
	if err := json.Unmarshal(out, &s); err != nil {
		a.t.Fatalf("the status is not JSON: %v: %s", err, out)
	}
	return s
}

// freePort returns a port of the loopback address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("there is no loopback address: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}
