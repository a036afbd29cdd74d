package sigma

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// match says how a value is compared.
type match uint8

const (
	matchEqual match = iota
	matchContains
	matchStart
	matchEnd
	matchRegex
	matchCIDR
	matchExists
	matchOrder // one of lt, lte, gt, gte: modifiers.op
)

// modifiers are what stands behind a field's name, divided by bars.
type modifiers struct {
	// text is as it is written, "" for none.
	text  string
	match match
	op    ast.Op // for matchOrder
	all   bool
	cased bool
	neq   bool
	ref   bool // fieldref
	// flags are those of a regular expression: i, m, s.
	flags string
	// transforms change the values, in their order: expand, windash and the
	// encodings.
	transforms []string
}

func modifierNames() []string {
	return []string{"contains", "startswith", "endswith", "all", "re", "i", "m", "s", "cidr", "exists", "cased", "windash", "base64", "base64offset",
		"utf16", "utf16le", "utf16be", "wide", "lt", "lte", "gt", "gte", "neq", "fieldref", "expand"}
}

// modifiers reads a key of a selection; nil after a report.
func (c *compiler) modifiers(k *yaml.Node) (name string, m *modifiers) {
	name, rest, found := strings.Cut(k.Value, "|")
	m = &modifiers{text: rest}
	if !found {
		return name, m
	}
	fail := func(code ast.Code, format string, args ...any) (string, *modifiers) {
		c.d.errorf(code, k, format, args...)
		return name, nil
	}
	for mod := range strings.SplitSeq(rest, "|") {
		before := m.match
		switch mod {
		case "contains":
			m.match = matchContains
		case "startswith":
			m.match = matchStart
		case "endswith":
			m.match = matchEnd
		case "re":
			m.match = matchRegex
		case "cidr":
			m.match = matchCIDR
		case "exists":
			m.match = matchExists
		case "lt", "lte", "gt", "gte":
			m.match, m.op = matchOrder, map[string]ast.Op{"lt": ast.OpLt, "lte": ast.OpLe, "gt": ast.OpGt, "gte": ast.OpGe}[mod]
		case "i", "m", "s":
			if m.match != matchRegex {
				return fail(ast.CodeValue, "modifier %s stands behind re alone, as in |re|%s", mod, mod)
			}
			m.flags += mod
		case "all":
			m.all = true
		case "cased":
			m.cased = true
		case "neq":
			m.neq = true
		case "fieldref":
			m.ref = true
		case "windash", "base64", "base64offset", "utf16", "utf16le", "utf16be", "wide", "expand":
			m.transforms = append(m.transforms, mod)
		case "minute", "hour", "day", "week", "month", "year":
			return fail(ast.CodeUnsupported, "modifier %s is not supported: no field of a log source here is a date", mod)
		default:
			hint := "there are " + strings.Join(modifierNames(), ", ")
			if s := event.Nearest(mod, modifierNames()); s != "" {
				hint = "did you mean " + s + "?"
			}
			return fail(ast.CodeValue, "unknown modifier %q: %s", mod, hint)
		}
		if before != matchEqual && before != m.match {
			return fail(ast.CodeValue, "modifiers of %s exclude each other: keep one of contains, startswith, endswith, re, cidr, exists and the comparisons", k.Value)
		}
	}
	if problem := m.problem(); problem != "" {
		return fail(ast.CodeValue, "%s", problem)
	}
	return name, m
}

// problem says which modifiers do not go together; "" where all do.
func (m *modifiers) problem() string {
	text := m.match == matchEqual || m.match == matchContains || m.match == matchStart || m.match == matchEnd
	switch {
	case m.ref && (!text || len(m.transforms) > 0):
		return "fieldref goes with contains, startswith, endswith, cased, all and neq alone"
	case len(m.transforms) > 0 && !text && !(m.match == matchRegex && len(m.transforms) == 1 && m.transforms[0] == "expand") && !(m.match == matchCIDR && m.transforms[0] == "expand"):
		return m.transforms[0] + " changes text, which the other modifiers of it do not take"
	case m.cased && !text:
		return "cased goes with text alone: a regular expression is so already"
	case m.match == matchExists && (m.all || m.neq):
		return "exists takes no other modifiers: write true or false"
	}
	if i := slices.Index(m.transforms, "base64offset"); i >= 0 && m.match != matchContains {
		return "base64offset finds text within other text: add contains"
	}
	return ""
}
