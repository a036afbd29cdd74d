package matrix

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// plan is what each column runs: compiled tests and a script around them.
type plan struct {
	dir    string // holds the binaries and the script
	script string
	dirs   []string // the packages' directories
	steps  []step
}

// marker starts a line that the script itself prints.
const marker = "@@vmrun "

// newPlan compiles the tests of each package, once for all columns.
func newPlan(ctx context.Context, c *Config, pkgs []Package, patterns []string) (*plan, error) {
	dir, err := os.MkdirTemp("", "bearcat-matrix-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for test binaries: %w", err)
	}
	p := &plan{dir: dir, script: filepath.Join(dir, "run.sh")}
	for i, pkg := range pkgs {
		binary := filepath.Join(dir, strconv.Itoa(i)+"-"+filepath.Base(pkg.Dir)+".test")
		// -w and not -s: tests may attach to symbols of their own binary
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-w", "-o", binary, pkg.ImportPath)
		cmd.Dir = c.Root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			p.remove()
			return nil, fmt.Errorf("compiling the tests of %s: %w:\n%s", pkg.ImportPath, err, out)
		}
		p.steps = append(p.steps, step{pkg, binary, patterns[i]})
		p.dirs = append(p.dirs, pkg.Dir)
	}
	if err := p.write(c.TestTimeout); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

// write makes the script's file.
func (p *plan) write(timeout time.Duration) error {
	if err := os.WriteFile(p.script, []byte(script(p.steps, timeout)), 0o755); err != nil {
		return fmt.Errorf("writing the tests' script: %w", err)
	}
	return nil
}

func (p *plan) remove() { os.RemoveAll(p.dir) }

// step is one package's part of the script.
type step struct {
	Package
	binary, pattern string
}

// script runs the packages one after the other, each in its own directory as
// go test does, and marks where one begins and ends.
func script(steps []step, timeout time.Duration) string {
	var s strings.Builder
	s.WriteString("export " + guest.EnvTests + "=1\nexec 2>&1\n")
	s.WriteString("printf '" + marker + "release %s\\n' \"$(uname -r)\"\nall=0\n")
	for _, st := range steps {
		fmt.Fprintf(&s, "printf '%spackage %%s\\n' %s\n", marker, quote(st.ImportPath))
		fmt.Fprintf(&s, "cd %s && %s -test.v=test2json -test.paniconexit0 -test.timeout=%s -test.run=%s </dev/null\n",
			quote(st.Dir), quote(st.binary), timeout, quote(st.pattern))
		fmt.Fprintf(&s, "rc=$?; [ $rc = 0 ] || all=1; printf '%sexit %%s\\n' $rc\n", marker)
	}
	s.WriteString("exit $all\n")
	return s.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
