package simulate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What cases need, for people.
const (
	needsRoot  = "root, and a temporary folder without nosuid"
	needsShm   = "/dev/shm without noexec"
	needsLdso  = "the system's dynamic loader"
	needsProcs = "a writable /proc"
)

// Cases lists all cases, in the order of the rules that they set off.
func Cases() []Case {
	out := append(shellCases(), serviceCases()...)
	out = append(out, privilegeCases()...)
	out = append(out, fileCases()...)
	out = append(out, toolCases()...)
	return append(out, callCases()...)
}

// shellCmd starts /bin/sh with arguments.
func shellCmd(args ...string) job {
	return job{path: "/bin/sh", argv: append([]string{"sh"}, args...)}
}

// exits is what shells are told: to end with the proof.
var exits = fmt.Sprintf("exit %d", proof)

func shellCases() []Case {
	return []Case{
		{Name: "socket-shell", Title: "a shell whose input and output are a TCP connection to this process", Rule: "Shell connected to a network socket", Technique: "T1059.004",
			run: func(ctx context.Context, e *env) error {
				s, err := e.socket(ctx)
				if err != nil {
					return err
				}
				j := shellCmd("-c", exits)
				j.in, j.out = s, s
				return e.start(ctx, j)
			}},
		{Name: "netcat-shell", Title: "a shell started by something called nc, on a TCP connection to this process", Rule: "Shell started by a network tool", Technique: "T1059.004",
			run: func(ctx context.Context, e *env) error {
				s, err := e.socket(ctx)
				if err != nil {
					return err
				}
				return e.server(ctx, "nc", "/bin/sh -c '"+exits+"'", s)
			}},
		{Name: "one-liner", Title: "a shell with a reverse shell in its command line, as a comment", Rule: "Reverse shell one-liner", Technique: "T1059",
			run: shellText(exits + " # bash -i >& /dev/tcp/127.0.0.1/9 0>&1")},
		{Name: "fifo-shell", Title: "a shell that reads its commands from a named pipe", Rule: "Shell fed from a named pipe", Technique: "T1059.004",
			run: func(ctx context.Context, e *env) error {
				f, err := e.fifo(exits + "\n")
				if err != nil {
					return err
				}
				j := shellCmd()
				j.in = f
				return e.start(ctx, j)
			}},
		{Name: "fifo-netcat", Title: "something called nc that writes to a named pipe", Rule: "Network tool on a named pipe", Technique: "T1095",
			run: func(ctx context.Context, e *env) error {
				f, err := e.fifo("")
				if err != nil {
					return err
				}
				path, err := e.place("nc")
				if err != nil {
					return err
				}
				return e.start(ctx, job{path: path, argv: []string{"nc", "127.0.0.1", "9"}, out: f})
			}},
		{Name: "pipe-shell", Title: "an interactive shell that reads from a pipe", Rule: "Interactive shell without a terminal", Technique: "T1059.004",
			run: fedShell(nil, "-i")},
	}
}

// shellText runs a command line in a shell.
func shellText(text string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error { return e.start(ctx, shellCmd("-c", text)) }
}

// fedShell runs a shell that finds its command in a pipe.
func fedShell(vars []string, args ...string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		r, err := e.pipe(exits + "\n")
		if err != nil {
			return err
		}
		j := shellCmd(args...)
		j.in, j.vars = r, vars
		return e.start(ctx, j)
	}
}

// server runs a script with a server's name that runs a command and waits.
func (e *env) server(ctx context.Context, name, command string, sock *os.File) error {
	// a command behind the one that matters keeps the shell from turning
	// into it, so that the server stays its parent
	path, err := e.script(name, command+"\nexit $?")
	if err != nil {
		return err
	}
	return e.start(ctx, job{path: path, argv: []string{name}, in: sock, out: sock})
}

func serviceCases() []Case {
	// below runs the tiny program under a name below something called php-fpm
	below := func(name, args string) func(context.Context, *env) error {
		return func(ctx context.Context, e *env) error {
			path, err := e.place(name)
			if err != nil {
				return err
			}
			return e.server(ctx, "php-fpm", "'"+path+"' "+args, nil)
		}
	}
	return []Case{
		{Name: "webshell", Title: "something called php-fpm that runs a shell", Rule: "Shell started by a web server", Technique: "T1505.003",
			run: func(ctx context.Context, e *env) error {
				return e.server(ctx, "php-fpm", "/bin/sh -c '"+exits+"'", nil)
			}},
		{Name: "webshell-discovery", Title: "something called php-fpm that runs something called id", Rule: "Discovery command under a web server", Technique: "T1033",
			run: below("id", "")},
		{Name: "webshell-download", Title: "something called php-fpm that runs something called curl", Rule: "Download or persistence tool under a web server", Technique: "T1105",
			run: below("curl", "http://127.0.0.1:9/tool")},
		{Name: "database-shell", Title: "something called redis-server that runs a shell", Rule: "Shell started by a database", Technique: "T1190",
			run: func(ctx context.Context, e *env) error {
				return e.server(ctx, "redis-server", "/bin/sh -c '"+exits+"'", nil)
			}},
	}
}

// setuid runs a set-uid copy of the tiny program as nobody. The program can do
// nothing but exit, whoever runs it, and lies in a folder that only root can
// enter: nobody gets it as an open descriptor.
func setuid(name string, argv []string, vars ...string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		if os.Geteuid() != 0 {
			return fmt.Errorf("%w: only root can make a set-uid program: run it with sudo", ErrUnmet)
		}
		d, err := e.dir(unix.ST_NOEXEC|unix.ST_NOSUID, "/tmp", "/var/tmp", "/root", "/var/lib")
		if err != nil {
			return err
		}
		path, err := e.placeIn(d, name)
		if err != nil {
			return err
		}
		if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
			return fmt.Errorf("making the test program set-uid: %w", err)
		}
		f, err := e.open(path)
		if err != nil {
			return err
		}
		return e.start(ctx, job{byFD: f, argv: argv, vars: vars, user: nobody})
	}
}

func privilegeCases() []Case {
	return []Case{
		{Name: "setuid-no-arguments", Title: "a set-uid program that nobody starts with an empty first argument", Rule: "Set-uid program started without arguments", Technique: "T1068", Needs: needsRoot,
			run: setuid("helper", []string{""})},
		{Name: "setuid-loader", Title: "a set-uid program with a GLIBC_TUNABLES that is nested in itself", Rule: "Loader variables aimed at a set-uid program", Technique: "T1574.006", Needs: needsRoot,
			run: setuid("helper", []string{"helper"}, "GLIBC_TUNABLES=glibc.malloc.mxfast=glibc.malloc.mxfast=A")},
		{Name: "setuid-shell", Title: "something called sh that is set-uid, started by nobody", Rule: "Set-uid shell", Technique: "T1548.001", Needs: needsRoot,
			run: setuid("sh", []string{"sh", "-p"})},
		{Name: "setuid-find", Title: "something called find that is set-uid, started by nobody", Rule: "Interpreter or editor gained root's rights", Technique: "T1548.001", Needs: needsRoot,
			run: setuid("find", []string{"find", "."})},
		{Name: "setuid-program", Title: "a set-uid program in a temporary folder, started by nobody", Rule: "Set-uid program in an unusual place", Technique: "T1548.001", Needs: needsRoot,
			run: setuid("helper", []string{"helper"})},
		{Name: "sudo-exploit", Title: "something called sudoedit, with the arguments of CVE-2021-3156", Rule: "Sudo exploit attempt", Technique: "T1068",
			run: called("sudoedit", "-s", `\`)},
	}
}

// called runs the tiny program under a name with arguments.
func called(name string, args ...string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		path, err := e.place(name)
		if err != nil {
			return err
		}
		return e.start(ctx, job{path: path, argv: append([]string{name}, args...)})
	}
}

// descriptor runs the tiny program through an open descriptor, after its name
// was removed where that is asked for.
func descriptor(remove bool) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		path, err := e.place("worker")
		if err != nil {
			return err
		}
		f, err := e.open(path)
		if err != nil {
			return err
		}
		if remove {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("removing the test program: %w", err)
			}
		}
		return e.start(ctx, job{byFD: f, argv: []string{"worker"}})
	}
}

func runFromMemory(ctx context.Context, e *env) error {
	bin, err := program()
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("bearcat-simulation", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 every memfd can be run
		fd, err = unix.MemfdCreate("bearcat-simulation", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return fmt.Errorf("%w: making a file in memory: %w", ErrUnmet, err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	e.keep(f)
	if _, err := f.Write(bin); err != nil {
		return fmt.Errorf("writing the test program to memory: %w", err)
	}
	return e.start(ctx, job{byFD: f, argv: []string{"worker"}})
}

func runFromShm(ctx context.Context, e *env) error {
	d, err := e.dir(unix.ST_NOEXEC, "/dev/shm")
	if err != nil {
		return err
	}
	path, err := e.placeIn(d, "worker")
	if err != nil {
		return err
	}
	return e.start(ctx, job{path: path, argv: []string{"worker"}})
}

// runByLoader asks the dynamic loader for a program that does not exist: the
// loader itself runs, says so, and ends.
func runByLoader(ctx context.Context, e *env) error {
	for _, pattern := range []string{"/lib64/ld-linux-*.so.*", "/lib/ld-linux-*.so.*", "/lib/ld-musl-*.so.*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			continue
		}
		return e.start(ctx, job{path: found[0], argv: []string{found[0], "/tmp/bearcat-simulation-without-a-file"}, anyStatus: true})
	}
	return fmt.Errorf("%w: there is no dynamic loader where it usually is", ErrUnmet)
}
