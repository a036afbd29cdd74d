package top

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// TestReadGroup has the files of both versions, and a group that has none.
func TestReadGroup(t *testing.T) {
	write := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	v2 := write(map[string]string{"cpu.stat": "usage_usec 2000\nuser_usec 1\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7\n", "memory.current": "4096\n", "memory.max": "max\n", "cgroup.procs": "1\n2\n"})
	want := groupCounts{usage: 2000000, periods: 9, throttled: 4, throttledTime: 7000, memory: 4096, processes: 2}
	if got := readGroup(v2, groupCounts{}); got != want {
		t.Errorf("version 2: %+v, want %+v", got, want)
	}
	cpu := write(map[string]string{"cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 7000\n"})
	account := write(map[string]string{"cpuacct.usage": "2000000\n", "cgroup.procs": "1\n2\n"})
	memory := write(map[string]string{"memory.usage_in_bytes": "4096\n", "memory.limit_in_bytes": "9223372036854771712\n", "cgroup.procs": "1\n"})
	got := groupCounts{}
	for _, dir := range []string{cpu, account, memory, filepath.Join(memory, "gone")} {
		got = readGroup(dir, got)
	}
	if got != want {
		t.Errorf("version 1: %+v, want %+v", got, want)
	}
}

func TestRelativeGroup(t *testing.T) {
	mounts := []kernel.CgroupMount{{Dir: "/sys/fs/cgroup", V2: true}, {Dir: "/sys/fs/cgroup/cpu"}}
	for path, want := range map[string]string{"/sys/fs/cgroup/cpu/a/b": "/a/b", "/sys/fs/cgroup/a/": "/a", "/a": "/a", "a": "/a", "/sys/fs/cgroup": "/", "/sys/fs/cgroups": "/sys/fs/cgroups"} {
		if got := relativeGroup(mounts, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	w := &groupWatch{below: "/a"}
	if !w.within("/a") || !w.within("/a/b") || w.within("/ab") || w.within("/") {
		t.Error("below /a are not those that are")
	}
}

func FuzzKeyed(f *testing.F) {
	f.Add("usage_usec 2000\nnr_periods 9\n", "nr_periods")
	f.Add("max\n", "")
	f.Fuzz(func(t *testing.T, text, name string) {
		if n, ok := keyed(text, name); ok && n > 0 && len(text) < len(name)+2 {
			t.Errorf("%q has %d for %q", text, n, name)
		}
		if n, ok := figure(text); ok && n > 0 && text == "" {
			t.Errorf("nothing is %d", n)
		}
	})
}
