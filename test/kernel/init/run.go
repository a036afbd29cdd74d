package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

// ports are the ends of the virtio-serial lines to the machine.
type ports struct {
	stdout, stderr, status *os.File
}

func openPorts() (p ports, err error) {
	for name, f := range map[string]**os.File{
		spec.PortStdout: &p.stdout, spec.PortStderr: &p.stderr, spec.PortStatus: &p.status,
	} {
		if *f, err = openPort(name); err != nil {
			return p, err
		}
	}
	return p, nil
}

// openPort waits for the port of that name: ports appear some milliseconds
// after their driver.
func openPort(name string) (*os.File, error) {
	for range 1000 {
		entries, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, e := range entries {
			b, err := os.ReadFile(e)
			if err != nil || strings.TrimSpace(string(b)) != name {
				continue
			}
			// blocking, so that a write waits until the machine has taken the bytes
			fd, err := unix.Open("/dev/"+filepath.Base(filepath.Dir(e)), unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err == nil {
				return os.NewFile(uintptr(fd), name), nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, fmt.Errorf("the machine offers no port %s", name)
}

// runCommand runs the command to its end and returns its status as a shell
// would. Orphans are reaped meanwhile, as a first process must.
func runCommand(s spec.Spec, p ports) int {
	for _, e := range s.Env {
		if k, v, ok := strings.Cut(e, "="); ok {
			os.Setenv(k, v)
		}
	}
	os.Setenv(spec.EnvVM, s.Kernel)
	if len(s.Command) == 0 {
		fmt.Fprintln(p.stderr, "guest init: no command was given")
		return 126
	}
	// pipes and not the ports themselves: a port opens once only, while
	// /dev/stdout must be openable again
	outR, outW, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(p.stderr, "guest init:", err)
		return 126
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(p.stderr, "guest init:", err)
		return 126
	}
	cmd := exec.Command(s.Command[0], s.Command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, outW, errW
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(p.stderr, "guest init:", err)
		return 127
	}
	outW.Close()
	errW.Close()
	var copies sync.WaitGroup
	copies.Go(func() { io.Copy(p.stdout, outR) })
	copies.Go(func() { io.Copy(p.stderr, errR) })
	status := reapUntil(cmd.Process.Pid)
	// a process left behind may hold the pipes open: do not wait for it long
	done := make(chan struct{})
	go func() { copies.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		unix.Kill(-1, unix.SIGKILL)
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	}
	return status
}

func reapUntil(pid int) int {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			note("waiting for the command: %v", err)
			return 126
		case got == pid && ws.Signaled():
			return 128 + int(ws.Signal())
		case got == pid && ws.Exited():
			return ws.ExitStatus()
		}
	}
}
