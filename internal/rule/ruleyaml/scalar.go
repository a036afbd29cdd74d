package ruleyaml

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// Scalar returns a scalar's value with the place in the file of each of
// its bytes. YAML folds lines, strips indentation and resolves escapes; where
// value and file cannot be aligned, all bytes are at the scalar's beginning.
func Scalar(src *ast.Source, n *yaml.Node) *ast.Text {
	start := src.Offset(n.Line, n.Column)
	a := aligner{data: src.Data, pos: SkipProperties(src.Data, start), value: n.Value}
	start = a.pos
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		a.skipLine()
	case n.Style&yaml.DoubleQuotedStyle != 0:
		a.quote, a.pos = '"', a.pos+1
	case n.Style&yaml.SingleQuotedStyle != 0:
		a.quote, a.pos = '\'', a.pos+1
	}
	if offs, ok := a.run(); ok {
		return ast.NewText(n.Value, src, offs)
	}
	return ast.NewText(n.Value, src, []int32{int32(start)})
}

// SkipProperties moves behind an anchor or a tag.
func SkipProperties(data string, pos int) int {
	for pos < len(data) && (data[pos] == '&' || data[pos] == '!') {
		for pos < len(data) && !isSpace(data[pos]) {
			pos++
		}
		for pos < len(data) && isSpace(data[pos]) {
			pos++
		}
	}
	return pos
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// aligner walks through a value and its source side by side.
type aligner struct {
	data, value string
	pos         int
	quote       byte
}

func (a *aligner) skipLine() {
	if i := strings.IndexByte(a.data[a.pos:], '\n'); i >= 0 {
		a.pos += i + 1
	}
}

func (a *aligner) run() ([]int32, bool) {
	offs := make([]int32, 0, len(a.value)+1)
	for k := 0; k < len(a.value); {
		c := a.value[k]
		if !isSpace(c) {
			a.skipSpace()
		}
		if a.pos >= len(a.data) {
			// folding and chomping leave at most blanks behind the text
			if !isSpace(c) {
				return nil, false
			}
			offs = append(offs, int32(len(a.data)))
			k++
			continue
		}
		if a.quote == '"' && a.data[a.pos] == '\\' {
			text, n := escape(a.data[a.pos:])
			if text == "" || !strings.HasPrefix(a.value[k:], text) {
				return nil, false
			}
			for range len(text) {
				offs = append(offs, int32(a.pos))
			}
			k, a.pos = k+len(text), a.pos+n
			continue
		}
		offs = append(offs, int32(a.pos))
		k++
		switch {
		case a.quote == '\'' && c == '\'' && strings.HasPrefix(a.data[a.pos:], "''"):
			a.pos += 2
		case a.data[a.pos] == c, isSpace(c) && isSpace(a.data[a.pos]):
			a.pos++
		case isSpace(c): // a line break that stands for two
		default:
			return nil, false
		}
	}
	return append(offs, int32(a.pos)), true
}

// skipSpace moves over blanks and line breaks, also escaped ones.
func (a *aligner) skipSpace() {
	for a.pos < len(a.data) {
		if a.quote == '"' && a.data[a.pos] == '\\' && a.pos+1 < len(a.data) && (a.data[a.pos+1] == '\n' || a.data[a.pos+1] == '\r') {
			a.pos += 2
			continue
		}
		if !isSpace(a.data[a.pos]) {
			return
		}
		a.pos++
	}
}

// escape decodes an escape of a double-quoted scalar and returns its text and
// its length in the file; "" where it is none.
func escape(s string) (string, int) {
	if len(s) < 2 {
		return "", 0
	}
	const letters, values = `0abtnvfre "/\`, "\x00\a\b\t\n\v\f\r\x1b \"/\\"
	if i := strings.IndexByte(letters, s[1]); i >= 0 {
		return values[i : i+1], 2
	}
	switch s[1] {
	case '\t':
		return "\t", 2
	case 'N':
		return "\u0085", 2
	case '_':
		return "\u00a0", 2
	case 'L':
		return "\u2028", 2
	case 'P':
		return "\u2029", 2
	}
	if i := strings.IndexByte("xuU", s[1]); i >= 0 {
		n := 2 + 2<<i
		if len(s) >= n {
			if v, err := strconv.ParseUint(s[2:n], 16, 32); err == nil {
				return string(rune(v)), n
			}
		}
	}
	return "", 0
}
