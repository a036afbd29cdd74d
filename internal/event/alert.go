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
