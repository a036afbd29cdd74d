package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// module is this project's path; packages are named by what follows it.
const module = "github.com/bearcat-hids/bearcat"

// pkg is a package as the go command lists it.
type pkg struct {
	ImportPath string
	Dir        string
	Name       string
	GoFiles    []string
	// Test files count for the rules about code, not for those about imports:
	// a test may reach across stages to see them work together.
	TestGoFiles, XTestGoFiles []string
	Imports                   []string
	DepOnly                   bool
}

// name is the package's path within the module, "." for its root.
func (p *pkg) name() string { return short(p.ImportPath) }

func short(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func own(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// root is the module's directory, seen from this package's.
const root = "../.."

// packages lists the module's packages, once for all tests.
var packages = sync.OnceValues(func() ([]*pkg, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,GoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")
	cmd.Dir, cmd.Stderr = root, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New("listing the module's packages: " + err.Error() + ": " + stderr.String())
	}
	var pkgs []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
})

func tree(t *testing.T) []*pkg {
	t.Helper()
	pkgs, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages were found: the tests look at the wrong folder", len(pkgs))
	}
	return pkgs
}

// source is one parsed file.
type source struct {
	path      string // within the module
	file      *ast.File
	fset      *token.FileSet
	test      bool
	generated bool
}

func (s *source) at(n ast.Node) token.Position {
	p := s.fset.Position(n.Pos())
	p.Filename = s.path
	return p
}

// sources parses every Go file that the go command knows of.
func sources(t *testing.T) []*source {
	t.Helper()
	var out []*source
	base, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tree(t) {
		add := func(names []string, test bool) {
			for _, n := range names {
				path := filepath.Join(p.Dir, n)
				rel, err := filepath.Rel(base, path)
				if err != nil {
					t.Fatal(err)
				}
				fset := token.NewFileSet()
				f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
				if err != nil {
					t.Errorf("%s: %v", rel, err)
					continue
				}
				out = append(out, &source{rel, f, fset, test, ast.IsGenerated(f)})
			}
		}
		add(p.GoFiles, false)
		add(p.TestGoFiles, true)
		add(p.XTestGoFiles, true)
	}
	return out
}
