package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestShowIntoHead has readers that go before all is written, as head does: the command
// ends by SIGPIPE, as others do, and says nothing.
func TestShowIntoHead(t *testing.T) {
	guest.Once(t)
	for range 300 { // the list of files is longer than the pipe
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	for _, c := range []struct {
		args  string
		lines int // that are read
	}{
		{"fd", 1},
		{"fd --json", 0},
		{"proc --watch 10ms", 2},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		cmd := command(t, "bearcat", append([]string{"show"}, strings.Fields(c.args)...)...)
		cmd.Stdout, cmd.Stderr = w, &said
		if c.lines == 0 {
			r.Close()
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		text := bufio.NewReaderSize(r, 16) // which leaves the rest in the pipe
		for range c.lines {
			if line, err := text.ReadString('\n'); err != nil || !strings.Contains(line, " ") {
				t.Errorf("show %s wrote %q, %v", c.args, line, err)
			}
		}
		r.Close()
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		kill.Stop()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGPIPE {
			t.Errorf("show %s ends with %v, want SIGPIPE", c.args, err)
		}
		if said.Len() > 0 {
			t.Errorf("show %s says %s", c.args, said.String())
		}
	}
}

// TestShowHidepid looks where /proc hides the processes of others, as somebody without
// rights and as root: what is not seen is said.
func TestShowHidepid(t *testing.T) {
	guest.Once(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bearcat := filepath.Join(dir, "bearcat")
	if err := os.WriteFile(bearcat, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	// The /proc is a new one: to mount the old one anew would change it for the whole host.
	const mounts = `mount --make-rprivate / && mount --bind "$0" "$1" && mount -t proc -o hidepid="$2" proc /proc && cd / && exec `
	const nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "
	show := func(level, as, args string) (string, error) {
		cmd := exec.Command("sh", "-c", mounts+as+`"$1" show `+args, self, bearcat, level)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const hides = "/proc is mounted with hidepid, which hides the processes of others: run as root"
	for _, c := range []struct {
		noun, says string
		fails      bool
	}{
		{"proc", "the kernel's lists are for root", true},
		{"fd --json", "the kernel's lists are for root", true},
		{"vma 1", "there is no process 1, or it is not to be seen: " + hides, true},
		{"sched 1", "there is no process 1, or it is not to be seen: " + hides, true},
		{"ns", "note: namespaces of other users' processes are not known: " + hides, false},
		{"timer --json", "timers of other users' processes are not known: " + hides, false},
		{"mount --ns all", "note: mount namespaces of other users' processes are not known: " + hides, false},
		{"overlay", "note: mount namespaces of other users' processes are not known: " + hides, false},
		{"port", "note: ports in network namespaces of other users' processes are not known: " + hides, false},
	} {
		out, err := show("2", nobody, c.noun)
		if (err != nil) != c.fails || !strings.Contains(out, c.says) {
			t.Errorf("show %s ends with %v and says %.600s", c.noun, err, out)
		}
	}
	for _, noun := range []string{"ns", "timer", "mount --ns all", "overlay", "port"} {
		if out, err := show("1", nobody, noun); err != nil || !strings.Contains(out, "processes could not be read: run as root") {
			t.Errorf("where their folders are only closed, show %s ends with %v and says %.600s", noun, err, out)
		}
	}
	for _, noun := range []string{"ns", "proc --wide", "overlay", "port"} {
		if out, err := show("2", "", noun); err != nil || strings.Contains(out, "hidepid,") || strings.Contains(out, "run as root") || !strings.Contains(out, "\n") {
			t.Errorf("root's show %s ends with %v and says %.600s", noun, err, out)
		}
	}
}

// TestShowDying looks at processes and files while processes come and go: there is no
// error, and what is shown is whole.
func TestShowDying(t *testing.T) {
	guest.Once(t)
	burst := exec.Command("sh", "-c", "while :; do /bin/true | /bin/true & /bin/true & wait; done")
	burst.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := burst.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-burst.Process.Pid, syscall.SIGKILL)
		_ = burst.Wait()
	})
	var before map[uint32]time.Time // start by pid
	var starts map[uint32]time.Time // that were seen last
	starts = map[uint32]time.Time{}
	gone := 0
	for begin, looks := time.Now(), 0; looks < 4 || gone < 3; looks++ {
		if time.Since(begin) > patience {
			t.Fatalf("after %d looks %d processes have gone", looks, gone)
		}
		now := lookWhileDying(t, burst.Process.Pid)
		for pid := range before {
			if _, there := now[pid]; !there {
				gone++
			}
		}
		for pid, start := range now {
			if start.Add(time.Second).Before(starts[pid]) {
				t.Errorf("process %d began at %v, and before that its pid was of one that began at %v", pid, start, starts[pid])
			}
			starts[pid] = start
		}
		before = now
	}
}

// lookWhileDying looks at processes and at files, and gives the starts of processes.
func lookWhileDying(t *testing.T, steady int) map[uint32]time.Time {
	t.Helper()
	var text, list bytes.Buffer
	for _, args := range []string{"proc --json", "proc --wide", "tree", "fd", "pipe", "socket --wide"} {
		out := &text
		if args == "proc --json" {
			out = &list
		}
		if err := runShow(t.Context(), out, strings.Fields(args)...); err != nil {
			t.Fatalf("show %s: %v", args, err)
		}
	}
	if strings.Contains(text.String(), "note: ") {
		t.Errorf("a note tells of %s", text.String()[strings.Index(text.String(), "note: "):])
	}
	var all struct {
		Processes []procRow
		Notes     []string
	}
	if err := json.Unmarshal(list.Bytes(), &all); err != nil || len(all.Notes) > 0 {
		t.Fatalf("%v, notes %q", err, all.Notes)
	}
	now := map[uint32]time.Time{}
	last := uint32(0)
	for _, p := range all.Processes {
		if p.Pid <= last {
			t.Errorf("process %d is listed after %d", p.Pid, last)
		}
		last = p.Pid
		if p.Name == "" || p.Start == nil || p.Start.After(time.Now().Add(time.Second)) || p.PPid == 0 && p.Pid > 2 || p.PPid == p.Pid {
			t.Errorf("half a process: %+v", p)
			continue
		}
		now[p.Pid] = *p.Start
	}
	if _, there := now[uint32(steady)]; !there {
		t.Errorf("process %d, which runs all the time, is not listed", steady)
	}
	return now
}
