// Package function counts calls of the kernel's functions and tells them in order, through
// an instance of ftrace of its own, which disturbs nobody else's.
//
// In come names, with * as in ftrace; out come calls, with how long each took where the
// kernel has the function graph for instances. `bearcat trace func` calls it.
package function

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Options say which functions to look at.
type Options struct {
	// Names are of functions of the kernel; * stands for anything.
	Names []string
	// Pid chooses a process with its threads, and those that they start; 0 for all.
	Pid uint32
}

// Tracer looks at functions until it is closed.
type Tracer struct {
	// dir is the instance's folder; mounted is the folder that tracefs was mounted on
	// for it, "" where it was there.
	dir, mounted string
	pipe         *os.File
	// Functions is how many the names came to.
	Functions int
	// Latency is whether it is told how long calls took.
	Latency bool
	strange uint64
}

// mostFunctions is how many may be looked at at once: more would slow the host down.
const mostFunctions = 2000

// Open makes the instance and starts it.
func Open(o Options) (_ *Tracer, err error) {
	if len(o.Names) == 0 {
		return nil, errors.New("there is no function to look at: give a name, such as vfs_read")
	}
	t := &Tracer{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	root, err := t.tracefs()
	if err != nil {
		return nil, err
	}
	known, err := functions(filepath.Join(root, "available_filter_functions"))
	if err != nil {
		return nil, err
	}
	if t.Functions, err = check(o.Names, known); err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "instances", "bearcat-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making an instance of ftrace: %w", err)
	}
	t.dir = dir
	return t, t.start(o)
}

// tracefs returns where it is mounted, and mounts it where it is not.
func (t *Tracer) tracefs() (string, error) {
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		if _, err := os.Stat(dir + "/available_tracers"); err == nil {
			return dir, nil
		}
	}
	dir, err := os.MkdirTemp("", "bearcat-tracing-")
	if err != nil {
		return "", fmt.Errorf("making a folder for tracefs: %w", err)
	}
	t.mounted = dir
	if err := unix.Mount("tracefs", dir, "tracefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return "", fmt.Errorf("mounting tracefs, by which the kernel's functions are looked at: %w", err)
	}
	return dir, nil
}

// functions reads the names that may be looked at.
func functions(file string) (map[string]bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("this kernel does not let its functions be looked at (it was built without ftrace, it is locked down, or this is not root): %w", err)
	}
	defer func() { _ = f.Close() }()
	out := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, _, _ := strings.Cut(s.Text(), " ") // the module follows
		out[name] = true
	}
	if len(out) == 0 {
		return nil, errors.New("this kernel lists no function that may be looked at")
	}
	return out, nil
}

// check counts the functions that names come to. Each must come to one at least.
func check(names []string, known map[string]bool) (n int, err error) {
	for _, name := range names {
		found := 0
		if _, err := path.Match(name, ""); err != nil || strings.ContainsAny(name, " \t\n?[]\\") {
			return 0, fmt.Errorf("%q is no name of a function: letters, digits, _ . and * are", name)
		}
		switch {
		case !strings.Contains(name, "*"):
			if known[name] {
				found = 1
			}
		default:
			for k := range known {
				if ok, _ := path.Match(name, k); ok {
					found++
				}
			}
		}
		if found == 0 {
			return 0, fmt.Errorf("the kernel has no function %q that may be looked at%s", name, near(name, known))
		}
		n += found
	}
	if n > mostFunctions {
		return 0, fmt.Errorf("the names come to %d functions, and more than %d at once would slow the host down: give narrower ones", n, mostFunctions)
	}
	return n, nil
}

// near names functions that hold the name, as those that are compiled in parts do.
func near(name string, known map[string]bool) string {
	best := ""
	for k := range known {
		if strings.Contains(k, strings.Trim(name, "*")) && (best == "" || len(k) < len(best) || len(k) == len(best) && k < best) {
			best = k
		}
	}
	if best == "" {
		return ": it may be inlined, or of a module that is not loaded"
	}
	return ": did you mean " + best + "?"
}

func (t *Tracer) write(file, text string) error {
	if err := os.WriteFile(filepath.Join(t.dir, file), []byte(text), 0o600); err != nil {
		return fmt.Errorf("setting %s of ftrace to %q: %w", file, text, err)
	}
	return nil
}

func (t *Tracer) start(o Options) error {
	if err := t.write("buffer_size_kb", "4096"); err != nil {
		return err
	}
	if err := t.write("set_ftrace_filter", strings.Join(o.Names, " ")); err != nil {
		return err
	}
	if o.Pid != 0 {
		if err := t.only(o.Pid); err != nil {
			return err
		}
	}
	tracer := "function"
	if b, err := os.ReadFile(filepath.Join(t.dir, "available_tracers")); err == nil && strings.Contains(" "+strings.TrimSpace(string(b))+" ", " function_graph ") {
		tracer = "function_graph"
	}
	if err := t.write("current_tracer", tracer); err != nil && tracer == "function" {
		return err
	} else if err != nil {
		tracer = "function"
		if err := t.write("current_tracer", tracer); err != nil {
			return err
		}
	}
	if tracer == "function_graph" {
		t.Latency = true
		for _, option := range []string{"funcgraph-proc", "funcgraph-abstime", "funcgraph-tail"} {
			if err := t.write("options/"+option, "1"); err != nil {
				return err
			}
		}
		if err := t.write("options/funcgraph-overhead", "0"); err != nil {
			return err
		}
	}
	fd, err := unix.Open(filepath.Join(t.dir, "trace_pipe"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("reading what ftrace tells: %w", err)
	}
	t.pipe = os.NewFile(uintptr(fd), "trace_pipe")
	return nil
}

// only keeps the threads of a process, and what they start.
func (t *Tracer) only(pid uint32) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("there is no process %d to look at: %w", pid, err)
	}
	var tids []string
	for _, task := range tasks {
		tids = append(tids, task.Name())
	}
	if err := t.write("set_ftrace_pid", strings.Join(tids, " ")); err != nil {
		return err
	}
	return t.write("options/function-fork", "1")
}

// tick is how often the pipe is looked at.
const tick = 50 * time.Millisecond

// Run gives calls to each as they are told, until it returns false or ctx ends. Calls of
// which the duration is told come when they end.
func (t *Tracer) Run(ctx context.Context, each func(*Call) bool) error {
	var rest []byte
	buf := make([]byte, 64<<10)
	for {
		done := ctx.Err() != nil
		if done { // what is there already still counts
			if err := t.write("tracing_on", "0"); err != nil {
				return err
			}
		}
		// what reads may be traced itself, so that there is always more
		for done || ctx.Err() == nil {
			n, err := unix.Read(int(t.pipe.Fd()), buf)
			if err == unix.EINTR {
				continue
			}
			if err == unix.EAGAIN || n <= 0 {
				break
			}
			if err != nil {
				return fmt.Errorf("reading what ftrace tells: %w", err)
			}
			rest = append(rest, buf[:n]...)
			var more bool
			if rest, more = t.lines(rest, each); !more {
				return nil
			}
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(tick):
		}
	}
}

// lines gives the calls of whole lines, and returns what is left.
func (t *Tracer) lines(b []byte, each func(*Call) bool) (rest []byte, more bool) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return b, true
		}
		line := string(b[:i])
		b = b[i+1:]
		c, ok := parse(line, t.Latency)
		if !ok {
			t.strange++
		}
		if c != nil && !each(c) {
			return b, false
		}
	}
}

// Lost is how many calls found no room, and how many lines could not be read.
func (t *Tracer) Lost() (calls, lines uint64) {
	files, _ := filepath.Glob(filepath.Join(t.dir, "per_cpu/cpu*/stats"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if n, err := strconv.ParseUint(value, 10, 64); err == nil && (name == "overrun" || name == "dropped events") {
				calls += n
			}
		}
	}
	return calls, t.strange
}

// Close ends the instance and takes it away.
func (t *Tracer) Close() error {
	var all []error
	if t.pipe != nil {
		all = append(all, t.pipe.Close())
	}
	if t.dir != "" {
		_ = t.write("tracing_on", "0")
		all = append(all, t.write("current_tracer", "nop"))
		if err := os.Remove(t.dir); err != nil {
			all = append(all, fmt.Errorf("taking the instance of ftrace away: %w", err))
		}
	}
	if t.mounted != "" {
		_ = unix.Unmount(t.mounted, unix.MNT_DETACH)
		_ = os.Remove(t.mounted)
	}
	return errors.Join(all...)
}
