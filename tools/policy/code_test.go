package policy

import (
	"bytes"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const (
	maxFileLines = 500
	maxFuncLines = 80
)

// longFiles may be longer than maxFileLines, each for its reason.
func longFiles() map[string]string { return map[string]string{} }

// longFuncs may be longer than maxFuncLines: FILE:NAME and the reason.
func longFuncs() map[string]string {
	return map[string]string{}
}

// TestPackageComments wants a comment on every package that says more than its
// name: two sentences at least.
func TestPackageComments(t *testing.T) {
	byDir := map[string]string{}
	pkgs := map[string]bool{}
	for _, s := range sources(t) {
		dir := filepath.Dir(s.path)
		if s.test && !policyOnly(dir) {
			continue
		}
		pkgs[dir] = true
		if s.file.Doc != nil && len(s.file.Doc.Text()) > len(byDir[dir]) {
			byDir[dir] = s.file.Doc.Text()
		}
	}
	for dir := range pkgs {
		if n := sentences(byDir[dir]); n < 2 {
			t.Errorf("%s: its package comment has %d sentences: say what the package is for, what comes in, what goes out and who calls it", dir, n)
		}
	}
}

// policyOnly names this folder, which has nothing but tests.
func policyOnly(dir string) bool { return dir == filepath.Join("tools", "policy") }

var sentenceEnd = regexp.MustCompile(`[.:;!?](\s|$)`)

// sentences counts ends of sentences, those of code blocks left out.
func sentences(doc string) int {
	n := 0
	for para := range strings.SplitSeq(doc, "\n\n") {
		if !strings.HasPrefix(para, "\t") {
			n += len(sentenceEnd.FindAllString(para, -1))
		}
	}
	return n
}

// TestNoInitNoPanic keeps out what happens behind the reader's back: functions
// that run by being imported, and ends that no caller can handle.
func TestNoInitNoPanic(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: no init functions: do it where it is needed, and pass it on", s.at(fn))
			}
		}
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
					t.Errorf("%s: no panics: return an error that says what failed, why, and what to do", s.at(call))
				}
			}
			return true
		})
	}
}

// TestNoMutableGlobals wants package-level variables to be what nobody
// changes: errors, embedded files, compiled patterns, tables, interface guards.
func TestNoMutableGlobals(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		assigned := assignedNames(s.file)
		for _, d := range s.file.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok.String() != "var" {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.Name != "_" && assigned[name.Name] {
						t.Errorf("%s: package variable %s is assigned to: no package-level state that changes", s.at(name), name.Name)
					}
				}
			}
		}
	}
}

// assignedNames lists plain names that a file assigns to with = and that no
// function of it declares.
func assignedNames(f *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		declared := declaredNames(fn)
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || a.Tok.String() == ":=" {
				return true
			}
			for _, l := range a.Lhs {
				if id, ok := l.(*ast.Ident); ok && !declared[id.Name] {
					out[id.Name] = true
				}
			}
			return true
		})
	}
	return out
}

func declaredNames(fn *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	field := func(l *ast.FieldList) {
		if l == nil {
			return
		}
		for _, f := range l.List {
			for _, n := range f.Names {
				out[n.Name] = true
			}
		}
	}
	field(fn.Recv)
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType:
			field(n.Params)
			field(n.Results)
		case *ast.AssignStmt:
			if n.Tok.String() == ":=" {
				for _, l := range n.Lhs {
					if id, ok := l.(*ast.Ident); ok {
						out[id.Name] = true
					}
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				out[id.Name] = true
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok {
					out[id.Name] = true
				}
			}
		}
		return true
	})
	return out
}

func TestSizes(t *testing.T) {
	files, funcs := longFiles(), longFuncs()
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		lines := s.fset.Position(s.file.FileEnd).Line
		if lines > maxFileLines && files[s.path] == "" {
			t.Errorf("%s has %d lines, more than %d: split it by subject", s.path, lines, maxFileLines)
		}
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1
			if key := s.path + ":" + fn.Name.Name; n > maxFuncLines && funcs[key] == "" {
				t.Errorf("%s: %s has %d lines, more than %d", s.at(fn), fn.Name.Name, n, maxFuncLines)
			}
		}
	}
}

// Words that mark unfinished work; written so that this file does not hold them.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

// TestNothingUnfinished looks at everything that is code.
func TestNothingUnfinished(t *testing.T) {
	for path, data := range textFiles(t) {
		switch filepath.Ext(path) {
		case ".md", ".jsonl", ".txt", ".sum":
			continue
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if w := unfinished.Find(line); w != nil {
				t.Errorf("%s:%d: %s: do it, or say in the documentation what is missing", path, i+1, w)
			}
		}
	}
}

// TestErrorTexts wants errors to go on from what stands before them.
func TestErrorTexts(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || !isErrorCall(call.Fun) {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			text := strings.Trim(lit.Value, "\"`")
			if bad := badErrorText(text); bad != "" {
				t.Errorf("%s: error %s %s", s.at(lit), lit.Value, bad)
			}
			return true
		})
	}
}

func isErrorCall(f ast.Expr) bool {
	sel, ok := f.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && (x.Name == "errors" && sel.Sel.Name == "New" || x.Name == "fmt" && sel.Sel.Name == "Errorf")
}

// badErrorText says what is wrong with an error's text. A capital is right
// where the word is one that is always written so, such as BTF.
func badErrorText(text string) string {
	first, _, _ := strings.Cut(text, " ")
	r := []rune(first)
	switch {
	case len(r) == 0:
		return ""
	case unicode.IsUpper(r[0]) && strings.ToUpper(first) != first:
		return "begins with a capital"
	case strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "..."), strings.HasSuffix(text, "\\n"):
		return "ends like a line of its own"
	}
	return ""
}

func TestNoReplaceInGoMod(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json", filepath.Join(root, "go.mod")).Output()
	if err != nil {
		t.Fatalf("reading go.mod: %v", err)
	}
	if !bytes.Contains(out, []byte(`"Module"`)) {
		t.Fatalf("the go command gives no module: %s", out)
	}
	if bytes.Contains(out, []byte(`"Replace": [`)) {
		t.Error("go.mod has a replace: whoever installs bearcat with go install would not get what was tested")
	}
}

func TestLicences(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil || !bytes.Contains(b, []byte("Apache License")) || !bytes.Contains(b, []byte("Version 2.0, January 2004")) {
		t.Errorf("LICENSE is not the Apache License: %v", err)
	}
	n := 0
	for path, data := range textFiles(t) {
		if !strings.HasSuffix(path, ".bpf.c") && !strings.HasPrefix(path, "bpf/include/") {
			continue
		}
		n++
		head := data[:min(len(data), 300)]
		if !bytes.Contains(head, []byte("SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause")) {
			t.Errorf("%s does not say its licence in its first lines", path)
		}
	}
	if n == 0 {
		t.Error("no kernel program was found")
	}
}
