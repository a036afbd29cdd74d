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
		alert: func(a *event.Alert) { got = append(got, fmt.Sprint(a.Rule.Name, " ", a.Rule.Priority, " ", a.Output)) },
		warn:  func(f string, args ...any) { got = append(got, fmt.Sprintf(f, args...)) },
	}
	a := scan.Finding{Check: "covered-process", What: "a mount covers /proc/7", Evidence: "mount 57", Sure: scan.Certain}
	b := scan.Finding{Check: "preload", What: "LD_PRELOAD in nginx[9]", Sure: scan.Possible}
	tell := func(want string, r scan.Report) {
		t.Helper()
		got = nil
		s.tell(&r, time.Unix(1, 0))
		if text := strings.Join(got, "; "); !strings.Contains(text, want) || want == "" && text != "" {
			t.Errorf("told %q, want %q", text, want)
		}
	}
	tell("Scan: covered-process Critical a mount covers /proc/7 (mount 57; certain)", scan.Report{Findings: []scan.Finding{a}})
	tell("", scan.Report{Findings: []scan.Finding{a, a}})
	tell("Scan: preload Notice", scan.Report{Findings: []scan.Finding{a, b}})
	tell("the check preload of the scan cannot be made: no memory", scan.Report{Findings: []scan.Finding{a}, Skipped: []scan.Skipped{{Check: "preload", Why: "no memory"}}})
	tell("", scan.Report{Findings: []scan.Finding{a, b}}) // it was not gone
	tell("", scan.Report{})
	tell("covered-process", scan.Report{Findings: []scan.Finding{a}}) // it was
}

func TestScansGoOnAfterAnError(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	n := 0
	var said string
	s := &scans{known: map[string]bool{}, said: map[string]bool{}, alert: func(*event.Alert) { stop() },
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
