package scan

import (
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestOperations reads the operations of /proc/net/tcp and of /proc, which have known
// names, and finds them where the kernel's code is said to end before.
func TestOperations(t *testing.T) {
	guest.NeedKernel(t)
	guest.Require(t)
	k, err := readImage("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPeek(peekLen)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	names, err := kernel.ReadSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]map[string]string{
		"/proc/net/tcp": {"seq_operations.show": "tcp4_seq_show", "proc_ops.proc_read_iter": "seq_read_iter"},
		"/proc":         {"file_operations.iterate_shared": "proc_root_readdir", "inode_operations.lookup": "proc_root_lookup"},
	} {
		i := slices.IndexFunc(watchedFiles[:], func(w watchedFile) bool { return w.path == path })
		list, err := p.operations(watchedFiles[i])
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, x := range list {
			name, off := names.Find(x.addr)
			if w := want[x.member]; w != "" && (name != w || off > 16) {
				t.Errorf("%s of %s is %s+%d, want %s", x.member, path, name, off, w)
			}
			delete(want, x.member)
		}
		for member, name := range want {
			if !strings.HasPrefix(member, "proc_ops") { // 5.10 has none that reads so
				t.Errorf("%s, %s, is not among the operations of %s: %+v", member, name, path, list)
			}
		}
		short := *k
		short.end = list[0].addr
		if got := outside(&short, list[:1], names); len(got) != 1 || !strings.Contains(got[0].Evidence, "near ") {
			t.Errorf("code behind the end of the kernel's gives %+v", got)
		}
	}
	if k.calls == 0 {
		return // a kernel that keeps no names of data
	}
	calls, err := p.systemCalls(k)
	if err != nil {
		t.Fatal(err)
	}
	if name, _ := names.Find(calls[0].addr); len(calls) < 300 || !strings.Contains(name, "sys_read") {
		t.Errorf("%d system calls, the first of which is %s", len(calls), name)
	}
}

// TestGateTable reads the table of interrupts, in which all leads to the kernel's code, and
// finds a gate that leads behind where the code is said to end.
func TestGateTable(t *testing.T) {
	guest.NeedKernel(t)
	guest.Require(t)
	h := &Host{}
	defer h.close()
	found, err := interruptGates(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("%s: %s", f.What, f.Evidence)
	}
	h.imageOf.end = h.imageOf.start + 1
	if found, err = interruptGates(h); err != nil || len(found) < 100 {
		t.Errorf("%d gates lead behind the end, %v", len(found), err)
	}
	h.imageOf.gates = 0 // as on a kernel that keeps no names of data
	if again, err := interruptGates(h); err != nil || len(again) != len(found) {
		t.Errorf("where processors have it mapped are %d gates, and not %d: %v", len(again), len(found), err)
	}
}
