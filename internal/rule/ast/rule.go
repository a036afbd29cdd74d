package ast

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Rule is a rule as a loader hands it over: complete, checked, with appends,
// overrides and exceptions worked in.
type Rule struct {
	event.RuleInfo
	Condition Expr
	Output    *Output
	Enabled   bool
	// Skipped says why the rule was left out (skip-if-unknown-filter).
	Skipped string
	// Foreign is set for a rule of another source than "syscall": its
	// condition was parsed but not bound.
	Foreign bool
	// WarnAllEvents asks for a warning where the condition does not restrict
	// the types of events.
	WarnAllEvents bool
	At            Span
	// IDs are names beside Name by which correlations refer to the rule.
	IDs []string
	// FieldName returns Bearcat's name of a field of the rule's language; nil
	// where the language has the same names. Its error is a sentence.
	FieldName func(name string) (string, error)
	// Correlation is set for a rule about other rules' matches, which has no
	// Condition.
	Correlation *Correlation
}

// Correlation is what a rule wants of the matches of other rules.
type Correlation struct {
	Kind CorrelationKind
	// Rules are the names or IDs of the rules whose matches count.
	Rules []Name
	// GroupBy are fields, or aliases of fields, whose values have to be equal.
	GroupBy  []Name
	Timespan time.Duration
	// Limits are what has to hold of the count, sum or other figure, all of
	// them; none for the temporal kinds where every rule has to match.
	Limits []CorrelationLimit
	// Field is counted or summed; its Text is "" for kinds without one.
	Field Name
	// Percentile is from 1 to 100, for that kind.
	Percentile int
	// Aliases gives for an alias the field of each rule, by the rule's name.
	Aliases map[string]map[string]Name
	// Generate says that the rules alert on their own too.
	Generate bool
	At       Span
}

// Name is text of a rule file with its place.
type Name struct {
	Text string
	At   Span
}

// CorrelationLimit is a comparison with a number.
type CorrelationLimit struct {
	Op    Op
	Value float64
}

// CorrelationKind says what a correlation looks at.
type CorrelationKind uint8

// The kinds.
const (
	EventCount CorrelationKind = iota
	ValueCount
	Temporal
	TemporalOrdered
	ValueSum
	ValueAvg
	ValuePercentile
	numCorrelationKinds
)

var correlationNames = [numCorrelationKinds]string{"event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile"}

// String returns the kind as rules write it.
func (k CorrelationKind) String() string { return correlationNames[min(k, numCorrelationKinds-1)] }

// ParseCorrelationKind finds a kind by its name.
func ParseCorrelationKind(name string) (CorrelationKind, bool) {
	for i, n := range correlationNames {
		if n == name {
			return CorrelationKind(i), true
		}
	}
	return 0, false
}

// CorrelationKinds lists the names of the kinds.
func CorrelationKinds() []string { return append([]string(nil), correlationNames[:]...) }

// Program is what a loader makes of its files.
type Program struct {
	Rules []*Rule
	Diags []Diag
}

// Output is a rule's message: text with operands in it.
type Output struct {
	Parts []OutputPart
}

// OutputPart is literal text, or an operand to fill in.
type OutputPart struct {
	Text    string
	Operand *Operand
}
