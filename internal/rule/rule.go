package rule

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// Status says whether a rule is at work.
type Status uint8

// The statuses.
const (
	// Live rules are evaluated.
	Live Status = iota
	// Waiting rules are in order, and need events or fields that no sensor
	// reports yet.
	Waiting
	// Disabled rules are switched off, skipped, or can never be true.
	Disabled
)

// String returns "live", "waiting" or "disabled".
func (s Status) String() string { return [...]string{"live", "waiting", "disabled"}[min(s, Disabled)] }

// Rule is a loaded rule. It does not change after Load.
type Rule struct {
	info   event.RuleInfo
	index  int
	status Status
	reason string
	types  event.TypeSet // the types it is evaluated for, when live
	names  []string      // the names of events that can satisfy it
	reach  event.TypeSet // the types of these, as far as there are sensors for them
	anyEvt bool          // the condition does not restrict the events
	cost   int
	output *output
	src    *ast.Rule
}

// Info describes the rule. The result is shared and must not be changed.
func (r *Rule) Info() *event.RuleInfo { return &r.info }

// Index is the rule's number in its set, in the order of definition.
func (r *Rule) Index() int { return r.index }

// Status says whether the rule is at work, and Reason why not.
func (r *Rule) Status() Status { return r.status }

// Reason is empty for live rules.
func (r *Rule) Reason() string { return r.reason }

// Types are the types of events that a live rule is evaluated for.
func (r *Rule) Types() event.TypeSet { return r.types }

// EventNames are the names of events that can satisfy the condition, also of
// those that no sensor reports yet. Nil means that it does not restrict them.
func (r *Rule) EventNames() []string {
	if r.anyEvt {
		return nil
	}
	return r.names
}

// NotYet lists the names of events among them that no sensor reports yet.
func (r *Rule) NotYet() []string {
	if r.anyEvt {
		return nil
	}
	var out []string
	for _, n := range r.names {
		if _, ok := event.TypesNamed(n); !ok {
			out = append(out, n)
		}
	}
	return out
}

// Cost estimates the nanoseconds that evaluating the whole condition takes.
func (r *Rule) Cost() int { return r.cost }

// Pos is where the rule is defined.
func (r *Rule) Pos() ast.Pos { return r.src.At.Pos() }

// Fields lists the fields of the condition in their order, without repeats.
func (r *Rule) Fields() []string {
	var out []string
	seen := map[string]bool{}
	if r.src.Condition == nil {
		return nil
	}
	ast.Walk(r.src.Condition, func(c *ast.Check) {
		c.Operands(func(o *ast.Operand) {
			if o.Func == ast.NoFunc && o.Text == nil && !seen[o.String()] {
				seen[o.String()] = true
				out = append(out, o.String())
			}
		})
	})
	return out
}

// Alert makes the rule's alert about an event.
func (r *Rule) Alert(ev *event.Event) event.Alert {
	text, fields := r.output.render(ev)
	return event.Alert{Rule: &r.info, Event: ev, Time: ev.Time, Output: text, Fields: fields}
}

// output is a compiled message.
type output struct {
	parts  []outputPart
	fields []outputPart // each operand once
	slots  *slots
}

type outputPart struct {
	text string
	// name and ref, or str for functions, are set for operands; ref is nil
	// for a field that does not exist.
	name string
	ref  *event.Ref
	str  strFunc
}

func compileOutput(o *ast.Output) *output {
	out := &output{slots: newSlots()}
	seen := map[string]bool{}
	for _, p := range o.Parts {
		part := outputPart{text: p.Text}
		if op := p.Operand; op != nil {
			part.name, part.ref = op.String(), op.Ref
			if op.Func != ast.NoFunc && bound(op) {
				part.str = out.function(op)
			}
			if !seen[part.name] {
				seen[part.name] = true
				out.fields = append(out.fields, part)
			}
		}
		out.parts = append(out.parts, part)
	}
	return out
}

// bound reports whether all fields of an operand exist.
func bound(o *ast.Operand) bool {
	if o.Text != nil {
		return true
	}
	for _, a := range o.Args {
		if !bound(a) {
			return false
		}
	}
	return o.Func != ast.NoFunc && (len(o.Args) > 0) || o.Ref != nil
}

func (out *output) function(op *ast.Operand) strFunc {
	if !op.List {
		return out.slots.str(op)
	}
	return out.slots.join(&ast.Operand{Name: "join", Func: ast.FuncJoin, Args: []*ast.Operand{op}})
}

// absent stands for a value that an event does not have.
const absent = "<NA>"

func (out *output) render(ev *event.Event) (string, []event.OutputField) {
	c := out.context(ev)
	return out.text(c), out.values(c)
}

func (out *output) context(ev *event.Event) *matchCtx {
	return &matchCtx{ev: ev, gen: 1, texts: make([]textSlot, len(out.slots.texts)), lists: make([]listSlot, len(out.slots.lists))}
}

// Text is the message about an event.
func (out *output) Text(ev *event.Event) string { return out.text(out.context(ev)) }

// text fills the message in.
func (out *output) text(c *matchCtx) string {
	ev := c.ev
	var b []byte
	for _, p := range out.parts {
		b = append(b, p.text...)
		if p.name == "" {
			continue
		}
		start, ok := len(b), false
		switch {
		case p.ref != nil:
			b, ok = p.ref.AppendText(ev, b)
		case p.str != nil:
			var s string
			s, ok = p.str(c)
			b = append(b, s...)
		}
		if !ok {
			b = append(b[:start], absent...)
		}
	}
	return string(b)
}

// values are those of the fields that the message names.
func (out *output) values(c *matchCtx) []event.OutputField {
	ev := c.ev
	fields := make([]event.OutputField, 0, len(out.fields))
	for _, p := range out.fields {
		f := event.OutputField{Name: p.name, Null: true}
		switch {
		case p.ref != nil:
			f = p.ref.OutputField(ev)
		case p.str != nil:
			if s, ok := p.str(c); ok {
				f.Null, f.Str = false, strings.Clone(s)
			}
		}
		fields = append(fields, f)
	}
	return fields
}
