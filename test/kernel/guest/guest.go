// Package guest is what kernel tests import: it says where a test is running
// and skips it where it must not.
//
// Tests live in files named *_kernel_test.go. Each begins with NeedKernel, and
// with Require as well when it must never touch the machine itself:
//
//	func TestSeesEveryExec(t *testing.T) {
//		guest.NeedKernel(t)
//		guest.Require(t)
//		…
//	}
//
// The matrix (make test-kernels) runs these tests natively and in guests.
package guest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

// EnvTests is the variable that the matrix sets, natively and in guests.
const EnvTests = "BEARCAT_KERNEL_TESTS"

// Name returns the kernel's name in a guest, such as "6.1", and "" natively.
func Name() string { return os.Getenv(spec.EnvVM) }

// NeedKernel skips the test unless the matrix runs it.
func NeedKernel(t testing.TB) {
	t.Helper()
	if os.Getenv(EnvTests) != "1" {
		t.Skip("kernel test: make test-kernels runs it")
	}
}

// Require skips the test natively: it may only change a guest.
func Require(t testing.TB) {
	t.Helper()
	NeedKernel(t)
	if Name() == "" {
		t.Skip("only in a guest: the test acts on the whole host")
	}
}

// Everywhere is the variable that has every test run on every kernel.
const Everywhere = "BEARCAT_SCENARIOS"

// Main is the kernel on which tests run that need not run on each: emulation is slow.
const Main = "6.12"

// Once skips the test in guests of other kernels than Main, unless all are asked for:
// what it tests lies outside the kernel, and the programs in it are tested on each kernel
// by their own packages.
func Once(t testing.TB) {
	t.Helper()
	NeedKernel(t)
	if n := Name(); n != "" && n != Main && os.Getenv(Everywhere) == "" {
		t.Skip("runs natively and on " + Main + "; on all kernels with " + Everywhere + "=all")
	}
}

// Modprobe loads kernel modules, and skips the test when one cannot be loaded.
// Those that were not loaded before are removed at the test's end, if nothing
// holds them by then.
func Modprobe(t testing.TB, modules ...string) {
	t.Helper()
	for _, m := range modules {
		_, err := os.Stat("/sys/module/" + strings.ReplaceAll(m, "-", "_"))
		was := err == nil
		if out, err := exec.Command("modprobe", m).CombinedOutput(); err != nil {
			t.Skipf("loading module %s: %v: %s", m, err, out)
		}
		if !was {
			t.Cleanup(func() { exec.Command("modprobe", "-r", m).Run() })
		}
	}
}

// Network moves the test into a network namespace of its own, with loopback up, and
// returns the namespace's number. The test's thread is in it, and the programs that this
// thread starts; both end with the test. It needs no guest.
func Network(t testing.TB) uint32 {
	t.Helper()
	NeedKernel(t)
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and its namespace
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("bringing loopback up: %v: %s", err, out)
	}
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/thread-self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}
