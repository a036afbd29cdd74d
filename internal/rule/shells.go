package rule

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// shellPrefix begins the fields that tell what a shell leads to.
const shellPrefix = "bc.shell."

// OnlyShells reports whether live rules look at events of a type only where
// these tell what a shell leads to: events that can tell nothing of it need not
// be collected for them.
func (s *Set) OnlyShells(t event.Type) bool { return s.plain.And(event.TypesOf(t)).IsZero() }

// notePlain notes whether a rule's condition for a type can hold where the fields
// of shells are absent.
func (s *Set) notePlain(t event.Type, n *node) {
	if possible(n, shellAbsent, map[*node]truth{}) != no {
		s.plain.Add(event.TypesOf(t))
	}
}

// shellAbsent evaluates a check where the fields of shells are absent: a check
// without a value is false.
func shellAbsent(c *ast.Check) truth {
	out := maybe
	c.Operands(func(o *ast.Operand) {
		if o.Ref != nil && strings.HasPrefix(o.Ref.Name(), shellPrefix) {
			out = no
		}
	})
	return out
}
