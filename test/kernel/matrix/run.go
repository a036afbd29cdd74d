package matrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

// Config says what to run where.
type Config struct {
	// Root is the module's directory.
	Root string
	// Patterns select packages, as go list takes them; none means all.
	Patterns []string
	// Run selects tests, as go test -run does.
	Run string
	// Columns are names of kernels, and Native.
	Columns []string
	// Guests is how many guests may run at a time.
	Guests int
	// Logs is the directory for one log per column.
	Logs string
	// TestTimeout is each package's, Timeout a whole column's.
	TestTimeout, Timeout time.Duration
	// Guest is what all guests are like.
	Guest kernel.Options
	// Out gets progress; Verbose sends it the tests' output too.
	Out     io.Writer
	Verbose bool
}

// Run runs the matrix and returns one column per kernel, in the order asked for.
func Run(ctx context.Context, c *Config) ([]*Column, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("kernel tests load programs into the kernel: run this as root or with sudo")
	}
	found, err := Discover(ctx, c.Root, c.Patterns)
	if err != nil {
		return nil, err
	}
	pkgs, patterns, err := selectTests(found, c.Run)
	if err != nil {
		return nil, err
	}
	if len(pkgs) == 0 {
		return nil, errors.New("no kernel test matches: they are the tests in files named *" + fileSuffix)
	}
	guests := slices.DeleteFunc(slices.Clone(c.Columns), func(n string) bool { return n == Native })
	if err := kernel.Fetch(ctx, c.Out, guests...); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Logs, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory for logs: %w", err)
	}
	p, err := newPlan(ctx, c, pkgs, patterns)
	if err != nil {
		return nil, err
	}
	defer p.remove()
	columns, err := c.runColumns(ctx, p)
	if err != nil {
		return columns, err
	}
	return columns, c.tryAgain(ctx, p, columns)
}

// runColumns runs the native column by itself first, so that guests do not
// disturb its timing, and then the guests a few at a time.
func (c *Config) runColumns(ctx context.Context, p *plan) ([]*Column, error) {
	c.Out = &syncWriter{w: c.Out}
	columns := make([]*Column, len(c.Columns))
	errs := make([]error, len(c.Columns))
	for i, name := range c.Columns {
		columns[i] = &Column{Kernel: name, Log: filepath.Join(c.Logs, name+".log")}
		if name == Native {
			errs[i] = c.runColumn(ctx, p, columns[i], c.native)
		}
	}
	slots := make(chan struct{}, max(1, c.Guests))
	var wg sync.WaitGroup
	for _, i := range longestFirst(columns) {
		col := columns[i]
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = c.runColumn(ctx, p, col, c.guest)
		})
	}
	wg.Wait()
	return columns, errors.Join(append(errs, ctx.Err())...)
}

// longestFirst is the order in which guests begin: guest.Main has the most tests and the
// newest kernel the slowest, and a long one that begins last would run alone.
func longestFirst(columns []*Column) (order []int) {
	for i, col := range columns {
		if col.Kernel != Native {
			order = append(order, i)
		}
	}
	slices.Reverse(order)
	slices.SortStableFunc(order, func(a, b int) int {
		first := func(i int) int {
			if columns[i].Kernel == guest.Main {
				return 0
			}
			return 1
		}
		return first(a) - first(b)
	})
	return order
}

// runner runs the plan's script somewhere and returns its status.
type runner func(ctx context.Context, p *plan, col *Column, out io.Writer) (int, error)

func (c *Config) runColumn(ctx context.Context, p *plan, col *Column, run runner) error {
	fmt.Fprintf(c.Out, "%-7s running\n", col.Kernel)
	start := time.Now()
	var also io.Writer
	if c.Verbose {
		also = &prefixWriter{w: c.Out, prefix: col.Kernel + " | "}
	}
	for try := 1; ; try++ {
		rec, err := newRecorder(col, also)
		if err != nil {
			return err
		}
		status, err := run(ctx, p, col, rec)
		if err != nil {
			rec.file.Close()
			return fmt.Errorf("running the tests on %s: %w", col.Kernel, err)
		}
		lost := col.Kernel != Native && status == kernel.StatusLost
		if lost && try == 1 {
			// emulation now and then crashes a guest; a test that does so does it again
			rec.file.Close()
			if err := os.Rename(col.Log, col.Log+".lost"); err != nil {
				return fmt.Errorf("keeping the lost guest's log: %w", err)
			}
			col.Note = "the guest died once and was started again; see " + filepath.Base(col.Log) + ".lost"
			fmt.Fprintf(c.Out, "%-7s the guest died: starting it again\n", col.Kernel)
			continue
		}
		if lost {
			col.Note = "the guest died twice"
		}
		if err := rec.close(status, c.Run == ""); err != nil {
			return fmt.Errorf("closing the log of %s: %w", col.Kernel, err)
		}
		break
	}
	col.Took = time.Since(start)
	n := col.Results.Count()
	fmt.Fprintf(c.Out, "%-7s %d passed, %d failed, %d skipped in %.0f s\n", col.Kernel, n.Passed, n.Failed, n.Skipped, col.Took.Seconds())
	return nil
}

// guest runs the script in a guest.
func (c *Config) guest(ctx context.Context, p *plan, col *Column, out io.Writer) (int, error) {
	o := c.Guest
	o.Kernel, o.Command, o.Dir = col.Kernel, []string{"sh", p.script}, c.Root
	o.Timeout = c.Timeout
	o.Keep = append(append([]string{p.dir}, p.dirs...), o.Keep...)
	// the script sends all to stdout; stderr gets what is said about the guest
	both := &syncWriter{w: out}
	o.Stdout, o.Stderr = both, both
	return kernel.Boot(ctx, o)
}

// native runs the script on the machine.
func (c *Config) native(ctx context.Context, p *plan, _ *Column, out io.Writer) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", p.script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Root, out, out
	cmd.Env = slices.DeleteFunc(append(os.Environ(), c.Guest.Env...), func(e string) bool { return strings.HasPrefix(e, spec.EnvVM+"=") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 3 * time.Second
	err := cmd.Run()
	if ctx.Err() == context.DeadlineExceeded {
		return kernel.StatusTimeout, nil
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if errors.Is(err, exec.ErrWaitDelay) { // a stray child held the output open
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, err
}

// syncWriter lets several goroutines write.
type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (s *syncWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// prefixWriter puts a prefix before each whole line.
type prefixWriter struct {
	w      io.Writer
	prefix string
	rest   []byte
}

// Write implements io.Writer.
func (p *prefixWriter) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		i := slices.Index(p.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		if _, err := fmt.Fprintf(p.w, "%s%s\n", p.prefix, p.rest[:i]); err != nil {
			return 0, err
		}
		p.rest = p.rest[i+1:]
	}
}
