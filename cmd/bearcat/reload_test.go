package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatch changes rule files in the ways that people and programs do.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", "one")
	w := newWatch([]string{dir})
	// what follows must not have the time of what was before
	later := time.Now()
	touch := func(path string) {
		t.Helper()
		later = later.Add(time.Second)
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, looks ...bool) {
		t.Helper()
		for i, yes := range looks {
			if got := w.changed(); got != yes {
				t.Errorf("%s, look %d: %t, want %t", what, i, got, yes)
			}
		}
	}
	want("nothing", false, false)
	write("a.yaml", "two")
	touch(file)
	want("a file is written", false, true, false)
	write("a.yaml", "half a ")
	touch(file)
	want("it is being written", false)
	write("a.yaml", "half a file")
	touch(file)
	want("it still is", false, true, false)
	write("b.yaml", "more")
	want("a file is added", false, true, false)
	write("notes.txt", "no rules")
	want("another file is added", false, false)
	write("new", "three")
	if err := os.Rename(filepath.Join(dir, "new"), file); err != nil {
		t.Fatal(err)
	}
	want("a file is replaced", false, true, false)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("a file is removed", false, true, false)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	want("all are gone", false, true, false)
}
