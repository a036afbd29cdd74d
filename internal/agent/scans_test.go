package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/scan"
)

func TestScansTellOnce(t *testing.T) {
	var got []string
	s := &scans{known: map[string]bool{}, said: map[string]bool{},
		tell: func(f *event.FindingInfo, k event.Key, p event.Priority) {
			got = append(got, fmt.Sprint(f.Check, " ", p, " ", f.What, " (", f.Evidence, ") ", f.After, k.Pid))
		},
		warn: func(f string, args ...any) { got = append(got, fmt.Sprintf(f, args...)) },
	}
	a := scan.Finding{Check: "covered-process", What: "a mount covers /proc/7", Evidence: "mount 57", Sure: scan.Certain, Pid: 7}
	b := scan.Finding{Check: "preload", What: "LD_PRELOAD in nginx[9]", Sure: scan.Possible}
	tell := func(want string, r scan.Report, checks string, c *cause) {
		t.Helper()
		got = nil
		s.report(&r, strings.Fields(checks), c)
		if text := strings.Join(got, "; "); !strings.Contains(text, want) || want == "" && text != "" {
			t.Errorf("told %q, want %q", text, want)
		}
	}
	const all = "covered-process preload"
	tell("covered-process Critical a mount covers /proc/7 (mount 57) 7", scan.Report{Findings: []scan.Finding{a}}, all, nil)
	tell("", scan.Report{Findings: []scan.Finding{a, a}}, all, nil)
	tell("preload Notice", scan.Report{Findings: []scan.Finding{a, b}}, all, nil)
	tell("the check preload of the scan cannot be made: no memory", scan.Report{Findings: []scan.Finding{a}, Skipped: []scan.Skipped{{Check: "preload", Why: "no memory"}}}, all, nil)
	tell("", scan.Report{Findings: []scan.Finding{a, b}}, all, nil)            // it was not gone
	tell("", scan.Report{Findings: []scan.Finding{b}}, "preload", nil)         // nobody looked for the other
	tell("", scan.Report{}, "", nil)                                           // nor for any
	tell("", scan.Report{Findings: []scan.Finding{a}}, "covered-process", nil) // both are known still
	tell("", scan.Report{}, all, nil)                                          // now they have gone
	tell("preload Notice LD_PRELOAD in nginx[9] () execve12", scan.Report{Findings: []scan.Finding{b}}, "", &cause{after: "execve", proc: event.Key{Pid: 12}})
	tell("covered-process", scan.Report{Findings: []scan.Finding{a}}, all, nil)
}

func TestScansGoOnAfterAnError(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	n := 0
	var said string
	s := &scans{known: map[string]bool{}, said: map[string]bool{}, tell: func(*event.FindingInfo, event.Key, event.Priority) { stop() },
		warn: func(f string, args ...any) { said = fmt.Sprintf(f, args...) },
		run: func(context.Context, []string) (*scan.Report, error) {
			if n++; n == 1 {
				return nil, errors.New("no iterator")
			}
			return &scan.Report{Findings: []scan.Finding{{Check: "x"}}}, nil
		}}
	s.loop(ctx, time.Millisecond)
	if n != 2 || !strings.Contains(said, "no iterator") {
		t.Errorf("%d scans, said %q", n, said)
	}
}
