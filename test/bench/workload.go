package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Tools are the programs that make the load, all in one directory.
type Tools struct {
	// Load is the generator, Target what it executes; Script and Compile are
	// its shell scripts, Secrets, AnyOpen and NoRules rule files for agents,
	// Auditd the script that starts auditd.
	Load, Target, Script, Compile, Secrets, AnyOpen, NoRules, Auditd string
	// Falco is a copy of Falco's rules, which may be missing.
	Falco string
}

// FindTools returns the tools in dir, where run.sh puts them.
func FindTools(dir string) (Tools, error) {
	t := Tools{
		Load:   filepath.Join(dir, "load"),
		Target: filepath.Join(dir, "nothing"),
		Script: filepath.Join(dir, "mixed.sh"), Compile: filepath.Join(dir, "compile.sh"),
		Secrets: filepath.Join(dir, "secrets.yaml"), AnyOpen: filepath.Join(dir, "anyopen.yaml"),
		Falco:   filepath.Join(dir, "falco.yaml"),
		NoRules: filepath.Join(dir, "norules.yaml"), Auditd: filepath.Join(dir, "auditd.sh"),
	}
	for _, f := range t.all() {
		if _, err := os.Stat(*f); err != nil {
			return t, fmt.Errorf("finding the load generator: %w: build it with test/bench/run.sh", err)
		}
	}
	return t, nil
}

// all are the tools' paths.
func (t *Tools) all() []*string {
	return []*string{&t.Load, &t.Target, &t.Script, &t.Compile, &t.Secrets, &t.AnyOpen, &t.NoRules, &t.Auditd}
}

// CopyTo puts the tools into another directory, so that a guest can run them
// from its own memory: a page read through the machine would cost time.
func (t Tools) CopyTo(dir string) (Tools, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return t, fmt.Errorf("making a directory for the load generator: %w", err)
	}
	for _, f := range t.all() {
		to := filepath.Join(dir, filepath.Base(*f))
		if err := copyFile(*f, to); err != nil {
			return t, err
		}
		*f = to
	}
	return t, nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copying a program: %w", err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		return fmt.Errorf("copying a program: %w", err)
	}
	return nil
}

// Workload is one kind of work.
type Workload struct {
	// Name is how tables call it.
	Name string
	// N is how many operations one run does.
	N int
	// args are the generator's arguments before N.
	args []string
	// root is the generator's root directory, "" for the host's.
	root string
}

// workloads returns the work that agents are measured by, in table order; jail
// is the root that the mixed script runs in.
func workloads(t Tools, jail string) []Workload {
	return []Workload{
		{"exec", 1000, []string{"exec", t.Target}, ""},
		{"open", 20000, []string{"open", t.Script}, ""},
		{"rw", 50000, []string{"rw"}, ""},
		{"getpid", 200000, []string{"getpid"}, ""},
		{"connect", 2000, []string{"connect"}, ""},
		{"mixed", 3, []string{"script", "/" + filepath.Base(t.Script)}, jail},
		{"compile", 3, []string{"script", "/" + filepath.Base(t.Compile)}, jail},
	}
}

// run does the work once and returns the nanoseconds per operation that the
// generator measured.
func (w Workload) run(ctx context.Context, t Tools) (float64, error) {
	args := append(append([]string(nil), w.args...), strconv.Itoa(w.N))
	program := t.Load
	if w.root != "" {
		program = "/" + filepath.Base(t.Load)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: w.root}
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("running the %s load: %w%s", w.Name, err, stderrOf(err))
	}
	return parseLoad(string(out), w.N)
}

// parseLoad reads the generator's line: name, operations, time of each.
func parseLoad(line string, n int) (float64, error) {
	f := strings.Fields(line)
	if len(f) != 3 || f[1] != strconv.Itoa(n) {
		return 0, fmt.Errorf("reading the load generator's result: %q is not a name, %d and a time", line, n)
	}
	ns, err := strconv.ParseFloat(f[2], 64)
	if err != nil || !(ns > 0) {
		return 0, fmt.Errorf("reading the load generator's result: %q is not a time", f[2])
	}
	return ns, nil
}

func stderrOf(err error) string {
	if e, ok := err.(*exec.ExitError); ok && len(e.Stderr) > 0 {
		return ": " + strings.TrimSpace(string(e.Stderr))
	}
	return ""
}

// bringUpLoopback switches the guest's loopback device on; guests have no
// other network and nobody who configures one.
func bringUpLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bringing up loopback: %w", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bringing up loopback: %w", err)
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("bringing up loopback: %w", err)
	}
	return nil
}
