package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// IdleOptions says how long to watch.
type IdleOptions struct {
	Place *Place
	// Args are more arguments for the agent.
	Args      []string
	Time      time.Duration
	Processes int
	Progress  io.Writer
}

// Idle is what an agent uses while nothing happens.
type Idle struct {
	Host      Host        `json:"host"`
	Processes int         `json:"processes"`
	Agents    []IdleAgent `json:"agents"`
	Binary    int64       `json:"binary_bytes"`
}

// IdleAgent is one mode of the agent.
type IdleAgent struct {
	Label string `json:"label"`
	// Watched is how long it was watched; CPU what it used in that time.
	Watched  time.Duration `json:"watched_ns"`
	CPU      time.Duration `json:"cpu_ns"`
	Wakeups  uint64        `json:"wakeups"`
	RSS      uint64        `json:"rss"`
	PeakRSS  uint64        `json:"peak_rss"`
	MapBytes uint64        `json:"map_bytes"`
}

// MeasureIdle watches the agent with its default rules.
func MeasureIdle(ctx context.Context, o IdleOptions) (*Idle, error) {
	r := &Idle{Host: readHost(), Processes: o.Processes, Binary: o.Place.Size}
	release, err := o.Place.hold(ctx, o.Processes)
	if err != nil {
		return nil, err
	}
	defer release()
	a, err := findAgent(Alerts, o.Place.Tools, o.Place.Bearcat, o.Args...)
	if err != nil {
		return nil, err
	}
	before, err := readKernelState()
	if err != nil {
		return nil, err
	}
	s, err := startAgent(ctx, a, filepath.Join(o.Place.Dir, a.Name))
	if err != nil {
		return nil, err
	}
	u, err := watchIdle(ctx, s, o)
	if err != nil {
		s.kill()
		return nil, err
	}
	state, err := readKernelState()
	if err != nil {
		s.kill()
		return nil, err
	}
	u.Label, u.MapBytes = a.Label, state.MapBytes-min(before.MapBytes, state.MapBytes)
	r.Agents = append(r.Agents, u)
	_, err = s.stop(o.Place.Tools)
	return r, err
}

func watchIdle(ctx context.Context, s *Session, o IdleOptions) (IdleAgent, error) {
	var r IdleAgent
	// past what starting leaves to do, such as the first garbage collection
	if err := sleep(ctx, 5*time.Second); err != nil {
		return r, err
	}
	fmt.Fprintf(o.Progress, "  %s: watching for %s\n", s.agent.Label, o.Time)
	begin := time.Now()
	before, err := s.Usage()
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, o.Time); err != nil {
		return r, err
	}
	after, err := s.Usage()
	if err != nil {
		return r, err
	}
	r.Watched = time.Since(begin)
	r.CPU, r.Wakeups = after.CPU-before.CPU, after.Wakeups-before.Wakeups
	r.RSS, r.PeakRSS = after.RSS, after.PeakRSS
	return r, s.alive()
}

// WriteText prints the table.
func (r *Idle) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s; %d sleeping processes on the host\n\n", r.Host, r.Processes)
	t := newTable(w)
	fmt.Fprintln(t, "idle\twatched for\tprocessor\twakeups a second\tRSS\tpeak\tmaps")
	for _, a := range r.Agents {
		secs := a.Watched.Seconds()
		fmt.Fprintf(t, "%s\t%s\t%.3f %%\t%.1f\t%s\t%s\t%s\n", a.Label, a.Watched.Round(time.Second),
			100*a.CPU.Seconds()/secs, float64(a.Wakeups)/secs, megabytes(a.RSS), megabytes(a.PeakRSS), megabytes(a.MapBytes))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nsize of the binary: %s\n", megabytes(uint64(r.Binary)))
	return err
}
