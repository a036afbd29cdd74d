package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Programs that the kernel tests start inside the scope. This test binary is
// all of them, by name (see TestMain).

// memfdExec runs /bin/true from memory, under the name "payload". It writes the
// time just before to the file that its argument names.
func memfdExec() {
	program, err := os.ReadFile("/bin/true")
	exitOn(err)
	fd, err := unix.MemfdCreate("payload", unix.MFD_CLOEXEC)
	exitOn(err)
	_, err = unix.Write(fd, program)
	exitOn(err)
	stamp := strconv.FormatInt(time.Now().UnixNano(), 10)
	exitOn(os.WriteFile(os.Args[1], []byte(stamp), 0o600))
	exitOn(unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"innocent"}, nil))
}

// hostileArgs are arguments that would move the cursor, set the title, break
// the line, reverse the text, or are no text at all.
func hostileArgs() []string {
	return []string{"bearcat-test-mark", "\x1b[2J\x1b]0;owned\a", "\xff\xfe\x80", "a\nb\rc", "\u202egpj.exe", "\u009b31m", "tab\there"}
}

// hostileName is what a process may call itself.
const hostileName = "\x1b[31mx\n\xff"

// hostileExec changes its name to one with control characters, then runs
// /bin/true with such arguments.
func hostileExec() {
	name, err := unix.BytePtrFromString(hostileName)
	exitOn(err)
	// The main thread's name is the process's.
	exitOn(os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", os.Getpid()), []byte(unix.BytePtrToString(name)), 0))
	exitOn(unix.Exec("/bin/true", append([]string{"true"}, hostileArgs()...), nil))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}
