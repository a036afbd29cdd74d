package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	aptTries = 5
	keyring  = "/usr/share/keyrings/debian-archive-keyring.gpg"
)

// apt is one Debian suite seen through apt with state of its own below dir. The
// machine's package lists are neither read nor changed; its proxy and
// authentication settings are kept.
type apt struct {
	dir, uri, suite string
	names           []string
}

func newApt(dir, uri, suite string) *apt { return &apt{dir: dir, uri: uri, suite: suite} }

func (a *apt) path(name string) string { return filepath.Join(a.dir, name) }

// config is read after the machine's own, so what it sets wins.
func (a *apt) config() string {
	return fmt.Sprintf(`#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::sourcelist %q;
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists %q;
Dir::State::status "/dev/null";
Dir::Cache %q;
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
`, a.path("sources.list"), a.path("lists"), a.path("cache"))
}

func (a *apt) prepare() error {
	for _, d := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(a.path(d), 0o755); err != nil {
			return fmt.Errorf("making apt's private state: %w", err)
		}
	}
	source := fmt.Sprintf("deb [arch=amd64 signed-by=%s] %s %s main\n", keyring, a.uri, a.suite)
	for name, text := range map[string]string{"sources.list": source, "apt.conf": a.config()} {
		if err := os.WriteFile(a.path(name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing apt's private configuration: %w", err)
		}
	}
	return nil
}

// run runs one apt program, several times when it needs the network and fails.
func (a *apt) run(ctx context.Context, tries int, program string, args ...string) ([]byte, error) {
	var err error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Duration(try*try) * 2 * time.Second):
			}
		}
		var out, stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, program, append([]string{"-q", "-c", a.path("apt.conf")}, args...)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = a.path("debs"), &out, &stderr
		if err = cmd.Run(); err == nil {
			return out.Bytes(), nil
		}
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, lastLines(stderr.String(), 3))
	}
	return nil, fmt.Errorf("%w (tried %d times)", err, tries)
}

func (a *apt) update(ctx context.Context) error {
	if !exists(keyring) {
		return fmt.Errorf("no %s to check signatures with: install debian-archive-keyring", keyring)
	}
	if err := a.prepare(); err != nil {
		return err
	}
	// without Error-Mode apt-get update succeeds when nothing could be reached
	if _, err := a.run(ctx, aptTries, "apt-get", "update", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return fmt.Errorf("reading suite %s: %w", a.suite, err)
	}
	out, err := a.run(ctx, 1, "apt-cache", "pkgnames", "linux-")
	if err != nil {
		return fmt.Errorf("listing suite %s: %w", a.suite, err)
	}
	a.names = strings.Fields(string(out))
	return nil
}

func (a *apt) has(pkg string) bool { return slices.Contains(a.names, pkg) }

func (a *apt) newest(_ context.Context, pattern *regexp.Regexp) (string, error) {
	name := newestName(a.names, pattern)
	if name == "" {
		return "", fmt.Errorf("suite %s has no package that matches %s: the table in test/kernel/kernels.go needs another suite", a.suite, pattern)
	}
	return name, nil
}

func (a *apt) unpack(ctx context.Context, pkg, into string) error {
	defer func() {
		debs, _ := filepath.Glob(a.path("debs/*.deb"))
		for _, d := range debs {
			os.Remove(d)
		}
	}()
	if _, err := a.run(ctx, aptTries, "apt-get", "download", pkg); err != nil {
		return fmt.Errorf("downloading %s: %w", pkg, err)
	}
	debs, _ := filepath.Glob(a.path("debs/" + pkg + "_*.deb"))
	if len(debs) != 1 {
		return errors.New("apt-get download left no file for " + pkg)
	}
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", debs[0], into).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking %s: %w: %s", pkg, err, out)
	}
	return nil
}

// newestName returns the highest-numbered match of pattern, or "".
func newestName(names []string, pattern *regexp.Regexp) string {
	var best string
	for _, n := range names {
		if pattern.MatchString(n) && (best == "" || slices.Compare(numbers(n), numbers(best)) > 0) {
			best = n
		}
	}
	return best
}

var digits = regexp.MustCompile(`\d+`)

func numbers(s string) []int {
	var ns []int
	for _, d := range digits.FindAllString(s, -1) {
		n, _ := strconv.Atoi(d)
		ns = append(ns, n)
	}
	return ns
}

// lastLines returns the last n non-empty lines of text.
func lastLines(text string, n int) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
