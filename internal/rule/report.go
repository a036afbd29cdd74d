package rule

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// Diag is an error or a warning about a rule file.
type Diag = ast.Diag

// The severities of a Diag.
const (
	Error   = ast.Error
	Warning = ast.Warning
)

// Report is what Load found out.
type Report struct {
	Diags []Diag
	Set   *Set
}

// Errors counts the errors; with none, all rules of the files are in the set.
func (r *Report) Errors() int { return r.count(ast.Error) }

// Warnings counts the warnings.
func (r *Report) Warnings() int { return r.count(ast.Warning) }

func (r *Report) count(s ast.Severity) int {
	n := 0
	for _, d := range r.Diags {
		if d.Severity == s {
			n++
		}
	}
	return n
}

// Err returns nil, or an error that names the first mistake and counts the
// others.
func (r *Report) Err() error {
	n := r.Errors()
	for _, d := range r.Diags {
		switch {
		case d.Severity != ast.Error:
		case n == 1:
			return fmt.Errorf("loading rules: %s", d)
		default:
			return fmt.Errorf("loading rules: %s (and %s more)", d, plural(n-1, "error"))
		}
	}
	return nil
}

// Summary counts rules by status.
type Summary struct {
	Live     int `json:"live"`
	Waiting  int `json:"waiting"`
	Disabled int `json:"disabled"`
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
}

// Summary counts the rules and messages.
func (r *Report) Summary() Summary {
	s := Summary{Errors: r.Errors(), Warnings: r.Warnings()}
	for _, rule := range r.Set.rules {
		switch rule.status {
		case Live:
			s.Live++
		case Waiting:
			s.Waiting++
		case Disabled:
			s.Disabled++
		}
	}
	return s
}

// WriteText writes the messages with the lines that they are about, and a
// summary, for people.
func (r *Report) WriteText(w io.Writer) error {
	for _, d := range r.Diags {
		if _, err := fmt.Fprintln(w, clean(d.String())); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		if x := d.Excerpt(); x != "" {
			if _, err := fmt.Fprintln(w, indent(x)); err != nil {
				return fmt.Errorf("writing the report: %w", err)
			}
		}
	}
	s := r.Summary()
	_, err := fmt.Fprintf(w, "%s live, %d waiting, %d disabled; %s, %s\n",
		plural(s.Live, "rule"), s.Waiting, s.Disabled, plural(s.Errors, "error"), plural(s.Warnings, "warning"))
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	reasons := map[string]int{}
	for _, rule := range r.Set.rules {
		if rule.status == Waiting {
			reasons[rule.reason]++
		}
	}
	keys := make([]string, 0, len(reasons))
	for k := range reasons {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return reasons[keys[i]] > reasons[keys[j]] || reasons[keys[i]] == reasons[keys[j]] && keys[i] < keys[j]
	})
	for _, k := range keys {
		if _, err := fmt.Fprintf(w, "  %d waiting for %s\n", reasons[k], clean(k)); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// jsonDiag is a message as WriteJSON writes it.
type jsonDiag struct {
	Kind     string `json:"kind"`
	Severity string `json:"severity"`
	Code     string `json:"code"`
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Col      int    `json:"col,omitempty"`
	Len      int    `json:"len,omitempty"`
	Item     string `json:"item,omitempty"`
	Message  string `json:"message"`
	Source   string `json:"source,omitempty"`
}

// WriteJSON writes one JSON object a line: the messages, then a summary.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, d := range r.Diags {
		j := jsonDiag{"diagnostic", d.Severity.String(), string(d.Code), d.File, d.Line, d.Col, d.Len, d.Item, d.Message, d.Source}
		if d.Line == 0 {
			j.Len = 0
		}
		if err := enc.Encode(j); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	err := enc.Encode(struct {
		Kind string `json:"kind"`
		Summary
	}{"summary", r.Summary()})
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
