package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// StartOptions says how to start the agent.
type StartOptions struct {
	Place *Place
	// Args are more arguments for the agent.
	Args []string
	// Scoped limits the agent to this program and what it starts.
	Scoped    bool
	Runs      int
	Processes int
	Progress  io.Writer
}

// Start is how long the agent needs until it is of use.
type Start struct {
	Host      Host `json:"host"`
	Scoped    bool `json:"scoped"`
	Processes int  `json:"processes"`
	// Ready holds the times to the ready line, FirstEvent those until the
	// first event about a new process was in the output file.
	Ready      []time.Duration `json:"ready_ns"`
	FirstEvent []time.Duration `json:"first_event_ns"`
	// Missed counts starts made after the ready line that were not reported.
	Missed int `json:"missed"`
}

// MeasureStart starts the agent several times among sleeping processes.
func MeasureStart(ctx context.Context, o StartOptions) (*Start, error) {
	r := &Start{Host: readHost(), Scoped: o.Scoped, Processes: o.Processes}
	release, err := o.Place.hold(ctx, o.Processes)
	if err != nil {
		return nil, err
	}
	defer release()
	extra := append([]string{"--events"}, o.Args...)
	if o.Scoped {
		// an agent that serves this host keeps its status socket
		extra = append(extra, "--no-status", "--scope", "pid:"+strconv.Itoa(os.Getpid()))
	}
	a := bearcatAgent(Events, "bearcat, every event", o.Place.Bearcat, extra...)
	for i := range o.Runs {
		ready, first, missed, err := startOnce(ctx, o, a)
		if err != nil {
			return nil, fmt.Errorf("start %d: %w", i+1, err)
		}
		fmt.Fprintf(o.Progress, "  start %d of %d: ready after %s, first event after %s\n", i+1, o.Runs, shortTime(float64(ready)), shortTime(float64(first)))
		r.Ready = append(r.Ready, ready)
		r.FirstEvent = append(r.FirstEvent, first)
		r.Missed += missed
	}
	return r, nil
}

// startOnce starts the agent while a program is executed every few
// milliseconds, and looks when the first of these is in the output.
func startOnce(ctx context.Context, o StartOptions, a Agent) (ready, first time.Duration, missed int, err error) {
	dir := filepath.Join(o.Place.Dir, a.Name)
	defer os.RemoveAll(dir)
	found := make(chan time.Time, 1)
	made := make(chan error, 1)
	knock, stop := context.WithCancel(ctx)
	defer stop()
	go func() { made <- knockUntil(knock, filepath.Join(dir, outputName), o.Place.Tools.Target, found) }()
	s, err := startAgent(ctx, a, dir)
	if err != nil {
		return 0, 0, 0, err
	}
	var at time.Time
	select {
	case at = <-found:
	case err = <-made:
		if err == nil {
			at = <-found
		}
	case <-time.After(startLimit):
		err = fmt.Errorf("no event about a new process came within %s: %s", startLimit, s.said())
	}
	if err != nil {
		s.kill()
		return 0, 0, 0, err
	}
	missed, err = checkAfterReady(ctx, s, o.Place.Tools)
	return s.Startup, at.Sub(s.started), missed, err
}

// knockUntil executes the target again and again until file speaks of it.
func knockUntil(ctx context.Context, file, target string, found chan<- time.Time) error {
	needle := []byte(`"type":"exec"`)
	for {
		if err := exec.CommandContext(ctx, target).Run(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("executing a program for the agent to see: %w", err)
		}
		if b, err := os.ReadFile(file); err == nil {
			if i := bytes.Index(b, needle); i >= 0 && bytes.Contains(b[i:], []byte(target)) {
				found <- time.Now()
				return nil
			}
		}
		if sleep(ctx, 5*time.Millisecond) != nil {
			return nil
		}
	}
}

// checkAfterReady executes a few programs more, stops the agent and returns
// how many of them it did not report.
func checkAfterReady(ctx context.Context, s *Session, t Tools) (missed int, err error) {
	const n = 20
	// another file of the same content, so that earlier starts do not count
	other := t
	other.Target = filepath.Join(filepath.Dir(t.Target), "after-ready")
	if err := copyFile(t.Target, other.Target); err != nil {
		s.kill()
		return 0, err
	}
	w := Workload{"exec", n, []string{"exec", other.Target}, ""}
	if _, err := w.run(ctx, t); err != nil {
		s.kill()
		return 0, err
	}
	if err := s.drain(ctx); err != nil {
		s.kill()
		return 0, err
	}
	c, err := s.stop(other)
	return n - c.Seen["exec"], err
}

// WriteText prints the figures.
func (r *Start) WriteText(w io.Writer) error {
	scope := "the whole host"
	if r.Scoped {
		scope = "the benchmark's own processes"
	}
	fmt.Fprintf(w, "%s; %d sleeping processes; scope: %s\n\n", r.Host, r.Processes, scope)
	t := newTable(w)
	fmt.Fprintln(t, "start\tmedian\tall")
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{{"until ready", r.Ready}, {"until the first event was written", r.FirstEvent}} {
		var values []float64
		for _, d := range row.times {
			values = append(values, float64(d))
		}
		fmt.Fprintf(t, "%s\t%s\t", row.name, shortTime(median(values)))
		for i, v := range values {
			if i > 0 {
				fmt.Fprint(t, ", ")
			}
			fmt.Fprint(t, shortTime(v))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nprograms started after the ready line and not reported: %d\n", r.Missed)
	return err
}
