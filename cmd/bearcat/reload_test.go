package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const aRule = "- rule: NAME\n  desc: d\n  condition: evt.type = execve and proc.name = x\n  output: o\n  priority: INFO\n"

func putFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWatch wants a change told once, and only when two looks have seen the same.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	putFile(t, file, aRule)
	w := newWatch([]string{dir})
	look := func(want bool, what string) {
		t.Helper()
		if got := w.changed(); got != want {
			t.Errorf("%s: changed is %v", what, got)
		}
	}
	look(false, "nothing happened")
	for i := range 3 { // a file that grows with each look
		putFile(t, file, strings.Repeat(aRule, i+2))
		look(false, "a file that is being written")
	}
	look(true, "the file stays as it is")
	look(false, "the same again")
	putFile(t, filepath.Join(dir, "note.txt"), "x")
	look(false, "a file that is no rule file")
	look(false, "a file that is no rule file, again")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	look(false, "a file has just gone")
	look(true, "a file has gone")
}

// TestHalfAFileIsNotLoaded replaces a file in place, with a pause in the middle: what is there
// in the pause is valid, and has half of the rules.
func TestHalfAFileIsNotLoaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yaml")
	one, two := strings.Replace(aRule, "NAME", "one", 1), strings.Replace(aRule, "NAME", "two", 1)
	text := one
	putFile(t, file, text)
	pauses := 0
	set, report, err := loadSettled([]string{file}, func(time.Duration) {
		switch pauses++; {
		case pauses < 5: // as a slow writer does, who never leaves the file alone for long
			text += "#\n"
		case pauses == 5:
			text += two
		default:
			return
		}
		putFile(t, file, text)
	})
	if err != nil || report.Errors() > 0 {
		t.Fatal(err, report)
	}
	if n := len(set.Rules()); n != 2 || pauses != 6 {
		t.Errorf("%d of 2 rules were loaded after %d pauses", n, pauses)
	}
	_, _, err = loadSettled([]string{file}, func(time.Duration) {
		text += "#\n"
		putFile(t, file, text)
	})
	if err == nil || !strings.Contains(err.Error(), "are being written to") {
		t.Errorf("a file that changes without end: %v", err)
	}
}
