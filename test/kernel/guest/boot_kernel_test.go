package guest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

func TestRootWithBTF(t *testing.T) {
	guest.NeedKernel(t)
	if uid := os.Getuid(); uid != 0 {
		t.Errorf("uid %d, want 0", uid)
	}
	st, err := os.Stat("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Fatalf("the kernel shows no BTF: %v", err)
	}
	if st.Size() == 0 {
		t.Error("the kernel's BTF is empty")
	}
}

func TestReleaseIsTheOneAskedFor(t *testing.T) {
	guest.Require(t)
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if !strings.HasPrefix(release, guest.Name()+".") {
		t.Errorf("release %s, want %s", release, guest.Name())
	}
	if _, err := os.Stat(filepath.Join("/lib/modules", release, "modules.dep")); err != nil {
		t.Errorf("the release's modules are not there: %v", err)
	}
}

func TestMounts(t *testing.T) {
	guest.Require(t)
	for dir, magic := range map[string]int64{
		"/sys/fs/bpf":          unix.BPF_FS_MAGIC,
		"/sys/kernel/tracing":  unix.TRACEFS_MAGIC,
		"/sys/kernel/debug":    unix.DEBUGFS_MAGIC,
		"/sys/kernel/security": unix.SECURITYFS_MAGIC,
		"/sys/fs/cgroup":       unix.CGROUP2_SUPER_MAGIC,
		"/proc":                unix.PROC_SUPER_MAGIC,
		"/dev/shm":             unix.TMPFS_MAGIC,
		"/run":                 unix.TMPFS_MAGIC,
		"/tmp":                 unix.TMPFS_MAGIC,
		"/":                    unix.OVERLAYFS_SUPER_MAGIC,
	} {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			t.Errorf("%s: %v", dir, err)
		} else if fs.Type != magic {
			t.Errorf("%s is of type %#x, want %#x", dir, fs.Type, magic)
		}
	}
}

func TestTmpHoldsAnOverlay(t *testing.T) {
	guest.Require(t)
	d := t.TempDir()
	for _, sub := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(d, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := filepath.Join(d, "merged")
	options := "lowerdir=" + d + "/lower,upperdir=" + d + "/upper,workdir=" + d + "/work"
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatalf("mounting an overlay below /tmp: %v", err)
	}
	if err := unix.Unmount(merged, 0); err != nil {
		t.Error(err)
	}
}

func TestLoginUIDIsUnset(t *testing.T) {
	guest.Require(t)
	b, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		t.Skipf("no audit in this kernel: %v", err)
	}
	if got := strings.TrimSpace(string(b)); got != "4294967295" {
		t.Errorf("loginuid %s, want unset", got)
	}
}

func TestModulesLoad(t *testing.T) {
	guest.Require(t)
	guest.Modprobe(t, "veth")
	if out, err := exec.Command("grep", "-c", "^veth ", "/proc/modules").CombinedOutput(); err != nil {
		t.Errorf("veth is not loaded: %v %s", err, out)
	}
}
