package rule

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// clean replaces what has no form of its own in a rule file, such as control
// characters and changes of direction, so that what is printed cannot steer a
// terminal or show other text than there is.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, s)
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// Condition returns the rule's condition as text over several lines; with
// expand, macros are written out.
func (r *Rule) Condition(expand bool) string {
	if r.src.Condition == nil {
		return ""
	}
	return ast.Format(r.src.Condition, expand)
}

// Explain writes all there is to know about a rule, for people.
func (r *Rule) Explain(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", clean(r.info.Name))
	if r.info.Desc != "" {
		fmt.Fprintf(&b, "  %s\n", clean(strings.Join(strings.Fields(r.info.Desc), " ")))
	}
	for _, n := range []struct{ title, text string }{{"false positives", r.info.FalsePositives}, {"response", r.info.Response}} {
		if n.text != "" {
			fmt.Fprintf(&b, "  %s: %s\n", n.title, clean(strings.Join(strings.Fields(n.text), " ")))
		}
	}
	pos := r.Pos()
	fmt.Fprintf(&b, "\ndefined    %s:%d\n", clean(pos.File), pos.Line)
	fmt.Fprintf(&b, "priority   %s\n", r.info.Priority)
	if len(r.info.Tags) > 0 {
		fmt.Fprintf(&b, "tags       %s\n", clean(strings.Join(r.info.Tags, ", ")))
	}
	status := r.status.String()
	switch r.status {
	case Waiting:
		status += " for " + r.reason
	case Disabled:
		status += ": " + r.reason
	}
	fmt.Fprintf(&b, "status     %s\n", clean(status))
	fmt.Fprintf(&b, "events     %s\n", r.eventsText())
	if missing := r.NotYet(); len(missing) > 0 && r.status == Live {
		fmt.Fprintf(&b, "not yet    %s\n", strings.Join(missing, ", "))
	}
	if r.status == Live {
		fmt.Fprintf(&b, "cost       at most about %d ns an event\n", r.cost)
	}
	if fields := r.Fields(); len(fields) > 0 {
		fmt.Fprintf(&b, "fields     %s\n", clean(strings.Join(fields, ", ")))
	}
	if r.src.Condition != nil {
		fmt.Fprintf(&b, "condition\n%s\n", indent(cleanLines(r.Condition(true))))
	}
	if r.Correlates() {
		fmt.Fprintf(&b, "counts     %s\n", clean(r.Correlation()))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the explanation: %w", err)
	}
	return nil
}

func (r *Rule) eventsText() string {
	switch {
	case r.src.Foreign:
		return "of source " + clean(r.info.Source)
	case r.anyEvt:
		return "any"
	case r.Correlates():
		return r.types.String()
	case len(r.names) == 0:
		return "none"
	}
	return strings.Join(r.names, ", ")
}

// List writes one line a rule.
func (s *Set) List(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STATUS\tPRIORITY\tRULE\tREASON")
	for _, r := range s.rules {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.status, r.info.Priority, clean(r.info.Name), clean(r.reason))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the list of rules: %w", err)
	}
	return nil
}

// strict finds what Falco would refuse in a rule.
func strict(r *Rule) []Diag {
	var out []Diag
	add := func(at ast.Span, format string, args ...any) {
		d := ast.NewDiag(ast.Error, ast.CodeStrict, at, format, args...)
		d.Item = fmt.Sprintf("rule %q", r.info.Name)
		out = append(out, d)
	}
	operand := func(o *ast.Operand) {
		switch {
		case o.Ref == nil:
		case o.Ref.Field().Own():
			add(o.At, "falco has no field %s", o.Ref.Name())
		}
	}
	if r.src.Foreign {
		return nil
	}
	if r.src.Condition != nil {
		ast.Walk(r.src.Condition, func(c *ast.Check) {
			c.Operands(operand)
			strictCheck(c, add)
		})
	}
	for _, p := range r.src.Output.Parts {
		var each func(o *ast.Operand)
		each = func(o *ast.Operand) {
			operand(o)
			if o.Ref == nil && o.Func == ast.NoFunc && o.Text == nil {
				add(o.At, "falco refuses a rule with the unknown field %s in its output", o.String())
			}
			for _, a := range o.Args {
				each(a)
			}
		}
		if p.Operand != nil {
			each(p.Operand)
		}
	}
	return out
}

func strictCheck(c *ast.Check, add func(ast.Span, string, ...any)) {
	if c.Left.Ref != nil && isTypeField(c.Left.Ref) {
		for _, v := range c.Values {
			if v.Text == event.Gap.String() || v.Text == event.Limit.String() || v.Text == event.Creds.String() || v.Text == event.Firewall.String() || v.Text == event.Finding.String() {
				add(v.At, "falco has no event %s", v.Text)
			}
		}
	}
	if c.Op == ast.OpRegex {
		for _, v := range c.Values {
			if !ast.PosixRegexp(v.Text) {
				add(v.At, "falco knows POSIX regular expressions only")
			}
		}
	}
}
