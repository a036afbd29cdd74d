package ruleyaml

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// maxBlock is the longest that an alert may have somebody blocked.
const maxBlock = 7 * 24 * time.Hour

// Response reads the mapping behind the key response of a rule, such as
// {block: {remote: 10m}}: how long the other end is blocked. Mistakes are reported;
// 0 is returned where there are any.
func Response(src *ast.Source, n *yaml.Node, report func(ast.Diag)) time.Duration {
	wrong := func(n *yaml.Node, format string, args ...any) time.Duration {
		report(ast.NewDiag(ast.Error, ast.CodeValue, At(src, n), format, args...))
		return 0
	}
	for _, key := range []string{"block", "remote"} {
		if n.Kind != yaml.MappingNode {
			return wrong(n, "response must be a mapping such as {block: {remote: 10m}}, not %s", KindName(n))
		}
		if len(n.Content) != 2 || Resolve(n.Content[0]).Value != key {
			return wrong(n, "here stands %s and nothing else, as in response: {block: {remote: 10m}}", key)
		}
		n = Resolve(n.Content[1])
	}
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < time.Second || d > maxBlock {
		return wrong(n, "%q is not a time from 1s to %s, such as 10m", n.Value, maxBlock)
	}
	return d
}
