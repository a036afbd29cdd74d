package top

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestKnownRuns has a program run 3000 times while somebody looks, and then while nobody
// does.
func TestKnownRuns(t *testing.T) {
	guest.NeedKernel(t)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "known_runs", Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	run := func(n uint32) {
		if _, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64), Repeat: n}); err != nil {
			t.Fatal(err)
		}
	}
	v, _ := ViewNamed("bpf")
	w, err := Open(Options{View: v})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	run(1000)
	run(2000)
	f, err := w.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var row BPFCost
	rows, _ := f.Rows.([]BPFCost)
	for _, r := range rows {
		if r.Name == "known_runs" {
			row = r
		}
	}
	t.Logf("%+v of %d, %s", row, len(rows), f.Host)
	if row.Runs != 3000 || row.Time == 0 || row.Share <= 0 || row.Type != "XDP" {
		t.Errorf("%+v, want 3000 runs of some time", row)
	}
	self, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%s[%d]", strings.TrimSpace(string(self)), os.Getpid()); row.Holder == "" || row.Holder != want && guest.Name() != "" {
		t.Errorf("it is held by %q, want %q", row.Holder, want)
	}
	w.Close()
	if guest.Name() == "" {
		return // somebody else may ask the kernel to count
	}
	run(1000)
	st, err := p.Stats()
	if err != nil || st.RunCount != 3000 {
		t.Errorf("the kernel goes on counting when nobody looks: %d runs, %v", st.RunCount, err)
	}
}
