package process

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// redacted stands for what is not kept.
const redacted = "***"

// EnvFilter chooses the variables of an environment that are worth keeping and
// takes secrets out of their values: whole values of redacted keys, and user
// and password of every URL. It is immutable; any number of goroutines may
// use it.
type EnvFilter struct {
	keys   patterns
	redact patterns // of upper-case keys
}

// patterns is a compiled set of key patterns, laid out so that most keys are
// passed over after a look at their first and last byte.
type patterns struct {
	all    bool
	first  [256][]pattern // exact keys and prefixes, by their first byte
	last   [256][]string  // suffixes, by their last byte
	middle [][]byte
}

type pattern struct {
	text   string
	prefix bool
}

// NewEnvFilter compiles key patterns: "KEY", "PREFIX*", "*SUFFIX", "*MIDDLE*"
// or "*". Keys are matched exactly as to case, but "*_proxy" stands for
// "*_PROXY" too, since programs heed both; redact patterns match in any case.
func NewEnvFilter(keys, redact []string) (*EnvFilter, error) {
	f := new(EnvFilter)
	var errs []error
	for _, p := range keys {
		errs = append(errs, f.keys.add(p))
		if strings.HasPrefix(p, "*") && strings.HasSuffix(p, "_proxy") {
			errs = append(errs, f.keys.add(strings.ToUpper(p)))
		}
	}
	for _, p := range redact {
		errs = append(errs, f.redact.add(strings.ToUpper(p)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("compiling environment patterns: %w", err)
	}
	return f, nil
}

func (p *patterns) add(pat string) error {
	body, star := strings.CutPrefix(pat, "*")
	body, end := strings.CutSuffix(body, "*")
	switch {
	case pat == "*" || pat == "**":
		p.all = true
	case body == "":
		return errors.New("a pattern is empty: name a variable such as PATH or LD_*")
	case strings.ContainsAny(body, "*=\x00"):
		return fmt.Errorf("pattern %q: \"*\" can only stand at the beginning and at the end, and \"=\" and NUL are in no variable's name", pat)
	case star && end:
		p.middle = append(p.middle, []byte(body))
	case star:
		at := &p.last[body[len(body)-1]]
		*at = append(*at, body)
	default:
		at := &p.first[body[0]]
		*at = append(*at, pattern{body, end})
	}
	return nil
}

// match reports whether a key, which is not empty, has one of the patterns.
func (p *patterns) match(key []byte) bool {
	if p.all {
		return true
	}
	for _, c := range p.first[key[0]] {
		if n := len(c.text); (len(key) == n || c.prefix && len(key) > n) && string(key[:n]) == c.text {
			return true
		}
	}
	for _, s := range p.last[key[len(key)-1]] {
		if len(key) >= len(s) && string(key[len(key)-len(s):]) == s {
			return true
		}
	}
	for _, s := range p.middle {
		if bytes.Contains(key, s) {
			return true
		}
	}
	return false
}

// Select appends to dst the chosen variables of an environment in the kernel's
// form, each ended by a NUL, as "KEY=value" in their order. What has no "=" or
// no key is no variable. Variables that are not chosen cost no memory.
func (f *EnvFilter) Select(block []byte, dst []string) []string {
	for len(block) > 0 {
		v := block
		if end := bytes.IndexByte(block, 0); end >= 0 {
			v, block = block[:end], block[end+1:]
		} else {
			block = nil
		}
		eq := bytes.IndexByte(v, '=')
		if eq <= 0 || !f.keys.match(v[:eq]) {
			continue
		}
		dst = append(dst, f.clean(v, eq))
	}
	return dst
}

// clean returns the variable without its secrets.
func (f *EnvFilter) clean(v []byte, eq int) string {
	if f.secret(v[:eq]) {
		return string(v[:eq+1]) + redacted
	}
	at := bytes.LastIndexByte(v, '@')
	if at < eq {
		return string(v)
	}
	if isProxy(v[:eq]) {
		// a proxy is one URL, perhaps without its scheme, and an "@" can
		// only end a password in it, even one with an unescaped slash
		start := eq + 1
		if i := bytes.Index(v, []byte("://")); i > eq && i < at {
			start = i + len("://")
		}
		return string(v[:start]) + redacted + string(v[at:])
	}
	return cleanURLs(string(v))
}

// secret matches a key, in any case, with the redact patterns.
func (f *EnvFilter) secret(key []byte) bool {
	var buf [64]byte
	upper := buf[:0]
	for _, c := range key {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper = append(upper, c)
	}
	return f.redact.match(upper)
}

func isProxy(key []byte) bool {
	return bytes.HasSuffix(key, []byte("_proxy")) || bytes.HasSuffix(key, []byte("_PROXY"))
}

// cleanURLs replaces "user:password@" behind every "://".
func cleanURLs(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			break
		}
		i += len("://")
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexAny(s, "/?# \t\r\n\"'")
		if end < 0 {
			end = len(s)
		}
		if at := strings.LastIndexByte(s[:end], '@'); at >= 0 {
			b.WriteString(redacted)
			s = s[at:]
		}
	}
	if b.Len() == 0 {
		return s
	}
	b.WriteString(s)
	return b.String()
}
