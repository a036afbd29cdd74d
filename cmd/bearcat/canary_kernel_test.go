package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestCanary watches a whole guest with a canary each second, and with an
// output that writes everything: the canary is seen by the agent and by nobody
// else, and each hook tells when it was heard of.
func TestCanary(t *testing.T) {
	guest.Require(t)
	a := start(t, runOptions{config: "canary:\n  interval: 1s\n", args: []string{"--events", "--output", "json"}})
	a.until("two canaries came through", func() bool {
		s := a.status()
		return s.Canary != nil && s.Canary.Runs >= 2 && s.Canary.LastOK != nil
	})
	s := a.status()
	if s.Canary.Failures != 0 {
		t.Errorf("%d canaries were not seen: %s", s.Canary.Failures, s.Canary.Problem)
	}
	heard := map[string]bool{}
	for _, h := range s.Hooks {
		if h.LastEvent != nil {
			heard[h.Event] = true
		}
	}
	for _, e := range []string{"exec", "fork", "exit", "calls"} {
		if !heard[e] {
			t.Errorf("no hook of %s was heard of: %+v", e, s.Hooks)
		}
	}
	for _, l := range a.lines() {
		if strings.Contains(l.text, "bearcat-canary") {
			t.Fatalf("an output shows the canary: %s", l.text)
		}
	}
	if code, _ := a.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("the agent ends with %d", code)
	}
}
