package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is the user and group without rights, as whom set-uid programs run.
const nobody = 65534

// env holds what a case has made, so that it can be undone.
type env struct {
	dirs  []string
	files []io.Closer
	pids  []int
}

// clean undoes everything. It is called once, whatever happened before.
func (e *env) clean() error {
	var errs []error
	for _, f := range e.files {
		_ = f.Close() // nothing of value is lost; most are closed already
	}
	for _, d := range e.dirs {
		if err := os.RemoveAll(d); err != nil {
			errs = append(errs, fmt.Errorf("removing the folder %s: %w: remove it by hand", d, err))
		}
	}
	return errors.Join(errs...)
}

// keep closes something at the end.
func (e *env) keep(c io.Closer) { e.files = append(e.files, c) }

// dir makes a folder in the first of some places whose mount allows what the
// case needs: avoid holds flags of statfs such as ST_NOEXEC.
func (e *env) dir(avoid int64, places ...string) (string, error) {
	if len(places) == 0 {
		places = []string{os.TempDir(), "/tmp", "/var/tmp"}
	}
	var last error
	for _, p := range places {
		var st unix.Statfs_t
		if err := unix.Statfs(p, &st); err != nil {
			last = fmt.Errorf("looking at the mount of %s: %w", p, err)
			continue
		}
		if int64(st.Flags)&avoid != 0 {
			last = fmt.Errorf("%s is mounted with noexec or nosuid", p)
			continue
		}
		d, err := os.MkdirTemp(p, "bearcat-simulate-")
		if err != nil {
			last = fmt.Errorf("making a folder: %w", err)
			continue
		}
		e.dirs = append(e.dirs, d)
		return d, nil
	}
	return "", fmt.Errorf("%w: no place for a program: %w", ErrUnmet, last)
}

// place writes the tiny program to a new folder, under a name.
func (e *env) place(name string) (string, error) {
	d, err := e.dir(unix.ST_NOEXEC)
	if err != nil {
		return "", err
	}
	return e.placeIn(d, name)
}

func (e *env) placeIn(dir, name string) (string, error) {
	bin, err := program()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, bin, 0o700); err != nil {
		return "", fmt.Errorf("writing the test program: %w", err)
	}
	return path, nil
}

// script writes a shell script to a new folder.
func (e *env) script(name, text string) (string, error) {
	d, err := e.dir(unix.ST_NOEXEC)
	if err != nil {
		return "", err
	}
	path := filepath.Join(d, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		return "", fmt.Errorf("writing the test script: %w", err)
	}
	return path, nil
}

// open opens a file for reading, until the case ends.
func (e *env) open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the test program: %w", err)
	}
	e.keep(f)
	return f, nil
}

// socket returns one end of a TCP connection on the loopback interface; the
// other end is in this process and answers nothing.
func (e *env) socket(ctx context.Context) (*os.File, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("%w: listening on the loopback interface: %w", ErrUnmet, err)
	}
	defer ln.Close()
	var d net.Dialer
	client, err := d.DialContext(ctx, "tcp4", ln.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("connecting to the own listener: %w", err)
	}
	defer client.Close()
	if err := ln.(*net.TCPListener).SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, fmt.Errorf("setting a deadline: %w", err)
	}
	peer, err := ln.Accept()
	if err != nil {
		return nil, fmt.Errorf("accepting the own connection: %w", err)
	}
	e.keep(peer)
	f, err := client.(*net.TCPConn).File()
	if err != nil {
		return nil, fmt.Errorf("taking the socket: %w", err)
	}
	e.keep(f)
	return f, nil
}

// fifo makes a named pipe with text in it that a reader finds.
func (e *env) fifo(text string) (*os.File, error) {
	d, err := e.dir(0)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(d, "f")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("making a named pipe: %w", err)
	}
	// opened both ways, so that neither side waits for the other
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the named pipe: %w", err)
	}
	e.keep(f)
	if _, err := io.WriteString(f, text); err != nil {
		return nil, fmt.Errorf("writing to the named pipe: %w", err)
	}
	return f, nil
}

// pipe returns the reading end of a pipe that holds text.
func (e *env) pipe(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	e.keep(r)
	_, err = io.WriteString(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("filling the pipe: %w", err)
	}
	return r, nil
}

// A job is a process to start. Unset descriptors are /dev/null.
type job struct {
	path string
	argv []string
	vars []string // environment beyond PATH
	in   *os.File
	out  *os.File
	// byFD is started by descriptor instead of by path.
	byFD *os.File
	// user is the user and group id; 0 keeps the caller's.
	user uint32
	// anyStatus accepts every exit status.
	anyStatus bool
}

// start runs a job to its end and checks that it got where it should.
func (e *env) start(ctx context.Context, j job) error {
	cmd := e.command(ctx, j)
	err := cmd.Start()
	// a fork elsewhere in this process may hold the file open for writing
	for try := 0; errors.Is(err, unix.ETXTBSY) && try < 20 && ctx.Err() == nil; try++ {
		time.Sleep(10 * time.Millisecond)
		cmd = e.command(ctx, j)
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("starting the test program: %w", err)
	}
	e.pids = append(e.pids, cmd.Process.Pid)
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("waiting for the test program: %w", err)
	}
	if st := cmd.ProcessState; !j.anyStatus && st.ExitCode() != proof {
		return fmt.Errorf("the test program ended with %s, and exit status %d was meant: something on this host prevents it", st, proof)
	}
	return nil
}

func (e *env) command(ctx context.Context, j job) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3")
	if j.byFD != nil {
		cmd.ExtraFiles = []*os.File{j.byFD}
	} else {
		cmd.Path = j.path
	}
	cmd.Args, cmd.Err = j.argv, nil
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, j.vars...)
	// an *os.File left nil in the interface would not be a nil reader
	if j.in != nil {
		cmd.Stdin = j.in
	}
	if j.out != nil {
		cmd.Stdout, cmd.Stderr = j.out, j.out
	}
	// a session of its own: no terminal to be stopped by, and a group to end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if j.user != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: j.user, Gid: j.user}
	}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}
