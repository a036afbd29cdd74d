package agent

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule"
)

// TestRulesOnTheHostsPathsWantMounts holds that who asks where the host has a file also
// hears when that changes.
func TestRulesOnTheHostsPathsWantMounts(t *testing.T) {
	for cond, want := range map[string]bool{
		"evt.type = openat and bc.path.host startswith /etc/":        true,
		"evt.type = openat and bc.fd.host startswith /etc/":          true,
		"evt.type = execve and bc.proc.hostpath startswith /var/tmp": true,
		"evt.type = openat and bc.path.name startswith /etc/":        false,
	} {
		set, rep := rule.Load([]rule.File{{Name: "t", Data: []byte("- rule: r\n  desc: a test\n  condition: " + cond + "\n  output: x\n  priority: INFO\n")}}, rule.Options{})
		if rep.Errors() > 0 {
			t.Fatal(rep.Err())
		}
		a := &Agent{cfg: &config.Config{}}
		types := a.want(set).Types
		if got := !types.IsZero() && types.Has(event.Mount) && types.Has(event.Umount); got != want {
			t.Errorf("%s: mounts are wanted: %t, want %t", cond, got, want)
		}
	}
}
