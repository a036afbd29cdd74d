package scan

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

func TestJudgeModules(t *testing.T) {
	dir := "/lib/modules/6.1/kernel/"
	list := []host.Module{
		{Name: "good", File: dir + "good.ko"}, {Name: "forced", File: dir + "forced.ko", Taint: "F"}, {Name: "nofile"},
		{Name: "gone", File: dir + "gone.ko"}, {Name: "dkms", File: "/lib/modules/6.1/updates/dkms.ko", Taint: "OE"},
	}
	packaged := map[string]bool{dir + "good.ko": true, dir + "forced.ko": true, dir + "gone.ko": true}
	exists := func(p string) bool { return !strings.Contains(p, "gone") }
	sure := map[string]Sure{}
	for _, f := range judgeModules(list, true, packaged, exists) {
		sure[f.subject] = f.Sure
		if f.What == "" || f.Evidence == "" || f.Do == "" {
			t.Errorf("a finding lacks a part: %+v", f)
		}
	}
	if want := (map[string]Sure{"forced": Likely, "nofile": Likely, "gone": Likely, "dkms": Possible}); !maps.Equal(sure, want) {
		t.Errorf("found %v, want %v", sure, want)
	}
	// no package has modules of a kernel that was built here
	if got := judgeModules(list[:1], true, nil, exists); len(got) != 0 {
		t.Errorf("without packages found %+v", got)
	}
	if got := judgeModules([]host.Module{{Name: "x"}}, false, nil, exists); len(got) != 0 {
		t.Errorf("where files are not known found %+v", got)
	}
}

func TestPackagedModules(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.list": "/.\n/lib/modules/6.1/a.ko\n/etc/a\n", "b.list": "/usr/lib/modules/6.12/b.ko.xz\n", "b.md5sums": "/lib/modules/no\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := packagedModules(dir)
	if want := []string{"/lib/modules/6.1/a.ko", "/lib/modules/6.12/b.ko.xz"}; err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
		t.Errorf("packages have %v, %v", got, err)
	}
}

func TestRedirected(t *testing.T) {
	for detail, want := range map[string]Sure{
		"(1) R I tramp: 0xffffffffc0a52000 (fh_ftrace_thunk+0x0/0x60 [rootkit]) ->fh_ftrace_thunk+0x0/0x60 [rootkit]": Likely,
		"(1) R I tramp: ftrace_trampoline+0x0/0x200 (0xffffffffc0831010) ->ftrace_regs_call+0x0/0x10":                 Certain,
		"(1) D direct-->0xffffffffc0831010": Certain,
		"(1) R I tramp: ftrace_trampoline+0x0/0x200 [__builtin__ftrace] (klp_ftrace_handler+0x0/0x120) ->klp_ftrace_handler+0x0/0x120": Possible,
		"(1) R D M tramp: ftrace_regs_caller+0x0/0x65 (call_direct_funcs+0x0/0x20) direct-->bpf_trampoline_6442499+0x0/0x1000":         "",
		"(1) R tramp: 0xffffffffa0001000 (kprobe_ftrace_handler+0x0/0x1b0) ->kprobe_ftrace_handler+0x0/0x1b0":                          "",
		"(2) R ->arch_ftrace_ops_list_func+0x0/0x1f0": "",
		"(1) D direct-->prog_1+0x0/0x80 [bpf]":        "",
	} {
		got := redirected(host.Hook{Kind: "ftrace", Place: "iterate_dir", Detail: detail})
		switch {
		case got == nil && want != "":
			t.Errorf("%q is not told", detail)
		case got != nil && got.Sure != want:
			t.Errorf("%q: %s (%s), want %q", detail, got.What, got.Sure, want)
		}
	}
}
