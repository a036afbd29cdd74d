package simulate

import (
	"context"
	"fmt"
	"os"
)

// What the cases need that make calls, for people.
const (
	needsHome    = "a writable /root or /var/lib"
	needsTracing = "root, and the kernel's tracing files"
	needsMSR     = "root, and the module msr"
	needsTrace   = "root, or a system where processes may trace others"
)

// callCases are cases of rules that look at calls. Each makes a call that
// succeeds and changes nothing: a file is opened and not written, a bit is set
// on a program that only exits.
func callCases() []Case {
	return []Case{
		{Name: "command-socket", Title: "a program that a shell starts with its output on a TCP connection to this process", Rule: "Command of a shell runs on a network socket", Technique: "T1059.004",
			run: func(ctx context.Context, e *env) error {
				s, err := e.socket(ctx)
				if err != nil {
					return err
				}
				path, err := e.place("worker")
				if err != nil {
					return err
				}
				j := shellCmd("-c", "'"+path+"' >&0 2>&1; "+exits)
				j.in = s
				return e.start(ctx, j)
			}},
		{Name: "setuid-bit", Title: "the set-uid bit on something called dash that only exits", Rule: "Set-uid bit set on a shell or interpreter", Technique: "T1548.001",
			run: bitSet("dash")},
		{Name: "setuid-file", Title: "the set-uid bit on a program in a temporary folder that only exits", Rule: "Set-uid file made outside the system's directories", Technique: "T1548.001", Needs: needsRoot,
			run: func(ctx context.Context, e *env) error {
				if os.Geteuid() != 0 {
					return fmt.Errorf("%w: the rule is about set-uid files of root: run it with sudo", ErrUnmet)
				}
				return bitSet("worker")(ctx, e)
			}},
		{Name: "history-link", Title: "a link to /dev/null called .bash_history, in a folder of its own", Rule: "Shell history removed or redirected", Technique: "T1070.003", Needs: needsHome,
			run: func(ctx context.Context, e *env) error {
				d, err := e.dir(0, "/root", "/var/lib")
				if err != nil {
					return err
				}
				return e.start(ctx, shellCmd("-c", "ln -s /dev/null '"+d+"/.bash_history' && "+exits))
			}},
		{Name: "memory-open", Title: "a shell that opens this process's memory for writing, and closes it", Rule: "Memory of another process opened for writing", Technique: "T1055.009", Needs: needsTrace,
			run: opened("/proc/%d/mem", os.Getpid())},
		{Name: "kernel-hook", Title: "a shell that opens the list of kernel probes for writing, and closes it", Rule: "Kernel hook set through tracing files", Technique: "T1014", Needs: needsTracing,
			run: opened("/sys/kernel/tracing/kprobe_events")},
		{Name: "processor-registers", Title: "a shell that opens the processor's registers for writing, and closes them", Rule: "Processor registers opened for writing", Technique: "T1496", Needs: needsMSR,
			run: opened("/dev/cpu/0/msr")},
	}
}

// bitSet makes the tiny program set-uid under a name, in a folder that only
// its owner can enter.
func bitSet(name string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		path, err := e.place(name)
		if err != nil {
			return err
		}
		return e.start(ctx, shellCmd("-c", "chmod 4700 '"+path+"' && "+exits))
	}
}

// opened opens a file for reading and writing, which neither makes nor empties
// one, and closes it.
func opened(format string, args ...any) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		path := fmt.Sprintf(format, args...)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnmet, err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("closing %s: %w", path, err)
		}
		return e.start(ctx, shellCmd("-c", "exec 5<>"+path+" && "+exits))
	}
}
