package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// UpdatePage puts results into a page. Text between the markers
// "<!-- figures NAME -->" and "<!-- end of figures -->" is replaced by the
// file NAME.txt of the results; figures without a result stay as they are. It
// returns the names that were replaced.
func UpdatePage(page, results string) (changed []string, err error) {
	b, err := os.ReadFile(page)
	if err != nil {
		return nil, fmt.Errorf("updating the page: %w", err)
	}
	text, changed, err := replaceFigures(string(b), func(name string) (string, bool, error) {
		b, err := os.ReadFile(filepath.Join(results, name+".txt"))
		if errors.Is(err, os.ErrNotExist) {
			return "", false, nil
		}
		return string(b), err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("updating %s: %w", page, err)
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("updating the page: %w", err)
	}
	return changed, nil
}

const (
	figuresBegin = "<!-- figures "
	markerEnd    = " -->\n"
	figuresEnd   = "<!-- end of figures -->"
)

func replaceFigures(page string, result func(name string) (string, bool, error)) (text string, changed []string, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(page, figuresBegin)
		b.WriteString(before)
		if !found {
			return b.String(), changed, nil
		}
		name, rest, ok := strings.Cut(rest, markerEnd)
		if !ok || strings.ContainsAny(name, "\n/") {
			return "", nil, errors.New(`a marker is broken: want "<!-- figures NAME -->" on a line of its own`)
		}
		old, after, ok := strings.Cut(rest, figuresEnd)
		if !ok || strings.Contains(old, figuresBegin) {
			return "", nil, fmt.Errorf("the figures %q have no end: want %q", name, figuresEnd)
		}
		figures, have, err := result(name)
		if err != nil {
			return "", nil, fmt.Errorf("reading the figures %q: %w", name, err)
		}
		if have {
			old = "```text\n" + strings.TrimRight(figures, "\n") + "\n```\n"
			changed = append(changed, name)
		}
		b.WriteString(figuresBegin + name + markerEnd + old + figuresEnd)
		page = after
	}
}
