package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCountAudit(t *testing.T) {
	in := `type=SYSCALL msg=audit(1.1:7): arch=c000003e syscall=59 success=yes pid=9 comm="nothing" exe="/r/nothing" key="exec"
type=CWD msg=audit(1.1:7): cwd="/" exe="/r/nothing" key="exec"
type=SYSCALL msg=audit(1.2:8): arch=c000003e syscall=257 success=yes comm="load" exe="/r/load" key="open"
type=PATH msg=audit(1.2:8): item=0 name="/r/mixed.sh"
type=SYSCALL msg=audit(1.3:9): arch=c000003e syscall=257 success=yes comm="load2" exe="/r/load2" key="open"
type=SYSCALL msg=audit(1.4:10): arch=c000003e syscall=42 success=yes comm="load" exe="/r/load" key="connect"
type=SYSCALL msg=audit(1.5:11): arch=c000003e syscall=59 success=yes comm="load" exe="/r/load" key="exec"
type=SYSCALL msg=audit(1.6:12): arch=c000003e sysc`
	got, err := countAudit(strings.NewReader(in), Tools{Load: "/r/load", Target: "/r/nothing"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]int{"exec": 1, "open": 1, "connect": 1}, got); d != "" {
		t.Errorf("counts differ (-want +got):\n%s", d)
	}
}

func TestAuditLost(t *testing.T) {
	if n, err := auditLost("enabled 1\npid 12\nlost 345\nbacklog 0\n"); err != nil || n != 345 {
		t.Errorf("got %d, %v; want 345", n, err)
	}
	for _, bad := range []string{"", "enabled 1\n", "lost many\n"} {
		if n, err := auditLost(bad); err == nil {
			t.Errorf("auditLost(%q) = %d, want an error", bad, n)
		}
	}
}
