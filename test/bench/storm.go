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
	// WholeHost has the agent watch the host and not only this program and what it
	// starts, Events write every event into a file.
	WholeHost, Events bool
	Progress          io.Writer
}

// Storm is the memory of the agent, with the shipped rules, while programs are run,
// files opened, connections made and names asked for as fast as the processors allow.
type Storm struct {
	Host Host `json:"host"`
	// Scope is what the agent watches, Events whether it writes every event.
	WholeHost bool          `json:"whole_host,omitempty"`
	Events    bool          `json:"events,omitempty"`
	Time      time.Duration `json:"time_ns"`
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

// MeasureStorm runs the agent through a storm.
func MeasureStorm(ctx context.Context, o StormOptions) (*Storm, error) {
	r := &Storm{Host: readHost(), WholeHost: o.WholeHost, Events: o.Events, Rounds: map[string]int{}}
	dir := filepath.Join(o.Place.Dir, "storm")
	socket, config := filepath.Join(o.Place.Dir, "storm.sock"), filepath.Join(o.Place.Dir, "storm.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "status:\n  socket: %q\noutput:\n  rotate:\n    size: 16MiB\n    keep: 1\n", socket), 0o600); err != nil {
		return nil, fmt.Errorf("writing the agent's settings: %w", err)
	}
	args := []string{"--config", config}
	if !o.WholeHost {
		args = append(args, "--scope", "pid:"+strconv.Itoa(os.Getpid()))
	}
	if o.Events {
		args = append(args, "--events")
	}
	if err := bringUpLoopback(); err != nil {
		return nil, err
	}
	a := bearcatAgent(Alerts, "bearcat, alerts only", o.Place.Bearcat, args...)
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
		{"dns", 1000, []string{"dns"}, ""},
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
	fmt.Fprintln(t, "time\toperations\texecs\topens\tconnects\tnames\tRSS before\thalfway\tafter\tpeak\trecords lost\tgaps")
	fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%d\t%d\n", r.Time.Round(time.Second), r.Operations, 200*r.Rounds["exec"], 20000*r.Rounds["open"],
		1000*r.Rounds["connect"], 1000*r.Rounds["dns"], megabytes(r.RSS[0]), megabytes(half), megabytes(r.RSS[len(r.RSS)-1]), megabytes(r.Peak),
		r.LostInKernel+r.CriticalLost, r.Gaps)
	return t.Flush()
}
