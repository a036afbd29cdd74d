package ruleyaml

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// TestScalarPlaces checks that each word of a value is found where the file
// has it, in every style of YAML.
func TestScalarPlaces(t *testing.T) {
	for name, file := range map[string]string{
		"plain":            "k: one two\n",
		"plain folded":     "k: one\n   two\n\n   three\n",
		"folded":           "k: >\n    one two\n\n    three\n      four\n    five\n",
		"folded stripped":  "k: >-\n  one\n  two\n",
		"literal":          "k: |2+ # comment\n   one\n    two\n\n\n",
		"single":           "k: 'one ''two'' three\n  four'\n",
		"double":           "k: \"one \\\"two\\\" \\x41 \\u00e4 \\\n    three\\ttab\n   four\"\n",
		"unicode":          "ä: 'ö one ü'\n",
		"anchor":           "k: &a one\n",
		"tag":              "k: !!str one two\n",
		"after other keys": "a: 1\nb:\n  - x\nk: >\n   one\n   two\n",
		"carriage return":  "k: >\r\n  one\r\n  two\r\n",
		"tabs":             "k: \"one\ttwo\"\n",
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(file), &doc); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m := doc.Content[0]
		n := m.Content[len(m.Content)-1]
		src := ast.NewSource("f", file)
		text := Scalar(src, n)
		for _, word := range []string{"one", "two", "three", "four", "five", "tab", "ä", "ü"} {
			i := strings.Index(text.Value, word)
			if i < 0 || name == "double" && word == "ä" {
				continue
			}
			pos := ast.Span{Text: text, From: i, To: i + len(word)}.Pos()
			off := src.Offset(pos.Line, pos.Col)
			if !strings.HasPrefix(file[off:], word) {
				t.Errorf("%s: %q of %q is said to be at %d:%d", name, word, text.Value, pos.Line, pos.Col)
			}
		}
	}
}

func TestEscapes(t *testing.T) {
	for in, want := range map[string]string{
		`\n`: "\n", `\x41z`: "A", `\u00e4`: "ä", `\U0001F600`: "😀", `\"`: `"`, `\q`: "", `\x4`: "", `\`: "", `\e`: "\x1b", `\_`: "\u00a0",
	} {
		if got, _ := escape(in); got != want {
			t.Errorf("%s is %q, want %q", in, got, want)
		}
	}
}
