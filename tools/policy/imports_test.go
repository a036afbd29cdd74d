package policy

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
)

//go:embed imports.txt
var importsText string

// policy is imports.txt, read.
type policy struct {
	allow []edgeRule
	only  []moduleRule
}

// edgeRule says what a package, or all below one, may import.
type edgeRule struct {
	line    int
	pkg     string
	imports []string
}

// moduleRule says who may import a module from outside.
type moduleRule struct {
	line   int
	module string
	by     []string
	why    string
}

func parsePolicy(text string) (*policy, error) {
	p := new(policy)
	for i, line := range strings.Split(text, "\n") {
		body, why, _ := strings.Cut(line, "#")
		f := strings.Fields(body)
		if len(f) == 0 {
			continue
		}
		switch {
		case len(f) < 2:
			return nil, fmt.Errorf("imports.txt:%d: %q needs a package or module behind it", i+1, f[0])
		case f[0] == "allow":
			p.allow = append(p.allow, edgeRule{i + 1, f[1], f[2:]})
		case f[0] == "only":
			if why = strings.TrimSpace(why); why == "" {
				return nil, fmt.Errorf("imports.txt:%d: \"only\" needs its reason behind #", i+1)
			}
			p.only = append(p.only, moduleRule{i + 1, f[1], f[2:], why})
		default:
			return nil, fmt.Errorf("imports.txt:%d: %q is neither allow nor only", i+1, f[0])
		}
	}
	return p, nil
}

// covers reports whether a pattern, which may end with /..., names path.
func covers(pattern, path string) bool {
	base, below := strings.CutSuffix(pattern, "/...")
	return path == base || below && strings.HasPrefix(path, base+"/")
}

func anyCovers(patterns []string, path string) bool {
	for _, p := range patterns {
		if covers(p, path) {
			return true
		}
	}
	return false
}

// rule finds a package's line: its own before one with /..., of which the
// longest.
func (p *policy) rule(name string) *edgeRule {
	var best *edgeRule
	for i := range p.allow {
		r := &p.allow[i]
		if r.pkg == name {
			return r
		}
		if covers(r.pkg, name) && (best == nil || len(r.pkg) > len(best.pkg)) {
			best = r
		}
	}
	return best
}

// violations says what is wrong with a package's imports.
func (p *policy) violations(name string, imports []string) []string {
	var out []string
	r := p.rule(name)
	if r == nil {
		out = append(out, fmt.Sprintf("%s has no line in tools/policy/imports.txt: add one that says what it may import, and place the package in docs/ARCHITECTURE.md", name))
	}
	for _, imp := range imports {
		if own(imp) {
			if r != nil && !anyCovers(r.imports, short(imp)) {
				out = append(out, fmt.Sprintf("%s imports %s, which imports.txt:%d does not allow: stages share the types of internal/event and only internal/agent wires them; where this edge is right, add it there with its reason", name, short(imp), r.line))
			}
			continue
		}
		for _, m := range p.only {
			if covers(m.module+"/...", imp) && !anyCovers(m.by, name) {
				out = append(out, fmt.Sprintf("%s imports %s, which imports.txt:%d leaves to %s: %s", name, imp, m.line, strings.Join(m.by, ", "), m.why))
			}
		}
	}
	return out
}

func TestImports(t *testing.T) {
	p, err := parsePolicy(importsText)
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range tree(t) {
		if len(pkg.GoFiles) == 0 {
			continue // tests only
		}
		for _, v := range p.violations(pkg.name(), pkg.Imports) {
			t.Error(v)
		}
	}
}

// TestPolicyHasNoDeadLines keeps imports.txt short: a line about a package
// that has gone would allow more than anyone knows.
func TestPolicyHasNoDeadLines(t *testing.T) {
	p, err := parsePolicy(importsText)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.allow {
		found := false
		for _, pkg := range tree(t) {
			found = found || covers(r.pkg, pkg.name())
		}
		if !found {
			t.Errorf("imports.txt:%d: there is no package %s", r.line, r.pkg)
		}
	}
}

// TestPolicyFindsForbiddenEdges checks the checker.
func TestPolicyFindsForbiddenEdges(t *testing.T) {
	p, err := parsePolicy(`
allow a b c/...
allow c/... b
allow c/d   a
only  example.org/x  a c/...  # the reason
`)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		imp  string
		want string // part of the complaint; "" for none
	}{
		{"a", module + "/b", ""},
		{"a", module + "/c", ""},
		{"a", module + "/c/d/e", ""},
		{"a", module + "/cc", "does not allow"},
		{"a", module, "does not allow"},
		{"c/d", module + "/a", ""},
		{"c/d", module + "/b", "does not allow"},
		{"c/e", module + "/b", ""},
		{"b", module + "/a", "no line"},
		{"a", "fmt", ""},
		{"a", "example.org/x/sub", ""},
		{"c/d", "example.org/x", ""},
		{"b", "example.org/x/sub", "the reason"},
		{"a", "example.org/xy", ""},
	}
	for _, tt := range tests {
		got := strings.Join(p.violations(tt.name, []string{tt.imp}), "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s imports %s: got %q, want %q", tt.name, tt.imp, got, tt.want)
		}
	}
	for _, bad := range []string{"allow", "permit a b", "only example.org/x a"} {
		if _, err := parsePolicy(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
