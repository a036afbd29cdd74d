// Package termtext writes text of unknown origin so that a terminal cannot be
// fooled by it. In come names, paths and arguments that an attacker may have
// chosen; out goes printable UTF-8 without control characters, characters that
// reorder or hide text, line breaks, or bytes that are not UTF-8. The console
// sink and every command that prints such text use it.
package termtext

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Append appends s for display in running text. A byte that must not reach a
// terminal is written as \xNN, a character as \u{N}; a backslash is doubled
// only where it could be mistaken for the start of one of these.
func Append(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		r, n := decode(s[i:])
		if r != '\\' && printable(r, n) || r == '\\' && !ambiguous(s[i+1:]) {
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch {
		case r == '\\':
			dst = append(dst, '\\', '\\')
		case r < utf8.RuneSelf || r == utf8.RuneError && n == 1:
			dst = appendByte(dst, s[i])
		default:
			dst = append(dst, '\\', 'u', '{')
			dst = strconv.AppendUint(dst, uint64(r), 16)
			dst = append(dst, '}')
		}
		i += n
		start = i
	}
	return append(dst, s[start:]...)
}

// String is Append to a new string.
func String(s string) string {
	if clean(s) && strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return string(Append(nil, s))
}

// AppendQuoted appends s as one word of a shell command: bare where no shell
// would split or expand it, otherwise in single quotes, or as $'…' where it
// holds what must be escaped. A shell such as bash reads it back as the same
// bytes in a UTF-8 locale.
func AppendQuoted(dst []byte, s string) []byte {
	switch {
	case bare(s):
		return append(dst, s...)
	case clean(s):
		dst = append(dst, '\'')
		for {
			i := strings.IndexByte(s, '\'')
			if i < 0 {
				break
			}
			dst = append(dst, s[:i]...)
			dst = append(dst, `'\''`...)
			s = s[i+1:]
		}
		dst = append(dst, s...)
		return append(dst, '\'')
	}
	dst = append(dst, '$', '\'')
	for i := 0; i < len(s); {
		r, n := decode(s[i:])
		switch {
		case r == '\\' || r == '\'':
			dst = append(dst, '\\', byte(r))
		case printable(r, n):
			dst = append(dst, s[i:i+n]...)
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\t':
			dst = append(dst, '\\', 't')
		default:
			// byte by byte, which reads back whatever the locale is
			for _, c := range []byte(s[i : i+n]) {
				dst = appendByte(dst, c)
			}
		}
		i += n
	}
	return append(dst, '\'')
}

// AppendCommand appends words as a shell command line, so that the bounds of
// each are visible.
func AppendCommand(dst []byte, words []string) []byte {
	for i, w := range words {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = AppendQuoted(dst, w)
	}
	return dst
}

func decode(s string) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	return utf8.DecodeRuneInString(s)
}

// printable reports whether a character of n bytes may reach a terminal as
// it is. The only blank that may is the space.
func printable(r rune, n int) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r < 0x7f
	}
	return !(r == utf8.RuneError && n == 1) && unicode.IsPrint(r)
}

// clean reports whether all of s is printable.
func clean(s string) bool {
	for i := 0; i < len(s); {
		r, n := decode(s[i:])
		if !printable(r, n) {
			return false
		}
		i += n
	}
	return true
}

// ambiguous reports whether a backslash before rest could be taken for the
// start of an escape.
func ambiguous(rest string) bool {
	if rest == "" {
		return true // what comes behind is not known here
	}
	r, n := decode(rest)
	return r == 'x' || r == 'u' || r == '\\' || !printable(r, n)
}

func appendByte(dst []byte, c byte) []byte {
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

// bare reports whether a shell reads s as one word with no quotes.
func bare(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_@%+=:,./-", c) >= 0) {
			return false
		}
	}
	return s != ""
}
