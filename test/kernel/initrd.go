package kernel

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

// bootModules bring up the root file system and the output ports.
var bootModules = []string{"virtio_pci", "virtiofs", "virtio_console", "overlay"}

// bootModulesFile is the archive of bootModules, made once per kernel.
const bootModulesFile = "boot-modules.cpio"

// writeInitrd puts together the modules' archive, the first process and what it
// is to do: three archives in a row, which the kernel unpacks in order.
func writeInitrd(t Tree, initBinary string, s spec.Spec, file string) error {
	modules, err := os.ReadFile(filepath.Join(t.Dir, bootModulesFile))
	if err != nil {
		return fmt.Errorf("reading the boot modules of %s: %w: remove %s and fetch again", t.Name, err, t.Dir)
	}
	program, err := os.ReadFile(initBinary)
	if err != nil {
		return fmt.Errorf("reading the guest's first process: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding the boot's description: %w", err)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("making the initrd: %w", err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	w.Write(modules)
	c := newCpio(w)
	for _, d := range []string{"dev", "proc", "sys", "lower", "cover", "root"} {
		c.dir(d)
	}
	c.file("init", 0o755, program)
	c.file(strings.TrimPrefix(spec.File, "/"), 0o644, text)
	if err := c.close(); err != nil {
		return fmt.Errorf("writing the initrd: %w", err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing the initrd: %w", err)
	}
	return f.Close()
}

// writeBootModules archives bootModules and what they depend on, uncompressed,
// with the order to load them in.
func writeBootModules(ctx context.Context, tree, file string) error {
	dep, err := os.ReadFile(filepath.Join(tree, "modules.dep"))
	if err != nil {
		return fmt.Errorf("reading the module index: %w", err)
	}
	builtin, err := os.ReadFile(filepath.Join(tree, "modules.builtin"))
	if err != nil {
		return fmt.Errorf("reading the list of built-in modules: %w", err)
	}
	files, err := loadOrder(string(dep), string(builtin), bootModules)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("making the modules' archive: %w", err)
	}
	defer f.Close()
	c := newCpio(f)
	c.dir("bearcat")
	dir := strings.TrimPrefix(spec.ModuleDir, "/")
	c.dir(dir)
	var order strings.Builder
	for _, m := range files {
		data, err := readModule(ctx, filepath.Join(tree, m))
		if err != nil {
			return err
		}
		name := moduleName(m) + ".ko"
		c.file(path.Join(dir, name), 0o644, data)
		order.WriteString(name + "\n")
	}
	c.file(strings.TrimPrefix(spec.ModuleOrder, "/"), 0o644, []byte(order.String()))
	if err := c.close(); err != nil {
		return fmt.Errorf("writing the modules' archive: %w", err)
	}
	return f.Close()
}

// loadOrder returns the files of modules.dep to load for wanted, each after
// those it depends on. Built-in modules need no file.
func loadOrder(dep, builtin string, wanted []string) ([]string, error) {
	type entry struct {
		file string
		deps []string
	}
	index := map[string]entry{}
	for line := range strings.Lines(dep) {
		file, deps, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok {
			index[moduleName(file)] = entry{file, strings.Fields(deps)}
		}
	}
	inside := map[string]bool{}
	for _, file := range strings.Fields(builtin) {
		inside[moduleName(file)] = true
	}
	var order []string
	seen := map[string]bool{}
	add := func(file string) {
		if !seen[file] {
			seen[file] = true
			order = append(order, file)
		}
	}
	for _, name := range wanted {
		e, ok := index[name]
		if !ok && inside[name] {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("this kernel has no module %s: it cannot boot a guest", name)
		}
		for i := len(e.deps) - 1; i >= 0; i-- { // the index lists the deepest last
			add(e.deps[i])
		}
		add(e.file)
	}
	return order, nil
}

// moduleName is a module file's name as the kernel says it.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func readModule(ctx context.Context, file string) ([]byte, error) {
	var decompress []string
	switch path.Ext(file) {
	case ".ko":
		return os.ReadFile(file)
	case ".xz":
		decompress = []string{"xz", "-dc"}
	case ".zst":
		decompress = []string{"zstd", "-dcq"}
	default:
		return nil, fmt.Errorf("module %s is compressed in an unknown way", file)
	}
	cmd := exec.CommandContext(ctx, decompress[0], append(decompress[1:], file)...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("decompressing %s with %s: %w", file, decompress[0], err)
	}
	return out, nil
}

// cpio writes the kernel's initrd format ("newc").
type cpio struct {
	w       io.Writer
	ino     int
	written int
	err     error
}

func newCpio(w io.Writer) *cpio { return &cpio{w: w} }

func (c *cpio) dir(name string) { c.entry(name, 0o040755, nil) }

func (c *cpio) file(name string, mode int, data []byte) { c.entry(name, 0o100000|mode, data) }

func (c *cpio) close() error {
	c.entry("TRAILER!!!", 0, nil)
	return c.err
}

func (c *cpio) entry(name string, mode int, data []byte) {
	c.ino++
	//                 magic  ino  mode uid gid nlink mtime size  dev  rdev name check
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.put([]byte(header + name + "\x00"))
	c.pad()
	c.put(data)
	c.pad()
}

func (c *cpio) put(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.written += n
	c.err = err
}

func (c *cpio) pad() {
	if odd := c.written % 4; odd != 0 {
		c.put(make([]byte, 4-odd))
	}
}
