package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ObserveOptions say how much to measure.
type ObserveOptions struct {
	// Bearcat is the binary, Talk the program that makes the load.
	Bearcat, Talk string
	// Pairs is how many runs without and with each observer there are.
	Pairs    int
	Progress io.Writer
}

// Observe is what observers cost the work that they look at.
type Observe struct {
	Host Host            `json:"host"`
	Rows []ObservedCost  `json:"rows"`
	Left []string        `json:"left_out"`
	Own  *ObserverItself `json:"flame"`
}

// ObservedCost is one observer at one kind of work.
type ObservedCost struct {
	Observer string `json:"observer"`
	Work     string `json:"work"`
	// Most is the project's target for the ratio, 0 for none.
	Most float64 `json:"at_most,omitempty"`
	Pairs
}

// ObserverItself is what `flame cpu` takes for itself at 99 looks a second.
type ObserverItself struct {
	Took float64       `json:"took_s"`
	BPF  time.Duration `json:"bpf_ns"`
	Own  time.Duration `json:"own_ns"`
}

// Sampling is the part of one processor that it takes while it looks.
func (o *ObserverItself) Sampling() float64 { return o.BPF.Seconds() / o.Took }

// Whole is the same with loading the programs and naming functions.
func (o *ObserverItself) Whole() float64 { return (o.BPF + o.Own).Seconds() / o.Took }

// observer is a program that looks on.
type observer struct {
	name, work string
	args       []string
	most       float64
}

func observers(bearcat string) []observer {
	script := "kprobe:__dev_queue_xmit,kprobe:ip_rcv,kprobe:tcp_v4_rcv { @[func] = count(); }"
	return []observer{
		{"bearcat hist runq", "switch", []string{bearcat, "hist", "runq", "--for", "1h"}, 1.05},
		{"runqlat", "switch", []string{"runqlat", "3600"}, 0},
		{"bearcat top cpu", "switch", []string{bearcat, "top", "cpu", "--interval", "1m"}, 0},
		{"bearcat trace packet, of another flow", "flow", []string{bearcat, "trace", "packet", "udp", "port", "9"}, 1.05},
		{"bearcat trace packet, of this flow", "flow", []string{bearcat, "trace", "packet", "tcp", "and", "host", "127.0.0.1"}, 1.05},
		{"bpftrace, three kprobes", "flow", []string{"bpftrace", "-e", script}, 0},
	}
}

// MeasureObserve runs two kinds of work without and with observers.
func MeasureObserve(ctx context.Context, o ObserveOptions) (*Observe, error) {
	r := &Observe{Host: readHost()}
	for _, w := range observers(o.Bearcat) {
		path, err := exec.LookPath(w.args[0])
		for _, dir := range []string{"/usr/sbin", "/sbin"} {
			if err != nil {
				path, err = exec.LookPath(filepath.Join(dir, w.args[0]))
			}
		}
		if err != nil {
			r.Left = append(r.Left, w.name+" is not installed")
			continue
		}
		w.args[0] = path
		c := ObservedCost{Observer: w.name, Work: w.work, Most: w.most}
		if _, err := talk(ctx, o.Talk, w.work); err != nil { // the first run takes longer
			return nil, err
		}
		for range o.Pairs {
			if err := c.pair(ctx, o, w); err != nil {
				return nil, err
			}
			fmt.Fprintf(o.Progress, "%s: %.0f ns, %.0f ns\n", w.name, c.Without[len(c.Without)-1], c.With[len(c.With)-1])
		}
		r.Rows = append(r.Rows, c)
	}
	var err error
	r.Own, err = measureFlame(ctx, o.Bearcat)
	return r, err
}

// pair runs the work without an observer and then with it.
func (c *ObservedCost) pair(ctx context.Context, o ObserveOptions, w observer) error {
	without, err := talk(ctx, o.Talk, w.work)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, w.args[0], w.args[1:]...)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", w.name, err)
	}
	defer func() { _ = cmd.Wait() }()
	if err := waitAttached(ctx, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("%s: %w: %s", w.name, err, strings.TrimSpace(said.String()))
	}
	with, err := talk(ctx, o.Talk, w.work)
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err != nil {
		return err
	}
	c.Without, c.With = append(c.Without, without), append(c.With, with)
	return nil
}

// talk runs the work once and returns nanoseconds for each operation.
func talk(ctx context.Context, program, work string) (float64, error) {
	n := map[string]int{"switch": 100_000, "flow": 100_000}[work]
	if _, counted := guestKind(); counted {
		n /= 20 // a second of a flow: as many packets are followed a second as are asked for
	}
	out, err := exec.CommandContext(ctx, program, work, strconv.Itoa(n)).Output()
	if err != nil {
		return 0, fmt.Errorf("running the %s load: %w%s", work, err, stderrOf(err))
	}
	return parseLoad(string(out), n)
}

// waitAttached waits until a process holds programs, and no more of them come.
func waitAttached(ctx context.Context, pid int) error {
	last, since := 0, time.Now()
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		n, err := attached(pid)
		if err != nil {
			return err
		}
		if n != last {
			last, since = n, time.Now()
		}
		if n > 0 && time.Since(since) > time.Second {
			return nil
		}
	}
	return fmt.Errorf("no program was attached within a minute")
}

// attached counts a process's links to programs: those of BPF, and perf events.
func attached(pid int) (n int, err error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	fds, err := os.ReadDir(dir + "fdinfo")
	if err != nil || len(fds) == 0 {
		return 0, fmt.Errorf("it has ended before its time")
	}
	for _, fd := range fds {
		b, _ := os.ReadFile(dir + "fdinfo/" + fd.Name())
		to, _ := os.Readlink(dir + "fd/" + fd.Name())
		if bytes.Contains(b, []byte("link_type:")) || strings.Contains(to, "perf_event") {
			n++
		}
	}
	return n, nil
}

func measureFlame(ctx context.Context, bearcat string) (*ObserverItself, error) {
	cmd := exec.CommandContext(ctx, bearcat, "flame", "cpu", "--rate", "99", "--for", "10s", "--json")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running flame cpu: %w%s", err, stderrOf(err))
	}
	var r ObserverItself
	if err := json.Unmarshal(out, &r); err != nil || r.Took <= 0 {
		return nil, fmt.Errorf("reading what flame cpu says of itself: %v, %.1f s", err, r.Took)
	}
	return &r, nil
}

// mostOfFlame is the most of one processor that flame cpu may take.
const mostOfFlame = 0.01

// WriteText prints the figures.
func (r *Observe) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", r.Host)
	t := newTable(w)
	fmt.Fprintln(t, "observer\tat work\twithout\twith\tratio\tof single pairs\tat most\t")
	for _, c := range r.Rows {
		low, high := c.Spread()
		most, kept := "–", ""
		if c.Most > 0 {
			most, kept = fmt.Sprintf("%.2f", c.Most), verdict(c.Ratio(), c.Most)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.3f\t%.2f to %.2f\t%s\t%s\n", c.Observer, c.Work, shortTime(median(c.Without)), shortTime(median(c.With)), c.Ratio(), low, high, most, kept)
	}
	fmt.Fprintf(t, "bearcat flame cpu, 99 a second\twhile it looks\t\t\t%.4f of a processor\t\t%.2f\t%s\n", r.Own.Sampling(), mostOfFlame, verdict(r.Own.Sampling(), mostOfFlame))
	fmt.Fprintf(t, "the same for ten seconds\twith loading and naming\t\t\t%.4f of a processor\t\t–\t\n", r.Own.Whole())
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range r.Left {
		fmt.Fprintln(w, "left out:", l)
	}
	return nil
}
