package ast

import "github.com/bearcat-hids/bearcat/internal/event"

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
}

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
