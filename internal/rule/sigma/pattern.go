package sigma

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// pattern is a value: literal text and wildcards between.
type pattern []part

// part is literal text, or a wildcard: * or ?.
type part struct {
	text string
	wild byte
}

// parsePattern reads a value. A backslash in front of a wildcard makes it plain,
// and one in front of a backslash makes that one; others stand for themselves.
func parsePattern(s string) pattern {
	var p pattern
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			p = append(p, part{text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`\*?`, s[i+1]) >= 0:
			i++
			lit.WriteByte(s[i])
		case c == '*' || c == '?':
			flush()
			if c == '?' || len(p) == 0 || p[len(p)-1].wild != '*' {
				p = append(p, part{wild: c})
			}
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return p
}

// literal returns the text of a pattern without wildcards.
func (p pattern) literal() (string, bool) {
	switch {
	case len(p) == 0:
		return "", true
	case len(p) == 1 && p[0].wild == 0:
		return p[0].text, true
	}
	return "", false
}

// around puts stars where a value may stand within other text.
func (p pattern) around(m match) pattern {
	out := pattern{}
	if (m == matchContains || m == matchEnd) && (len(p) == 0 || p[0].wild != '*') {
		out = append(out, part{wild: '*'})
	}
	out = append(out, p...)
	if (m == matchContains || m == matchStart) && out[len(out)-1].wild != '*' {
		out = append(out, part{wild: '*'})
	}
	return out
}

// glob writes the pattern for the operator glob.
func (p pattern) glob() string {
	var b strings.Builder
	for _, x := range p {
		if x.wild != 0 {
			b.WriteByte(x.wild)
			continue
		}
		for i := range len(x.text) {
			if strings.IndexByte(`\*?[]()|+@!`, x.text[i]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(x.text[i])
		}
	}
	return b.String()
}

// lower is ASCII's lower case, which is what tolower makes of a field.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// dashes stand for each other with windash.
const dashes = "-/–—―"

// windash returns the text with each sign of an option replaced by all others;
// false where there are too many.
func windash(s string, most int) ([]string, bool) {
	out := []string{""}
	prev := ' '
	for i, r := range s {
		next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		if !strings.ContainsRune(dashes, r) || word(prev) || !word(next) {
			for k := range out {
				out[k] += string(r)
			}
			prev = r
			continue
		}
		prev = r
		if len(out)*5 > most {
			return nil, false
		}
		var more []string
		for _, o := range out {
			for _, d := range dashes {
				more = append(more, o+string(d))
			}
		}
		out = more
	}
	return out, true
}

func word(r rune) bool {
	return r != utf8.RuneError && (r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
}

// encode applies an encoding; the result has several texts where it depends on
// where the text stands.
func encode(how, s string) []string {
	switch how {
	case "base64":
		return []string{base64.StdEncoding.EncodeToString([]byte(s))}
	case "base64offset":
		return base64Offsets(s)
	case "utf16":
		return []string{"\xff\xfe" + wide(s, false)}
	case "utf16be":
		return []string{wide(s, true)}
	}
	return []string{wide(s, false)} // utf16le, wide
}

func wide(s string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

// base64Offsets returns what is certain of a text's encoding where it begins at
// the first, second and third of three bytes.
func base64Offsets(s string) []string {
	var out []string
	for shift := range 3 {
		enc := base64.StdEncoding.EncodeToString(append(make([]byte, shift), s...))
		from := []int{0, 2, 3}[shift]  // characters that the bytes before have a part in
		to := (len(s) + shift) * 8 / 6 // whole characters
		if to > from {
			out = append(out, enc[from:to])
		}
	}
	return out
}
