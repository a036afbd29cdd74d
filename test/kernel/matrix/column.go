package matrix

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/testlog"
)

// Native is the name of the column that runs on the machine itself.
const Native = "native"

// Column is the run of all tests on one kernel.
type Column struct {
	Kernel, Release string
	Results         testlog.Results
	Took            time.Duration
	// Note says what was unusual, such as a guest that had to be started again.
	Note string
	// Unsteady are the tests that failed first and passed when run again.
	Unsteady []*testlog.Test
	// Log is the file with the whole output.
	Log string
	// Status is the script's exit status.
	Status int
}

// recorder takes a column's output: the log file gets it at once, as people
// read it, and the parser line by line.
type recorder struct {
	col    *Column
	file   *os.File
	also   io.Writer
	rest   []byte
	parser testlog.Parser
	open   bool // a package has begun and not ended
}

func newRecorder(col *Column, also io.Writer) (*recorder, error) {
	f, err := os.Create(col.Log)
	if err != nil {
		return nil, fmt.Errorf("making the log of %s: %w", col.Kernel, err)
	}
	col.Results = testlog.Results{}
	return &recorder{col: col, file: f, also: also, parser: testlog.Parser{Results: &col.Results}}, nil
}

// Write implements io.Writer.
func (r *recorder) Write(b []byte) (int, error) {
	clean := testlog.Unframe(b)
	if _, err := r.file.Write(clean); err != nil {
		return 0, err
	}
	if r.also != nil {
		r.also.Write(clean)
	}
	r.rest = append(r.rest, b...)
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		r.line(string(line))
		r.rest = rest
	}
}

func (r *recorder) line(line string) {
	before, mark, ok := strings.Cut(line, marker)
	if !ok {
		r.parser.Line(line)
		return
	}
	if before != "" { // what a test printed without a newline
		r.parser.Line(before)
	}
	verb, value, _ := strings.Cut(strings.TrimSpace(mark), " ")
	switch verb {
	case "release":
		r.col.Release = value
	case "package":
		r.parser = testlog.Parser{Results: &r.col.Results, Package: value}
		r.open = true
	case "exit":
		r.open = false
		if value != "0" && !r.packageFailed() {
			r.fail(r.parser.Package, "(package)", "the test binary ended with status "+value+" though no test failed: see the log")
		}
	}
}

func (r *recorder) packageFailed() bool {
	for _, t := range r.col.Results.Leaves() {
		if t.Package == r.parser.Package && t.Outcome == testlog.Failed {
			return true
		}
	}
	return false
}

// fail adds a failure that is no test's own.
func (r *recorder) fail(pkg, name, why string) {
	t := r.col.Results.Get(pkg, name)
	t.Outcome, t.Output = testlog.Failed, append(t.Output, why)
}

// close ends the recording and judges what the tests alone do not tell.
func (r *recorder) close(status int, needTests bool) error {
	if len(r.rest) > 0 {
		r.line(string(r.rest))
	}
	r.col.Status = status
	c := r.col.Results.Count()
	switch {
	case status != 0 && (r.open || c.Failed == 0):
		r.fail("", "(run)", fmt.Sprintf("ended with status %d before all tests had run; the log's end:\n%s", status, r.tail()))
	case needTests && c.Passed+c.Failed == 0:
		r.fail("", "(run)", "no test ran: every one was skipped")
	}
	return r.file.Close()
}

func (r *recorder) tail() string {
	b, err := os.ReadFile(r.col.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
