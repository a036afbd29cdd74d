package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// hider is a program that takes a name out of what listings give to this process: it
// writes another letter over its first one, in the caller's memory.
func hider(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	const (
		origAX, si        = 120, 104           // of pt_regs
		length, at, entry = 16, -16, -48       // a record's length in it, the buffer, a copy of a record
		text              = entry + 16 + 2 + 1 // a record's name
		most              = 600                // records in a buffer of 8 KB are fewer
	)
	read := func(from asm.BuiltinFunc, to int16, n int32, where asm.Register, off int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, int32(to)), asm.Mov.Imm(asm.R2, n),
			asm.Mov.Reg(asm.R3, where), asm.Add.Imm(asm.R3, off), from.Call(),
		}
	}
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.FnGetCurrentPidTgid.Call(), asm.RSh.Imm(asm.R0, 32), asm.JNE.Imm(asm.R0, int32(os.Getpid()), "out"),
		asm.LoadMem(asm.R7, asm.R6, 8, asm.DWord), asm.LoadMem(asm.R6, asm.R6, 0, asm.DWord), asm.JSLE.Imm(asm.R7, 0, "out"),
	}
	code = append(code, read(asm.FnProbeReadKernel, at, 8, asm.R6, origAX)...)
	code = append(code, asm.LoadMem(asm.R1, asm.R10, at, asm.DWord), asm.JNE.Imm(asm.R1, unix.SYS_GETDENTS64, "out"))
	code = append(code, read(asm.FnProbeReadKernel, at, 8, asm.R6, si)...)
	code = append(code, asm.LoadMem(asm.R8, asm.R10, at, asm.DWord), asm.Mov.Imm(asm.R9, 0), asm.Mov.Imm(asm.R6, 0),
		asm.JGE.Reg(asm.R9, asm.R7, "out").WithSymbol("next"))
	code = append(code, asm.Mov.Reg(asm.R3, asm.R8), asm.Add.Reg(asm.R3, asm.R9), asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, entry), asm.Mov.Imm(asm.R2, 32), asm.FnProbeReadUser.Call())
	for i, c := range append([]byte(name), 0) {
		code = append(code, asm.LoadMem(asm.R1, asm.R10, int16(text+i), asm.Byte), asm.JNE.Imm(asm.R1, int32(c), "further"))
	}
	code = append(code, asm.Mov.Imm(asm.R1, '_'), asm.StoreMem(asm.R10, at, asm.R1, asm.DWord), asm.Mov.Reg(asm.R1, asm.R8), asm.Add.Reg(asm.R1, asm.R9), asm.Add.Imm(asm.R1, 19),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, at), asm.Mov.Imm(asm.R3, 1), asm.FnProbeWriteUser.Call(), asm.Ja.Label("out"),
		asm.LoadMem(asm.R1, asm.R10, entry+length, asm.Half).WithSymbol("further"), asm.Add.Reg(asm.R9, asm.R1), asm.Add.Imm(asm.R6, 1), asm.JLT.Imm(asm.R6, most, "next"),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return())
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "hides_a_pid", Type: ebpf.RawTracepoint, License: "GPL", Instructions: code})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestShowHidden has a BPF program hide a process from listings of /proc: show proc
// --hidden tells of the process and of the program.
func TestShowHidden(t *testing.T) {
	guest.Once(t)
	guest.Require(t) // a kernel that is locked down lets no program write to processes
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	pid := uint32(sleeper.Process.Pid)
	look := func() (out hiddenAnswer) {
		t.Helper()
		var b bytes.Buffer
		cmd := showCommand()
		cmd.SetArgs([]string{"proc", "--hidden", "--json"})
		cmd.SetOut(&b)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b.Bytes(), &out); err != nil {
			t.Fatalf("%v in %s", err, b.String())
		}
		return out
	}
	if before := look(); len(before.Processes) != 0 {
		t.Errorf("with nothing hidden it tells of %+v", before.Processes)
	}
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sys_exit", Program: hider(t, strconv.Itoa(int(pid)))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := look()
	if len(got.Processes) != 1 || got.Processes[0].Pid != pid || got.Processes[0].Name != "sleep" || !got.Processes[0].Opens {
		t.Errorf("hidden are %+v, want sleep[%d], whose folder opens by its name", got.Processes, pid)
	}
	found := false
	for _, p := range got.Programs {
		if p.Name == "hides_a_pid" {
			found = len(p.Attached) == 1 && len(p.Held) == 1 && p.Held[0].PID == os.Getpid()
		}
	}
	if !found {
		t.Errorf("the program that hides it is not told: %+v", got.Programs)
	}
}

// TestUnlisted has processes come and go while /proc is listed: those are not hidden.
func TestUnlisted(t *testing.T) {
	process := func(pid uint32, start uint64) *event.Process {
		return &event.Process{Key: event.Key{Pid: pid, Start: start}}
	}
	stays, ends, comes, reused := process(10, 1), process(11, 1), process(12, 2), process(13, 1)
	got := unlisted([]*event.Process{stays, ends, reused, process(14, 1)}, map[string]bool{"14": true, "self": true}, []*event.Process{stays, comes, process(13, 3), process(14, 1)})
	if len(got) != 1 || got[0] != stays {
		t.Errorf("hidden are %v, want the one that was there before and after", got)
	}
}
