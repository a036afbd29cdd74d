package status

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() Status {
	runs := uint64(12)
	return Status{
		Version: "0.1.0", Pid: 42, Host: "web-1", Kernel: "6.1.0-18-amd64", Scope: "host",
		Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), UptimeSeconds: 3723.4,
		Process: Process{RSSBytes: 30 << 20, CPUSeconds: 1.234},
		Hooks: []Hook{
			{Event: "exec", Hook: "tp_btf/sched_process_exec", Attached: true, Runs: &runs},
			{Event: "comm", Hook: "task_rename", Note: "no such tracepoint\x1b[2J"},
		},
		Rings:    []Ring{{Class: "critical", Size: 8 << 20, Received: 1000, LostInKernel: 2, Gaps: 1, LostCounted: 2, LeftOut: 7}},
		Stages:   []Stage{{Name: "decode", In: 1000, Out: 999, Dropped: 1}},
		Table:    Table{Processes: 300, Alive: 200, Limit: 131072, Bytes: 2048, Evicted: 1, Unknown: 2, Resyncs: 1},
		Rules:    Rules{Live: 20, Waiting: 3, Disabled: 1, Matched: 9, ByRule: map[string]uint64{"Shell": 2, "Miner": 7, "None": 0}, Reloads: 4, Refused: 2},
		Sinks:    []Sink{{Name: "stdout", In: 9, Out: 8, Dropped: 1, DroppedAlerts: 1, Bytes: 900, Errors: 1, LastError: "no space left on device"}},
		Warnings: []string{"bulk events are not collected"},
	}
}

func TestWriteStatus(t *testing.T) {
	var b strings.Builder
	if err := WriteStatus(&b, sample()); err != nil {
		t.Fatal(err)
	}
	const want = `bearcat 0.1.0, pid 42 on web-1, Linux 6.1.0-18-amd64, watching host
up 1h2m3s since 2026-03-04 05:06:07 UTC, 30.0MiB of memory, 1.23s of cpu time
warning: bulk events are not collected

EVENT  HOOK                       ATTACHED  LAST EVENT  RUNS  MISSED  NOTE
exec   tp_btf/sched_process_exec  yes       never       12    -
comm   task_rename                no        never       -     -       no such tracepoint\x1b[2J

RING      SIZE    RECEIVED  LOST IN KERNEL  GAPS  LOST COUNTED  LEFT OUT
critical  8.0MiB  1000      2               1     2             7

STAGE   IN    OUT  DROPPED
decode  1000  999  1

PROCESSES  ALIVE  LIMIT   MEMORY  EVICTED  UNKNOWN  RESYNCS
300        200    131072  2.0KiB  1        2        1

RULES LIVE  WAITING  DISABLED  ALERTS  SUPPRESSED  KEPT  FORGOTTEN  RELOADS  REFUSED  LAST RELOAD
20          3        1         9       0           0     0          4        2        never

RULE   ALERTS
Miner  7
Shell  2

OUTPUT  IN  WRITTEN  WAITING  LOST  ALERTS LOST  BYTES  ERRORS  LAST ERROR
stdout  9   8        0        1     1            900    1       no space left on device
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func serve(t *testing.T, path string) *Server {
	t.Helper()
	s, err := Serve(path, sample, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestQuery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "bearcat.sock")
	s := serve(t, path)
	got, err := Query(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Query(path); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAsk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bearcat.sock")
	s, err := Serve(path, sample, map[string]Handler{
		"double": func(args json.RawMessage) (any, error) {
			var n int
			if err := json.Unmarshal(args, &n); err != nil {
				return nil, err
			}
			if n < 0 {
				return nil, errors.New("the number is negative: give another")
			}
			return 2 * n, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var n int
	if err := Ask(path, "double", 21, &n); err != nil || n != 42 {
		t.Errorf("answer %d, %v", n, err)
	}
	if err := Ask(path, "double", -1, &n); err == nil || !strings.Contains(err.Error(), "for double: the number is negative") {
		t.Errorf("a refusal is %v", err)
	}
	if err := Ask(path, "halve", 1, &n); err == nil || !strings.Contains(err.Error(), "this agent knows status, double") {
		t.Errorf("an unknown verb gives %v", err)
	}
	if _, err := Query(path); err != nil {
		t.Errorf("the status is not answered: %v", err)
	}
}

func TestTwoAgents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bearcat.sock")
	first := serve(t, path)
	_, err := Serve(path, sample, nil)
	var used *InUseError
	if !errors.As(err, &used) || used.Pid != os.Getpid() || !strings.Contains(err.Error(), "is held by the bearcat with pid") {
		t.Errorf("the second agent gets %v", err)
	}
	if _, err := Query(path); err != nil {
		t.Errorf("the first agent was disturbed: %v", err)
	}
	first.Close()
	serve(t, path)
}

func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bearcat.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.WriteFile(path+".lock", []byte("99999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Query(path); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a dead socket: %v", err)
	}
	serve(t, path)
	if _, err := Query(path); err != nil {
		t.Error(err)
	}
}

func TestNotASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(path, sample, nil); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "data" {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
}

func TestBadRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bearcat.sock")
	serve(t, path)
	for request, want := range map[string]string{
		`{"verb":"stop"}`: `unknown verb "stop"`, `hello`: "not JSON", strings.Repeat("x", maxRequest): "",
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(request + "\n")); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		c.Close()
		if want == "" {
			if line != "" {
				t.Errorf("an endless request is answered: %s", line)
			}
			continue
		}
		var r reply
		if err := json.Unmarshal([]byte(line), &r); err != nil || !strings.Contains(r.Error, want) {
			t.Errorf("%.20s: %q, %v", request, line, err)
		}
	}
}

func TestAllow(t *testing.T) {
	for _, c := range []struct {
		uid uint32
		own int
		ok  bool
	}{{0, 0, true}, {0, 1000, true}, {1000, 1000, true}, {1000, 0, false}, {1001, 1000, false}} {
		if err := allow(c.uid, c.own); (err == nil) != c.ok {
			t.Errorf("uid %d at an agent of %d: %v", c.uid, c.own, err)
		}
	}
}
