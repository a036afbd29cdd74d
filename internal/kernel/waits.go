package kernel

import (
	"os"
	"strings"
)

// AccountsWaits tells whether the kernel keeps how long tasks wait for processors, so that
// programs may take it from there (bpf/include/waited.h). Before 5.14 it can be switched off.
func AccountsWaits() bool { return accountsWaits("/proc/self/schedstat") }

func accountsWaits(file string) bool {
	b, err := os.ReadFile(file)
	f := strings.Fields(string(b)) // time on processors, time of waiting, how often it got one
	return err == nil && len(f) == 3 && f[2] != "0"
}
