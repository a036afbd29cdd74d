package testlog

import (
	"encoding/json"
	"strings"
)

// frame starts a framing line when a test binary runs with -test.v=test2json;
// it also ends a line that a test left without a newline.
const frame = '\x16'

// Parser reads the output of test binaries run with -test.v or
// -test.v=test2json, one after the other.
type Parser struct {
	Results *Results
	// Package is what the tests to come belong to.
	Package string
	current *Test
}

// Line takes one line, without its newline.
func (p *Parser) Line(line string) {
	line = strings.TrimSuffix(line, "\r")
	if i := strings.IndexByte(line, frame); i > 0 {
		p.Line(line[:i])
		line = line[i:]
	}
	line = strings.TrimPrefix(line, string(frame))
	trimmed := strings.TrimLeft(line, " ")
	switch word, rest, _ := strings.Cut(trimmed, " "); word {
	case "===":
		verb, name, _ := strings.Cut(rest, " ")
		if name = strings.TrimSpace(name); name == "" && verb != "NAME" {
			break
		}
		switch verb {
		case "RUN", "CONT", "NAME":
			if p.current = nil; name != "" {
				p.current = p.Results.Get(p.Package, name)
			}
			return
		case "PAUSE":
			p.current = nil
			return
		}
	case "---":
		verb, name, _ := strings.Cut(rest, " ")
		name, _, timed := strings.Cut(name, " (")
		outcome, ok := map[string]Outcome{"PASS:": Passed, "FAIL:": Failed, "SKIP:": Skipped}[verb]
		if !ok || !timed {
			break
		}
		p.current = p.Results.Get(p.Package, name)
		p.current.Outcome = outcome
		return
	case "PASS", "FAIL", "ok":
		if trimmed == line && rest == "" {
			p.current = nil
			return
		}
	}
	if p.current != nil {
		p.current.Output = append(p.current.Output, line)
	}
}

// Unframe removes the framing bytes, for logs that people read.
func Unframe(b []byte) []byte {
	return []byte(strings.ReplaceAll(string(b), string(frame), ""))
}

// Event is one line of go test -json.
type Event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// ParseEvent reads one line of go test -json; ok is false for other lines.
func ParseEvent(line []byte) (e Event, ok bool) {
	return e, json.Unmarshal(line, &e) == nil && e.Action != ""
}

// Event takes one event that belongs to a test.
func (r *Results) Event(e Event) {
	if e.Test == "" {
		return
	}
	t := r.Get(e.Package, e.Test)
	switch e.Action {
	case "pass", "fail", "skip":
		t.Outcome = Outcome(e.Action)
	case "output":
		line := strings.TrimRight(e.Output, "\n")
		word, _, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		if word != "===" && word != "---" {
			t.Output = append(t.Output, line)
		}
	}
}
