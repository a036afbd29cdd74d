package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 2 * time.Minute
	stopLimit  = 30 * time.Second
	// An agent that has no ready line has finished starting when it has used
	// next to no processor time (it may poll) for this long.
	quietTime = 500 * time.Millisecond
	quietCPU  = quietTime / 50
)

// Session is an agent at work.
type Session struct {
	agent Agent
	dir   string
	procs []*process
	// Startup is from the first program's start to the agent's being ready.
	Startup time.Duration
	started time.Time
}

// process is one running program of an agent.
type process struct {
	name  string
	cmd   *exec.Cmd
	err   *watcher
	ended chan struct{}
	wait  error // valid when ended is closed
}

// startAgent starts the agent's programs; what they write goes to files in dir.
func startAgent(ctx context.Context, a Agent, dir string) (*Session, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the agent's directory: %w", err)
	}
	s := &Session{agent: a, dir: dir, started: time.Now()}
	for _, p := range a.Programs {
		if err := s.start(p); err != nil {
			s.kill()
			return nil, err
		}
	}
	if err := s.waitReady(ctx); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func (s *Session) start(prog Program) error {
	name := filepath.Base(prog.Path)
	out, err := os.Create(filepath.Join(s.dir, name+".out"))
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	defer out.Close()
	log, err := os.Create(filepath.Join(s.dir, name+".err"))
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, err: &watcher{to: log, prefix: s.agent.ReadyPrefix}, ended: make(chan struct{})}
	p.cmd = exec.Command(prog.Path, prog.Args(s.dir)...)
	p.cmd.Stdout, p.cmd.Stderr = out, p.err
	p.cmd.Dir = s.dir
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return fmt.Errorf("starting %s: %w", name, err)
	}
	s.procs = append(s.procs, p)
	go func() {
		p.wait = p.cmd.Wait()
		log.Close()
		close(p.ended)
	}()
	return nil
}

// waitReady waits until the agent is at work and sets Startup.
func (s *Session) waitReady(ctx context.Context) error {
	if len(s.procs) == 0 {
		return nil
	}
	last, since := time.Duration(0), time.Now()
	for time.Since(s.started) < startLimit {
		if err := s.alive(); err != nil {
			return err
		}
		if s.agent.ReadyPrefix != "" {
			if at := s.procs[0].err.readyAt(); !at.IsZero() {
				s.Startup = at.Sub(s.started)
				return nil
			}
		} else {
			u, err := s.Usage()
			if err != nil {
				return err
			}
			if u.CPU-last > quietCPU || !s.holdPrograms() {
				last, since = u.CPU, time.Now()
			} else if time.Since(since) >= quietTime {
				s.Startup = since.Sub(s.started)
				return nil
			}
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s was not ready after %s: %s", s.agent.Label, startLimit, s.said())
}

// alive returns an error when a program of the agent has ended.
func (s *Session) alive() error {
	for _, p := range s.procs {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended by itself (%v): %s", p.name, p.wait, s.said())
		default:
		}
	}
	return nil
}

// holdPrograms reports whether every process holds a BPF program.
func (s *Session) holdPrograms() bool {
	for _, p := range s.procs {
		dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/fd"
		files, _ := os.ReadDir(dir)
		held := false
		for _, f := range files {
			to, _ := os.Readlink(filepath.Join(dir, f.Name()))
			held = held || strings.HasSuffix(to, "bpf-prog")
		}
		if !held {
			return false
		}
	}
	return true
}

// Usage is what all programs of the agent used so far.
func (s *Session) Usage() (Usage, error) {
	var sum Usage
	for _, p := range s.procs {
		u, err := readUsage(p.cmd.Process.Pid)
		if err != nil {
			return sum, err
		}
		sum = sum.add(u)
	}
	return sum, nil
}

// drain waits until the agent has written what it has to write, and at least
// half a second.
func (s *Session) drain(ctx context.Context) error {
	const step, atLeast, still = 100 * time.Millisecond, 500 * time.Millisecond, 300 * time.Millisecond
	begin := time.Now()
	size, since := s.written(), begin
	for time.Since(begin) < 20*time.Second {
		if err := sleep(ctx, step); err != nil {
			return err
		}
		if now := s.written(); now != size {
			size, since = now, time.Now()
		}
		if time.Since(begin) >= atLeast && time.Since(since) >= still {
			return s.alive()
		}
	}
	return s.alive()
}

func (s *Session) written() (size int64) {
	files, _ := os.ReadDir(s.dir)
	for _, f := range files {
		if i, err := f.Info(); err == nil {
			size += i.Size()
		}
	}
	return size
}

// stop ends the agent in an orderly way and counts what it saw.
func (s *Session) stop(t Tools) (Counts, error) {
	for _, p := range s.procs {
		if err := p.cmd.Process.Signal(s.agent.Stop); err != nil {
			s.kill()
			return Counts{}, fmt.Errorf("stopping %s: %w: %s", p.name, err, s.said())
		}
	}
	limit := time.After(stopLimit)
	for _, p := range s.procs {
		select {
		case <-p.ended:
		case <-limit:
			s.kill()
			return Counts{}, fmt.Errorf("%s did not end within %s of %s", p.name, stopLimit, s.agent.Stop)
		}
	}
	if s.agent.Count == nil {
		return Counts{}, nil
	}
	return s.agent.Count(s.dir, t)
}

func (s *Session) kill() {
	for _, p := range s.procs {
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// said is the end of what the agent's programs wrote to standard error.
func (s *Session) said() string {
	var b strings.Builder
	for _, p := range s.procs {
		b.WriteString(p.err.tail())
	}
	if b.Len() == 0 {
		return "it said nothing"
	}
	return "it said:\n" + b.String()
}

// watcher copies standard error and notes when the ready line came.
type watcher struct {
	to     io.Writer
	prefix string

	mu    sync.Mutex
	text  []byte    // its end
	ready time.Time // zero until then
}

func (w *watcher) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.text = append(w.text, b...)
	if w.prefix != "" && w.ready.IsZero() && (bytes.HasPrefix(w.text, []byte(w.prefix)) || bytes.Contains(w.text, []byte("\n"+w.prefix))) {
		w.ready = time.Now()
	}
	if n := len(w.text); n > 4096 {
		w.text = append(w.text[:0], w.text[n-2048:]...)
	}
	w.mu.Unlock()
	return w.to.Write(b)
}

func (w *watcher) readyAt() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready
}

func (w *watcher) tail() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}

var errStopped = errors.New("the benchmark was interrupted")

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errStopped, ctx.Err())
	}
}
