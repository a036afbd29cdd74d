package function

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestCallsAreCounted has a program read a known number of times. It stops until it is
// looked at.
func TestCallsAreCounted(t *testing.T) {
	guest.NeedKernel(t)
	const reads = 500
	cmd := exec.Command("sh", "-c", "read x; exec dd if=/dev/zero of=/dev/null bs=1 count=500")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	tr, err := Open(Options{Names: []string{"vfs_read", "vfs_wri*"}, Pid: uint32(cmd.Process.Pid)})
	if guest.Name() == "" && errors.Is(err, syscall.EPERM) {
		t.Skip("this machine's kernel is locked down: tracefs cannot be read")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	sums := Sums{}
	var last time.Duration
	if err := tr.Run(ctx, func(c *Call) bool {
		sums.Add(c)
		if c.Function == "vfs_read" && !tr.Latency && c.Caller == "" {
			t.Errorf("%+v has no caller", c)
		}
		last = max(last, c.At)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	calls, lines := tr.Lost()
	t.Logf("%d functions, latency %v, lost %d, strange lines %d, last at %s", tr.Functions, tr.Latency, calls, lines, last)
	for _, s := range sums.List() {
		t.Logf("%+v", s)
	}
	read, written := sums["vfs_read"], sums["vfs_write"]
	if read == nil || written == nil || calls != 0 || lines != 0 || tr.Functions < 2 {
		t.Fatalf("read %v, written %v, lost %d, strange %d", read, written, calls, lines)
	}
	// the loader reads some libraries, the shell a line, and dd says something
	if read.Calls < reads || read.Calls > reads+40 || written.Calls < reads || written.Calls > reads+20 {
		t.Errorf("%d reads and %d writes, want %d and a few", read.Calls, written.Calls, reads)
	}
	if tr.Latency && (read.Took == 0 || read.Longest < read.Took/time.Duration(read.Calls)) {
		t.Errorf("they took %s, the longest %s", read.Took, read.Longest)
	}
}

// TestNamesThatAreNot are refused before anything is started.
func TestNamesThatAreNot(t *testing.T) {
	guest.NeedKernel(t)
	for _, names := range [][]string{nil, {"no_such_function_here"}, {"vfs_read;"}, {"vfs_read vfs_write"}, {"*"}} {
		tr, err := Open(Options{Names: names})
		if err == nil {
			_ = tr.Close()
			t.Errorf("%q is accepted", names)
		}
	}
	if tr, err := Open(Options{Names: []string{"vfs_read"}, Pid: 1 << 30}); err == nil {
		_ = tr.Close()
		t.Error("a process that is not there is accepted")
	}
	tr, err := Open(Options{Names: []string{"vfs_read"}, Pid: 1})
	if guest.Name() == "" && errors.Is(err, syscall.EPERM) {
		t.Skip("this machine's kernel is locked down: tracefs cannot be read")
	}
	if err != nil {
		t.Fatalf("after refusals: %v", err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}
