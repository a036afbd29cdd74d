package call

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// TestMain lets the test binary play the processes that are looked at: with
// BEARCAT_CHILD set it waits for a line and then does what that names.
func TestMain(m *testing.M) {
	mode := os.Getenv("BEARCAT_CHILD")
	if mode == "" {
		code := m.Run()
		if err := endShared(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}
	runtime.LockOSThread() // the main thread, and so the whole process
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(96)
	}
	what := modes()[mode]
	if what == nil {
		os.Exit(97)
	}
	what(os.Args[1:])
	os.Exit(0)
}
