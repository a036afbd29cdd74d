package scan

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lists are the functions of the C library by which programs list folders, and so /proc.
var lists = []string{"getdents", "getdents64", "readdir", "readdir64", "readdir64_r", "readdir_r"}

// listingLibraries looks into libraries that are loaded before others.
func listingLibraries(h *Host) ([]Finding, error) {
	var out []Finding
	told := map[string]bool{}
	add := func(f *Finding) {
		if f != nil && !told[f.subject] {
			told[f.subject] = true
			out = append(out, *f)
		}
	}
	for _, lib := range PreloadList(h.Root) {
		add(Library(h.Root, lib, h.Root+"/etc/ld.so.preload names it"))
	}
	for _, p := range h.tasks.Processes() {
		dir := "/proc/" + strconv.FormatUint(uint64(p.Pid), 10)
		env, err := os.ReadFile(dir + "/environ")
		if err != nil {
			continue // it has ended, or is a thread of the kernel
		}
		for kv := range strings.SplitSeq(string(env), "\x00") {
			if value, ok := strings.CutPrefix(kv, "LD_PRELOAD="); ok {
				for _, lib := range Preloads(value, "") {
					add(Library(dir+"/root", lib, "LD_PRELOAD in the environment of "+name(p)))
				}
			}
		}
	}
	return out, nil
}

// PreloadList reads which libraries /etc/ld.so.preload below root names.
func PreloadList(root string) []string {
	b, err := os.ReadFile(root + "/etc/ld.so.preload")
	if err != nil {
		return nil // almost no host has it
	}
	return Preloads(strings.Join(strings.Fields(string(b)), ":"), "")
}

// Preloads are the paths in a value of LD_PRELOAD; those relative to a folder are left out
// where it is not known, as are names that the loader would have to look for.
func Preloads(value, cwd string) []string {
	var out []string
	for _, lib := range strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ' ' }) {
		switch {
		case strings.HasPrefix(lib, "/"):
		case strings.Contains(lib, "/") && cwd != "":
			lib = filepath.Join(cwd, lib)
		default:
			continue
		}
		out = append(out, filepath.Clean(lib))
	}
	return out
}

// Library judges a library that is loaded before others, by its path below root; nil where it
// replaces nothing by which files are listed, and where it cannot be read.
func Library(root, path, evidence string) *Finding {
	found, err := replaced(root + path)
	if err != nil || len(found) == 0 {
		return nil
	}
	return &Finding{
		Check: "listing-library", What: "library " + path + " replaces " + strings.Join(found, ", ") + ", by which programs list files and processes",
		Evidence: evidence, Sure: Likely, Path: path, subject: path,
		Do: "See which package the library is of. If of none, look at the host with static programs (busybox ls, busybox ps), and at processes with bearcat show proc; keep the library.",
	}
}

// replaced lists the functions for listing files that a library has of its own.
func replaced(path string) (found []string, err error) {
	// whoever wrote the library may have made it to break its readers
	defer func() {
		if r := recover(); r != nil {
			found, err = nil, fmt.Errorf("%s is no library: %v", path, r)
		}
	}()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }()
	const largest = 64 << 20
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > largest {
		return nil, errors.Join(err, errors.New(path+" is no file of a library's size"))
	}
	image, err := elf.NewFile(f)
	if err != nil {
		return nil, err
	}
	symbols, err := image.DynamicSymbols()
	if err != nil {
		return nil, err
	}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC && slices.Contains(lists, s.Name) && !slices.Contains(found, s.Name) {
			found = append(found, s.Name)
		}
	}
	slices.Sort(found)
	return found, nil
}
