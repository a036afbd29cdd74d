// Package ruleyaml reads the YAML of rule files and keeps for each value the
// place in the file that it came from, whatever the rules' language.
//
// In come names and contents of files; out come YAML nodes, texts whose bytes
// know their places, and diagnostics for what is no YAML. It also reads the part
// that the languages have in common: correlations. Packages falco and sigma call
// it; it does no I/O.
package ruleyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// MaxFileSize is the size in bytes up to which a rule file is read.
const MaxFileSize = 16 << 20

const maxYAMLDepth = 64

// Documents reads the YAML documents of a file, in their order, and hands each
// to yield. What it returns says why it could not go on; nil where the whole
// file was read.
func Documents(name string, data []byte, yield func(*ast.Source, *yaml.Node)) *ast.Diag {
	if len(data) > MaxFileSize {
		return FileDiag(name, ast.CodeLimit, "the file is larger than %d MiB: split it", MaxFileSize>>20)
	}
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, n := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		line := bytes.Count(data[:at], []byte("\n")) + 1
		return FileDiag(name, ast.CodeYAML, "line %d is not valid UTF-8: save the file in that encoding", line)
	}
	src := ast.NewSource(name, string(data))
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return yamlDiag(src, err)
		}
		if depth(&doc, 0) > maxYAMLDepth {
			return FileDiag(name, ast.CodeLimit, "the YAML nests deeper than %d levels", maxYAMLDepth)
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) > 0 {
			yield(src, Resolve(doc.Content[0]))
		}
	}
}

// FileDiag makes an error about a file as a whole.
func FileDiag(name string, code ast.Code, format string, args ...any) *ast.Diag {
	return &ast.Diag{Severity: ast.Error, Code: code, Pos: ast.Pos{File: name}, Len: 1, Message: fmt.Sprintf(format, args...)}
}

// depth measures how deep a document nests, without following aliases.
func depth(n *yaml.Node, d int) int {
	most := d
	if d > maxYAMLDepth {
		return d
	}
	for _, c := range n.Content {
		most = max(most, depth(c, d+1))
	}
	return most
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// yamlDiag makes a diagnostic of the parser's error, which starts with a line.
func yamlDiag(src *ast.Source, err error) *ast.Diag {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	d := &ast.Diag{Severity: ast.Error, Code: ast.CodeYAML, Pos: ast.Pos{File: src.Name}, Len: 1}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		d.Line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
		line := src.Line(d.Line)
		d.Col = len(line) - len(strings.TrimLeft(line, " \t")) + 1
		d.Len = max(1, utf8.RuneCountInString(strings.TrimSpace(line)))
		d.Source = line
	}
	d.Message = "the file is not valid YAML: " + msg
	return d
}

// Resolve returns the node that an alias stands for.
func Resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// KindName says in words what a node is.
func KindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "a single value"
}

// At is the place of a node: for scalars the whole value, else its beginning.
func At(src *ast.Source, n *yaml.Node) ast.Span {
	if n.Kind == yaml.ScalarNode {
		t := Scalar(src, n)
		return ast.Span{Text: t, To: len(t.Value)}
	}
	return ast.Span{Text: ast.NewText("", src, []int32{int32(src.Offset(n.Line, n.Column))})}
}
