package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestRecordAndReplay keeps what three commands show, and shows it again.
func TestRecordAndReplay(t *testing.T) {
	guest.NeedKernel(t)
	commands := map[string][]string{
		"top":  {"top", "cpu", "--pid", "1", "--interval", "100ms", "--count", "3"},
		"hist": {"hist", "runq", "--by", "process", "--pid", "1", "--for", "200ms"},
		"io":   {"trace", "io", "--pid", "1", "--for", "200ms"},
		"tcp":  {"trace", "tcp", "--pid", "1", "--for", "200ms"},
	}
	if guest.Name() != "" { // it looks at all of a host
		commands["drops"] = []string{"drops", "--for", "200ms"}
		// what reads is traced too, and has to come to an end
		commands["func"] = []string{"trace", "func", "vfs_read", "--pid", strconv.Itoa(os.Getpid()), "--for", "200ms"}
	}
	for name, args := range commands {
		path := filepath.Join(t.TempDir(), name)
		out := bearcatHere(t, append([]string{"record", path}, args...)...)
		want := map[string]string{"top": "3 tables", "hist": "1 table", "drops": "1 table", "io": "table", "tcp": "table", "func": "1 table"}[name]
		if !strings.Contains(out, want) {
			t.Errorf("%s: %q, want %s", name, out, want)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", name, st.Mode())
		}
		shown := bearcatHere(t, "replay", path)
		if args[0] != "trace" && !strings.Contains(shown, "; lost 0") || !strings.Contains(shown, "bearcat "+strings.Join(args, " ")) {
			t.Errorf("%s is shown as\n%s", name, shown)
		}
	}
}

// bearcatHere runs bearcat within this process, and returns what it writes.
func bearcatHere(t *testing.T, args ...string) string {
	t.Helper()
	var b bytes.Buffer
	root := rootCommand()
	root.SetOut(&b)
	root.SetArgs(args)
	if err := root.ExecuteContext(context.Background()); err != nil {
		t.Errorf("bearcat %s: %v", strings.Join(args, " "), err)
	}
	return b.String()
}
