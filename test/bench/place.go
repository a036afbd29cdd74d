package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Place is a directory of the benchmark's own with the programs it runs.
type Place struct {
	Dir     string
	Tools   Tools
	Bearcat string
	// Size is that of Bearcat's binary, in bytes; 0 where there is none.
	Size int64
}

// NewPlace makes a directory and copies the tools and, where it exists, the
// agent's binary into it.
func NewPlace(tools, bearcat string) (*Place, error) {
	parent := ""
	if name, _ := guestKind(); name != "" {
		// in memory, as /tmp is, but not where rules look for dropped programs
		parent = "/run"
	}
	dir, err := os.MkdirTemp(parent, "bearcat-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the benchmark: %w", err)
	}
	p := &Place{Dir: dir, Bearcat: filepath.Join(dir, "bearcat")}
	if err := p.fill(tools, bearcat); err != nil {
		return nil, errors.Join(err, p.Remove())
	}
	return p, nil
}

func (p *Place) fill(tools, bearcat string) error {
	t, err := FindTools(tools)
	if err != nil {
		return err
	}
	if p.Tools, err = t.CopyTo(p.Dir); err != nil {
		return err
	}
	st, err := os.Stat(bearcat)
	if errors.Is(err, os.ErrNotExist) {
		return nil // other agents can still be measured
	}
	if err != nil {
		return fmt.Errorf("looking for the agent: %w", err)
	}
	p.Size = st.Size()
	return copyFile(bearcat, p.Bearcat)
}

// Remove removes the directory with all that agents wrote to it.
func (p *Place) Remove() error {
	if err := os.RemoveAll(p.Dir); err != nil {
		return fmt.Errorf("removing the benchmark's directory: %w", err)
	}
	return nil
}

// hold keeps n sleeping processes, so that the agent has a table to fill, and
// returns a function that ends them.
func (p *Place) hold(ctx context.Context, n int) (release func(), err error) {
	if n == 0 {
		return func() {}, nil
	}
	return p.keep(ctx, "hold", n)
}

// keep has the load generator make n objects of a kind and keep them, and returns a
// function that takes them away.
func (p *Place) keep(ctx context.Context, kind string, n int) (release func(), err error) {
	cmd := exec.CommandContext(ctx, p.Tools.Load, kind, strconv.Itoa(n))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("keeping %d objects (%s): %w", n, kind, err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("keeping %d objects (%s): %w", n, kind, err)
	}
	release = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != "holding" {
		release()
		return nil, fmt.Errorf("keeping %d objects (%s): the load generator said %q (%w)", n, kind, line, err)
	}
	return release, nil
}
