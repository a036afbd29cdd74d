package scan

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostWith makes a host's files below a folder of the test's.
func hostWith(t *testing.T, files map[string]string) *Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Host{Root: root}
}

func subjects(t *testing.T, list []Finding, err error) []string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range list {
		if f.What == "" || f.Evidence == "" || f.Do == "" || f.Sure == "" {
			t.Errorf("a finding lacks a part: %+v", f)
		}
		out = append(out, f.subject)
	}
	return out
}

func TestRootAccounts(t *testing.T) {
	h := hostWith(t, map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/bash\ntoor:x:0:0::/root:/bin/sh\nbroken\n"})
	list, err := rootAccounts(h)
	if got := subjects(t, list, err); !slices.Equal(got, []string{"toor"}) {
		t.Errorf("found %q, want toor", got)
	}
}

func TestRootPaths(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("files have to belong to root")
	}
	h := hostWith(t, map[string]string{"etc/cron.d/open": "x", "etc/cron.d/shut": "x", "etc/crontab": "x", "usr/local/bin/tool": "x"})
	for path, mode := range map[string]os.FileMode{"etc/cron.d/open": 0o666, "etc/cron.d/shut": 0o644, "etc/crontab": 0o644, "usr/local/bin": 0o777} {
		if err := os.Chmod(filepath.Join(h.Root, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(h.Root, "etc/crontab"), 1000, 0); err != nil {
		t.Fatal(err)
	}
	list, err := rootPaths(h)
	if got := subjects(t, list, err); !slices.Equal(got, []string{"/etc/crontab", "/usr/local/bin", "/etc/cron.d/open"}) {
		t.Errorf("found %q", got)
	}
}

func TestSetUIDs(t *testing.T) {
	h := hostWith(t, map[string]string{"tmp/a/sh": "x", "tmp/plain": "x", "tmp/1/2/3/4/5/deep": "x", "usr/bin/su": "x"})
	for _, path := range []string{"tmp/a/sh", "tmp/1/2/3/4/5/deep", "usr/bin/su"} {
		if err := os.Chmod(filepath.Join(h.Root, path), 0o755|os.ModeSetuid); err != nil {
			t.Fatal(err)
		}
	}
	list, err := setUIDs(h)
	if got := subjects(t, list, err); !slices.Equal(got, []string{"/tmp/a/sh"}) {
		t.Errorf("found %q, want /tmp/a/sh", got)
	}
}

func TestModuleSymbols(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kallsyms")
	text := "ffff t start\nffff t init_x\t[xfs]\nffff t prog_1\t[bpf]\nffff t f\t[__builtin__ftrace]\nffff t other [xfs] more\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := moduleSymbols(path)
	if err != nil || len(got) != 1 || got["xfs"] != "init_x" {
		t.Errorf("the symbols are %v, %v", got, err)
	}
	if _, err := moduleSymbols(path + "x"); err == nil {
		t.Error("a file that is not there has symbols")
	}
}

// TestBothLooks keeps what was there both times.
func TestBothLooks(t *testing.T) {
	f := func(check, subject string, s Sure) Finding {
		return Finding{Check: check, subject: subject, Sure: s}
	}
	got := both([]Finding{f("a", "1", Possible), f("a", "2", Likely), f("b", "3", Certain)}, []Finding{f("a", "1", Possible), f("b", "2", Likely), f("b", "3", Certain), f("b", "3", Certain)})
	if len(got) != 2 || got[0].subject != "3" || got[1].subject != "1" {
		t.Errorf("kept %+v, want 3 and then 1", got)
	}
}

func TestChosen(t *testing.T) {
	if all, err := chosen(nil); err != nil || len(all) != len(Checks()) {
		t.Errorf("%d checks, %v", len(all), err)
	}
	if one, err := chosen([]string{"preload"}); err != nil || len(one) != 1 {
		t.Errorf("%d checks, %v", len(one), err)
	}
	if _, err := chosen([]string{"preloads"}); err == nil || !strings.Contains(err.Error(), "did you mean preload?") {
		t.Errorf("error %v", err)
	}
	names := map[string]bool{}
	page, err := os.ReadFile("../../docs/scan.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks() {
		if names[c.Name] || c.Doc == "" {
			t.Errorf("check %q stands twice or says nothing", c.Name)
		}
		names[c.Name] = true
		if !strings.Contains(string(page), "### "+c.Name+"\n") {
			t.Errorf("docs/scan.md does not describe %s", c.Name)
		}
	}
}
