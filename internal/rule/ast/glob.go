package ast

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Glob is a compiled shell pattern that must match a whole string: * matches
// any text, also slashes, ? one character, [a-z] and [!a-z] a set. The
// extended forms ?(a|b), *(a|b), +(a|b) and @(a|b) are understood too.
type Glob struct {
	literal string
	isLit   bool
	// prefix and suffix serve the common patterns with one star.
	prefix, suffix string
	oneStar        bool
	re             *regexp.Regexp
}

// maxGlob bounds a pattern, and with it the time that matching takes.
const maxGlob = 4096

// CompileGlob compiles a pattern; fold makes it ignore case.
func CompileGlob(pattern string, fold bool) (*Glob, error) {
	if len(pattern) > maxGlob {
		return nil, fmt.Errorf("it is longer than %d bytes", maxGlob)
	}
	plain := !strings.ContainsAny(pattern, `?[\(`)
	if plain && !fold {
		switch strings.Count(pattern, "*") {
		case 0:
			return &Glob{literal: pattern, isLit: true}, nil
		case 1:
			i := strings.IndexByte(pattern, '*')
			return &Glob{prefix: pattern[:i], suffix: pattern[i+1:], oneStar: true}, nil
		}
	}
	var b strings.Builder
	b.WriteString(`(?s`)
	if fold {
		b.WriteByte('i')
	}
	b.WriteString(`)\A`)
	t := globTranslator{in: pattern, out: &b}
	if err := t.run(0); err != nil {
		return nil, err
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("it has a character range that ends before it begins, or is too complex")
	}
	return &Glob{re: re}, nil
}

// Literal returns the only string the pattern matches, if it is such a one.
func (g *Glob) Literal() (string, bool) { return g.literal, g.isLit }

// Match reports whether the whole of s fits the pattern.
func (g *Glob) Match(s string) bool {
	switch {
	case g.isLit:
		return s == g.literal
	case g.oneStar:
		return len(s) >= len(g.prefix)+len(g.suffix) && strings.HasPrefix(s, g.prefix) && strings.HasSuffix(s, g.suffix)
	}
	return g.re.MatchString(s)
}

// globTranslator writes a pattern as a regular expression.
type globTranslator struct {
	in  string
	pos int
	out *strings.Builder
}

// maxGroups bounds the nesting of extended groups.
const maxGroups = 8

func (t *globTranslator) run(depth int) error {
	for t.pos < len(t.in) {
		c := t.in[t.pos]
		if strings.IndexByte("?*+@!", c) >= 0 && t.pos+1 < len(t.in) && t.in[t.pos+1] == '(' {
			if err := t.group(c, depth); err != nil {
				return err
			}
			continue
		}
		switch {
		case depth > 0 && c == '|':
			t.out.WriteByte('|')
		case depth > 0 && c == ')':
			return nil
		case c == '*':
			t.out.WriteString(`.*`)
		case c == '?':
			t.out.WriteByte('.')
		case c == '[' && t.class():
			continue
		case c == '\\' && t.pos+1 < len(t.in):
			t.pos++
			t.rune()
			continue
		default:
			t.rune()
			continue
		}
		t.pos++
	}
	if depth > 0 {
		return fmt.Errorf("a group is not closed: put a ) behind it")
	}
	return nil
}

// rune writes the character at the position, quoted.
func (t *globTranslator) rune() {
	_, n := utf8.DecodeRuneInString(t.in[t.pos:])
	s := t.in[t.pos : t.pos+n]
	if !utf8.ValidString(s) {
		s = string(utf8.RuneError)
	}
	t.out.WriteString(regexp.QuoteMeta(s))
	t.pos += n
}

func (t *globTranslator) group(kind byte, depth int) error {
	if kind == '!' {
		return fmt.Errorf("!(...) is not supported: use not and glob")
	}
	if depth == maxGroups {
		return fmt.Errorf("groups are nested deeper than %d", maxGroups)
	}
	t.out.WriteString("(?:")
	t.pos += 2
	if err := t.run(depth + 1); err != nil {
		return err
	}
	t.pos++ // the closing parenthesis
	t.out.WriteByte(')')
	if kind != '@' {
		t.out.WriteByte(kind)
	}
	return nil
}

// class writes a bracket expression. An unclosed one is a plain bracket, as
// in the shell: false is returned and nothing is written.
func (t *globTranslator) class() bool {
	i := t.pos + 1
	var set strings.Builder
	set.WriteByte('[')
	if i < len(t.in) && (t.in[i] == '!' || t.in[i] == '^') {
		set.WriteByte('^')
		i++
	}
	for first := true; i < len(t.in); first = false {
		c := t.in[i]
		switch {
		case c == ']' && !first:
			set.WriteByte(']')
			t.out.WriteString(set.String())
			t.pos = i + 1
			return true
		case c == '[' && strings.HasPrefix(t.in[i:], "[:"):
			if end := strings.Index(t.in[i:], ":]"); end > 0 {
				set.WriteString(t.in[i : i+end+2])
				i += end + 2
				continue
			}
			set.WriteString(`\[`)
		case c == '\\' && i+1 < len(t.in):
			i++
			if strings.IndexByte(`\^[]-&~`, t.in[i]) >= 0 {
				set.WriteByte('\\')
			}
			set.WriteByte(t.in[i])
		case c == '-':
			set.WriteByte('-')
		case c < utf8.RuneSelf:
			if strings.IndexByte(`\^[]&~`, c) >= 0 {
				set.WriteByte('\\')
			}
			set.WriteByte(c)
		default:
			set.WriteByte(c)
		}
		i++
	}
	return false
}
