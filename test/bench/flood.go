package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// FloodOptions says how hard to press.
type FloodOptions struct {
	Place *Place
	// Opens is how many opens each of two processes makes as fast as it can,
	// Execs how many programs are run meanwhile.
	Opens, Execs int
	Progress     io.Writer
}

// Flood is what became of a flood of opens, and of the execs in it. The agent
// has a rule that wants every open, and one that counts the execs.
type Flood struct {
	Host Host `json:"host"`
	// Opens were made in Time.
	Opens int           `json:"opens"`
	Time  time.Duration `json:"time_ns"`
	// Execs were made, ExecsSeen matched a rule.
	Execs     int    `json:"execs"`
	ExecsSeen uint64 `json:"execs_seen"`
	RSS       uint64 `json:"rss"`
	Account
}

// Account is what the agent says of what it received.
type Account struct {
	// Received came to the agent of the bulk class, LostInKernel is what the
	// programs could not hand over, LostCounted what the agent missed.
	Received     uint64 `json:"received"`
	LostInKernel uint64 `json:"lost_in_kernel"`
	LostCounted  uint64 `json:"lost_counted"`
	Gaps         uint64 `json:"gaps"`
	// CriticalLost is what was lost of the class that execs belong to.
	CriticalLost uint64 `json:"critical_lost"`

	byRule map[string]uint64
}

// MeasureFlood runs the agent, scoped to this program and what it starts, under
// a flood.
func MeasureFlood(ctx context.Context, o FloodOptions) (*Flood, error) {
	r := &Flood{Host: readHost(), Opens: 2 * o.Opens, Execs: o.Execs}
	dir := filepath.Join(o.Place.Dir, "flood")
	socket, config := filepath.Join(o.Place.Dir, "flood.sock"), filepath.Join(o.Place.Dir, "flood.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "status:\n  socket: %q\n", socket), 0o600); err != nil {
		return nil, fmt.Errorf("writing the agent's settings: %w", err)
	}
	a := bearcatAgent(AnyOpen, "bearcat, a rule on any file", o.Place.Bearcat, "--config", config, "--rules", o.Place.Tools.AnyOpen,
		"--scope", "pid:"+strconv.Itoa(os.Getpid()))
	s, err := startAgent(ctx, a, dir)
	if err != nil {
		return nil, err
	}
	defer s.kill()
	begun := time.Now()
	if err := flood(ctx, o); err != nil {
		return nil, err
	}
	r.Time = time.Since(begun)
	fmt.Fprintf(o.Progress, "  flooded for %s\n", r.Time.Round(time.Millisecond))
	if err := s.drain(ctx); err != nil {
		return nil, err
	}
	// what was lost last shows with the next record from the same processor
	after := o
	after.Opens, after.Execs = 100, 1
	for range 20 {
		if err := flood(ctx, after); err != nil {
			return nil, err
		}
		r.Opens, r.Execs = r.Opens+2*after.Opens, r.Execs+1
	}
	if err := s.drain(ctx); err != nil {
		return nil, err
	}
	u, err := s.Usage()
	if err != nil {
		return nil, err
	}
	r.RSS = u.RSS
	if err := r.ask(ctx, o.Place.Bearcat, socket); err != nil {
		return nil, err
	}
	r.ExecsSeen = r.byRule["Exec of the target"]
	_, err = s.stop(o.Place.Tools)
	return r, err
}

// flood makes the opens and the execs.
func flood(ctx context.Context, o FloodOptions) error {
	t := o.Place.Tools
	work := []Workload{
		{"open", o.Opens, []string{"open", t.Script}, ""},
		{"open", o.Opens, []string{"open", t.Script}, ""},
		{"exec", o.Execs, []string{"exec", t.Target}, ""},
	}
	var wg sync.WaitGroup
	errs := make([]error, len(work))
	for i, w := range work {
		wg.Go(func() { _, errs[i] = w.run(ctx, t) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ask takes the agent's account.
func (r *Account) ask(ctx context.Context, bearcat, socket string) error {
	out, err := exec.CommandContext(ctx, bearcat, "status", "--json", "--socket", socket).Output()
	if err != nil {
		return fmt.Errorf("asking the agent for its status: %w%s", err, stderrOf(err))
	}
	var st struct {
		Rings []struct {
			Class        string `json:"class"`
			Received     uint64 `json:"received"`
			LostInKernel uint64 `json:"lost_in_kernel"`
			LostCounted  uint64 `json:"lost_counted"`
			Gaps         uint64 `json:"gaps"`
		} `json:"rings"`
		Rules struct {
			ByRule map[string]uint64 `json:"by_rule"`
		} `json:"rules"`
	}
	if err := json.Unmarshal(out, &st); err != nil {
		return fmt.Errorf("reading the agent's status: %w", err)
	}
	for _, ring := range st.Rings {
		if ring.Class == "critical" {
			r.CriticalLost = ring.LostInKernel
			continue
		}
		r.Received, r.LostInKernel, r.LostCounted, r.Gaps = ring.Received, ring.LostInKernel, ring.LostCounted, ring.Gaps
	}
	r.byRule = st.Rules.ByRule
	return nil
}

// WriteText prints the figures.
func (r *Flood) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", r.Host)
	t := newTable(w)
	fmt.Fprintln(t, "opens made\ttime\topens a second\treceived\tlost in the kernel\tcounted as lost\tgaps\texecs made\texecs seen\tcritical records lost\tRSS")
	fmt.Fprintf(t, "%d\t%s\t%.0f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", r.Opens, r.Time.Round(time.Millisecond), float64(r.Opens)/r.Time.Seconds(), r.Received,
		r.LostInKernel, r.LostCounted, r.Gaps, r.Execs, r.ExecsSeen, r.CriticalLost, megabytes(r.RSS))
	return t.Flush()
}
