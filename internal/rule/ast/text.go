// Package ast holds the typed form of rules: what every rule loader makes of
// its text, and what the compiler in package rule reads.
//
// Loaders (package falco) build expressions of And, Or, Not, Check and Macro
// with positions in the files they come from, and call Resolve, which binds
// fields, checks types and reports mistakes as diagnostics. Nothing here
// depends on a rule file's format or reads files.
package ast

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// Source is the contents of a rule file. It belongs to one goroutine.
type Source struct {
	Name string
	Data string

	lines []int // offsets of line starts
	last  lastOffset
}

// NewSource makes a source of a file's name and contents.
func NewSource(name, data string) *Source {
	s := &Source{Name: name, Data: data, lines: []int{0}}
	for i := 0; i < len(data); i++ {
		if data[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// Offset returns the byte offset of a line and column, both from 1, the
// column counted in characters.
func (s *Source) Offset(line, col int) int {
	if line < 1 || line > len(s.lines) {
		return len(s.Data)
	}
	at, off := 1, s.lines[line-1]
	if line == s.last.line && col >= s.last.col {
		at, off = s.last.col, s.last.off
	}
	for ; at < col && off < len(s.Data) && s.Data[off] != '\n'; at++ {
		_, n := utf8.DecodeRuneInString(s.Data[off:])
		off += n
	}
	s.last = lastOffset{line, at, off}
	return off
}

// lastOffset is what was asked for last: who reads a list that stands on one line asks
// for one column after the other.
type lastOffset struct{ line, col, off int }

// Line returns the text of a line (from 1) without its end.
func (s *Source) Line(line int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	rest := s.Data[s.lines[line-1]:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return strings.TrimSuffix(rest, "\r")
}

// Pos is a place in a file; Line and Col count from 1, Col in characters.
type Pos struct {
	File      string
	Line, Col int
}

// Pos returns the place of a byte offset.
func (s *Source) Pos(off int) Pos {
	off = min(max(off, 0), len(s.Data))
	i := sort.SearchInts(s.lines, off+1) - 1
	return Pos{File: s.Name, Line: i + 1, Col: utf8.RuneCountInString(s.Data[s.lines[i]:off]) + 1}
}

// Text is a value of a rule file, such as a condition, with the place in the
// file of each of its bytes: YAML folds, escapes and indents, and a condition
// can be put together from several places.
type Text struct {
	Value string
	segs  []segment
}

type segment struct {
	from int // offset in Value
	src  *Source
	// offs holds a source offset for each byte and one for the end; with a
	// single element all bytes are at that place.
	offs []int32
}

// NewText makes a text whose bytes are at offs in src; a single offset stands
// for all of them.
func NewText(value string, src *Source, offs []int32) *Text {
	return &Text{Value: value, segs: []segment{{src: src, offs: offs}}}
}

// Append returns t followed by a blank and u.
func (t *Text) Append(u *Text) *Text {
	out := &Text{Value: t.Value + " " + u.Value, segs: append([]segment(nil), t.segs...)}
	for _, s := range u.segs {
		s.from += len(t.Value) + 1
		out.segs = append(out.segs, s)
	}
	return out
}

// place returns source and offset of a byte of the value.
func (t *Text) place(off int) (*Source, int) {
	if len(t.segs) == 0 {
		return nil, 0
	}
	i := len(t.segs) - 1
	for i > 0 && t.segs[i].from > off {
		i--
	}
	s := t.segs[i]
	return s.src, int(s.offs[min(max(off-s.from, 0), len(s.offs)-1)])
}

// Span is a part of a text.
type Span struct {
	Text     *Text
	From, To int
}

// Pos returns where the span begins.
func (s Span) Pos() Pos {
	if s.Text == nil {
		return Pos{}
	}
	if src, off := s.Text.place(s.From); src != nil {
		return src.Pos(off)
	}
	return Pos{}
}

// String returns the text of the span.
func (s Span) String() string {
	if s.Text == nil || s.From < 0 || s.To > len(s.Text.Value) || s.From > s.To {
		return ""
	}
	return s.Text.Value[s.From:s.To]
}

// Join returns the span from the beginning of s to the end of e.
func (s Span) Join(e Span) Span {
	if e.Text == s.Text && e.To > s.To {
		s.To = e.To
	}
	return s
}

// Source returns the file of the text's beginning, Offset its place there.
func (t *Text) Source() *Source {
	src, _ := t.place(0)
	return src
}

// Offset returns the byte offset of the text's beginning in Source.
func (t *Text) Offset() int {
	_, off := t.place(0)
	return off
}
