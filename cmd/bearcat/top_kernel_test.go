package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestTopOnATerminal presses keys at top: it sorts by another column, leaves out lines,
// shows one process and another view of it, goes back, and ends.
func TestTopOnATerminal(t *testing.T) {
	guest.Once(t)
	// in a namespace of its own: lines of others may name it as who ran in their place
	busy := exec.Command("unshare", "-n", "sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Process.Kill(); _ = busy.Wait() })
	pid := strconv.Itoa(busy.Process.Pid)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); string(comm) == "sh\n" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("unshare has not become a shell, but is %q", comm)
		}
	}
	terminal, other := pty(t)
	cmd := command(t, "bearcat", "top", "cpu", "--interval", "200ms", "--netns", pid)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var mu sync.Mutex
	var said strings.Builder
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := other.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			said.Write(buf[:n])
			mu.Unlock()
		}
	}()
	// press waits for a screen that has all of the texts after a key
	press := func(keys string, want ...string) {
		t.Helper()
		mu.Lock()
		said.Reset()
		mu.Unlock()
		if _, err := other.WriteString(keys); err != nil {
			t.Fatal(err)
		}
		last := ""
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			screens := strings.Split(said.String(), clearScreen)
			mu.Unlock()
			for _, last = range screens {
				all := true
				for _, w := range want {
					all = all && strings.Contains(last, w)
				}
				if all {
					return
				}
			}
		}
		t.Fatalf("after %q no screen has %q; the last is\n%s", keys, want, last)
	}
	press("", "PID", pid, "sorted by ON%")
	press("s", "sorted by WAITp50")
	press("S/"+pid, "filter: "+pid+"_")
	press("\r", `lines with "`+pid, pid)
	press("j\r", "process "+pid, "top cpu")
	press("v", "top mem", "process "+pid)
	press("p", "paused")
	press("p\x1b", "top mem") // the first Escape takes the filter away
	press("\x1b", "top cpu", "sorted by ON%")
	if _, err := other.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("q does not end it")
	}
}
