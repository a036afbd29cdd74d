package attack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
)

// rootkitCases are attacks by modules, which the test builds for the guest's kernel, and by
// libraries that hide. They are told by checks that are made at once after a reason, or
// all the time, so that the alert comes by itself and not with an event of the attack.
func rootkitCases() []attackCase {
	modules := []string{"gcc", "insmod", "rmmod", "modinfo"}
	loaded := []string{"Kernel module loaded from outside the module directories", "Kernel module loaded from an unusual place"}
	return []attackCase{
		{id: "K2", needs: modules, do: rootkit("TABLE=sys_call_table"), looked: true, rule: "Table of system calls changed", also: loaded},
		{id: "K3", needs: modules, do: hiding("FIND_VPID=find_vpid"), looked: true, rule: "Process hidden from proc", also: loaded},
		{id: "K5", needs: modules, do: rootkit("OPERATIONS=proc_root_operations", `PID="none"`), looked: true, rule: "Operations of proc or of its lists changed", also: loaded},
		{id: "K5b", needs: modules, do: hiding("OPERATIONS=proc_root_operations"), looked: true, rule: "Process hidden from proc",
			also: append(loaded, "Operations of proc or of its lists changed")},
		{id: "K6b", do: probe("iterate_dir"), looked: true,
			rule: "Probe on a function that lists files, processes or connections", also: []string{"Kernel hook set through tracing files"}},
		{id: "L4", needs: []string{"gcc"}, Script: at(`printf 'void *readdir64(void *d) { return 0; }\n' | gcc -shared -fPIC -xc - -o hide.so; LD_PRELOAD=$PWD/hide.so ls`), looked: true,
			rule: "Preloaded library changes how files are listed", also: []string{"Library preloaded from a temporary folder",
				"Kernel hook set through tracing files"}}, // the case before takes its probe away
		// the last one, as its module stays for as long as the guest lives
		{id: "K4", needs: modules, do: rootkit("KOBJECT_DEL=kobject_del"), looked: true, rule: "Kernel module hidden", also: loaded},
	}
}

// rootkit loads a module that does what the macros say, and removes it after the alert.
func rootkit(macros ...string) func(*testing.T) error {
	return func(t *testing.T) error { return insert(t, macros...) }
}

// hiding loads a module that hides a process, which has been there for a while.
func hiding(macro string) func(*testing.T) error {
	return func(t *testing.T) error {
		sleeper := exec.Command("sleep", "300")
		if err := sleeper.Start(); err != nil {
			return err
		}
		t.Cleanup(func() { // after the module has gone, as cleanups run backwards
			_ = sleeper.Process.Kill()
			_ = sleeper.Wait()
		})
		pid := strconv.Itoa(sleeper.Process.Pid)
		if strings.HasPrefix(macro, "OPERATIONS") {
			pid = strconv.Quote(pid)
		}
		return insert(t, macro, "PID="+pid)
	}
}

// probe puts a probe on a function of the kernel for as long as the case takes.
func probe(function string) func(*testing.T) error {
	return func(t *testing.T) error {
		const dir = "/sys/kernel/tracing/"
		if err := os.WriteFile(dir+"kprobe_events", []byte("p:hide "+function+"\n"), 0o600); err != nil {
			return err
		}
		t.Cleanup(func() {
			_ = os.WriteFile(dir+"events/kprobes/hide/enable", []byte("0"), 0o600)
			_ = os.WriteFile(dir+"kprobe_events", []byte("-:hide\n"), 0o600)
		})
		return os.WriteFile(dir+"events/kprobes/hide/enable", []byte("1"), 0o600)
	}
}

// insert builds and loads a module. A macro whose value is the name of a symbol of the
// kernel gets its address.
func insert(t *testing.T, macros ...string) error {
	args, err := kernelMacros(macros)
	if err != nil {
		return err
	}
	name := "scenario_" + strings.ToLower(strings.TrimPrefix(t.Name(), "TestAttacks/"))
	path := filepath.Join(t.TempDir(), name+".ko")
	args = append(args, "-DNAME="+strconv.Quote(name), "-c", "-O1", "-ffreestanding", "-fno-pic", "-fno-pie", "-mcmodel=kernel", "-mno-red-zone", "-mgeneral-regs-only",
		"-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-fno-common", "-o", path, "testdata/rootkit.c")
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("building the module: %w: %s", err, out)
	}
	acted = time.Now()
	if out, err := exec.Command("insmod", path).CombinedOutput(); err != nil {
		said, _ := exec.Command("dmesg").Output()
		return fmt.Errorf("loading the module: %w: %s: %s", err, out, said[max(0, len(said)-300):])
	}
	t.Cleanup(func() { _ = exec.Command("rmmod", name).Run() }) // one that is hidden stays
	return nil
}

// kernelMacros are what the module's source wants to know of the running kernel.
func kernelMacros(macros []string) ([]string, error) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, err
	}
	var module *btf.Struct
	if err := types.TypeByName("module", &module); err != nil {
		return nil, err
	}
	out := []string{"-DMODULE_SIZE=" + strconv.Itoa(int(module.Size))}
	for macro, m := range map[string][2]string{"NAME_AT": {"module", "name"}, "INIT_AT": {"module", "init"}, "EXIT_AT": {"module", "exit"}, "LIST_AT": {"module", "list"},
		"KOBJECT_AT": {"module", "mkobj"}, "TASKS_AT": {"pid", "tasks"}, "ITERATE_AT": {"file_operations", "iterate_shared"}} {
		var s *btf.Struct
		if err := types.TypeByName(m[0], &s); err != nil {
			return nil, err
		}
		found := false
		for _, member := range s.Members {
			if member.Name == m[1] {
				found = true
				out = append(out, fmt.Sprintf("-D%s=%d", macro, member.Offset.Bytes()))
			}
		}
		if !found {
			return nil, fmt.Errorf("the kernel's struct %s has no %s", m[0], m[1])
		}
	}
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		return nil, err
	}
	for _, m := range macros {
		key, value, _ := strings.Cut(m, "=")
		for line := range bytes.Lines(symbols) {
			if f := bytes.Fields(line); len(f) == 3 && string(f[2]) == value {
				value = "0x" + string(f[0]) + "UL"
			}
		}
		out = append(out, "-D"+key+"="+value)
	}
	more, err := moduleMacros()
	return append(out, more...), err
}

// moduleMacros takes what the loader compares from a module that the kernel came with.
func moduleMacros() ([]string, error) {
	magic, err := exec.Command("modinfo", "-F", "vermagic", "dummy").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for a module of the kernel: %w", err)
	}
	out := []string{"-DVERMAGIC=" + strconv.Quote(strings.TrimRight(string(magic), "\n"))}
	path, err := exec.Command("modinfo", "-n", "dummy").Output()
	if err != nil {
		return nil, err
	}
	file := strings.TrimSpace(string(path))
	text, err := os.ReadFile(file)
	if strings.HasSuffix(file, ".xz") {
		text, err = exec.Command("xz", "-dc", file).Output()
	}
	if err != nil {
		return nil, err
	}
	image, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	section := image.Section("__versions")
	if section == nil {
		return out, nil // a kernel that compares none
	}
	b, err := section.Data()
	if err != nil {
		return nil, err
	}
	for ; len(b) >= 64; b = b[64:] {
		if name, _, _ := strings.Cut(string(b[8:64]), "\x00"); name == "module_layout" {
			return append(out, fmt.Sprintf("-DLAYOUT_CRC=%#xUL", binary.LittleEndian.Uint64(b))), nil
		}
	}
	return nil, errors.New("the kernel's modules have no version of module_layout")
}
