package falco

import (
	"errors"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// ParseColumns reads a condition on a table's columns. Any word can be a column and
// stands as a field does, with dots or without; there are no macros and no lists. Which
// columns there are is for the caller to check: nothing is bound. name is what the
// diagnostics call the text.
func ParseColumns(name, text string) (ast.Expr, []ast.Diag) {
	offs := make([]int32, len(text)+1)
	for i := range offs {
		offs[i] = int32(i)
	}
	return parse(&parser{text: ast.NewText(text, ast.NewSource(name, text), offs), s: text, scope: noDefinitions{}, columns: true})
}

// noDefinitions is the scope of a condition that stands alone.
type noDefinitions struct{}

func (noDefinitions) macro(string) (*ast.MacroDef, error) {
	return nil, errors.New("there are no macros here")
}
func (noDefinitions) list(string) ([]*ast.Literal, error, bool) { return nil, nil, false }
func (noDefinitions) listNames() []string                       { return nil }
func (noDefinitions) macroNames() []string                      { return nil }
