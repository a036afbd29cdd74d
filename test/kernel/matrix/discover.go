// Package matrix runs the module's kernel tests natively and in a guest of each
// kernel, and reports what passed, failed and was skipped, with reasons.
//
// There is no list of tests: every package with a file named *_kernel_test.go
// takes part, with the tests of those files. Their binaries are compiled once.
package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Package is one package with kernel tests.
type Package struct {
	ImportPath, Dir string
	// Tests are the names of its kernel tests.
	Tests []string
}

const fileSuffix = "_kernel_test.go"

// Discover finds the packages with kernel tests among patterns.
func Discover(ctx context.Context, root string, patterns []string) ([]Package, error) {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-e", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles", "--"}, patterns...)...)
	cmd.Dir, cmd.Stderr = root, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w: %s", err, stderr.String())
	}
	var found []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the list of packages: %w", err)
		}
		pkg := Package{ImportPath: p.ImportPath, Dir: p.Dir}
		for _, f := range append(p.TestGoFiles, p.XTestGoFiles...) {
			if !strings.HasSuffix(f, fileSuffix) {
				continue
			}
			names, err := testNames(filepath.Join(p.Dir, f))
			if err != nil {
				return nil, err
			}
			pkg.Tests = append(pkg.Tests, names...)
		}
		if len(pkg.Tests) > 0 {
			found = append(found, pkg)
		}
	}
}

// testNames returns the tests that a file declares.
func testNames(file string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("reading the tests of %s: %w", file, err)
	}
	var names []string
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" {
			names = append(names, fn.Name.Name)
		}
	}
	return names, nil
}

// selectTests keeps the tests that a pattern as of go test -run selects, and
// returns the -test.run pattern of each package that still has any.
func selectTests(pkgs []Package, run string) (kept []Package, patterns []string, err error) {
	top, sub, hasSub := strings.Cut(run, "/")
	re, err := regexp.Compile(top)
	if err != nil {
		return nil, nil, fmt.Errorf("reading -run %q: %w", run, err)
	}
	for _, p := range pkgs {
		var names []string
		for _, n := range p.Tests {
			if re.MatchString(n) {
				names = append(names, n)
			}
		}
		if len(names) == 0 {
			continue
		}
		pattern := "^(" + strings.Join(names, "|") + ")$"
		if hasSub {
			pattern += "/" + sub
		}
		p.Tests = names
		kept, patterns = append(kept, p), append(patterns, pattern)
	}
	return kept, patterns, nil
}
