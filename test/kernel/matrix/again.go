package matrix

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/testlog"
)

// maxAgain is how many failures of one column are tried again. More than that
// is no accident of a slow machine.
const maxAgain = 4

// tryAgain runs what failed a second time, each test by itself, in a new guest.
// Emulated guests on a loaded machine now and then stop for seconds, and a test
// that waits for the kernel then fails although nothing is wrong. What passes
// the second time is no failure, but it is listed with what it said at first.
func (c *Config) tryAgain(ctx context.Context, p *plan, columns []*Column) error {
	for _, col := range columns {
		failed := col.failures()
		if len(failed) == 0 || len(failed) > maxAgain {
			continue
		}
		again, err := p.only(failed, c.TestTimeout)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.Out, "%-7s trying what failed again\n", col.Kernel)
		second := &Column{Kernel: col.Kernel, Log: filepath.Join(c.Logs, col.Kernel+"-again.log")}
		rec, err := newRecorder(second, io.Discard)
		if err != nil {
			return err
		}
		run := c.guest
		if col.Kernel == Native {
			run = c.native
		}
		status, err := run(ctx, again, second, rec)
		if err != nil {
			rec.file.Close()
			return fmt.Errorf("running what failed on %s again: %w", col.Kernel, err)
		}
		if err := rec.close(status, true); err != nil {
			return fmt.Errorf("closing the log of %s: %w", second.Kernel, err)
		}
		col.forgive(failed, &second.Results)
	}
	return nil
}

// failures returns the tests that failed; none if something else failed too.
func (col *Column) failures() []*testlog.Test {
	var failed []*testlog.Test
	for _, t := range col.Results.Leaves() {
		if t.Outcome != testlog.Failed {
			continue
		}
		if !strings.HasPrefix(t.Name, "Test") { // the run itself broke off
			return nil
		}
		failed = append(failed, t)
	}
	return failed
}

// forgive counts as passed what failed first and passed by itself.
func (col *Column) forgive(failed []*testlog.Test, second *testlog.Results) {
	for _, t := range failed {
		if second.Get(t.Package, t.Name).Outcome != testlog.Passed {
			continue
		}
		col.Unsteady = append(col.Unsteady, t)
		for name := t.Name; ; {
			// the tests around it failed only because it did
			if !col.Results.HasFailedChild(t.Package, name) {
				col.Results.Get(t.Package, name).Outcome = testlog.Passed
			}
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				break
			}
			name = name[:i]
		}
	}
}

// only returns the plan's script for single tests. It uses the plan's binaries.
func (p *plan) only(tests []*testlog.Test, timeout time.Duration) (*plan, error) {
	var steps []step
	for _, t := range tests {
		i := slices.IndexFunc(p.steps, func(s step) bool { return s.ImportPath == t.Package })
		if i < 0 {
			return nil, fmt.Errorf("the failed test %s belongs to no package of this run", t.Name)
		}
		var pattern []string
		for part := range strings.SplitSeq(t.Name, "/") {
			pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
		}
		s := p.steps[i]
		s.pattern = strings.Join(pattern, "/")
		steps = append(steps, s)
	}
	again := &plan{dir: p.dir, script: filepath.Join(p.dir, "again.sh"), dirs: p.dirs, steps: steps}
	return again, again.write(timeout)
}
