package top

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
)

// helperEnv has the test program be what a test looks at, in place of testing.
const helperEnv = "BEARCAT_TOP_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		debug.SetGCPercent(-1)
		if err := map[string]func() error{"touch": touch, "talk": talk, "files": files}[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper is the test program in another role. It does its parts when it is told to.
type helper struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
	pid uint32
}

func startHelper(t *testing.T, name string, args ...string) *helper {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{t: t, cmd: exec.Command(exe, args...)}
	h.cmd.Env = append(os.Environ(), helperEnv+"="+name, "GOMAXPROCS=1")
	h.cmd.Stderr = os.Stderr
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.in, h.out = in, bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.pid = uint32(h.cmd.Process.Pid)
	t.Cleanup(func() {
		_ = in.Close() // it ends by that
		_ = h.cmd.Wait()
	})
	return h
}

// says waits for the helper to say that it is ready, or what it found.
func (h *helper) says() string {
	h.t.Helper()
	line, err := h.out.ReadString('\n')
	if err != nil {
		h.t.Fatalf("the helper ended: %v", err)
	}
	return strings.TrimSpace(line)
}

// tell has the helper do something, without waiting for it.
func (h *helper) tell(what string) {
	h.t.Helper()
	if _, err := io.WriteString(h.in, what+"\n"); err != nil {
		h.t.Fatal(err)
	}
}

// part has the helper do something, and returns what it says of it.
func (h *helper) part(what string) string {
	h.t.Helper()
	h.tell(what)
	return h.says()
}

// nextPart tells the test that a part is done, and waits for the word to go on.
func nextPart(in *bufio.Reader, done string) error {
	fmt.Println(done)
	_, err := in.ReadString('\n')
	return err
}
