package xdpfw

import (
	"fmt"
	"strconv"
	"strings"
)

// setting is one "name = value" of a configuration.
type setting struct {
	name string
	line int
	value
}

type kind uint8

const (
	text kind = iota
	number
	float
	boolean
	list // or an array
	group
)

func (k kind) String() string {
	return [...]string{"a string", "a whole number", "a number with a fraction", "true or false", "a list", "a group"}[k]
}

type value struct {
	kind
	line   int
	text   string
	number int64
	yes    bool
	list   []value
	group  []setting
}

// maxDepth is how far lists and groups may stand in one another.
const maxDepth = 16

// parser reads the format of libconfig.
type parser struct {
	file string
	rest string
	line int
}

// parseConfig reads a whole configuration.
func parseConfig(file, s string) ([]setting, error) {
	p := &parser{file: file, rest: s, line: 1}
	all, err := p.settings(0)
	if err == nil && p.rest != "" {
		err = p.wrong("there is a } without its {")
	}
	return all, err
}

func (p *parser) wrong(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...))
}

// take goes on behind n bytes.
func (p *parser) take(n int) string {
	s := p.rest[:n]
	p.line += strings.Count(s, "\n")
	p.rest = p.rest[n:]
	return s
}

// blank goes over blanks and comments.
func (p *parser) blank() error {
	for {
		p.take(len(p.rest) - len(strings.TrimLeft(p.rest, " \t\r\n\f\v")))
		switch {
		case strings.HasPrefix(p.rest, "#"), strings.HasPrefix(p.rest, "//"):
			n := strings.IndexByte(p.rest, '\n')
			if n < 0 {
				n = len(p.rest)
			}
			p.take(n)
		case strings.HasPrefix(p.rest, "/*"):
			n := strings.Index(p.rest[2:], "*/")
			if n < 0 {
				return p.wrong("a comment that begins with /* does not end")
			}
			p.take(n + 4)
		default:
			return nil
		}
	}
}

// accept takes one of the bytes if it is next, after blanks.
func (p *parser) accept(bytes string) (byte, error) {
	if err := p.blank(); err != nil || p.rest == "" || strings.IndexByte(bytes, p.rest[0]) < 0 {
		return 0, err
	}
	return p.take(1)[0], nil
}

func isName(c byte, first bool) bool {
	return c|32 >= 'a' && c|32 <= 'z' || c == '*' || !first && (c >= '0' && c <= '9' || c == '-' || c == '_')
}

// settings reads up to a } or the end.
func (p *parser) settings(depth int) ([]setting, error) {
	var all []setting
	seen := map[string]int{}
	for {
		if err := p.blank(); err != nil {
			return nil, err
		}
		if p.rest == "" || p.rest[0] == '}' {
			return all, nil
		}
		if p.rest[0] == '@' {
			return nil, p.wrong("@include is not followed: put the other file's text in its place")
		}
		n := 0
		for n < len(p.rest) && isName(p.rest[n], n == 0) {
			n++
		}
		if n == 0 {
			return nil, p.wrong("%q stands where the name of a setting should", p.rest[:1])
		}
		s := setting{line: p.line, name: p.take(n)}
		if at := seen[s.name]; at != 0 {
			return nil, p.wrong("%s: it is set in line %d already", s.name, at)
		}
		seen[s.name] = s.line
		c, err := p.accept("=:")
		if err != nil {
			return nil, err
		}
		if c == 0 {
			return nil, p.wrong("%s: there is no = behind it", s.name)
		}
		if s.value, err = p.value(depth); err != nil {
			return nil, err
		}
		all = append(all, s)
		if _, err := p.accept(";,"); err != nil {
			return nil, err
		}
	}
}

func (p *parser) value(depth int) (value, error) {
	if err := p.blank(); err != nil {
		return value{}, err
	}
	if depth > maxDepth {
		return value{}, p.wrong("lists and groups stand in one another more than %d deep", maxDepth)
	}
	v := value{line: p.line}
	var err error
	switch {
	case p.rest == "":
		return v, p.wrong("the file ends where a value should stand")
	case p.rest[0] == '{':
		p.take(1)
		v.kind = group
		if v.group, err = p.settings(depth + 1); err != nil {
			return v, err
		}
		if p.rest == "" {
			return v, p.wrong("the { of line %d has no }", v.line)
		}
		p.take(1)
	case p.rest[0] == '(' || p.rest[0] == '[':
		v.kind = list
		v.list, err = p.values(depth+1, map[byte]string{'(': ")", '[': "]"}[p.take(1)[0]])
	case p.rest[0] == '"':
		v.text, err = p.strings()
	default:
		err = p.word(&v)
	}
	return v, err
}

func (p *parser) values(depth int, end string) ([]value, error) {
	var all []value
	for {
		c, err := p.accept(end)
		if c != 0 || err != nil {
			return all, err
		}
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
		if c, err = p.accept("," + end); err != nil {
			return nil, err
		}
		switch {
		case c == 0:
			return nil, p.wrong("a list goes on without a comma or %s", end)
		case c == end[0]:
			return all, nil
		}
	}
}

// strings reads a string, and those that follow it: they are one.
func (p *parser) strings() (string, error) {
	var b strings.Builder
	for strings.HasPrefix(p.rest, `"`) {
		n := 1
		for n < len(p.rest) && p.rest[n] != '"' {
			if p.rest[n] == '\\' {
				n++
			}
			n++
		}
		if n >= len(p.rest) {
			return "", p.wrong("a string does not end")
		}
		quoted := p.rest[:n+1]
		s, err := strconv.Unquote(strings.ReplaceAll(quoted, "\n", `\n`))
		if err != nil {
			return "", p.wrong("%s is not a string: escapes are \\\\ \\\" \\n \\t \\x41", quoted)
		}
		p.take(n + 1)
		b.WriteString(s)
		if err := p.blank(); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// word reads a number, true or false.
func (p *parser) word(v *value) error {
	n := 0
	for n < len(p.rest) && (isName(p.rest[n], false) || p.rest[n] == '+' || p.rest[n] == '.') {
		n++
	}
	s := p.rest[:n]
	if n == 0 {
		return p.wrong("%q stands where a value should", p.rest[:1])
	}
	switch strings.ToLower(s) {
	case "true", "false":
		v.kind, v.yes = boolean, strings.EqualFold(s, "true")
		p.take(n)
		return nil
	}
	digits, base := strings.TrimRight(s, "L"), 10
	sign := ""
	if strings.HasPrefix(digits, "-") || strings.HasPrefix(digits, "+") {
		sign, digits = digits[:1], digits[1:]
	}
	if len(digits) > 2 && digits[0] == '0' && digits[1]|32 == 'x' {
		digits, base = digits[2:], 16
	}
	i, err := strconv.ParseInt(sign+digits, base, 64)
	if err == nil {
		v.kind, v.number = number, i
	} else if _, err := strconv.ParseFloat(s, 64); err == nil && strings.ContainsAny(s, ".eE") {
		v.kind = float
	} else {
		return p.wrong("%q is not a value that is understood: strings stand in quotes, numbers have 64 bits", s)
	}
	p.take(n)
	return nil
}
