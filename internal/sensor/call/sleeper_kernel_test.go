package call

import (
	"os/exec"
	"testing"
)

// sleeper starts a process that does nothing until the test ends, with its
// standard streams on /dev/null.
func sleeper(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	need(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}
