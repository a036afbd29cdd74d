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
	for _, f := range r.Findings {
		t.Logf("%s: %s (%s; %s)", f.Check, f.What, f.Evidence, f.Sure)
	}
	return r
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

// start runs a command until the test ends, when it has said a line.
func start(t *testing.T, env string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if env != "" {
		cmd.Env = append(os.Environ(), env)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%v said nothing: %v", args, err)
	}
	return cmd
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
		t.Logf("%s was not made: %s", s.Check, s.Why)
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

// TestStandIns makes harmless likenesses of what intruders leave, and finds each.
func TestStandIns(t *testing.T) {
	guest.Require(t)
	dir := t.TempDir()
	sleeper := `import time;print("up",flush=True);time.sleep(600)`

	covered := start(t, "", "python3", "-c", sleeper)
	point := "/proc/" + strconv.Itoa(covered.Process.Pid)
	if err := unix.Mount("none", point, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })

	python, err := filepath.EvalSymlinks("/usr/bin/python3")
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, "gone")
	copyTo(t, python, gone)
	start(t, "", gone, "-c", sleeper)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	start(t, "", "python3", "-c", `import os,time
fd=os.memfd_create("hidden");os.write(fd,open("/usr/bin/python3","rb").read())
os.execv("/proc/self/fd/%d"%fd,["k","-c",'import time;print("up",flush=True);time.sleep(600)'])`)

	lib := filepath.Join(dir, "libreplaced.so.1")
	source, err := filepath.Glob("/lib/x86_64-linux-gnu/libz.so.1*")
	if err != nil || len(source) == 0 {
		t.Fatalf("there is no libz to copy: %v", err)
	}
	copyTo(t, source[0], lib)
	start(t, "", "python3", "-c", `import ctypes,time;ctypes.CDLL("`+lib+`");print("up",flush=True);time.sleep(600)`)
	if err := os.Remove(lib); err != nil {
		t.Fatal(err)
	}
	start(t, "", "python3", "-c", `import mmap,time;m=mmap.mmap(-1,4096,prot=7,flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS);print("up",flush=True);time.sleep(600)`)
	preloaded := "/tmp/libpreloaded.so"
	copyTo(t, source[0], preloaded)
	t.Cleanup(func() { _ = os.Remove(preloaded) })
	start(t, "LD_PRELOAD="+preloaded, "python3", "-c", sleeper)
	start(t, "", "python3", "-c", `import socket,time;s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW,0);print("up",flush=True);time.sleep(600)`)

	// a listener in a namespace of its own, whose lists in /proc are covered with empty ones
	quiet := start(t, "", "unshare", "-n", "python3", "-c", `import socket,time;s=socket.create_server(("",7777));print("up",flush=True);time.sleep(600)`)
	lists := "/proc/" + strconv.Itoa(quiet.Process.Pid) + "/net"
	if err := unix.Mount("none", lists, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(lists, unix.MNT_DETACH) })
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		if err := os.WriteFile(filepath.Join(lists, kind), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
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
		break
	}

	r := scanNow(t)
	for check, text := range map[string]string{
		"covered-process":  fmt.Sprintf("python3[%d]", covered.Process.Pid),
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
	if !r.found("deleted-program", "memfd:hidden") {
		t.Error("the program in memory is not told")
	}
}
