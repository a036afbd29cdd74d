package simulate

import (
	"context"
	"fmt"
	"os"
	"time"
)

// fileCases are programs that come from odd places or hide what they are.
func fileCases() []Case {
	return []Case{
		{Name: "preload", Title: "a program with LD_PRELOAD set to a library in /tmp that does not exist", Rule: "Library preloaded from a temporary folder", Technique: "T1574.006",
			run: func(ctx context.Context, e *env) error {
				path, err := e.place("worker")
				if err != nil {
					return err
				}
				// the program is static: no loader reads the variable
				return e.start(ctx, job{path: path, argv: []string{"worker"}, vars: []string{"LD_PRELOAD=/tmp/bearcat-simulation.so"}})
			}},
		{Name: "memory", Title: "a program that exists in memory only", Rule: "Program run from memory", Technique: "T1620", run: runFromMemory},
		{Name: "deleted", Title: "a program whose file is deleted before it starts", Rule: "Deleted program started", Technique: "T1070.004", run: descriptor(true)},
		{Name: "shared-memory", Title: "a program in /dev/shm", Rule: "Program run from a shared memory folder", Technique: "T1564", Needs: needsShm, run: runFromShm},
		{Name: "by-descriptor", Title: "a program named by a file descriptor", Rule: "Program named by a descriptor in an unusual place", Technique: "T1620", run: descriptor(false)},
		{Name: "hidden", Title: "a program whose name begins with a dot", Rule: "Hidden program started", Technique: "T1564.001", run: called(".worker")},
		{Name: "loader", Title: "the dynamic loader, asked to run a file in /tmp that does not exist", Rule: "Program run through the dynamic loader", Technique: "T1218", Needs: needsLdso, run: runByLoader},
		{Name: "encoded", Title: "a shell with base64 -d | sh in its command line, as a comment", Rule: "Encoded text piped into a shell", Technique: "T1140",
			run: shellText(exits + " # echo ZXhpdAo= | base64 -d | sh")},
		{Name: "kernel-thread", Title: "a program that calls itself [kworker/0:0]", Rule: "Program posing as a kernel thread", Technique: "T1036.004",
			run: func(ctx context.Context, e *env) error {
				path, err := e.place("worker")
				if err != nil {
					return err
				}
				return e.start(ctx, job{path: path, argv: []string{"[kworker/0:0]"}})
			}},
		{Name: "rename", Title: "a shell that renames itself to kworker/9:9", Rule: "Process renamed to look like a kernel thread", Technique: "T1036.004", Needs: needsProcs,
			run: rename},
		{Name: "history-off", Title: "a shell with HISTFILE=/dev/null", Rule: "Shell history switched off", Technique: "T1562.003",
			run: fedShell([]string{"HISTFILE=/dev/null"})},
		{Name: "history-destroyed", Title: "something called rm, given a .bash_history that does not exist", Rule: "History or login record destroyed", Technique: "T1070.003",
			run: called("rm", "-f", "/nonexistent/.bash_history")},
		{Name: "security-off", Title: "something called setenforce, given 0", Rule: "Security service switched off", Technique: "T1562.001",
			run: called("setenforce", "0")},
		{Name: "immutable", Title: "something called chattr, given +i and a crontab", Rule: "Persistence file made immutable", Technique: "T1222.002",
			run: called("chattr", "+i", "/nonexistent/etc/cron.d/job")},
	}
}

// rename runs a shell that lives long enough, before and after it takes another
// name, to be known by the time that its change of name is reported.
func rename(ctx context.Context, e *env) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	e.keep(r)
	e.keep(w)
	j := shellCmd("-c", "read x; printf %s kworker/9:9 >/proc/self/comm && read x && "+exits)
	j.in = r
	// the shell takes a line for each step; it ends early where there is none
	feeding := make(chan struct{})
	go func() {
		defer close(feeding)
		for _, wait := range []time.Duration{100 * time.Millisecond, 100 * time.Millisecond} {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			if _, err := w.WriteString("\n"); err != nil {
				return // the shell's exit status tells
			}
		}
	}()
	err = e.start(ctx, j)
	<-feeding
	return err
}

// asUser runs the tiny program under a name as somebody other than root.
func asUser(name string, args ...string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		if os.Geteuid() != 0 {
			return called(name, args...)(ctx, e)
		}
		path, err := e.place(name)
		if err != nil {
			return err
		}
		if err := os.Chmod(path, 0o755); err != nil {
			return fmt.Errorf("making the test program readable: %w", err)
		}
		f, err := e.open(path)
		if err != nil {
			return err
		}
		return e.start(ctx, job{byFD: f, argv: append([]string{name}, args...), user: nobody})
	}
}

// toolCases are programs that are suspicious by name and arguments. None of
// them is what it is called: all are the tiny program.
func toolCases() []Case {
	return []Case{
		{Name: "miner", Title: "something called xmrig, with a mining pool's address", Rule: "Cryptocurrency miner", Technique: "T1496",
			run: called("xmrig", "-o", "stratum+tcp://127.0.0.1:9")},
		{Name: "attack-tool", Title: "something called pspy64", Rule: "Attack tool", Technique: "T1588.002",
			run: called("pspy64")},
		{Name: "shadow", Title: "something called cat, given /etc/shadow, which it does not open", Rule: "Password hashes read by a command", Technique: "T1003.008",
			run: called("cat", "/etc/shadow")},
		{Name: "key-search", Title: "something called find that is asked for private keys", Rule: "Search for private keys or passwords", Technique: "T1552.004",
			run: called("find", "/nonexistent", "-name", "id_rsa")},
		{Name: "setuid-search", Title: "something called find that nobody asks for set-uid files", Rule: "Search for set-uid files by a user", Technique: "T1083",
			run: asUser("find", "/nonexistent", "-perm", "-4000")},
		{Name: "module", Title: "something called insmod, given a file in /tmp that does not exist", Rule: "Kernel module loaded from an unusual place", Technique: "T1547.006",
			run: called("insmod", "/tmp/bearcat-simulation.ko")},
		{Name: "download-shell", Title: "a shell with curl | sh in its command line, as a comment", Rule: "Downloaded text piped into a shell", Technique: "T1105",
			run: shellText(exits + " # curl http://127.0.0.1:9/install | sh")},
	}
}
