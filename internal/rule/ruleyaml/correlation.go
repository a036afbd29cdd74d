package ruleyaml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// The limits of a correlation.
const (
	maxTimespan    = 31 * 24 * time.Hour
	maxRefs        = 100
	maxGroupFields = 16
)

// Correlation reads the mapping behind the key correlation, in the schema of
// Sigma's correlations. Mistakes are reported; nil is returned where there are
// any.
func Correlation(src *ast.Source, n *yaml.Node, report func(ast.Diag)) *ast.Correlation {
	c := &correlation{src: src, out: &ast.Correlation{At: At(src, n), Aliases: map[string]map[string]ast.Name{}}}
	c.report = func(d ast.Diag) {
		c.failed = true
		report(d)
	}
	if n.Kind != yaml.MappingNode {
		c.errorf(n, "correlation must be a mapping with type, rules, timespan and condition, not %s", KindName(n))
		return nil
	}
	c.read(n)
	if c.failed {
		return nil
	}
	return c.out
}

type correlation struct {
	src    *ast.Source
	report func(ast.Diag)
	failed bool
	out    *ast.Correlation
}

func (c *correlation) errorf(n *yaml.Node, format string, args ...any) {
	c.report(ast.NewDiag(ast.Error, ast.CodeCorrelation, At(c.src, n), format, args...))
}

func (c *correlation) read(n *yaml.Node) {
	val := map[string]*yaml.Node{}
	keys := []string{"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := Resolve(n.Content[i]), Resolve(n.Content[i+1])
		switch s := event.Nearest(k.Value, keys); {
		case val[k.Value] != nil:
			c.errorf(k, "key %q stands here twice: keep one", k.Value)
		case slices.Contains(keys, k.Value):
			val[k.Value] = v
		case s != "":
			c.errorf(k, "unknown key %q of correlation: did you mean %s?", k.Value, s)
		default:
			c.errorf(k, "unknown key %q of correlation: there are %s", k.Value, strings.Join(keys, ", "))
		}
	}
	for _, k := range []string{"type", "rules", "timespan"} {
		if val[k] == nil {
			c.errorf(n, "correlation has no %s", k)
		}
	}
	if c.failed {
		return
	}
	kind, ok := ast.ParseCorrelationKind(val["type"].Value)
	if !ok {
		c.errorf(val["type"], "unknown type %q of correlation: there are %s", val["type"].Value, strings.Join(ast.CorrelationKinds(), ", "))
		return
	}
	c.out.Kind = kind
	c.out.Rules = c.names(val["rules"], "rules", maxRefs)
	if len(c.out.Rules) == 0 && !c.failed {
		c.errorf(val["rules"], "rules is empty: name the rules whose matches count")
	}
	c.out.GroupBy = c.names(val["group-by"], "group-by", maxGroupFields)
	c.timespan(val["timespan"])
	c.aliases(val["aliases"])
	if g := val["generate"]; g != nil {
		if g.Value != "true" && g.Value != "false" {
			c.errorf(g, "generate must be true or false, not %q", g.Value)
		}
		c.out.Generate = g.Value == "true"
	}
	c.condition(n, val["condition"])
}

// names reads a list of names, or one.
func (c *correlation) names(n *yaml.Node, what string, most int) []ast.Name {
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var out []ast.Name
	for _, v := range nodes {
		v = Resolve(v)
		if v.Kind != yaml.ScalarNode || strings.TrimSpace(v.Value) == "" {
			c.errorf(v, "%s must hold names, not %s", what, KindName(v))
			continue
		}
		out = append(out, c.name(v))
	}
	if len(out) > most {
		c.errorf(n, "%s has more than %d items", what, most)
	}
	return out
}

func (c *correlation) name(n *yaml.Node) ast.Name {
	return ast.Name{Text: strings.TrimSpace(n.Value), At: At(c.src, n)}
}

// timespan reads a number and a unit: 30s, 15m, 12h, 7d.
func (c *correlation) timespan(n *yaml.Node) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	s := n.Value
	if s != "" && units[s[len(s)-1]] != 0 {
		unit := units[s[len(s)-1]]
		if v, err := strconv.ParseUint(s[:len(s)-1], 10, 32); err == nil && v > 0 && time.Duration(v) <= maxTimespan/unit {
			c.out.Timespan = time.Duration(v) * unit
			return
		}
	}
	c.errorf(n, "%q is no timespan: write a number and one of s, m, h, d, such as 15m, up to 31d", s)
}

func (c *correlation) aliases(n *yaml.Node) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		c.errorf(n, "aliases must be a mapping from an alias to the field of each rule, not %s", KindName(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := Resolve(n.Content[i]), Resolve(n.Content[i+1])
		if v.Kind != yaml.MappingNode {
			c.errorf(v, "alias %s must be a mapping from rules to fields, not %s", k.Value, KindName(v))
			continue
		}
		fields := map[string]ast.Name{}
		for j := 0; j+1 < len(v.Content); j += 2 {
			r, f := Resolve(v.Content[j]), Resolve(v.Content[j+1])
			if f.Kind != yaml.ScalarNode {
				c.errorf(f, "alias %s must name a field, not %s", k.Value, KindName(f))
				continue
			}
			if !slices.ContainsFunc(c.out.Rules, func(n ast.Name) bool { return n.Text == r.Value }) {
				c.errorf(r, "alias %s names %q, which is not among the rules of the correlation", k.Value, r.Value)
			}
			fields[r.Value] = c.name(f)
		}
		c.out.Aliases[k.Value] = fields
	}
}

// condition reads the limits, and what they are about.
func (c *correlation) condition(whole, n *yaml.Node) {
	kind := c.out.Kind
	temporal := kind == ast.Temporal || kind == ast.TemporalOrdered
	switch {
	case n == nil && temporal:
		return
	case n == nil:
		c.errorf(whole, "correlation has no condition: %s needs one such as {gte: 10}", kind)
		return
	case n.Kind == yaml.ScalarNode && temporal:
		c.errorf(n, "a condition with the names of rules is not supported: without one, all rules have to match")
		return
	case n.Kind != yaml.MappingNode:
		c.errorf(n, "condition must be a mapping such as {gte: 10}, not %s", KindName(n))
		return
	}
	ops := map[string]ast.Op{"gt": ast.OpGt, "gte": ast.OpGe, "lt": ast.OpLt, "lte": ast.OpLe, "eq": ast.OpEq, "neq": ast.OpNe}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := Resolve(n.Content[i]), Resolve(n.Content[i+1])
		op, isOp := ops[k.Value]
		switch {
		case isOp:
			f, err := parseFigure(v.Value)
			if err != nil {
				c.errorf(v, "%s takes a number, not %q", k.Value, v.Value)
			}
			c.out.Limits = append(c.out.Limits, ast.CorrelationLimit{Op: op, Value: f})
		case k.Value == "field" && v.Kind == yaml.ScalarNode:
			c.out.Field = c.name(v)
		case k.Value == "field":
			c.errorf(v, "field must be one field, not %s", KindName(v))
		case k.Value == "percentile":
			p, err := strconv.Atoi(v.Value)
			if err != nil || p < 1 || p > 100 {
				c.errorf(v, "percentile is a whole number from 1 to 100, not %q", v.Value)
			}
			c.out.Percentile = p
		default:
			c.errorf(k, "unknown key %q of condition: there are gt, gte, lt, lte, eq, neq, field and percentile", k.Value)
		}
	}
	c.fits(n)
}

func parseFigure(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && (f != f || f > 1e18 || f < -1e18) {
		return 0, fmt.Errorf("out of range")
	}
	return f, err
}

// fits checks that a condition has what its kind needs and nothing else.
func (c *correlation) fits(n *yaml.Node) {
	kind := c.out.Kind
	field := kind >= ast.ValueSum || kind == ast.ValueCount
	switch {
	case len(c.out.Limits) == 0:
		c.errorf(n, "condition has none of gt, gte, lt, lte, eq and neq")
	case field && c.out.Field.Text == "":
		c.errorf(n, "condition has no field: %s needs the one whose values it looks at", kind)
	case !field && c.out.Field.Text != "":
		c.errorf(n, "%s takes no field: value_count does", kind)
	case c.out.Percentile != 0 && kind != ast.ValuePercentile:
		c.errorf(n, "%s takes no percentile", kind)
	}
	if kind == ast.ValuePercentile && c.out.Percentile == 0 {
		c.out.Percentile = 50
	}
}
