package task

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestCoveredProc looks where something else lies over /proc: a sentence says so, and what
// it says to do gives the processes.
func TestCoveredProc(t *testing.T) {
	guest.Once(t)
	const inside = "BEARCAT_TEST_COVERED"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestCoveredProc$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("inside: %v: %s", err, out)
		}
		return
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	// The library that loads programs needs /proc, unless it has looked there before.
	err := whyNot(unix.ENOENT)
	if s, failed := TakeBrief(); failed == nil {
		if _, err := s.Find(uint32(os.Getpid())); err != nil {
			t.Errorf("a look that is not refused has to be whole: %v", err)
		}
		s.Close()
	} else {
		err = failed
	}
	if !strings.Contains(err.Error(), "/proc is covered") || !strings.Contains(err.Error(), "mount -t proc proc /proc") {
		t.Errorf("the error is %v", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	s, err := TakeBrief()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Find(uint32(os.Getpid())); err != nil {
		t.Error(err)
	}
}

func TestRefusedSentence(t *testing.T) {
	err := whyNot(fmt.Errorf("making a map: %w", unix.EPERM))
	if err == nil || !strings.Contains(err.Error(), "run as root") || !errors.Is(err, unix.EPERM) {
		t.Errorf("without rights: %v", err)
	}
	if err := whyNot(unix.ENOMEM); err != unix.ENOMEM {
		t.Errorf("without memory: %v", err)
	}
}
