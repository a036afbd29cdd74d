package bench

import (
	"errors"
	"os"
	"strings"
)

// guestVariable is what the VM harness sets in guests, and only there.
const guestVariable = "BEARCAT_VM"

// countedVariable is set by run.sh for guests whose time counts instructions.
const countedVariable = "BEARCAT_COUNTED"

func guestKind() (name string, counted bool) {
	return os.Getenv(guestVariable), os.Getenv(countedVariable) != ""
}

// RequireGuest refuses to let an agent look at a whole host that is not a
// guest: it would see other people's work, and theirs would spoil the figures.
func RequireGuest() error {
	name, _ := guestKind()
	cmdline, _ := os.ReadFile("/proc/cmdline")
	if name == "" || !strings.Contains(string(cmdline), "panic=-1") {
		return errors.New("this measures a whole host and so runs in a guest only: start it with test/bench/run.sh")
	}
	return nil
}
