package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// auditdAgent is the kernel's audit with its daemon, and rules for the same
// three calls as other tools' agents.
func auditdAgent(t Tools) Agent {
	return Agent{
		Name: Auditd, Label: "auditd, three rules", ReadyPrefix: "ready", Stop: syscall.SIGTERM,
		Programs: []Program{{"/bin/sh", func(dir string) []string { return []string{t.Auditd, dir} }}},
		Needs:    []string{"auditd", "auditctl"},
		Count:    countAuditd, Cleanup: forgetAudit,
	}
}

// forgetAudit takes the rules out of the kernel, where they outlive the daemon.
func forgetAudit() error {
	for _, args := range [][]string{{"-D"}, {"-e", "0"}} {
		if out, err := exec.Command("auditctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("taking away the audit's rules: auditctl %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// countAuditd counts what the daemon wrote about the load, and asks the kernel
// what it could not hand over.
func countAuditd(dir string, t Tools) (Counts, error) {
	f, err := os.Open(filepath.Join(dir, "audit.log"))
	if err != nil {
		return Counts{}, fmt.Errorf("counting the audit's events: %w", err)
	}
	defer f.Close()
	seen, err := countAudit(f, t)
	if err != nil {
		return Counts{}, err
	}
	out, err := exec.Command("auditctl", "-s").Output()
	if err != nil {
		return Counts{}, fmt.Errorf("asking for the audit's account: %w", err)
	}
	lost, err := auditLost(string(out))
	return Counts{Seen: seen, Lost: lost}, err
}

// countAudit counts the load's execs, opens and connects in raw audit records.
// The name of an opened file stands in a record of its own behind the call's;
// only the call's is looked at, so opens of other files are counted too.
func countAudit(r io.Reader, t Tools) (map[string]int, error) {
	seen := map[string]int{}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if strings.HasPrefix(line, "type=SYSCALL ") {
			switch {
			case auditIs(line, t.Target, "exec"):
				seen["exec"]++
			case auditIs(line, t.Load, "open"):
				seen["open"]++
			case auditIs(line, t.Load, "connect"):
				seen["connect"]++
			}
		}
		if errors.Is(err, io.EOF) {
			return seen, nil
		}
		if err != nil {
			return nil, fmt.Errorf("counting the audit's events: %w", err)
		}
	}
}

// auditIs reports whether a record is about a program, by the rule of that key.
func auditIs(line, exe, key string) bool {
	return strings.Contains(line, ` exe="`+exe+`"`) && strings.Contains(line, ` key="`+key+`"`)
}

// auditLost reads the line "lost N" of auditctl -s.
func auditLost(status string) (int, error) {
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, "lost "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				return 0, fmt.Errorf("reading the audit's account: %q is not a number of losses", text)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("reading the audit's account: no line about losses in %q", status)
}
