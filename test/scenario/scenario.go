// Package scenario runs shell scripts in a guest under a running Bearcat and
// says which alerts each of them raised, and how soon.
//
// In comes the program that make build has made, with the rules that ship; out
// come alerts. The tests of test/attack and test/benign call it, in guests only:
// their scripts act on the whole host.
package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

const (
	// PublicIP is an address of the guest's own loopback interface that
	// belongs to no private network, so that rules which leave those out
	// still apply. BadIP is another, on the list of bad addresses.
	PublicIP = "203.0.113.1"
	BadIP    = "203.0.113.66"

	// Patience bounds the wait for what must come; guests are emulated.
	Patience = 60 * time.Second

	// home is the home directory of scripts: an empty one, so that nobody's
	// settings run, and not below a temporary folder, which rules treat apart.
	home = "/var/lib/scenario"
)

// markRule tells where a scenario ends: alerts come in the order of events.
const markRule = "Scenario mark"

const extraRules = `
- rule: ` + markRule + `
  desc: The test says where a scenario ends.
  condition: evt.type = execve and proc.args startswith "scenario-mark-"
  output: mark (%proc.args)
  priority: DEBUG
- list: bad_addresses
  items: [` + BadIP + `]
  override: {items: append}
`

// Alert is an alert as the agent wrote it.
type Alert struct {
	Rule, Priority, Output string
	// Delay is from the event to the arrival of the line here.
	Delay time.Duration
	// At is when it arrived.
	At time.Time
	// Line is the whole line.
	Line []byte
}

// Agent is a running bearcat.
type Agent struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{}
	marks int

	mu     sync.Mutex
	alerts []Alert
	said   bytes.Buffer
}

// Start starts bearcat run with the shipped rules and waits until it is ready.
// It skips the test where there is no guest.
func Start(t testing.TB) *Agent {
	t.Helper()
	guest.Require(t)
	bin, err := filepath.Abs("../../bin/bearcat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("there is no program to test: make build first: %v", err)
	}
	rules := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(rules, []byte(extraRules), 0o600); err != nil {
		t.Fatal(err)
	}
	// none of the marks may be counted away as a repeat
	config := filepath.Join(t.TempDir(), "scenario-config.yaml")
	if err := os.WriteFile(config, []byte("alerts: {burst: 0, rule_burst: 1000000}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &Agent{t: t, ended: make(chan struct{})}
	a.cmd = exec.Command(bin, "run", "--config", config, "--output", "json", "--no-status", "--rules", "builtin", "--rules", rules)
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errOut, err := a.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { a.read(out) })
	readers.Go(func() { a.listen(errOut) })
	go func() {
		readers.Wait()
		_ = a.cmd.Wait()
		close(a.ended)
	}()
	t.Cleanup(a.stop)
	a.until("bearcat is ready", func() bool { return bytes.Contains(a.said.Bytes(), []byte("ready after")) })
	return a
}

func (a *Agent) stop() {
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-a.ended:
	case <-time.After(Patience):
		_ = a.cmd.Process.Kill()
		<-a.ended
	}
	if a.t.Failed() {
		a.t.Logf("bearcat said:\n%s", a.said.String())
	}
}

// until waits for a condition on what the agent has written.
func (a *Agent) until(what string, ok func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		a.mu.Lock()
		done := ok()
		a.mu.Unlock()
		if done {
			return
		}
		select {
		case <-a.ended:
			a.t.Fatalf("the agent ended before %s:\n%s", what, a.said.String())
		default:
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("after %v it was not so that %s", Patience, what)
		}
	}
}

func (a *Agent) listen(r io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		a.mu.Lock()
		a.said.Write(b[:n])
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (a *Agent) read(r io.Reader) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		now := time.Now()
		var l struct {
			Type, Rule, Priority, Output string
			Event                        struct{ Time time.Time }
		}
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil || l.Type != "alert" {
			continue
		}
		al := Alert{Rule: l.Rule, Priority: l.Priority, Output: l.Output, Delay: now.Sub(l.Event.Time), At: now, Line: bytes.Clone(sc.Bytes())}
		a.mu.Lock()
		a.alerts = append(a.alerts, al)
		a.mu.Unlock()
	}
}

// Await waits, within Do, for an alert of the rule after the last mark.
func (a *Agent) Await(rule string) {
	a.t.Helper()
	a.until("an alert of "+rule+" has come", func() bool {
		for _, x := range slices.Backward(a.alerts) {
			if x.Rule == rule || x.Rule == markRule {
				return x.Rule == rule
			}
		}
		return false
	})
}

// Do runs what raises alerts and returns those of the time from before it to
// after it, in order.
func (a *Agent) Do(what func() error) ([]Alert, error) {
	a.t.Helper()
	a.mu.Lock()
	from := len(a.alerts)
	a.mu.Unlock()
	err := what()
	a.marks++
	mark := fmt.Sprintf("scenario-mark-%d-", a.marks)
	if merr := exec.Command("/bin/true", mark).Run(); merr != nil {
		a.t.Fatalf("marking the end of the scenario: %v", merr)
	}
	var got []Alert
	a.until("the mark has come through", func() bool {
		for i := from; i < len(a.alerts); i++ {
			if a.alerts[i].Rule == markRule && strings.Contains(a.alerts[i].Output, mark) {
				got = append(got, a.alerts[from:i]...)
				return true
			}
		}
		return false
	})
	return got, err
}

// Script is a script to run.
type Script struct {
	// Text is run by bash in an empty folder, with $IP and $BAD set.
	Text string
	// Ports are listened on meanwhile, at every address: each connection is
	// sent Say, or "id; exit", and then read from until it ends.
	Ports []int
	Say   string
	// Input is what the script reads, nothing by default.
	Input io.Reader
	// Limit ends the script; 60 seconds by default.
	Limit time.Duration
}

// Run runs a script and returns what it printed. A status other than 0 is an
// error.
func (s *Script) Run(t testing.TB) (string, error) {
	t.Helper()
	for _, p := range s.Ports {
		l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", p))
		if err != nil {
			return "", fmt.Errorf("listening for the script: %w", err)
		}
		defer l.Close()
		go s.serve(l)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", fmt.Errorf("making the script's home: %w", err)
	}
	// a file, so that the text is in no command line
	file := filepath.Join(t.TempDir(), "scenario")
	if err := os.WriteFile(file, []byte(s.Text), 0o600); err != nil {
		return "", fmt.Errorf("writing the script: %w", err)
	}
	cmd := exec.Command("/bin/bash", file)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "LANG=C", "TERM=dumb", "IP=" + PublicIP, "BAD=" + BadIP}
	cmd.Stdin = s.Input
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("starting the script: %w", err)
	}
	limit := s.Limit
	if limit == 0 {
		limit = Patience
	}
	end := time.AfterFunc(limit, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer end.Stop()
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return out.String(), fmt.Errorf("running the script: %w", err)
	}
	return out.String(), nil
}

// serve answers connections as somebody at the other end would.
func (s *Script) serve(l net.Listener) {
	say := s.Say
	if say == "" {
		say = "id; exit\n"
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.WriteString(c, say)
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.Copy(io.Discard, c)
		}()
	}
}

// Network gives the guest's loopback interface the addresses of the scenarios.
func Network(t testing.TB) {
	t.Helper()
	guest.Require(t)
	for _, ip := range []string{PublicIP, BadIP} {
		if out, err := exec.Command("ip", "addr", "add", ip+"/32", "dev", "lo").CombinedOutput(); err != nil && !bytes.Contains(out, []byte("exists")) && !bytes.Contains(out, []byte("already")) {
			t.Fatalf("giving the guest the address %s: %v: %s", ip, err, out)
		}
	}
}

// Missing returns the programs and modules of a scenario that are not there,
// as words for people; "" where all are.
func Missing(needs []string) string {
	var out []string
	for _, n := range needs {
		if _, err := exec.LookPath(n); err != nil {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "not installed: " + strings.Join(out, ", ")
}
