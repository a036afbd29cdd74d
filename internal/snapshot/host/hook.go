package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Hook is one place where the kernel or a program has been made to call more.
type Hook struct {
	Kind    string `json:"kind"`  // ftrace, kprobe, kprobe event, uprobe event, event, tracer, BPF
	Place   string `json:"place"` // function, file:offset or tracepoint
	Detail  string `json:"detail,omitempty"`
	Enabled bool   `json:"enabled"`
}

// Hooks are what is hooked into the kernel.
type Hooks struct {
	Hooks []Hook `json:"hooks"`
	Notes `json:"notes,omitempty"`
	// unread are those of the notes that tell of a failure.
	unread []string
}

// ReadHooks reads hooks from tracefs, debugfs and BPF attachments.
func ReadHooks() (*Hooks, error) {
	out := &Hooks{Hooks: []Hook{}}
	if dir, closeFS, err := kernelFS("tracefs", tracefs...); err != nil {
		out.miss("ftrace-enabled functions, probe events and enabled events are not known: " + err.Error())
	} else {
		out.readTracing(dir)
		closeFS()
	}
	if dir, closeFS, err := kernelFS("debugfs", "/sys/kernel/debug"); err != nil {
		out.miss("kprobes that no event shows are not known: " + err.Error())
	} else {
		if text, ok := out.read(dir+"/kprobes/list", "kprobes that no event shows are not known"); ok {
			out.Hooks = append(out.Hooks, parseKprobes(text)...)
		}
		closeFS()
	}
	b, err := readAttached()
	if err != nil {
		out.miss("BPF programs are not known: " + err.Error())
		return out, nil
	}
	for _, p := range b.Programs {
		for _, place := range p.Attached {
			out.Hooks = append(out.Hooks, Hook{Kind: "BPF", Place: place, Detail: fmt.Sprintf("program %d %s", p.ID, p.Name), Enabled: true})
		}
	}
	out.Notes = append(out.Notes, b.Notes...)
	return out, nil
}

// miss notes what could not be read.
func (h *Hooks) miss(what string) {
	h.Notes = append(h.Notes, what)
	h.unread = append(h.unread, what)
}

// Unread says which hooks the kernel may have and did not tell; nil where it told all.
func (h *Hooks) Unread() error { return sentences(h.unread) }

func sentences(list []string) error {
	if len(list) == 0 {
		return nil
	}
	return errors.New(strings.Join(list, "; "))
}

// tracefs are the places where it is mounted.
var tracefs = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// kernelFS finds where a file system of the kernel's own is mounted. One that is not is
// mounted where nobody sees it, until closeFS is called. With no places it is always so.
func kernelFS(kind string, places ...string) (dir string, closeFS func(), err error) {
	magic := map[string]int64{"tracefs": unix.TRACEFS_MAGIC, "debugfs": unix.DEBUGFS_MAGIC}[kind]
	for _, p := range places {
		var st unix.Statfs_t
		if unix.Statfs(p, &st) == nil && st.Type == magic {
			return p, func() {}, nil
		}
	}
	open, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return "", nil, errors.New("this kernel has no " + kind)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s is not mounted, and cannot be: %w (it needs root)", kind, err)
	}
	defer unix.Close(open)
	mount := -1
	if err = unix.FsconfigCreate(open); err == nil {
		mount, err = unix.Fsmount(open, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s is not mounted, and cannot be: %w", kind, err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", mount), func() { unix.Close(mount) }, nil
}

// read gives a file's text, or notes what is missing without it. A kernel without the
// file has nothing that it would tell.
func (h *Hooks) read(path, without string) (string, bool) {
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		return string(b), true
	case errors.Is(err, fs.ErrNotExist):
		h.Notes = append(h.Notes, without+": this kernel has no file "+filepath.Base(path)+" for them")
	default:
		h.miss(without + ": " + err.Error())
	}
	return "", false
}

func (h *Hooks) readTracing(dir string) {
	if text, ok := h.read(dir+"/enabled_functions", "functions that ftrace hooks are not known"); ok {
		h.Hooks = append(h.Hooks, parseFtrace(text)...)
	}
	enabled := strings.Fields(line(dir + "/set_event"))
	for _, kind := range [...]string{"kprobe", "uprobe"} {
		text, ok := h.read(dir+"/"+kind+"_events", kind+" events are not known")
		if !ok {
			continue
		}
		for l := range strings.Lines(text) {
			name, place, detail := parseProbeEvent(l)
			if name != "" {
				on := slices.Contains(enabled, strings.Replace(name, "/", ":", 1))
				h.Hooks = append(h.Hooks, Hook{Kind: kind + " event", Place: place, Detail: strings.TrimSpace(name + " " + detail), Enabled: on})
			}
		}
	}
	for _, e := range enabled {
		h.Hooks = append(h.Hooks, Hook{Kind: "event", Place: e, Enabled: true})
	}
	if tracer := line(dir + "/current_tracer"); tracer != "" && tracer != "nop" {
		h.Hooks = append(h.Hooks, Hook{Kind: "tracer", Place: tracer, Detail: line(dir + "/set_ftrace_filter"), Enabled: line(dir+"/tracing_on") == "1"})
	}
}

// parseFtrace reads the list of enabled functions: a name and what is called from it,
// which may go on in lines that begin with a tab.
func parseFtrace(text string) []Hook {
	var out []Hook
	for l := range strings.Lines(text) {
		words := strings.Fields(l)
		switch {
		case len(words) == 0:
		case (l[0] == '\t' || l[0] == ' ') && len(out) > 0:
			out[len(out)-1].Detail += " " + strings.Join(words, " ")
		default:
			out = append(out, Hook{Kind: "ftrace", Place: words[0], Detail: strings.Join(words[1:], " "), Enabled: true})
		}
	}
	return out
}

// parseProbeEvent reads a line such as "p:group/name place arguments".
func parseProbeEvent(l string) (name, place, detail string) {
	f := strings.Fields(l)
	if len(f) < 2 {
		return "", "", ""
	}
	_, name, ok := strings.Cut(f[0], ":")
	if !ok {
		return "", "", ""
	}
	return name, f[1], strings.Join(f[2:], " ")
}

// parseKprobes reads debugfs' list: address, k or r, place, module and states.
func parseKprobes(text string) []Hook {
	var out []Hook
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) < 3 {
			continue
		}
		kind := "kprobe"
		if f[1] == "r" {
			kind = "kretprobe"
		}
		detail := strings.Join(f[3:], " ")
		out = append(out, Hook{Kind: kind, Place: f[2], Detail: detail, Enabled: !strings.Contains(detail, "[DISABLED]")})
	}
	return out
}

// Tables gives one row for each hook.
func (h *Hooks) Tables() []Table {
	t := Table{Of: &h.Hooks, Minor: []string{"ENABLED"}, Columns: []string{"KIND", "PLACE", "ENABLED", "DETAIL"}}
	for _, e := range h.Hooks {
		on := "no"
		if e.Enabled {
			on = "yes"
		}
		t.Rows = append(t.Rows, []string{e.Kind, e.Place, on, dash(e.Detail)})
	}
	return []Table{t}
}
