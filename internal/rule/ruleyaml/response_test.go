package ruleyaml

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

func TestResponse(t *testing.T) {
	for text, want := range map[string]string{
		"{block: {remote: 10m}}":               "",
		"{block: {remote: 8000h}}":             "is not a time from 1s",
		"{block: {remote: 0}}":                 "is not a time from 1s",
		"{block: {remote: [1m]}}":              "is not a time from 1s",
		"{block: {local: 10m}}":                "here stands remote",
		"{block: 10m}":                         "must be a mapping",
		"{kill: {process: true}}":              "here stands block",
		"{block: {remote: 10m}, also: {x: 1}}": "here stands block",
		"10m":                                  "must be a mapping",
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		var said []string
		d := Response(ast.NewSource("x", text), doc.Content[0], func(d ast.Diag) { said = append(said, d.Message) })
		switch {
		case want == "" && (d != 10*time.Minute || len(said) > 0):
			t.Errorf("%s: %s, %q", text, d, said)
		case want != "" && (d != 0 || len(said) != 1 || !strings.Contains(said[0], want)):
			t.Errorf("%s: %s, %q, want %q", text, d, said, want)
		}
	}
}
