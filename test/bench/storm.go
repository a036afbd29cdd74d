package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// StormOptions says for how long.
type StormOptions struct {
	Place *Place
	// Time is how long everything happens at once, Every how often the agent is
	// looked at.
	Time, Every time.Duration
	Progress    io.Writer
}

// Storm is the memory of the agent, with the shipped rules, while programs are run,
// files opened and connections made as fast as the processors allow.
type Storm struct {
	Host Host          `json:"host"`
	Time time.Duration `json:"time_ns"`
	// RSS has the agent's resident memory in bytes before the storm, at each look
	// during it, and, last, when it is over and all is read.
	RSS  []uint64 `json:"rss"`
	Peak uint64   `json:"peak"`
	// Rounds counts how often each kind of work was done, Operations what that
	// came to.
	Rounds     map[string]int `json:"rounds"`
	Operations int            `json:"operations"`
	Account
}

// MeasureStorm runs the agent, scoped to this program and what it starts, through a
// storm.
func MeasureStorm(ctx context.Context, o StormOptions) (*Storm, error) {
	r := &Storm{Host: readHost(), Rounds: map[string]int{}}
	dir := filepath.Join(o.Place.Dir, "storm")
	socket, config := filepath.Join(o.Place.Dir, "storm.sock"), filepath.Join(o.Place.Dir, "storm.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "status:\n  socket: %q\n", socket), 0o600); err != nil {
		return nil, fmt.Errorf("writing the agent's settings: %w", err)
	}
	a := bearcatAgent(Alerts, "bearcat, alerts only", o.Place.Bearcat, "--config", config, "--scope", "pid:"+strconv.Itoa(os.Getpid()))
	s, err := startAgent(ctx, a, dir)
	if err != nil {
		return nil, err
	}
	defer s.kill()
	look := func() error {
		u, err := s.Usage()
		if err != nil {
			return err
		}
		r.RSS, r.Peak = append(r.RSS, u.RSS), max(r.Peak, u.PeakRSS)
		return nil
	}
	if err := look(); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := r.blow(ctx, o, look); err != nil {
		return nil, err
	}
	r.Time = time.Since(begun)
	if err := s.drain(ctx); err != nil {
		return nil, err
	}
	if err := look(); err != nil {
		return nil, err
	}
	if err := r.ask(ctx, o.Place.Bearcat, socket); err != nil {
		return nil, err
	}
	_, err = s.stop(o.Place.Tools)
	return r, err
}

// blow does all kinds of work at once, again and again until the time is over.
func (r *Storm) blow(ctx context.Context, o StormOptions, look func() error) error {
	t := o.Place.Tools
	work := []Workload{
		{"exec", 200, []string{"exec", t.Target}, ""},
		{"open", 20000, []string{"open", t.Script}, ""},
		{"rw", 20000, []string{"rw"}, ""},
		{"connect", 1000, []string{"connect"}, ""},
		{"mixed", 1, []string{"script", t.Script}, ""},
	}
	until, stop := context.WithTimeout(ctx, o.Time)
	defer stop()
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, len(work))
	for i, w := range work {
		wg.Go(func() {
			for until.Err() == nil {
				if _, err := w.run(ctx, t); err != nil {
					errs[i] = err
					stop()
					return
				}
				mu.Lock()
				r.Rounds[w.Name]++
				r.Operations += w.N
				mu.Unlock()
			}
		})
	}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	for until.Err() == nil {
		select {
		case <-tick.C:
			if err := look(); err != nil {
				errs = append(errs, err)
				stop()
			}
		case <-until.Done():
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// WriteText prints the figures.
func (r *Storm) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", r.Host)
	t := newTable(w)
	half := r.RSS[len(r.RSS)/2]
	fmt.Fprintln(t, "time\toperations\texecs\topens\tconnects\tRSS before\thalfway\tafter\tpeak\trecords lost\tgaps")
	fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%d\t%d\n", r.Time.Round(time.Second), r.Operations, 200*r.Rounds["exec"], 20000*r.Rounds["open"],
		1000*r.Rounds["connect"], megabytes(r.RSS[0]), megabytes(half), megabytes(r.RSS[len(r.RSS)-1]), megabytes(r.Peak),
		r.LostInKernel+r.CriticalLost, r.Gaps)
	return t.Flush()
}
