package process

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary play the processes that are looked at: with
// BEARCAT_CHILD set it does what that names and ends.
func TestMain(m *testing.M) {
	if mode := os.Getenv("BEARCAT_CHILD"); mode != "" {
		child(mode)
		os.Exit(97)
	}
	os.Exit(m.Run())
}

// self returns a command that runs this binary as a child in a mode.
func self(mode string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = []string{"BEARCAT_CHILD=" + mode}
	return cmd
}

func child(mode string) {
	switch mode {
	case "memfd":
		fd, err := unix.MemfdCreate("x y", 0)
		must(err)
		_, err = unix.Write(fd, tinyELF(5))
		must(err)
		must(unix.Exec("/proc/self/fd/"+strconv.Itoa(fd), []string{"k", "-a"}, nil))
	case "fexecve":
		fd, err := unix.Open(os.Args[1], unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(err)
		execveat(fd, "", unix.AT_EMPTY_PATH)
	case "deleted":
		fd, err := unix.Open(os.Args[1], unix.O_RDONLY, 0)
		must(err)
		must(os.Remove(os.Args[1]))
		must(unix.Exec("/proc/self/fd/"+strconv.Itoa(fd), []string{"gone"}, nil))
	case "thread-exec":
		runtime.LockOSThread() // the leader stays here
		go func() {
			runtime.LockOSThread()
			must(unix.Exec(os.Args[1], []string{"from-thread", strconv.Itoa(unix.Gettid())}, nil))
		}()
		select {}
	case "threads":
		n, err := strconv.Atoi(os.Args[1])
		must(err)
		var ready, done sync.WaitGroup
		gate := make(chan struct{})
		for range n {
			ready.Add(1)
			done.Go(func() {
				runtime.LockOSThread() // the thread ends with the goroutine
				ready.Done()
				<-gate
			})
		}
		ready.Wait()
		close(gate)
		done.Wait()
		os.Exit(0)
	case "rename":
		runtime.LockOSThread()
		named := make(chan bool)
		go func() { // two goroutines locked to threads: one is not the leader
			runtime.LockOSThread()
			nameUnlessLeader()
			close(named)
		}()
		<-named
		nameUnlessLeader()
		// the leader's own name, from whichever thread runs this
		must(os.WriteFile("/proc/self/task/"+strconv.Itoa(os.Getpid())+"/comm", []byte("kworker/0:1"), 0))
		os.Exit(0)
	case "burn":
		d, err := time.ParseDuration(os.Args[1])
		must(err)
		block := make([]byte, 64<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		for end := time.Now().Add(d); time.Now().Before(end); {
			block[0]++
		}
		os.Exit(0)
	case "deep": // go down in steps: no single path may be this long
		must(os.Chdir(os.Args[1]))
		for range 60 {
			must(unix.Mkdir(os.Args[2], 0o755))
			must(unix.Chdir(os.Args[2]))
		}
		must(os.WriteFile("x", tinyELF(0), 0o755))
		must(unix.Exec("./x", []string{"x"}, nil))
	case "execargs":
		must(unix.Exec(os.Args[1], nil, nil))
	}
}

func nameUnlessLeader() {
	if unix.Gettid() != os.Getpid() {
		setName("other thread")
	}
}

func setName(s string) {
	b := append([]byte(s), 0)
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
}

func execveat(fd int, path string, flags int) {
	p, err := unix.BytePtrFromString(path)
	must(err)
	arg, err := unix.BytePtrFromString("by-fd")
	must(err)
	argv := []*byte{arg, nil}
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(p)),
		uintptr(unsafe.Pointer(&argv[0])), 0, uintptr(flags), 0)
	must(errno)
}

func must(err error) {
	if err != nil {
		println("child:", err.Error())
		os.Exit(98)
	}
}
