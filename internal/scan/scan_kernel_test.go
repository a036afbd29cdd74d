package scan

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

func scanNow(t *testing.T, only ...string) *Report {
	t.Helper()
	r, err := Run(context.Background(), only)
	if err != nil {
		t.Fatal(err)
	}
	r.log(t)
	return r
}

func (r *Report) log(t *testing.T) {
	for _, f := range r.Findings {
		t.Logf("%s: %s (%s; %s)", f.Check, f.What, f.Evidence, f.Sure)
	}
}

// found reports whether a check told of a text.
func (r *Report) found(check, text string) bool {
	for _, f := range r.Findings {
		if f.Check == check && (strings.Contains(f.What, text) || strings.Contains(f.Evidence, text)) {
			return true
		}
	}
	return false
}

// start runs a command until the test ends.
func start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestCleanGuest scans a host to which nothing was done.
func TestCleanGuest(t *testing.T) {
	guest.Require(t)
	r := scanNow(t)
	for _, f := range r.Findings {
		if f.Pid == uint32(os.Getpid()) || f.Pid == uint32(os.Getppid()) {
			continue // the test's own program, which is removed after it was started
		}
		t.Errorf("%s tells of %s (%s)", f.Check, f.What, f.Evidence)
	}
	for _, s := range r.Skipped {
		t.Errorf("%s was not made: %s", s.Check, s.Why)
	}
}

// loadWithoutFile loads a module and covers the folder of its file; it gives no name
// where the guest's kernel has no such module.
func loadWithoutFile(t *testing.T) string {
	t.Helper()
	const name = "dummy"
	path, err := exec.Command("modinfo", "-n", name).Output()
	if err != nil {
		t.Logf("no module to load: %v", err)
		return ""
	}
	if out, err := exec.Command("modprobe", name).CombinedOutput(); err != nil {
		t.Fatalf("loading %s: %v: %s", name, err, out)
	}
	dir := filepath.Dir(strings.TrimSpace(string(path)))
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = exec.Command("rmmod", name).Run()
	})
	return name
}

// inMemory runs sleep from a file in memory.
func inMemory(t *testing.T, sleep string) {
	t.Helper()
	fd, err := unix.MemfdCreate("hidden", 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "hidden")
	defer f.Close()
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/fd/3", "600")
	cmd.ExtraFiles = []*os.File{f}
	start(t, cmd)
}

// quietListener has a listener in a namespace of its own, whose lists in /proc are covered
// with empty ones.
func quietListener(t *testing.T) {
	t.Helper()
	cmd := exec.Command("unshare", "-n", "python3", "-c", `import socket,time;s=socket.create_server(("",7777));print("up",flush=True);time.sleep(600)`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	lists := "/proc/" + strconv.Itoa(start(t, cmd)) + "/net"
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the listener said nothing: %v", err)
	}
	if err := unix.Mount("none", lists, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(lists, unix.MNT_DETACH) })
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		if err := os.WriteFile(filepath.Join(lists, kind), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// ownMemory has this process run code of a library that is removed then, and have memory
// that is writable and executable.
func ownMemory(t *testing.T, lib string) {
	t.Helper()
	f, err := os.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	code, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(lib); err != nil {
		t.Fatal(err)
	}
	both, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Munmap(code)
		_ = unix.Munmap(both)
	})
}

// probeListing sets a kprobe on a function through which folders are listed.
func probeListing(t *testing.T) {
	t.Helper()
	for _, tracing := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		_ = unix.Mount("none", "/sys/kernel/tracing", "tracefs", 0, "")
		events := tracing + "/kprobe_events"
		if err := os.WriteFile(events, []byte("p:standin iterate_dir\n"), 0o644); err != nil {
			continue
		}
		if err := os.WriteFile(tracing+"/events/kprobes/standin/enable", []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = os.WriteFile(tracing+"/events/kprobes/standin/enable", []byte("0"), 0o644)
			_ = os.WriteFile(events, []byte("-:standin\n"), 0o644)
		})
		return
	}
	t.Fatal("no kprobe could be set")
}

// TestStandIns makes harmless likenesses of what intruders leave, and finds each in one
// look: that two are compared, TestCleanGuest and the tests of both see to.
func TestStandIns(t *testing.T) {
	guest.Require(t)
	dir := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	covered := start(t, exec.Command(sleep, "600"))
	point := "/proc/" + strconv.Itoa(covered)
	if err := unix.Mount("none", point, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })

	gone := filepath.Join(dir, "gone")
	copyTo(t, sleep, gone)
	start(t, exec.Command(gone, "600"))
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	inMemory(t, sleep)

	source, err := filepath.Glob("/lib/x86_64-linux-gnu/libz.so.1*")
	if err != nil || len(source) == 0 {
		t.Fatalf("there is no libz to copy: %v", err)
	}
	lib := filepath.Join(dir, "libreplaced.so.1")
	copyTo(t, source[0], lib)
	ownMemory(t, lib)
	preloaded := "/tmp/libpreloaded.so"
	copyTo(t, source[0], preloaded)
	t.Cleanup(func() { _ = os.Remove(preloaded) })
	cmd := exec.Command(sleep, "600")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+preloaded)
	start(t, cmd)
	packets, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(packets)
	quietListener(t)
	hidden := loadHidden(t) // before the folder of the kernel's modules is covered
	module := loadWithoutFile(t)

	shell := "/tmp/.x"
	copyTo(t, "/usr/bin/dash", shell)
	t.Cleanup(func() { _ = os.Remove(shell) })
	if err := os.Chmod(shell, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}

	// a program that could write to processes, and is attached to nothing
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "writer", Type: ebpf.RawTracepoint, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), asm.Mov.Imm(asm.R1, 0), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -8), asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R3, 8), asm.FnProbeWriteUser.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()

	probeListing(t)

	checks, err := chosen(nil)
	if err != nil {
		t.Fatal(err)
	}
	found, skipped, _, err := once(checks, false, &bootImage{})
	if err != nil {
		t.Fatal(err)
	}
	r := &Report{Findings: found, Skipped: skipped}
	r.log(t)
	for _, s := range skipped {
		t.Errorf("%s was not made: %s", s.Check, s.Why)
	}
	for check, text := range map[string]string{
		"covered-process":  fmt.Sprintf("sleep[%d]", covered),
		"deleted-program":  gone,
		"replaced-library": lib,
		"writable-code":    "1 such areas",
		"preload":          preloaded,
		"sniffer":          "packet socket",
		"set-uid":          shell,
		"bpf-program":      `"writer"`,
		"listing-hook":     "iterate_dir",
	} {
		if !r.found(check, text) {
			t.Errorf("%s does not tell of %s; not made: %+v", check, text, r.Skipped)
		}
	}
	if !r.found("hidden-socket", "hidden from /proc/net: 0.0.0.0:7777") {
		t.Error("the listener that /proc/net does not have is not told")
	}
	if module != "" && !r.found("unpackaged-module", "its file is gone") {
		t.Errorf("module %s, whose file is gone, is not told", module)
	}
	if hidden != "" && !r.found("hidden-module", hidden) {
		t.Errorf("module %s, which has taken itself out of the list, is not told", hidden)
	}
	if !r.found("deleted-program", "memfd:hidden") {
		t.Error("the program in memory is not told")
	}
}
