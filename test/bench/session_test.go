package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell is an agent that is a shell script.
func shell(script, ready string) Agent {
	return Agent{
		Name: "shell", Label: "a shell", ReadyPrefix: ready, Stop: syscall.SIGTERM,
		Programs: []Program{{"/bin/sh", func(string) []string { return []string{"-c", script} }}},
		Count: func(dir string, _ Tools) (Counts, error) {
			b, err := os.ReadFile(filepath.Join(dir, "sh.out"))
			return Counts{Alerts: strings.Count(string(b), "bye")}, err
		},
	}
}

func TestSession(t *testing.T) {
	a := shell(`trap 'echo bye; exit 0' TERM; echo ready now >&2; while :; do sleep 0.05; done`, "ready")
	s, err := startAgent(context.Background(), a, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.Startup <= 0 {
		t.Errorf("startup = %v", s.Startup)
	}
	u, err := s.Usage()
	if err != nil || u.RSS == 0 {
		t.Errorf("usage = %+v, %v", u, err)
	}
	c, err := s.stop(Tools{})
	if err != nil || c.Alerts != 1 {
		t.Errorf("counts = %+v, %v; want the one word said at the end", c, err)
	}
}

func TestSessionOfAgentThatEnds(t *testing.T) {
	_, err := startAgent(context.Background(), shell("echo no such kernel >&2; exit 3", "ready"), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "no such kernel") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error = %v, want the status and what was said", err)
	}
}

func TestSessionInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := startAgent(ctx, shell("sleep 60", "ready"), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error = %v, want one about the interruption", err)
	}
}
