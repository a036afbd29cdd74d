package rules

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
	"github.com/bearcat-hids/bearcat/internal/rule"
)

// maxLine bounds one line of recorded events: 2 MiB of arguments, escaped.
const maxLine = 32 << 20

// Expectation is the member "expect" of a recorded line: what rules are to make
// of its event. A plain list of names is short for these rules and no others.
type Expectation struct {
	// Match and NoMatch are names of rules.
	Match   []string `json:"match"`
	NoMatch []string `json:"no_match,omitempty"`
	// Exact says that no rule beyond those of Match may match.
	Exact bool `json:"exact,omitempty"`
	// Note says in words what the event is.
	Note string `json:"note,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Expectation) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		*e = Expectation{Exact: true}
		return json.Unmarshal(b, &e.Match)
	}
	type plain Expectation // without this method
	return json.Unmarshal(b, (*plain)(e))
}

// Met reports whether the rules that matched are those expected.
func (e *Expectation) Met(matched []string) bool {
	for _, n := range e.Match {
		if !slices.Contains(matched, n) {
			return false
		}
	}
	for _, n := range matched {
		if slices.Contains(e.NoMatch, n) || e.Exact && !slices.Contains(e.Match, n) {
			return false
		}
	}
	return true
}

// Recorded is a recorded event.
type Recorded struct {
	// At says where it stands: a name and a line number.
	At    string
	Event *event.Event
	// Expect is nil where the line has no such member.
	Expect *Expectation
}

// ReadRecorded reads recorded events, one JSON object a line as Bearcat writes
// them, alerts among them. A line may have one more member that says what
// rules are to make of it:
//
//	"expect": {"match": ["Set-uid shell"], "no_match": [], "exact": true, "note": "…"}
//
// Empty lines and lines that begin with # are passed over, and so are lines
// that hold no event, such as notices of lost output. The sequence ends with
// the first error. name stands before the line number in messages.
func ReadRecorded(name string, r io.Reader) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		sc := bufio.NewScanner(r)
		sc.Buffer(make([]byte, 0, 64<<10), maxLine)
		n := 0
		for sc.Scan() {
			n++
			line := bytes.TrimSpace(sc.Bytes())
			if len(line) == 0 || line[0] == '#' {
				continue
			}
			c, err := readLine(fmt.Sprintf("%s:%d", name, n), line)
			if errors.Is(err, eventjson.ErrNotEvent) {
				continue
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
		if err := sc.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("the line is longer than %d bytes: split the file into one object a line", maxLine)
			}
			yield(Recorded{}, fmt.Errorf("reading %s:%d: %w", name, n+1, err))
		}
	}
}

func readLine(at string, line []byte) (Recorded, error) {
	ev, err := eventjson.DecodeEvent(line)
	if err != nil {
		return Recorded{}, fmt.Errorf("reading %s: %w", at, err)
	}
	var with struct {
		Expect *Expectation `json:"expect"`
	}
	if err := json.Unmarshal(line, &with); err != nil {
		return Recorded{}, fmt.Errorf("reading %s: member \"expect\" is wrong: %w", at, err)
	}
	return Recorded{At: at, Event: ev, Expect: with.Expect}, nil
}

// ReadCases is ReadRecorded for rule.RunTests; a line without an expectation
// expects nothing.
func ReadCases(name string, r io.Reader) iter.Seq2[rule.TestCase, error] {
	return func(yield func(rule.TestCase, error) bool) {
		for rec, err := range ReadRecorded(name, r) {
			c := rule.TestCase{Name: rec.At, Event: rec.Event}
			if x := rec.Expect; x != nil {
				c.Match, c.NoMatch, c.Exact = x.Match, x.NoMatch, x.Exact
				if x.Note != "" {
					c.Name += " (" + x.Note + ")"
				}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}
