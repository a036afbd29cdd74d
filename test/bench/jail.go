package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// scriptPrograms are what the scripts run, beside the compiler's own.
var scriptPrograms = [...]string{"/bin/sh", "mktemp", "rm", "sed", "grep", "cat", "sort", "head", "tail", "ls", "mkdir", "gcc", "as"}

// compilerPaths are the programs that the compiler driver starts.
func compilerPaths() ([]string, error) {
	out, err := exec.Command("gcc", "-print-prog-name=cc1").Output()
	if err != nil {
		return nil, fmt.Errorf("asking gcc where its compiler is: %w", err)
	}
	return []string{strings.TrimSpace(string(out))}, nil
}

// makeJail fills dir with the script, its programs and their libraries. The
// script runs with dir as its root: a guest reads its own root through the
// machine that it runs on, and waiting for that would be measured.
func makeJail(dir string, t Tools) error {
	for _, d := range []string{"tmp", "dev"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return fmt.Errorf("making a root for the mixed load: %w", err)
		}
	}
	null := filepath.Join(dir, "dev/null")
	if err := unix.Mknod(null, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		return fmt.Errorf("making a root for the mixed load: making %s: %w", null, err)
	}
	for _, f := range []string{t.Load, t.Script, t.Compile} {
		if err := copyFile(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			return err
		}
	}
	compiler, err := compilerPaths()
	if err != nil {
		return err
	}
	for _, name := range append(scriptPrograms[:], compiler...) {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("making a root for the mixed load: %w", err)
		}
		libraries, err := librariesOf(path)
		if err != nil {
			return err
		}
		for _, f := range append(libraries, path) {
			if err := copyBelow(dir, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// librariesOf returns the absolute paths that the dynamic linker would open.
func librariesOf(program string) ([]string, error) {
	out, err := exec.Command("ldd", program).CombinedOutput()
	if strings.Contains(string(out), "not a dynamic executable") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking ldd for the libraries of %s: %w", program, err)
	}
	var paths []string
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	return paths, nil
}

// copyBelow copies an absolute path to the same path below dir.
func copyBelow(dir, path string) error {
	to := filepath.Join(dir, path)
	if _, err := os.Stat(to); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("making a root for the mixed load: %w", err)
	}
	return copyFile(path, to)
}
