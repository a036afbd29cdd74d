package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestAgentScans hides a process while the agent runs and wants to be told once.
func TestAgentScans(t *testing.T) {
	guest.Require(t)
	guest.Once(t)
	a := start(t, runOptions{args: []string{"--output", "json"}, config: "scan:\n  interval: 2s\n"})
	hidden := exec.Command("sleep", "1000")
	if err := hidden.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hidden.Process.Kill()
		_ = hidden.Wait()
	})
	point := fmt.Sprintf("/proc/%d", hidden.Process.Pid)
	if err := unix.Mount("none", point, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
	told := func() int {
		n := 0
		for _, l := range a.lines() {
			if strings.Contains(l.text, `"Scan: covered-process"`) && strings.Contains(l.text, "a mount covers "+point) {
				n++
			}
		}
		return n
	}
	a.until("the scan's alert comes", func() bool { return told() > 0 })
	if n := told(); n != 1 {
		t.Errorf("the covered process is told of %d times", n)
	}
}
