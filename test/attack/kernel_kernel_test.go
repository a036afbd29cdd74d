package attack

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bearcat-hids/bearcat/test/scenario"
)

// kernelCases are attacks through BPF, modules and tracing, and through
// io_uring.
func kernelCases() []attackCase {
	return []attackCase{
		{id: "B1", do: load(writer(ebpf.Kprobe)), rule: userMemory, also: []string{bpfFromTmp}},
		{id: "B2", do: load(writer(ebpf.TracePoint)), rule: userMemory, also: []string{bpfFromTmp}},
		{id: "B3", do: load(writer(ebpf.RawTracepoint), filter()), rule: userMemory, also: []string{bpfFromTmp}},
		{id: "B4", do: load(killer()), rule: "BPF program that sends signals", also: []string{bpfFromTmp}},
		{id: "B4b", do: load(modifier()), rule: "BPF program that changes results of calls", also: []string{bpfFromTmp}},
		{id: "U1", needs: []string{"gcc"}, do: uring("open", "/etc/shadow"), rule: strayUring},
		{id: "U1b", needs: []string{"gcc"}, do: uring("append", "/etc/profile"), from: "6.1",
			rule: "Account or login file written through io_uring", also: []string{strayUring, startupChanged}},
		{id: "U1c", needs: []string{"gcc"}, do: uring("connect", scenario.PublicIP), from: "6.1",
			rule: "Connection to the internet through io_uring by a stray program", also: []string{strayUring}},
		{id: "K1", needs: []string{"insmod", "modinfo"}, Script: at(`m=$(modinfo -n dummy) || exit 3; cp "$m" .
			case $m in *.xz) xz -d *.ko.xz;; esac
			insmod $PWD/dummy.ko && rmmod dummy`),
			rule: "Kernel module loaded from outside the module directories", also: []string{"Kernel module loaded from an unusual place"}},
		{id: "K1b", needs: []string{"python3", "modinfo"}, Script: at(`m=$(modinfo -n dummy) || exit 3; cp "$m" .
			case $m in *.xz) xz -d *.ko.xz;; esac
			python3 -c 'import ctypes;b=open("dummy.ko","rb").read();assert ctypes.CDLL(None).syscall(175,b,len(b),b"")==0' && rmmod dummy`),
			rule: "Kernel module loaded from memory"},
		{id: "K1c", needs: []string{"python3"}, Script: at(`python3 -c 'import ctypes;assert ctypes.CDLL(None).syscall(246,0,0,0,0)==0'`), rule: "Kernel image replaced"},
		{id: "K1d", needs: []string{"python3"}, Script: at(`python3 -c 'import ctypes;assert ctypes.CDLL(None).syscall(172,3)==0'`), rule: "Kernel memory or ports opened for writing"},
		{id: "K6", Script: at(`f=/sys/kernel/tracing/kprobe_events; echo p:x do_sys_openat2 >$f && echo >$f`), rule: "Kernel hook set through tracing files"},
	}
}

// Numbers of helpers.
const (
	probeWriteUser = asm.BuiltinFunc(36)
	sendSignal     = asm.BuiltinFunc(109)
)

// writer is a program that would write a byte into the memory of whatever
// process it runs in. It is never attached.
func writer(kind ebpf.ProgramType) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "helpful", Type: kind, License: "GPL", Instructions: asm.Instructions{
		asm.StoreImm(asm.RFP, -8, 0, asm.Word),
		asm.Mov.Imm(asm.R1, 0),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 1),
		probeWriteUser.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}}
}

// killer is a program that would send SIGCONT to whatever process it runs in.
func killer() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "helpful", Type: ebpf.Kprobe, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, 18), sendSignal.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}}
}

// filter is a program for sockets, the other half of a back door.
func filter() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "helpful", Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}
}

// modifier is a program that would refuse every opening of a file.
func modifier() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "helpful", Type: ebpf.Tracing, AttachType: ebpf.AttachModifyReturn, AttachTo: "security_file_open", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}
}

// load loads programs and drops them again.
func load(specs ...*ebpf.ProgramSpec) func(*testing.T) error {
	return func(t *testing.T) error {
		for _, s := range specs {
			p, err := ebpf.NewProgram(s)
			if err != nil {
				return err
			}
			if err := p.Close(); err != nil {
				return err
			}
		}
		return nil
	}
}

// strayUring is the rule that every use of io_uring here sets off.
const strayUring = "io_uring used by a stray program"

// uring does something through io_uring, by a program in a temporary folder.
func uring(what, to string) func(*testing.T) error {
	return func(t *testing.T) error {
		source, err := os.ReadFile("testdata/uring.c")
		if err != nil {
			return err
		}
		path := filepath.Join(t.TempDir(), "reader")
		if err := compile(t, path, string(source)); err != nil {
			return err
		}
		s := at(path+" "+what+" "+to, 6070)
		out, err := s.Run(t)
		if err != nil {
			return errors.Join(err, errors.New(out))
		}
		return nil
	}
}
