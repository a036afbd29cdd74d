package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/scan"
)

// scans compares the kernel with what the host tells, again and again, and raises an
// alert for each finding that the time before did not have.
type scans struct {
	run   func(context.Context, []string) (*scan.Report, error)
	alert func(*event.Alert)
	warn  func(format string, args ...any)
	known map[string]bool // by check and text
	said  map[string]bool // checks that cannot be made, told once
}

func newScans(p *pipeline, warn func(string, ...any)) *scans {
	return &scans{run: scan.Run, alert: p.raise, warn: warn, known: map[string]bool{}, said: map[string]bool{}}
}

// loop scans until ctx ends.
func (s *scans) loop(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r, err := s.run(ctx, nil)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.warn("scanning the host: %v", err)
		default:
			s.tell(r, time.Now())
		}
	}
}

// tell raises what is new. A finding that is gone and comes back is new again.
func (s *scans) tell(r *scan.Report, now time.Time) {
	known := make(map[string]bool, len(r.Findings))
	for i := range r.Findings {
		f := &r.Findings[i]
		key := f.Check + "\x00" + f.What
		if known[key] {
			continue
		}
		known[key] = true
		if s.known[key] {
			continue
		}
		s.alert(&event.Alert{
			Rule: &event.RuleInfo{Name: "Scan: " + f.Check, Desc: f.Do, Priority: scanPriority(f.Sure), Source: "syscall", Tags: []string{"bearcat", "bearcat_scan"}},
			// names of alerts without an event go by their time
			Time: now.Add(time.Duration(i)), Output: fmt.Sprintf("%s (%s; %s)", f.What, f.Evidence, f.Sure),
		})
	}
	for _, x := range r.Skipped {
		if !s.said[x.Check] {
			s.said[x.Check] = true
			s.warn("the check %s of the scan cannot be made: %s", x.Check, x.Why)
		}
		for key := range s.known { // what it found before is neither there nor gone
			if len(key) > len(x.Check) && key[:len(x.Check)+1] == x.Check+"\x00" {
				known[key] = true
			}
		}
	}
	s.known = known
}

func scanPriority(s scan.Sure) event.Priority {
	switch s {
	case scan.Certain:
		return event.CriticalLevel
	case scan.Likely:
		return event.Warning
	}
	return event.Notice
}
