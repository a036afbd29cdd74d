package ast

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// Severity says whether a diagnostic keeps a rule set from loading.
type Severity uint8

// The severities.
const (
	Error Severity = iota
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Code names the kind of a diagnostic; it is stable, for programs to read.
type Code string

// The codes.
const (
	CodeYAML         Code = "yaml"
	CodeKey          Code = "key"
	CodeValue        Code = "value"
	CodeSyntax       Code = "syntax"
	CodeUnknownField Code = "unknown-field"
	CodeUnknownType  Code = "unknown-event-type"
	CodeType         Code = "type"
	CodeMacro        Code = "macro"
	CodeList         Code = "list"
	CodeOutput       Code = "output"
	CodeOverride     Code = "override"
	CodeException    Code = "exception"
	CodeDeprecated   Code = "deprecated"
	CodeAllEvents    Code = "all-events"
	CodeLimit        Code = "limit"
	CodeStrict       Code = "falco-strict"
	CodeUnsupported  Code = "unsupported"
	CodeCorrelation  Code = "correlation"
)

// Diag is something to say about a rule file: what is wrong, where, and what
// to do.
type Diag struct {
	Severity Severity
	Code     Code
	Pos
	// Len is how many characters of the line are meant, at least 1.
	Len int
	// Item names what the diagnostic is about, such as `rule "Shell"`.
	Item string
	// Message is a lower-case sentence without a full stop.
	Message string
	// Source is the line of the file.
	Source string
}

// NewDiag makes a diagnostic about a span. An underline ends with its line.
func NewDiag(sev Severity, code Code, at Span, format string, args ...any) Diag {
	d := Diag{Severity: sev, Code: code, Len: 1, Message: fmt.Sprintf(format, args...)}
	if at.Text == nil {
		return d
	}
	src, off := at.Text.place(at.From)
	if src == nil {
		return d
	}
	d.Pos = src.Pos(off)
	d.Source = src.Line(d.Line)
	endSrc, end := at.Text.place(max(at.To-1, at.From))
	if endSrc == src && end >= off {
		endPos := src.Pos(end)
		if endPos.Line == d.Line {
			d.Len = endPos.Col - d.Col + 1
		} else {
			d.Len = max(1, utf8.RuneCountInString(strings.TrimRight(d.Source, " \t"))-d.Col+1)
		}
	}
	return d
}

// SortDiags orders diagnostics by the order of files and the place in them.
func SortDiags(diags []Diag, files []string) {
	rank := make(map[string]int, len(files))
	for i, f := range slices.Backward(files) {
		rank[f] = i
	}
	slices.SortStableFunc(diags, func(a, b Diag) int {
		return cmp.Or(rank[a.File]-rank[b.File], a.Line-b.Line, a.Col-b.Col)
	})
}

// String returns "file:line:col: error: message".
func (d Diag) String() string {
	where := d.File
	if d.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Col)
	}
	item := ""
	if d.Item != "" {
		item = d.Item + ": "
	}
	return fmt.Sprintf("%s: %s: %s%s", where, d.Severity, item, d.Message)
}

// maxUnderlined bounds how much of a long line is shown.
const maxUnderlined = 160

// Excerpt returns the line of the file and a line of carets under what is
// meant, or "" where there is no line to show. Control characters of the file
// are replaced, so that the excerpt is safe to print.
func (d Diag) Excerpt() string {
	if d.Source == "" {
		return ""
	}
	line := []rune(d.Source)
	col := min(max(d.Col-1, 0), len(line))
	if len(line) > maxUnderlined {
		from := max(0, min(col-maxUnderlined/2, len(line)-maxUnderlined))
		line, col = line[from:from+maxUnderlined], col-from
	}
	pad := make([]rune, 0, col)
	for i, r := range line {
		switch {
		case r == '\t':
			line[i] = ' ' // as what prints it may write a tab in another way
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == utf8.RuneError:
			line[i] = '?'
		}
		if i < col {
			for range termtext.RuneWidth(r) {
				pad = append(pad, ' ')
			}
		}
	}
	n := min(max(d.Len, 1), max(len(line)-col, 1))
	if col+n <= len(line) {
		n = max(termtext.Width(string(line[col:col+n])), 1)
	}
	return string(line) + "\n" + string(pad) + strings.Repeat("^", n)
}
