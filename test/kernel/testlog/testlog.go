// Package testlog reads what test binaries print and counts what passed, failed
// and was skipped.
//
// Only leaves count: a test with subtests is counted by itself only when it
// failed though none of its subtests did, so that nothing counts twice.
package testlog

import (
	"regexp"
	"slices"
	"strings"
)

// Outcome is how a test ended.
type Outcome string

// The outcomes. Unfinished is that of a test which started and never ended.
const (
	Passed     Outcome = "pass"
	Failed     Outcome = "fail"
	Skipped    Outcome = "skip"
	Unfinished Outcome = ""
)

// Test is one test or subtest of a package.
type Test struct {
	Package, Name string
	Outcome       Outcome
	// Output is what it printed, without the framing lines.
	Output []string
}

// Reason is the last thing that the test said, such as why it was skipped.
func (t *Test) Reason() string {
	for i := len(t.Output) - 1; i >= 0; i-- {
		if s := strings.TrimSpace(position.ReplaceAllString(t.Output[i], "")); s != "" {
			return s
		}
	}
	return "no reason given"
}

// position is the file and line in front of a logged message.
var position = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)

// Counts is what tests come to.
type Counts struct{ Passed, Failed, Skipped int }

// Add returns the sum.
func (c Counts) Add(d Counts) Counts {
	return Counts{c.Passed + d.Passed, c.Failed + d.Failed, c.Skipped + d.Skipped}
}

// Results are the tests of one run, in the order in which they started.
type Results struct {
	Tests []*Test
	index map[[2]string]*Test
}

// Get returns the test of that name, which it adds when it is new.
func (r *Results) Get(pkg, name string) *Test {
	key := [2]string{pkg, name}
	if t, ok := r.index[key]; ok {
		return t
	}
	if r.index == nil {
		r.index = map[[2]string]*Test{}
	}
	t := &Test{Package: pkg, Name: name}
	r.index[key] = t
	r.Tests = append(r.Tests, t)
	return t
}

// Leaves returns the tests that count. Unfinished ones are returned as failed.
func (r *Results) Leaves() []*Test {
	hasChild := map[[2]string]bool{}
	childFailed := map[[2]string]bool{}
	for _, t := range r.Tests {
		for name := t.Name; ; {
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				break
			}
			name = name[:i]
			hasChild[[2]string{t.Package, name}] = true
			if t.Outcome == Failed || t.Outcome == Unfinished {
				childFailed[[2]string{t.Package, name}] = true
			}
		}
	}
	var leaves []*Test
	for _, t := range r.Tests {
		key := [2]string{t.Package, t.Name}
		leaf := *t
		if leaf.Outcome == Unfinished {
			leaf.Outcome = Failed
			leaf.Output = append(leaf.Output[:len(leaf.Output):len(leaf.Output)], "the test never ended")
		}
		if !hasChild[key] || leaf.Outcome == Failed && !childFailed[key] {
			leaves = append(leaves, &leaf)
		}
	}
	return leaves
}

// HasFailedChild tells whether a test inside the named one failed.
func (r *Results) HasFailedChild(pkg, name string) bool {
	return slices.ContainsFunc(r.Tests, func(t *Test) bool {
		return t.Package == pkg && t.Outcome != Passed && t.Outcome != Skipped && strings.HasPrefix(t.Name, name+"/")
	})
}

// Count adds up the leaves.
func (r *Results) Count() Counts {
	var c Counts
	for _, t := range r.Leaves() {
		switch t.Outcome {
		case Passed:
			c.Passed++
		case Skipped:
			c.Skipped++
		default:
			c.Failed++
		}
	}
	return c
}
