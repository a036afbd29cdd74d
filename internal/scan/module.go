package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// unpackagedModules looks at where loaded modules came from.
func unpackagedModules(h *Host) ([]Finding, error) {
	all, err := h.modules()
	if err != nil {
		return nil, err
	}
	filesKnown := false
	for _, m := range all.Modules {
		filesKnown = filesKnown || m.File != ""
	}
	packaged := map[string]bool{}
	if filesKnown {
		if packaged, err = packagedModules(h.Root + "/var/lib/dpkg/info"); err != nil {
			return nil, err
		}
	}
	out := judgeModules(all.Modules, filesKnown, packaged, func(path string) bool {
		_, err := os.Lstat(path)
		return err == nil
	})
	if len(all.Modules) > 0 && !filesKnown {
		return out, errors.New("which files modules come from is not known: " + orNothing(strings.Join(all.Notes, "; ")))
	}
	return out, nil
}

// judgeModules says what is odd about modules. Packages are asked about a kernel only if
// they have any module of it: who builds a kernel has none.
func judgeModules(list []host.Module, filesKnown bool, packaged map[string]bool, exists func(string) bool) []Finding {
	ofPackage := func(path string) bool { return packaged[strings.TrimPrefix(path, "/usr")] }
	packages := false
	for _, m := range list {
		packages = packages || m.File != "" && ofPackage(m.File)
	}
	var out []Finding
	for _, m := range list {
		var why []string
		sure := Possible
		add := func(odd bool, s Sure, text string) {
			if !odd {
				return
			}
			why = append(why, text)
			if s == Likely {
				sure = Likely
			}
		}
		add(strings.Contains(m.Taint, "F"), Likely, "it was loaded by force")
		add(filesKnown && m.File == "", Likely, "/lib/modules of this kernel has no file of it")
		add(m.File != "" && !exists(m.File), Likely, "its file is gone: "+m.File)
		add(m.File != "" && packages && !ofPackage(m.File), Possible, "its file is of no package: "+m.File)
		add(strings.Contains(m.Taint, "O"), Possible, "it was built outside the kernel's tree")
		add(strings.Contains(m.Taint, "E"), Possible, "it is not signed")
		if len(why) == 0 {
			continue
		}
		out = append(out, Finding{
			What: "kernel module " + m.Name + " is none of the kernel's own", Evidence: strings.Join(why, "; "), Sure: sure, Path: m.File, subject: m.Name,
			Do: "Drivers that are built on the host (dkms) are so; of another, see what it is (modinfo " + m.Name + ") and who loaded it, and look at bearcat scan --only redirected-function.",
		})
	}
	return out
}

// packagedModules are the files below /lib/modules that packages of dpkg have, which
// call it /usr/lib/modules where they are new.
func packagedModules(dir string) (map[string]bool, error) {
	lists, err := filepath.Glob(dir + "/*.list")
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, path := range lists {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the package was removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("the list of a package cannot be read: %w", err)
		}
		if !bytes.Contains(text, []byte("/lib/modules/")) {
			continue // as nearly all, of which there are thousands
		}
		for l := range strings.Lines(string(text)) {
			if p := strings.TrimPrefix(strings.TrimRight(l, "\n"), "/usr"); strings.HasPrefix(p, "/lib/modules/") {
				out[p] = true
			}
		}
	}
	return out, nil
}

// called finds functions in what ftrace says of one: in parentheses or behind an arrow,
// followed by the module.
var called = regexp.MustCompile(`(?:->|\()([^\s()]+)(?: \[([^\]\s]+)\])?`)

// redirectedFunctions looks at which code ftrace calls from functions of the kernel.
func redirectedFunctions(h *Host) ([]Finding, error) {
	all, err := h.hooks()
	if err != nil {
		return nil, err
	}
	known := false
	var out []Finding
	for _, x := range all.Hooks {
		if x.Kind == "ftrace" {
			known = true
			if f := redirected(x); f != nil {
				out = append(out, *f)
			}
		}
	}
	if !known {
		for _, n := range all.Notes {
			if strings.Contains(n, "ftrace") {
				return nil, errors.New(n)
			}
		}
	}
	return out, nil
}

// redirected judges one function; nil where only tracers and programs are called.
func redirected(x host.Hook) *Finding {
	f := &Finding{Path: x.Place, Evidence: "ftrace says: " + x.Detail, subject: x.Place,
		Do: "Take the host for taken over if no product of yours does this. See bearcat show module and show hook; a restart without the module ends it."}
	for _, m := range called.FindAllStringSubmatch(x.Detail, -1) {
		to, module := m[1], m[2]
		symbol, _, isSymbol := strings.Cut(to, "+0x")
		switch {
		case module == "bpf" || strings.HasPrefix(module, "__builtin") || strings.HasPrefix(symbol, "bpf_trampoline_"):
		case strings.HasPrefix(to, "0x"):
			f.What, f.Sure = x.Place+" of the kernel calls code that belongs to nothing: "+to, Certain
			return f
		case module != "" && isSymbol:
			f.What, f.Sure = x.Place+" of the kernel calls "+symbol+" of module "+module, Likely
			return f
		case symbol == "klp_ftrace_handler":
			f.What, f.Sure = x.Place+" of the kernel is replaced by a live patch", Possible
			f.Do = "If you apply live patches, ls /sys/kernel/livepatch names them; else take the host for taken over."
			return f
		}
	}
	return nil
}
