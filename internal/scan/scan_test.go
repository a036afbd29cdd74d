package scan

import (
	"os"
	"os/exec"
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
	k, err := readImage(path)
	if err != nil || len(k.symbols) != 1 || k.symbols["xfs"] != "init_x" {
		t.Errorf("the symbols are %+v, %v", k, err)
	}
}

func TestPreloads(t *testing.T) {
	for value, want := range map[string]string{
		"/a/b.so": "/a/b.so", "/a//x.so:/b.so c.so": "/a/x.so,/b.so", "./l.so:lib.so": "/w/l.so", "": "", "$LIB/x.so /y.so": "/w/$LIB/x.so,/y.so",
	} {
		if got := strings.Join(Preloads(value, "/w"), ","); got != want {
			t.Errorf("%q names %q, want %q", value, got, want)
		}
	}
	if got := Preloads("./l.so", ""); got != nil {
		t.Errorf("without a folder ./l.so is %q", got)
	}
}

func TestLibraryJudged(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc to make a library with")
	}
	h := hostWith(t, map[string]string{"text.so": "no library", "etc/ld.so.preload": "/hides.so\n/plain.so\n"})
	for name, text := range map[string]string{
		"hides": "#include <dirent.h>\nstruct dirent *readdir(DIR *d) { return 0; }\nint getdents64(void) { return 0; }",
		"plain": "#include <dirent.h>\nint count(DIR *d) { int n = 0; while (readdir(d)) n++; return n; }",
	} {
		cmd := exec.Command("gcc", "-shared", "-fPIC", "-xc", "-", "-o", filepath.Join(h.Root, name+".so"))
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v: %s", err, out)
		}
	}
	var got []string
	for _, lib := range append(PreloadList(h.Root), "/text.so", "/none.so", "/etc") {
		if f := Library(h.Root, lib, "a test"); f != nil {
			got = append(got, f.What)
		}
	}
	if want := []string{"library /hides.so replaces getdents64, readdir, by which programs list files and processes"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// FuzzLibrary looks into what is no library.
func FuzzLibrary(f *testing.F) {
	if self, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(self)
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "lib.so")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := replaced(path); err != nil && len(found) > 0 {
			t.Errorf("found %q and failed: %v", found, err)
		}
	})
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
	if all, err := chosen(nil); err != nil || len(all) != len(Checks())-len(costly) || slices.ContainsFunc(all, func(c Check) bool { return c.Name == "kernel-text" }) {
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

func TestSeries(t *testing.T) {
	for release, want := range map[string]string{"6.12.117+deb13-amd64": "6.12", "7.3-rc1": "7.3", "5.10.0-46-cloud-amd64": "5.10", "6": "6."} {
		if got := series(release); got != want {
			t.Errorf("%s is of %s, want %s", release, got, want)
		}
	}
}

func TestUnprovenProcessor(t *testing.T) {
	dir := t.TempDir() + "/"
	for _, c := range []struct {
		file, text string
		bad        bool
	}{{"retbleed", "Not affected\n", false}, {"indirect_target_selection", "Mitigation: Aligned branch/return thunks\n", true}, {"indirect_target_selection", "Not affected\n", false}, {"retbleed", "Mitigation: Stuffing\n", true}} {
		if err := os.WriteFile(dir+c.file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unprovenProcessor(dir); c.bad != (err != nil) {
			t.Errorf("%s %q: %v", c.file, c.text, err)
		}
	}
}
