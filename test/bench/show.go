package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ShowOptions says how many objects a host is to have while it is looked at.
type ShowOptions struct {
	Place                     *Place
	Rounds                    int
	Processes, Files, Sockets int
	Progress                  io.Writer
}

// Show holds how long it takes to look at a host, with Bearcat and with other tools.
type Show struct {
	Host    Host     `json:"host"`
	Rounds  int      `json:"rounds"`
	Looks   []Look   `json:"looks"`
	Skipped []string `json:"skipped,omitempty"`
}

// Look is one command on one kind of many objects.
type Look struct {
	Objects string `json:"objects"` // such as "10000 processes"
	Label   string `json:"label"`
	// Lines is how many it wrote.
	Lines int `json:"lines"`
	// WallNS and CPUNS are one value a round; PeakRSS is the largest, in bytes.
	WallNS  []float64 `json:"wall_ns"`
	CPUNS   []float64 `json:"cpu_ns"`
	PeakRSS uint64    `json:"peak_rss"`

	argv []string
	min  int // lines that it has to write at least
}

// MeasureShow makes many processes, then many open files, then many sockets, and has all
// commands look at each in turn.
func MeasureShow(ctx context.Context, o ShowOptions) (*Show, error) {
	r := &Show{Host: readHost(), Rounds: o.Rounds}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	b := o.Place.Bearcat
	for _, part := range []struct {
		kind  string
		n     int
		looks []Look
	}{
		{"processes", o.Processes, []Look{{argv: []string{b, "show", "proc"}}, {argv: []string{"ps", "-ef"}}, {Label: "a walk over /proc in Go", argv: []string{self, "walk"}}}},
		{"files", o.Files, []Look{{argv: []string{b, "show", "fd"}}, {argv: []string{"lsof", "-nP"}}}},
		{"sockets", o.Sockets, []Look{{argv: []string{b, "show", "socket"}}, {argv: []string{b, "show", "socket", "--wide"}}, {argv: []string{"ss", "-tanp"}}}},
	} {
		fmt.Fprintf(o.Progress, "  %d %s\n", part.n, part.kind)
		if err := r.part(ctx, o, part.kind, part.n, part.looks); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// part makes the objects and measures the looks at them, each round in another order.
func (r *Show) part(ctx context.Context, o ShowOptions, kind string, n int, looks []Look) error {
	load := map[string]string{"processes": "hold"}[kind]
	if load == "" {
		load = kind
	}
	release, err := o.Place.keep(ctx, load, n)
	if err != nil {
		return err
	}
	defer release()
	var there []*Look
	for i := range looks {
		l := &looks[i]
		if _, err := exec.LookPath(l.argv[0]); err != nil {
			r.Skipped = append(r.Skipped, l.argv[0]+" is not installed")
			continue
		}
		l.Objects, l.min = fmt.Sprintf("%d %s", n, kind), n
		if l.Label == "" {
			l.Label = filepath.Base(l.argv[0])
			for _, a := range l.argv[1:] {
				l.Label += " " + a
			}
		}
		there = append(there, l)
	}
	for round := range o.Rounds + 1 { // the first fills caches and is not counted
		for i := range there {
			l := there[i]
			if round%2 == 1 {
				l = there[len(there)-1-i]
			}
			if err := l.once(ctx, o.Place.Dir, round > 0); err != nil {
				return err
			}
		}
	}
	for _, l := range there {
		r.Looks = append(r.Looks, *l)
	}
	return nil
}

// once runs the command with its output in a file.
func (l *Look) once(ctx context.Context, dir string, count bool) error {
	path := filepath.Join(dir, "look.out")
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("running %s: %w", l.Label, err)
	}
	defer out.Close()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, l.argv[0], l.argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, &complaints
	start := time.Now()
	err = cmd.Run()
	wall := time.Since(start)
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errStopped, ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // lsof ends with 1 for files that it may not look at
		return fmt.Errorf("running %s: %w", l.Label, err)
	}
	if l.Lines, err = lineBreaks(path); err != nil {
		return fmt.Errorf("running %s: %w", l.Label, err)
	}
	if l.Lines < l.min {
		return fmt.Errorf("%s wrote %d lines for %s: %s", l.Label, l.Lines, l.Objects, bytes.TrimSpace(complaints.Bytes()))
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	l.PeakRSS = max(l.PeakRSS, uint64(usage.Maxrss)<<10)
	if count {
		l.WallNS = append(l.WallNS, float64(wall))
		l.CPUNS = append(l.CPUNS, float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()))
	}
	return nil
}

// lineBreaks counts those of a file, piece by piece: this program's own memory is the least that the
// kernel gives as the peak of a program that it starts.
func lineBreaks(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, buf := 0, make([]byte, 1<<16)
	for {
		got, err := f.Read(buf)
		n += bytes.Count(buf[:got], []byte{'\n'})
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// WriteText prints the table. Ratios are of processor time, which depends less on what
// else the machine does, over the first command of each kind.
func (r *Show) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s; medians of %d rounds in one boot\n\n", r.Host, r.Rounds)
	t := newTable(w)
	fmt.Fprintln(t, "looking at\twith\tlines\ttime\tprocessor\tpeak memory\tprocessor, times the first\tsmallest and largest")
	var first *Look
	for i := range r.Looks {
		l := &r.Looks[i]
		if first == nil || first.Objects != l.Objects {
			first = l
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t\t\n", l.Objects, l.Label, l.Lines, shortTime(median(l.WallNS)), shortTime(median(l.CPUNS)), megabytes(l.PeakRSS))
			continue
		}
		p := Pairs{Without: first.CPUNS, With: l.CPUNS}
		low, high := p.Spread()
		fmt.Fprintf(t, "\t%s\t%d\t%s\t%s\t%s\t%.2f\t%.2f to %.2f\n", l.Label, l.Lines, shortTime(median(l.WallNS)), shortTime(median(l.CPUNS)), megabytes(l.PeakRSS), p.Ratio(), low, high)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "not measured: %s\n", s)
	}
	return nil
}

// WalkProc lists the processes by reading /proc, as a program would that has nothing
// else: names, users, arguments, programs and control groups.
func WalkProc(w io.Writer) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("listing /proc: %w", err)
	}
	var out bytes.Buffer
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 32); err != nil {
			continue
		}
		dir := "/proc/" + e.Name()
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it has ended
		}
		status, _ := os.ReadFile(dir + "/status")
		args, _ := os.ReadFile(dir + "/cmdline")
		group, _ := os.ReadFile(dir + "/cgroup")
		exe, _ := os.Readlink(dir + "/exe")
		uid := ""
		if _, rest, ok := bytes.Cut(status, []byte("\nUid:\t")); ok {
			line, _, _ := bytes.Cut(rest, []byte{'\t'})
			uid = string(line)
		}
		fmt.Fprintf(&out, "%s %d %s %s %q %d\n", e.Name(), len(bytes.Fields(stat)), uid, exe, args, len(group))
	}
	_, err = w.Write(out.Bytes())
	return err
}
