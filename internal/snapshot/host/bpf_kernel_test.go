package host

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// loadProgram loads a program that asks for the time, and refers to a map and to
// a helper that it never reaches.
func loadProgram(t *testing.T, m *ebpf.Map) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bearcat_show", Type: ebpf.RawTracepoint, License: "GPL",
		Instructions: asm.Instructions{
			asm.FnKtimeGetNs.Call(),
			asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
			asm.LoadMapPtr(asm.R1, m.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -8),
			asm.FnMapDeleteElem.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatalf("loading a program: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestBPF(t *testing.T) {
	guest.NeedKernel(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "bearcat_map", Type: ebpf.Hash, KeySize: 8, ValueSize: 16, MaxEntries: 32})
	if err != nil {
		t.Fatalf("making a map: %v", err)
	}
	defer m.Close()
	p := loadProgram(t, m)
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatalf("mounting a BPF file system: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := m.Pin(dir + "/pinned"); err != nil {
		t.Fatalf("pinning a map: %v", err)
	}
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exit", Program: p})
	if err != nil {
		t.Fatalf("attaching: %v", err)
	}
	defer l.Close()
	if c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil {
		defer c.Close()
	}
	if err := exec.Command("true").Run(); err != nil {
		t.Fatal(err)
	}
	got, err := ReadBPF()
	if err != nil {
		t.Fatal(err)
	}
	pinfo, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	minfo, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := pinfo.ID()
	mid, _ := minfo.ID()
	me := Process{os.Getpid(), comm(os.Getpid())}
	i := slices.IndexFunc(got.Programs, func(p Program) bool { return p.ID == uint32(pid) })
	j := slices.IndexFunc(got.Maps, func(m Map) bool { return m.ID == uint32(mid) })
	if i < 0 || j < 0 {
		t.Fatalf("program %d or map %d is not listed: %+v", pid, mid, got)
	}
	g := got.Programs[i]
	if g.Name != "bearcat_show" || g.Type != "RawTracepoint" || g.Tag != pinfo.Tag || g.UID == nil || *g.UID != 0 || g.Loaded == 0 || !slices.Equal(g.Maps, []uint32{uint32(mid)}) || !slices.Equal(g.Held, []Process{me}) {
		t.Errorf("program %+v", g)
	}
	if len(g.Attached) != 1 || !strings.HasSuffix(g.Attached[0], "raw tracepoint sched_process_exit") {
		t.Errorf("attached to %q", g.Attached)
	}
	if g.Runs == 0 || g.RunTime == 0 {
		t.Errorf("%d runs in %v, a process has ended meanwhile", g.Runs, g.RunTime)
	}
	text := strings.Join(g.Helpers, " ")
	if len(g.Helpers) != 2 || !strings.Contains(text, "ktime_get") || !strings.Contains(text, "map_delete_elem") {
		t.Errorf("helpers %q, want one for the time and one that deletes; notes %q", g.Helpers, got.Notes)
	}
	k := got.Maps[j]
	if k.Name != "bearcat_map" || k.Type != "Hash" || k.KeySize != 8 || k.ValueSize != 16 || k.MaxEntries != 32 || !slices.Equal(k.Held, []Process{me}) || !slices.Equal(k.Pins, []string{dir + "/pinned"}) {
		t.Errorf("map %+v", k)
	}
}
