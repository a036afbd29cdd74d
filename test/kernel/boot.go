package kernel

import (
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
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

// Statuses that say something about the guest and not about the command.
const (
	StatusTimeout = 124 // the time was up
	StatusLost    = 125 // the guest ended without giving a status
)

// Options says what to boot and what to run in it.
type Options struct {
	// Kernel is a name of the table; it must have been fetched.
	Kernel string
	// Command is run as root; Dir is where.
	Command []string
	Dir     string
	// Env is added to PATH, HOME, USER and what Go's tools need.
	Env []string
	// Memory is in MiB (0 means 2048), CPUs 0 means 1.
	Memory, CPUs int
	// Append is added to the kernel's command line.
	Append string
	// Modules are loaded before the command starts.
	Modules []string
	// Writable is a directory whose changes reach the machine.
	Writable string
	// Keep lists further directories that must be visible even below /tmp.
	Keep []string
	// HostTmp shows the machine's /tmp in place of an empty one.
	HostTmp bool
	// Counted makes virtual time advance with instructions, for measurements
	// that repeat. It implies one CPU.
	Counted bool
	// Timeout ends the guest; 0 means 2 minutes.
	Timeout time.Duration
	// Console gets the guest's console after it ended. It may be nil.
	Console io.Writer
	// Stdout and Stderr get the command's output as it comes.
	Stdout, Stderr io.Writer
}

func (o *Options) fill() error {
	if o.Memory == 0 {
		o.Memory = 2048
	}
	if o.CPUs == 0 || o.Counted {
		o.CPUs = 1
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if len(o.Command) == 0 {
		return errors.New("no command to run in the guest: give one after --")
	}
	for _, dir := range []*string{&o.Dir, &o.Writable} {
		if *dir == "" && dir == &o.Writable {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("resolving %s: %w", *dir, err)
		}
		if *dir, err = filepath.EvalSymlinks(abs); err != nil {
			return fmt.Errorf("resolving %s: %w", abs, err)
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("guests share the machine's root, which takes root: run this as root or with sudo")
	}
	return nil
}

// Boot runs the command in a guest and returns its exit status, StatusTimeout
// or StatusLost. The error is for what keeps a guest from starting at all.
func Boot(ctx context.Context, o Options) (int, error) {
	if err := o.fill(); err != nil {
		return StatusLost, err
	}
	t, err := Open(o.Kernel)
	if err != nil {
		return StatusLost, err
	}
	initBinary, err := buildInit(ctx, t)
	if err != nil {
		return StatusLost, err
	}
	run, err := os.MkdirTemp("", "bearcat-vm-")
	if err != nil {
		return StatusLost, fmt.Errorf("making the guest's run directory: %w", err)
	}
	b := &boot{Options: o, tree: t, run: run}
	defer b.cleanUp()
	modules, err := filepath.EvalSymlinks(t.Modules())
	if err != nil {
		return StatusLost, fmt.Errorf("finding the modules of %s: %w", t.Name, err)
	}
	b.visible = append([]string{o.Dir, modules}, o.Keep...)
	if err := writeInitrd(t, initBinary, b.spec(modules), b.path("initrd")); err != nil {
		return StatusLost, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := b.startShares(ctx); err != nil {
		return StatusLost, err
	}
	return b.runQEMU(ctx)
}

// boot is one guest on its way.
type boot struct {
	Options
	tree    Tree
	run     string   // directory for sockets and files of this boot
	visible []string // directories of the machine that the guest must see
	daemons []*daemon
}

func (b *boot) path(name string) string { return filepath.Join(b.run, name) }

func (b *boot) spec(modules string) spec.Spec {
	s := spec.Spec{
		Kernel: b.Kernel, Command: b.Command, Dir: b.Dir, ModuleTree: modules, Image: b.tree.Image(),
		Modules: b.Modules, Writable: b.Writable, HostTmp: b.HostTmp,
		Env: append([]string{"USER=root"}, b.Env...),
	}
	for _, name := range []string{"PATH", "HOME", "LANG", "GOROOT", "GOPATH", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN"} {
		if v, ok := os.LookupEnv(name); ok {
			s.Env = append([]string{name + "=" + v}, s.Env...)
		}
	}
	for _, d := range b.visible {
		if strings.HasPrefix(d, "/tmp/") {
			s.Keep = append(s.Keep, d)
		}
	}
	return s
}

func (b *boot) cleanUp() {
	for _, d := range b.daemons {
		d.stop()
	}
	os.RemoveAll(b.run)
}

// runQEMU boots, copies the output and returns the status.
func (b *boot) runQEMU(ctx context.Context) (int, error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return StatusLost, fmt.Errorf("making a pipe for the guest's output: %w", err)
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return StatusLost, fmt.Errorf("making a pipe for the guest's output: %w", err)
	}
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", b.arguments()...)
	cmd.ExtraFiles = []*os.File{outW, errW} // descriptors 3 and 4
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = dieWithParent()
	err = cmd.Start()
	outW.Close()
	errW.Close()
	if err != nil {
		return StatusLost, fmt.Errorf("starting qemu (package qemu-system-x86): %w", err)
	}
	var copies sync.WaitGroup
	copies.Go(func() { io.Copy(b.Stdout, outR) })
	copies.Go(func() { io.Copy(b.Stderr, errR) })
	err = cmd.Wait()
	copies.Wait()
	if b.Console != nil {
		console, _ := os.ReadFile(b.path("console"))
		b.Console.Write(console)
	}
	text, _ := os.ReadFile(b.path("status"))
	if status, convErr := strconv.Atoi(strings.TrimSpace(string(text))); convErr == nil {
		return status, nil
	}
	if ctx.Err() == context.DeadlineExceeded {
		fmt.Fprintf(b.Stderr, "vmrun: kernel %s: out of time after %s; the console's end:\n%s\n", b.Kernel, b.Timeout, b.consoleEnd())
		return StatusTimeout, nil
	}
	if ctx.Err() != nil {
		return StatusLost, ctx.Err()
	}
	fmt.Fprintf(b.Stderr, "vmrun: kernel %s: the guest gave no status (qemu: %v) %s; the console's end:\n%s\n", b.Kernel, err, said.String(), b.consoleEnd())
	return StatusLost, nil
}

func (b *boot) consoleEnd() string {
	text, _ := os.ReadFile(b.path("console"))
	return lastLines(string(text), 30)
}

// buildInit compiles the guest's first process; Go's build cache makes the
// second time quick.
func buildInit(ctx context.Context, t Tree) (string, error) {
	root, err := ModuleRoot(ctx)
	if err != nil {
		return "", err
	}
	initOnce.Lock()
	defer initOnce.Unlock()
	file := filepath.Join(filepath.Dir(t.Dir), ".init-"+strconv.Itoa(os.Getpid()))
	final := filepath.Join(filepath.Dir(t.Dir), ".init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "./test/kernel/init")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the guest's first process: %w: %s", err, out)
	}
	if err := os.Rename(file, final); err != nil {
		return "", fmt.Errorf("putting the guest's first process in place: %w", err)
	}
	return final, nil
}

var initOnce sync.Mutex

// ModuleRoot is the directory of the module that the working directory is in.
func ModuleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("not inside Bearcat's source tree: change into it first")
	}
	return filepath.Dir(mod), nil
}
