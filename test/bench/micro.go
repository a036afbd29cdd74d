package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MicroOptions says how to run the packages' benchmarks.
type MicroOptions struct {
	// Time is how long each runs.
	Time     time.Duration
	Progress io.Writer
}

// Micro holds the results of the packages' benchmarks.
type Micro struct {
	Host Host        `json:"host"`
	Runs []MicroCost `json:"benchmarks"`
	// Failed says what did not run to its end.
	Failed []string `json:"failed,omitempty"`
}

// MicroCost is one benchmark's result.
type MicroCost struct {
	Package string `json:"package"`
	Name    string `json:"name"`
	// Values holds what was measured by its unit, such as "ns/op".
	Values map[string]float64 `json:"values"`
}

// MeasureMicro runs every benchmark below internal/ and rules/, one package at a time. The
// working directory must be the module's root.
func MeasureMicro(ctx context.Context, o MicroOptions) (*Micro, error) {
	packages, err := benchmarked("internal")
	if err != nil {
		return nil, err
	}
	more, err := benchmarked("rules")
	if err != nil {
		return nil, err
	}
	packages = append(packages, more...)
	r := &Micro{Host: readHost()}
	for _, p := range packages {
		fmt.Fprintf(o.Progress, "  %s\n", p)
		args := []string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", o.Time.String(), "./" + p}
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Stderr = &said
		out, err := cmd.Output()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", errStopped, ctx.Err())
		}
		r.Runs = append(r.Runs, parseBenchmarks(p, string(out))...)
		if err != nil {
			r.Failed = append(r.Failed, fmt.Sprintf("%s: %v: %s", p, err, lastLine(string(out)+said.String())))
		}
	}
	return r, nil
}

var benchmarkFunc = regexp.MustCompile(`(?m)^func Benchmark\w*\(`)

// benchmarked returns the directories below root whose tests have benchmarks.
func benchmarked(root string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && benchmarkFunc.Match(b) {
			dirs = append(dirs, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for benchmarks: %w", err)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

var cpuSuffix = regexp.MustCompile(`-\d+$`)

// parseBenchmarks reads what go test prints: name, runs, then values each with
// its unit.
func parseBenchmarks(pkg, out string) []MicroCost {
	var all []MicroCost
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := cpuSuffix.ReplaceAllString(strings.TrimPrefix(f[0], "Benchmark"), "")
		m := MicroCost{Package: pkg, Name: name, Values: map[string]float64{}}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				m.Values[f[i+1]] = v
			}
		}
		if len(m.Values) > 0 {
			all = append(all, m)
		}
	}
	return all
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// Failure returns an error when a package's benchmarks did not run through.
func (r *Micro) Failure() error {
	var errs []error
	for _, f := range r.Failed {
		errs = append(errs, errors.New(f))
	}
	return errors.Join(errs...)
}

// WriteText prints the table.
func (r *Micro) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", r.Host)
	t := newTable(w)
	fmt.Fprintln(t, "package\tbenchmark\ttime\tallocations\tallocated\tmore")
	for _, m := range r.Runs {
		var more []string
		for unit, v := range m.Values {
			if unit != "ns/op" && unit != "allocs/op" && unit != "B/op" {
				more = append(more, strconv.FormatFloat(v, 'g', 5, 64)+" "+unit)
			}
		}
		slices.Sort(more)
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.0f B\t%s\n", m.Package, m.Name, shortTime(m.Values["ns/op"]),
			m.Values["allocs/op"], m.Values["B/op"], strings.Join(more, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range r.Failed {
		fmt.Fprintf(w, "failed: %s\n", f)
	}
	return nil
}
