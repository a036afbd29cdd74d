package policy

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// textFiles reads every file of the tree that is text and was written by hand
// or generated into it; what is built, and recorded bytes, are left out.
func textFiles(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == ".git" || rel == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.ContainsRune(data[:min(len(data), 4096)], 0) {
			out[filepath.ToSlash(rel)] = data
		}
		return nil
	})
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	return out
}

var mdLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows each link from one page of the documentation to another.
func TestLinks(t *testing.T) {
	n := 0
	for path, data := range textFiles(t) {
		// the heads are parts of pages in docs, from where their links lead
		if !strings.HasSuffix(path, ".md") || strings.HasPrefix(path, "tools/gendocs/heads/") {
			continue
		}
		for _, m := range mdLink.FindAllSubmatch(data, -1) {
			target, _, _ := strings.Cut(string(m[1]), "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			n++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), target)); err != nil {
				t.Errorf("%s: link to %s leads nowhere", path, m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no links were found: the pattern is wrong")
	}
}

// TestEveryVerbHasAPage wants a page for each command and a line in the README.
func TestEveryVerbHasAPage(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range verbs(t) {
		page := "docs/" + verb + ".md"
		if _, err := os.Stat(filepath.Join(root, page)); err != nil {
			t.Errorf("bearcat %s has no page %s", verb, page)
		}
		if !bytes.Contains(readme, []byte(verb)) {
			t.Errorf("README.md does not name bearcat %s", verb)
		}
	}
}

var useLine = regexp.MustCompile(`AddCommand\((.*)\)`)

// verbs lists the commands that cmd/bearcat adds to its root.
func verbs(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "cmd/bearcat/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	m := useLine.FindSubmatch(b)
	if m == nil {
		t.Fatal("cmd/bearcat/main.go adds no commands")
	}
	var out []string
	for _, call := range strings.Split(string(m[1]), ",") {
		out = append(out, strings.TrimSuffix(strings.TrimSpace(call), "Command()"))
	}
	return out
}
