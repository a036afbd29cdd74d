package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

// firstMounts makes the initrd usable: devices, a console, proc and sys.
func firstMounts() error {
	if err := mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil {
		return err
	}
	if con, err := os.OpenFile("/dev/console", os.O_RDWR, 0); err == nil {
		os.Stdout, os.Stderr = con, con
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	return mount("sysfs", "/sys", "sysfs", 0, "")
}

// switchRoot makes the machine's root, covered by memory, the guest's root.
func switchRoot() error {
	if err := mount(spec.ShareRoot, "/lower", "virtiofs", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "/cover", "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for _, d := range []string{"/cover/upper", "/cover/work"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("making the overlay: %w", err)
		}
	}
	options := "lowerdir=/lower,upperdir=/cover/upper,workdir=/cover/work"
	if err := mount("overlay", "/root", "overlay", 0, options); err != nil {
		return err
	}
	for _, d := range []string{"/dev", "/proc", "/sys"} {
		if err := mount(d, "/root"+d, "", unix.MS_MOVE, ""); err != nil {
			return err
		}
	}
	if err := os.Chdir("/root"); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the new root into place: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("switching to the new root: %w", err)
	}
	return os.Chdir("/")
}

// laterMounts adds what a running system has on top of its root.
func laterMounts(s spec.Spec) error {
	for _, m := range []struct{ typ, dir, options string }{
		{"tmpfs", "/run", "mode=0755"},
		{"devpts", "/dev/pts", "ptmxmode=0666"},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"securityfs", "/sys/kernel/security", ""},
		{"debugfs", "/sys/kernel/debug", ""},
		{"tracefs", "/sys/kernel/tracing", ""},
		{"bpf", "/sys/fs/bpf", "mode=0700"},
		{"cgroup2", "/sys/fs/cgroup", ""},
	} {
		if err := mount(m.typ, m.dir, m.typ, 0, m.options); err != nil {
			note("%v", err) // the command may not need it
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil && !os.IsExist(err) {
			note("linking /dev/%s: %v", name, err)
		}
	}
	if !s.HostTmp {
		if err := emptyTmp(s.Keep); err != nil {
			return err
		}
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("reading the kernel's release: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if err := mount(s.ModuleTree, "/lib/modules/"+release, "", unix.MS_BIND, ""); err != nil {
		note("%v", err)
	}
	image := "/boot/vmlinuz-" + release
	if err := os.MkdirAll("/boot", 0o755); err != nil {
		note("making /boot: %v", err)
	} else if err := os.Symlink(s.Image, image); err != nil && !os.IsExist(err) {
		note("linking %s: %v", image, err)
	}
	if s.Writable != "" {
		return mount(spec.ShareWrite, s.Writable, "virtiofs", 0, "")
	}
	return nil
}

// emptyTmp puts a tmpfs on /tmp, which unlike the overlay can itself hold an
// overlay's upper directory, and shows the kept directories in it again.
func emptyTmp(keep []string) error {
	held := make([]string, len(keep))
	for i, d := range keep {
		held[i] = "/run/.keep-" + strconv.Itoa(i)
		if err := mount(d, held[i], "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"); err != nil {
		return err
	}
	for i, d := range keep {
		if err := mount(held[i], d, "", unix.MS_MOVE, ""); err != nil {
			return err
		}
		os.Remove(held[i])
	}
	return nil
}

func mount(source, dir, typ string, flags uintptr, options string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making mount point %s: %w", dir, err)
	}
	if err := unix.Mount(source, filepath.Clean(dir), typ, flags, options); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", source, dir, err)
	}
	return nil
}
