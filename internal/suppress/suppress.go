// Package suppress writes the exception that silences an alert, as narrow as
// what is known of it allows, and makes sure that it does.
//
// In come an alert's JSON line and the rule files that are in use; out goes
// text to put into a rule file of one's own. `bearcat rules suppress` calls it.
package suppress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
	"github.com/bearcat-hids/bearcat/internal/rule"
)

// facts are the fields that say what an alert is about and that are the same the
// next time, the most telling first. Pids, times and the ports of clients are
// not.
func facts() []string {
	return []string{
		"proc.exepath", "proc.cmdline", "proc.pexepath", "proc.pcmdline", "bc.proc.script", "user.name",
		"container.image.repository", "container.id",
		"bc.shell.exepath", "bc.shell.cmdline", "bc.shell.remote_ip", "bc.shell.relay_exe[0]",
		"fs.path.name", "fs.path.target", "fd.rip", "evt.type",
	}
}

// maxValue bounds a value; a longer one is left out.
const maxValue = 4096

// alert is what is read of the line beside its event.
type alert struct {
	ID      string    `json:"id"`
	Rule    string    `json:"rule"`
	Time    time.Time `json:"time"`
	Summary string    `json:"summary"`
}

// Result is an exception.
type Result struct {
	// Rule is the rule's name and ID the alert's.
	Rule string `json:"rule"`
	ID   string `json:"id"`
	// Text is the exception, to be put into a rule file.
	Text string `json:"text"`
	// Fields and Values are what has to be equal for it to hold.
	Fields []string `json:"fields"`
	Values []string `json:"values"`
}

// Exception makes the exception for an alert. files are the rule files in use,
// in their order, and existing is what the file that is to take it holds already.
func Exception(line []byte, files []rule.File, existing rule.File) (*Result, error) {
	var a alert
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, fmt.Errorf("reading the alert: %w", err)
	}
	ev, err := eventjson.DecodeEvent(line)
	if err != nil {
		return nil, fmt.Errorf("reading the alert: %w: an alert that only tells of repeats holds none; take the one that it names", err)
	}
	set, report := rule.Load(files, rule.Options{})
	if len(existing.Data) > 0 {
		before := report.Errors()
		files = append(slices.Clone(files), existing)
		if set, report = rule.Load(files, rule.Options{}); report.Errors() > before {
			return nil, fmt.Errorf("%s has mistakes, which bearcat rules check shows: mend them first: %w", existing.Name, report.Err())
		}
	}
	if _, ok := set.Rule(a.Rule); !ok {
		return nil, fmt.Errorf("rule %q is not among the rules: name the files that the agent uses with --rules", a.Rule)
	}
	if !matches(set, a.Rule, ev) {
		return nil, fmt.Errorf("rule %q as it is now does not match the alert's event: there is nothing to silence, or the agent uses other rules (--rules)", a.Rule)
	}
	r := &Result{Rule: a.Rule, ID: a.ID}
	r.collect(ev)
	if len(r.Fields) == 0 {
		return nil, fmt.Errorf("the alert holds nothing that an exception could be made of: write one by hand, with bearcat rules explain %q", a.Rule)
	}
	r.Text = r.text(&a)
	return r, r.check(ev, files, existing, report.Errors())
}

func matches(set *rule.Set, name string, ev *event.Event) bool {
	found := false
	rule.NewEngine(set, rule.MatchAll).Match(ev, func(r *rule.Rule) { found = found || r.Info().Name == name })
	return found
}

// collect finds what is to be equal.
func (r *Result) collect(ev *event.Event) {
	for _, name := range facts() {
		base, arg, _ := strings.Cut(strings.TrimSuffix(name, "]"), "[")
		ref, err := event.Lookup(base, arg)
		if err != nil {
			continue
		}
		b, ok := ref.AppendText(ev, nil)
		value := string(b)
		if !ok || !plain(value) {
			continue
		}
		if name == "container.id" && slices.Contains(r.Fields, "container.image.repository") {
			continue // another container of the image is as good
		}
		r.Fields, r.Values = append(r.Fields, name), append(r.Values, value)
	}
}

// plain reports whether a value can stand in a rule file and mean the same.
func plain(s string) bool {
	return s != "" && len(s) <= maxValue && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// text writes the exception.
func (r *Result) text(a *alert) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Alert %s of %s: %s\n", comment(a.ID), a.Time.UTC().Format("2006-01-02 15:04:05 MST"), comment(a.Rule))
	if a.Summary != "" {
		fmt.Fprintf(&b, "# %s\n", comment(a.Summary))
	}
	b.WriteString("# All fields have to be equal for the exception to hold. To make it wider, take a\n# field away together with its comparison and its value.\n")
	fmt.Fprintf(&b, "- rule: %s\n  exceptions:\n    - name: %s\n", quote(r.Rule), quote("alert_"+r.ID))
	fmt.Fprintf(&b, "      fields: [%s]\n", strings.Join(quoted(r.Fields), ", "))
	fmt.Fprintf(&b, "      comps: [%s]\n", strings.Join(slices.Repeat([]string{`"="`}, len(r.Fields)), ", "))
	b.WriteString("      values:\n        - - " + quote(r.Values[0]) + "\n")
	for _, v := range r.Values[1:] {
		b.WriteString("          - " + quote(v) + "\n")
	}
	b.WriteString("  override:\n    exceptions: append\n")
	return b.String()
}

// quote writes a value between double quotes, where YAML and JSON are the same.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return strings.TrimSpace(b.String())
}

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(s)
	}
	return out
}

// comment makes text safe to stand behind # on one line.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, s)
}

// check makes sure that the exception compiles, silences the alert, and breaks
// nothing.
func (r *Result) check(ev *event.Event, files []rule.File, existing rule.File, errorsBefore int) error {
	file := rule.File{Name: existing.Name, Data: Append(existing.Data, r.Text)}
	if len(existing.Data) > 0 {
		files = files[:len(files)-1]
	}
	set, report := rule.Load(append(slices.Clone(files), file), rule.Options{})
	if report.Errors() > errorsBefore {
		return fmt.Errorf("the exception for alert %s does not compile, so nothing was written: %w", r.ID, report.Err())
	}
	if matches(set, r.Rule, ev) {
		return fmt.Errorf("the exception for alert %s would not silence it, so nothing was written: write one by hand, with bearcat rules explain %q", r.ID, r.Rule)
	}
	return nil
}

// Append puts text behind what a rule file holds.
func Append(data []byte, text string) []byte {
	out := bytes.TrimRight(data, "\n")
	if len(out) > 0 {
		out = append(slices.Clone(out), "\n\n"...)
	}
	return append(out, text...)
}
