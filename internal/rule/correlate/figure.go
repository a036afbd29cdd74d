package correlate

import (
	"math"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// holds computes the figure of a group and tries the condition.
func (c *Correlator) holds(g *group) (figure float64, ok bool) {
	figure = c.figure(g)
	if len(c.spec.Limits) == 0 { // temporal: all rules
		return figure, int(figure) == len(c.spec.Rules)
	}
	for _, l := range c.spec.Limits {
		if !fits(figure, l) {
			return figure, false
		}
	}
	return figure, true
}

func fits(v float64, l ast.CorrelationLimit) bool {
	switch l.Op {
	case ast.OpGt:
		return v > l.Value
	case ast.OpGe:
		return v >= l.Value
	case ast.OpLt:
		return v < l.Value
	case ast.OpLe:
		return v <= l.Value
	case ast.OpNe:
		return v != l.Value
	}
	return v == l.Value
}

func (c *Correlator) figure(g *group) float64 {
	switch c.spec.Kind {
	case ast.ValueCount:
		return float64(len(g.values))
	case ast.Temporal:
		n := 0
		for _, at := range g.latest {
			if at != 0 && (c.atEnd || at >= g.last-int64(c.spec.Timespan)) {
				n++
			}
		}
		return float64(n)
	case ast.TemporalOrdered:
		n := 0
		for _, s := range g.samples {
			if n < len(c.spec.Rules) && int(s.rule) == n {
				n++
			}
		}
		return float64(n)
	case ast.ValueSum:
		return g.sum
	case ast.ValueAvg:
		return g.sum / float64(max(1, len(g.samples)))
	case ast.ValuePercentile:
		return percentile(g.samples, c.spec.Percentile)
	}
	if c.atEnd {
		return float64(g.count)
	}
	return float64(len(g.samples))
}

// percentile is the smallest value that p of a hundred are not above.
func percentile(samples []sample, p int) float64 {
	if len(samples) == 0 {
		return 0
	}
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.number
	}
	slices.Sort(values)
	i := int(math.Ceil(float64(p)/100*float64(len(values)))) - 1
	return values[max(0, i)]
}
