package drop

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

func TestChoose(t *testing.T) {
	group := t.TempDir()
	if err := os.Mkdir(filepath.Join(group, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cgroup.procs": "7\n", "below/cgroup.procs": "9\nnonsense\n"} {
		if err := os.WriteFile(filepath.Join(group, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := kernel.Scope{Kind: kernel.ScopeCgroup, Dir: group}
	for _, c := range []struct {
		o    Options
		want uint64
	}{
		{Options{Pid: 7}, 1}, {Options{Comm: "a"}, 5}, {Options{Comm: "a", Pid: 9}, 4}, {Options{Comm: "b", Pid: 9}, 0},
		{Options{Scope: in}, 5}, {Options{Scope: in, Pid: 8}, 0},
	} {
		r := &Result{Packets: 23, Rows: []Row{{Packets: 1, Pid: 7, Process: "a"}, {Packets: 2, Pid: 8, Process: "b"}, {Packets: 4, Pid: 9, Process: "a"}, {Packets: 16}}}
		r.choose(newOwners(c.o))
		if r.Packets != c.want || !r.Chosen {
			t.Errorf("%+v keeps %d packets, want %d", c.o, r.Packets, c.want)
		}
	}
	if newOwners(Options{Net: 1, Member: 1, Scope: kernel.HostScope()}) != nil {
		t.Error("a network namespace chooses owners")
	}
}
