package event

import (
	"fmt"
	"strings"
	"time"
)

// Priority is the severity of a rule, with Falco's eight levels; the lowest
// number is the most severe.
type Priority uint8

// The levels.
const (
	Emergency Priority = iota
	AlertLevel
	CriticalLevel
	ErrorLevel
	Warning
	Notice
	Informational
	Debug
)

var priorityNames = [...]string{"Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"}

// String returns the level as Falco writes it in JSON, such as "Warning".
func (p Priority) String() string {
	if int(p) < len(priorityNames) {
		return priorityNames[p]
	}
	return "Unknown"
}

// ParsePriority reads a level in any case; INFO is short for INFORMATIONAL.
func ParsePriority(s string) (Priority, error) {
	if strings.EqualFold(s, "info") {
		return Informational, nil
	}
	for i, n := range priorityNames {
		if strings.EqualFold(s, n) {
			return Priority(i), nil
		}
	}
	return 0, fmt.Errorf("unknown priority %q: use one of emergency, alert, critical, error, warning, notice, informational, debug", s)
}

// RuleInfo describes a rule to whoever reads its alerts.
type RuleInfo struct {
	Name     string
	Desc     string
	Priority Priority
	Source   string
	Tags     []string
	// FalsePositives says what sets the rule off without an attack, Response
	// what to do about an alert; either may be empty.
	FalsePositives, Response string
	// Author is who wrote the rule, References where to read about what it
	// finds; either may be empty.
	Author     string
	References []string
	// Block is how long the firewall bans the other end of the event's connection
	// for each alert; 0 for not at all.
	Block time.Duration
}

// Alert is a rule's finding about one event.
type Alert struct {
	Rule  *RuleInfo
	Event *Event
	Time  time.Time
	// Output is the rule's output with its fields filled in.
	Output string
	// Fields are the fields that Output names, in order, without repeats.
	Fields []OutputField

	// ID names the alert: the same event and rule have the same one.
	ID string
	// Summary says in a line who did what to what, and from where; Why why that
	// is suspicious, and Next what to do, as far as the rule says so.
	Summary, Why, Next string
	// Repeats counts alerts of the same rule about the same subject that were
	// left out since Since. Where Event is nil the alert tells of nothing else,
	// and ID names the last one that was written.
	Repeats uint64
	Since   time.Time

	// Trail is set for a rule that correlates the matches of others: those that
	// led to the alert, the last ones where there were many, in the order of
	// time. TrailLeftOut counts the others, and Event is the last.
	Trail        []TrailEntry
	TrailLeftOut uint64
}

// TrailEntry is a match that a correlation counted.
type TrailEntry struct {
	Time time.Time
	// Rule is the name of the rule that matched, Output its message.
	Rule, Output string
	// Num is the event's number and Pid its process, 0 where it has none.
	Num uint64
	Pid uint32
}

// OutputField is a field's value in an alert.
type OutputField struct {
	// Name is as in the rule, such as "proc.aname[2]".
	Name string
	// Null is true where the event has no such value ("<NA>" in Output).
	Null bool
	// IsNum says that Num holds the value, otherwise Str does; IsBool that
	// Num is 0 or 1 for false or true.
	IsNum, IsBool bool
	Num           int64
	Str           string
}
