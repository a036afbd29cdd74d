package agent

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/scan"
)

// prepareAfter is how long after the start what a look needs is read beforehand, which
// takes longer than all else of a start.
const prepareAfter = time.Minute

// scans compares the kernel with what the host tells, again and again and where something
// gives a reason, and tells of each finding that the look before did not have.
type scans struct {
	run  func(context.Context, []string) (*scan.Report, error)
	tell func(*event.FindingInfo, event.Key, event.Priority)
	warn func(format string, args ...any)

	mu    sync.Mutex
	known map[string]bool // by check and text
	said  map[string]bool // checks that cannot be made, told once
}

func newScans(p *pipeline, warn func(string, ...any)) *scans {
	return &scans{run: scan.Run, tell: p.finding, warn: warn, known: map[string]bool{}, said: map[string]bool{}}
}

// start begins to scan, as far as the settings ask for it, until ctx ends; wait returns then.
func (s *scans) start(ctx context.Context, cfg config.Scan, p *pipeline) (wait func()) {
	var done sync.WaitGroup
	if cfg.Interval > 0 {
		done.Go(func() { s.loop(ctx, cfg.Interval) })
	}
	if cfg.Live {
		l := newLive(uint32(os.Getpid()))
		p.notice(l)
		done.Go(func() { l.loop(ctx, scan.Soon, s.report, s.warn) })
		done.Go(func() {
			select {
			case <-ctx.Done():
			case <-time.After(prepareAfter):
				scan.Prepare()
			}
		})
		u := &unlisted{alive: p.alive, pids: p.pids, told: map[event.Key]bool{}, found: func(f scan.Finding, k event.Key) {
			s.report(&scan.Report{Findings: []scan.Finding{f}}, nil, &cause{proc: k})
		}}
		done.Go(func() { u.loop(ctx) })
	}
	return done.Wait
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
			var all []string
			for _, c := range scan.Checks() {
				all = append(all, c.Name)
			}
			s.report(r, all, nil)
		}
	}
}

// report tells what is new in what the named checks found. A finding that is gone and comes
// back is new again; what was found by other checks stays known. c is why the checks were
// made, nil where it was their time.
func (s *scans) report(r *scan.Report, checks []string, c *cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := map[string]bool{}
	for _, name := range checks {
		gone[name] = true
	}
	for _, x := range r.Skipped {
		gone[x.Check] = false // what it found before is neither there nor gone
		if !s.said[x.Check] {
			s.said[x.Check] = true
			s.warn("the check %s of the scan cannot be made: %s", x.Check, x.Why)
		}
	}
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
		info := &event.FindingInfo{Check: f.Check, What: f.What, Evidence: f.Evidence, Do: f.Do, Sure: string(f.Sure), Path: f.Path}
		var proc event.Key
		if c != nil {
			info.After, proc = c.after, c.proc
		}
		if f.Pid != 0 {
			proc = event.Key{Pid: f.Pid}
		}
		s.tell(info, proc, scanPriority(f.Sure))
	}
	for key := range s.known {
		if check, _, _ := strings.Cut(key, "\x00"); !gone[check] {
			known[key] = true
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
