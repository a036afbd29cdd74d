package matrix

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/testlog"
)

// Unit runs go test over patterns with the given extra arguments and returns
// the tests that are no kernel tests: those only run in the matrix, and are
// counted there. It prints a line per package as it ends.
func Unit(ctx context.Context, root string, out io.Writer, args, patterns []string) (*Column, error) {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	pkgs, err := Discover(ctx, root, patterns)
	if err != nil {
		return nil, err
	}
	kernelTest := map[[2]string]bool{}
	for _, p := range pkgs {
		for _, t := range p.Tests {
			kernelTest[[2]string{p.ImportPath, t}] = true
		}
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-json"}, args, patterns)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe for go test: %w", err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting go test: %w", err)
	}
	u := unit{col: &Column{Kernel: "unit"}, out: out, said: map[string][]string{}}
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadBytes('\n')
		if e, ok := testlog.ParseEvent(line); ok {
			top, _, _ := strings.Cut(e.Test, "/")
			if !kernelTest[[2]string{e.Package, top}] {
				u.event(e)
			}
		} else if len(line) > 0 {
			fmt.Fprintf(out, "%s", line)
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	u.col.Took = time.Since(start)
	if err != nil && u.col.Results.Count().Failed == 0 {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			return nil, fmt.Errorf("running go test: %w", err)
		}
		t := u.col.Results.Get("", "(go test)")
		t.Outcome, t.Output = testlog.Failed, []string{"go test failed though no test did: " + err.Error()}
	}
	return u.col, ctx.Err()
}

// unit takes the events of go test.
type unit struct {
	col  *Column
	out  io.Writer
	said map[string][]string // what packages printed outside of tests
}

func (u *unit) event(e testlog.Event) {
	switch {
	case e.Test != "":
		u.col.Results.Event(e)
	case e.Action == "build-output":
		fmt.Fprint(u.out, e.Output)
	case e.Action == "output":
		u.said[e.Package] = append(u.said[e.Package], strings.TrimRight(e.Output, "\n"))
	case e.Action == "pass":
		fmt.Fprintf(u.out, "ok    %s (%.1f s)\n", e.Package, e.Elapsed)
	case e.Action == "fail" && e.Package != "":
		fmt.Fprintf(u.out, "FAIL  %s (%.1f s)\n", e.Package, e.Elapsed)
		for _, t := range u.col.Results.Leaves() {
			if t.Package == e.Package && t.Outcome == testlog.Failed {
				return
			}
		}
		t := u.col.Results.Get(e.Package, "(package)")
		t.Outcome, t.Output = testlog.Failed, u.said[e.Package]
	}
}
