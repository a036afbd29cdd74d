package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bearcat-hids/bearcat/test/kernel/testlog"
)

// failureLines is how much of a failed test's output the report repeats.
const failureLines = 40

// Report prints the table, then every skip with its reason and every failure
// with what it said, and returns the sum.
func Report(w io.Writer, columns []*Column) testlog.Counts {
	var sum testlog.Counts
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "kernel\trelease\tpassed\tfailed\tskipped\tseconds\tnote")
	for _, c := range columns {
		n := c.Results.Count()
		sum = sum.Add(n)
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%.0f\t%s\n", c.Kernel, c.Release, n.Passed, n.Failed, n.Skipped, c.Took.Seconds(), c.Note)
	}
	table.Flush()
	Skips(w, columns)
	for _, c := range columns {
		for _, t := range c.Unsteady {
			fmt.Fprintf(w, "\nUNSTEADY on %s: %s failed, and passed when it was run again\n", c.Kernel, short(t))
			said(w, t)
		}
	}
	Failures(w, columns)
	return sum
}

// Skips lists every skipped test: the kernels, its name, its reason. Tests of one
// package that the same kernels skip for the same reason take one line.
func Skips(w io.Writer, columns []*Column) {
	type key struct{ pkg, name, reason string }
	var order []key
	kernels := map[key][]string{}
	for _, c := range columns {
		for _, t := range c.Results.Leaves() {
			if t.Outcome != testlog.Skipped {
				continue
			}
			k := key{strings.TrimPrefix(t.Package, modulePath), t.Name, t.Reason()}
			if !slices.Contains(order, k) {
				order = append(order, k)
			}
			kernels[k] = append(kernels[k], c.Kernel)
		}
	}
	type group struct{ pkg, kernels, reason string }
	var lines []group
	names := map[group][]string{}
	for _, k := range order {
		g := group{k.pkg, strings.Join(kernels[k], " "), k.reason}
		if names[g] == nil {
			lines = append(lines, g)
		}
		names[g] = append(names[g], k.name)
	}
	if len(lines) > 0 {
		fmt.Fprintln(w, "\nskipped:")
	}
	for _, g := range lines {
		fmt.Fprintf(w, "  %s  %s %s: %s\n", g.kernels, g.pkg, strings.Join(names[g], ", "), g.reason)
	}
}

// Failures lists every failed test with the end of its output.
func Failures(w io.Writer, columns []*Column) {
	for _, c := range columns {
		for _, t := range c.Results.Leaves() {
			if t.Outcome != testlog.Failed {
				continue
			}
			fmt.Fprintf(w, "\nFAILED on %s: %s\n", c.Kernel, short(t))
			said(w, t)
			if c.Log != "" {
				fmt.Fprintln(w, "  (all output: "+c.Log+")")
			}
		}
	}
}

// said repeats the end of what a test said.
func said(w io.Writer, t *testlog.Test) {
	lines := strings.Split(strings.Join(t.Output, "\n"), "\n")
	for _, line := range lines[max(0, len(lines)-failureLines):] {
		fmt.Fprintln(w, "  "+line)
	}
}

// short is a test's name behind its package's, without the module's path.
func short(t *testlog.Test) string {
	pkg := strings.TrimPrefix(t.Package, modulePath)
	if pkg == "" {
		return t.Name
	}
	return pkg + " " + t.Name
}

const modulePath = "github.com/bearcat-hids/bearcat/"
