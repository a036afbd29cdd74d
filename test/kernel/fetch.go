package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Fetch unpacks the named kernels into the cache directory, through apt with
// state of its own: nothing is installed and no package script runs. Kernels
// that are there already are left alone. Progress goes to log.
func Fetch(ctx context.Context, log io.Writer, names ...string) error {
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	unlock, err := lockCache(cache)
	if err != nil {
		return err
	}
	defer unlock()
	var from archives
	for _, name := range names {
		k, err := Lookup(name)
		if err != nil {
			return err
		}
		if t, err := Open(name); err == nil {
			fmt.Fprintf(log, "%s: have %s\n", name, t.Release)
			continue
		}
		if from.main == "" {
			if from, err = configuredArchives(); err != nil {
				return err
			}
		}
		start := time.Now()
		apt := newApt(filepath.Join(cache, ".apt", k.Suite), from.forKernel(k), k.Suite)
		release, err := unpack(ctx, apt, k, filepath.Join(cache, name))
		if err != nil {
			return fmt.Errorf("fetching kernel %s: %w", name, err)
		}
		fmt.Fprintf(log, "%s: unpacked %s in %.0f s\n", name, release, time.Since(start).Seconds())
	}
	return nil
}

// lockCache keeps two fetches from working on the same directory.
func lockCache(cache string) (unlock func(), err error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("making the kernel cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(cache, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the kernel cache's lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the kernel cache: %w", err)
	}
	return func() { f.Close() }, nil
}

// unpack brings one kernel to dir, which appears only when it is whole.
func unpack(ctx context.Context, a *apt, k Kernel, dir string) (release string, err error) {
	if err := a.update(ctx); err != nil {
		return "", err
	}
	img, err := a.newest(ctx, k.Package)
	if err != nil {
		return "", err
	}
	release = img[len(imagePrefix):]
	tmp := dir + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return "", fmt.Errorf("clearing a half-made kernel: %w", err)
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return "", fmt.Errorf("making the kernel's directory: %w", err)
	}
	// newer images are split in several packages; older ones have the first only
	for _, part := range []string{"image", "base", "binary", "modules"} {
		pkg := "linux-" + part + "-" + release
		if !a.has(pkg) {
			continue
		}
		if err := a.unpack(ctx, pkg, tmp); err != nil {
			return "", err
		}
	}
	if err := layOut(ctx, tmp, release); err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("removing the old kernel: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("putting the kernel in place: %w", err)
	}
	return release, nil
}

// layOut gives an unpacked kernel the names that Tree promises, its module
// index and the archive of the modules that a boot needs.
func layOut(ctx context.Context, dir, release string) error {
	base, modules := dir, "lib/modules/"+release
	if !exists(filepath.Join(dir, modules)) {
		base, modules = filepath.Join(dir, "usr"), "usr/lib/modules/"+release
	}
	if err := os.Symlink(modules, filepath.Join(dir, "modules")); err != nil {
		return fmt.Errorf("linking the modules: %w", err)
	}
	for _, name := range []string{"vmlinuz", "System.map"} {
		target := "boot/" + name + "-" + release
		if !exists(filepath.Join(dir, target)) {
			target = modules + "/" + name
		}
		if !exists(filepath.Join(dir, target)) {
			return fmt.Errorf("the packages hold no %s for %s", name, release)
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("linking %s: %w", name, err)
		}
	}
	depmod := exec.CommandContext(ctx, "depmod", "-b", base, "-F", filepath.Join(dir, "System.map"), release)
	depmod.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := depmod.CombinedOutput(); err != nil {
		return fmt.Errorf("indexing the modules with depmod (package kmod): %w: %s", err, out)
	}
	if err := writeBootModules(ctx, filepath.Join(dir, modules), filepath.Join(dir, bootModulesFile)); err != nil {
		return err
	}
	os.RemoveAll(filepath.Join(dir, "usr/share")) // documentation
	if err := os.WriteFile(filepath.Join(dir, releaseFile), []byte(release+"\n"), 0o644); err != nil {
		return fmt.Errorf("noting the release: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
