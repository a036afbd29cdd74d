package simulate

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/rules"
)

// leftovers lists the folders that cases have not removed.
func leftovers(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, place := range []string{os.TempDir(), "/tmp", "/var/tmp", "/dev/shm", "/root", "/var/lib"} {
		found, err := filepath.Glob(filepath.Join(place, "bearcat-simulate-*"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(entries)
}

func TestEveryCaseRuns(t *testing.T) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			before, files := leftovers(t), openFiles(t)
			var got []Result
			if err := Run(t.Context(), func(r Result) { got = append(got, r) }, c.Name); err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 {
				t.Fatalf("%d results for one case", len(got))
			}
			r := got[0]
			if r.Skipped() {
				t.Skip(r.Err)
			}
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if len(r.Pids) == 0 || r.Took <= 0 || r.Took > limit {
				t.Errorf("the result tells of no run: pids %v in %v", r.Pids, r.Took)
			}
			for _, pid := range r.Pids {
				if err := unix.Kill(-pid, 0); !errors.Is(err, unix.ESRCH) {
					t.Errorf("the group of process %d is still there: %v", pid, err)
				}
			}
			if after := leftovers(t); !slices.Equal(before, after) {
				t.Errorf("folders were left behind: before %v, after %v", before, after)
			}
			if n := openFiles(t); n > files+1 { // the runtime opens one for its own use
				t.Errorf("%d descriptors are open, and %d were before", n, files)
			}
		})
	}
}

func TestCasesAreDescribed(t *testing.T) {
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	set, _ := rule.Load(files, rule.Options{})
	names := map[string]bool{}
	for _, c := range Cases() {
		if names[c.Name] {
			t.Errorf("two cases are called %s", c.Name)
		}
		names[c.Name] = true
		r, ok := set.Rule(c.Rule)
		switch {
		case !ok:
			t.Errorf("case %s is to set off %q, and no shipped rule is called so", c.Name, c.Rule)
		case r.Status() != rule.Live:
			t.Errorf("case %s is to set off %q, which is %s", c.Name, c.Rule, r.Status())
		case !slices.Contains(r.Info().Tags, c.Technique):
			t.Errorf("case %s is of technique %s, and rule %q is not: %v", c.Name, c.Technique, c.Rule, r.Info().Tags)
		}
		if c.Title == "" || c.run == nil {
			t.Errorf("case %s lacks its title or its work", c.Name)
		}
	}
}

// Every rule about the start of programs that is on has a case, but for those
// that need what a simulation must not bring along.
func TestRulesHaveCases(t *testing.T) {
	without := []string{
		"Container enters the host's namespaces",         // needs a container
		"Discovery command run by an application server", // needs a process without a login
		// need a program at the other end of a connection
		"Reverse shell through a network tool", "Shell driven by a connected program", "Terminal of a shell joined to an outgoing connection",
		"Shell joined to an accepted connection", "Interpreter runs commands for a connection",
	}
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	set, _ := rule.Load(files, rule.Options{})
	for _, r := range set.Rules() {
		if !strings.HasSuffix(r.Pos().File, "/process.yaml") {
			continue // about calls, most of which change the host
		}
		name := r.Info().Name
		has := slices.ContainsFunc(Cases(), func(c Case) bool { return c.Rule == name })
		if r.Status() == rule.Live && has == slices.Contains(without, name) {
			t.Errorf("rule %q: has a case: %v, which the list of exceptions does not say", name, has)
		}
	}
}

func TestUnknownName(t *testing.T) {
	ran := false
	err := Run(t.Context(), func(Result) { ran = true }, "memory", "socket-shel")
	if err == nil || !strings.Contains(err.Error(), "did you mean socket-shell?") {
		t.Errorf("error is %v", err)
	}
	if ran {
		t.Error("a case ran although a name was wrong")
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, func(r Result) { t.Errorf("%s ran", r.Case.Name) }); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// A case that hangs is ended together with its children, and cleaned up.
func TestHangingCase(t *testing.T) {
	before := leftovers(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r := runCase(ctx, Case{Name: "hang", run: func(ctx context.Context, e *env) error {
		return e.server(ctx, "hang", "while :; do :; done & while :; do :; done", nil)
	}})
	if !errors.Is(r.Err, context.DeadlineExceeded) {
		t.Errorf("error is %v", r.Err)
	}
	if len(r.Pids) != 1 {
		t.Fatalf("started %v", r.Pids)
	}
	gone := func() bool { return groupEnded(t, r.Pids[0]) }
	for range 100 {
		if gone() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !gone() {
		t.Errorf("the group of process %d is still there", r.Pids[0])
	}
	if after := leftovers(t); !slices.Equal(before, after) {
		t.Errorf("folders were left behind: %v", after)
	}
}

// groupEnded reports whether no process of a group runs; one that has ended
// and waits for init to take notice counts as ended.
func groupEnded(t *testing.T, pgid int) bool {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(f) > 2 && f[0] != "Z" && f[2] == strconv.Itoa(pgid) {
			return false
		}
	}
	return true
}

func TestWrongExitIsAnError(t *testing.T) {
	r := runCase(t.Context(), Case{Name: "wrong", run: shellText("exit 3")})
	if r.Err == nil || !strings.Contains(r.Err.Error(), "exit status 3") {
		t.Errorf("error is %v", r.Err)
	}
}

func TestProgram(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "riscv64": elf.EM_RISCV} {
		bin, err := programFor(arch)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(bin))
		if err != nil {
			t.Fatalf("%s: %v", arch, err)
		}
		if f.Machine != machine || f.Type != elf.ET_EXEC || len(f.Progs) != 2 {
			t.Errorf("%s: header is %+v", arch, f.FileHeader)
		}
		if p := f.Progs[0]; p.Type != elf.PT_LOAD || p.Filesz != uint64(len(bin)) || f.Entry < p.Vaddr || f.Entry >= p.Vaddr+p.Filesz {
			t.Errorf("%s: entry %#x is not within %+v", arch, f.Entry, p.ProgHeader)
		}
	}
	if _, err := programFor("pdp11"); !errors.Is(err, ErrUnmet) {
		t.Errorf("error for an unknown processor is %v", err)
	}
}

// The page lists every case beside its rule, and that of the rules every rule.
func TestDocsAreComplete(t *testing.T) {
	page := func(name string) string {
		data, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	cases, pack := page("simulate.md"), page("rules/README.md")
	for _, c := range Cases() {
		if !strings.Contains(cases, "| `"+c.Name+"` |") {
			t.Errorf("docs/simulate.md does not list case %s", c.Name)
		}
		if !strings.Contains(pack, "`"+c.Name+"`") {
			t.Errorf("docs/rules/README.md does not list case %s beside its rule", c.Name)
		}
	}
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	set, _ := rule.Load(files, rule.Options{})
	for _, r := range set.Rules() {
		if !strings.Contains(pack, "| ["+r.Info().Name+"](") {
			t.Errorf("docs/rules/README.md does not list rule %q", r.Info().Name)
		}
	}
}
