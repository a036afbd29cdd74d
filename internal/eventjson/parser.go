package eventjson

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of values that are skipped; the deepest that
// this package writes is five.
const maxDepth = 64

// parser reads one JSON text. It exists beside encoding/json because that
// replaces the escapes which hold bytes that are not UTF-8.
type parser struct {
	in    []byte
	pos   int
	depth int
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", p.pos, fmt.Sprintf(format, args...))
}

// peek returns the next byte that is not blank, or 0 at the end.
func (p *parser) peek() byte {
	for p.pos < len(p.in) {
		switch c := p.in[p.pos]; c {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) expect(c byte) error {
	if got := p.peek(); got != c || p.pos >= len(p.in) {
		if p.pos >= len(p.in) {
			return p.fail("expected %q, but the line ends here", c)
		}
		return p.fail("expected %q, found %q", c, got)
	}
	p.pos++
	return nil
}

// object calls member for each member, which must consume its value.
func (p *parser) object(member func(name string) error) error {
	return p.nested('{', '}', func() error {
		name, err := p.str()
		if err != nil {
			return err
		}
		if err := p.expect(':'); err != nil {
			return err
		}
		if p.peek() == 'n' { // null is the same as absent
			return p.literal("null")
		}
		return member(name)
	})
}

// list calls element for each element, which must consume it.
func (p *parser) list(element func() error) error { return p.nested('[', ']', element) }

func (p *parser) nested(open, closing byte, element func() error) error {
	if err := p.expect(open); err != nil {
		return err
	}
	if p.depth++; p.depth > maxDepth {
		return p.fail("values are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	if p.peek() == closing {
		p.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if p.peek() == ',' {
			p.pos++
			continue
		}
		return p.expect(closing)
	}
}

func (p *parser) literal(word string) error {
	if !strings.HasPrefix(string(p.in[p.pos:min(len(p.in), p.pos+len(word))]), word) {
		return p.fail("expected %s", word)
	}
	p.pos += len(word)
	return nil
}

// skip consumes a value of any kind.
func (p *parser) skip() error {
	switch c := p.peek(); {
	case c == '{':
		return p.object(func(string) error { return p.skip() })
	case c == '[':
		return p.list(p.skip)
	case c == '"':
		_, err := p.str()
		return err
	case c == 't':
		return p.literal("true")
	case c == 'f':
		return p.literal("false")
	case c == 'n':
		return p.literal("null")
	case c == '-' || c >= '0' && c <= '9':
		start := p.pos
		for p.pos < len(p.in) && strings.IndexByte("+-.eE0123456789", p.in[p.pos]) >= 0 {
			p.pos++
		}
		if _, err := strconv.ParseFloat(string(p.in[start:p.pos]), 64); err != nil && p.pos-start > 0 {
			if ne, ok := err.(*strconv.NumError); !ok || ne.Err != strconv.ErrRange {
				p.pos = start
				return p.fail("not a number")
			}
		}
		return nil
	}
	return p.fail("expected a value")
}

func (p *parser) boolean() (bool, error) {
	if p.peek() == 't' {
		return true, p.literal("true")
	}
	return false, p.literal("false")
}

// digits consumes an integer and returns its text.
func (p *parser) digits() (string, error) {
	p.peek()
	start := p.pos
	for p.pos < len(p.in) && strings.IndexByte("+-.eE0123456789", p.in[p.pos]) >= 0 {
		p.pos++
	}
	if start == p.pos {
		return "", p.fail("expected a number")
	}
	return string(p.in[start:p.pos]), nil
}

func (p *parser) unsigned(bits int) (uint64, error) {
	s, err := p.digits()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		return 0, p.fail("%s is not an integer from 0 to 2^%d-1", s, bits)
	}
	return n, nil
}

func (p *parser) signed() (int64, error) {
	s, err := p.digits()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, p.fail("%s is not an integer of 64 bits", s)
	}
	return n, nil
}

// str consumes a string and returns the bytes it stands for.
func (p *parser) str() (string, error) {
	if err := p.expect('"'); err != nil {
		return "", err
	}
	start := p.pos
	for p.pos < len(p.in) {
		switch c := p.in[p.pos]; {
		case c == '"':
			p.pos++
			return string(p.in[start : p.pos-1]), nil
		case c == '\\':
			return p.escaped(append([]byte(nil), p.in[start:p.pos]...))
		case c < 0x20:
			return "", p.fail("control character in a string")
		}
		p.pos++
	}
	return "", p.fail("the line ends inside a string")
}

// escaped continues a string at its first escape; out holds what came before.
func (p *parser) escaped(out []byte) (string, error) {
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch {
		case c == '"':
			p.pos++
			return string(out), nil
		case c < 0x20:
			return "", p.fail("control character in a string")
		case c != '\\':
			out = append(out, c)
			p.pos++
			continue
		}
		var err error
		if out, err = p.escape(out); err != nil {
			return "", err
		}
	}
	return "", p.fail("the line ends inside a string")
}

func (p *parser) escape(out []byte) ([]byte, error) {
	if p.pos+1 >= len(p.in) {
		return nil, p.fail("the line ends inside an escape")
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.in[p.pos+1]
	if i := strings.IndexByte(from, c); i >= 0 {
		p.pos += 2
		return append(out, to[i]), nil
	}
	r, ok := p.unicodeEscape(p.pos)
	if !ok {
		return nil, p.fail("unknown escape")
	}
	switch {
	case r >= 0xdc80 && r <= 0xdcff: // a byte that is not UTF-8
		p.pos += 6
		return append(out, byte(r)), nil
	case utf16.IsSurrogate(r):
		low, ok := p.unicodeEscape(p.pos + 6)
		if full := utf16.DecodeRune(r, low); ok && full != utf8.RuneError {
			p.pos += 12
			return utf8.AppendRune(out, full), nil
		}
		return nil, p.fail("surrogate without its pair")
	}
	p.pos += 6
	return utf8.AppendRune(out, r), nil
}

// unicodeEscape reads the \uXXXX at position i.
func (p *parser) unicodeEscape(i int) (rune, bool) {
	if i+6 > len(p.in) || p.in[i] != '\\' || p.in[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.in[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (p *parser) time() (time.Time, error) {
	s, err := p.str()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, p.fail("%q is not a time such as 2006-01-02T15:04:05.000000000Z", s)
	}
	return t.UTC(), nil
}
