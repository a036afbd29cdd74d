package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
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
}

// ReadHooks reads hooks from tracefs, debugfs and BPF attachments.
func ReadHooks() (*Hooks, error) {
	out := &Hooks{Hooks: []Hook{}}
	if dir := tracefs(); dir == "" {
		out.Notes = append(out.Notes, "ftrace-enabled functions, probe events and enabled events are not known: tracefs is not mounted or not readable, or the kernel has none (mount -t tracefs none /sys/kernel/tracing, as root)")
	} else {
		out.readTracing(dir)
	}
	if text, ok := out.read("/sys/kernel/debug/kprobes/list", "kprobes that no event shows are not known"); ok {
		out.Hooks = append(out.Hooks, parseKprobes(text)...)
	}
	b, err := readAttached()
	if err != nil {
		out.Notes = append(out.Notes, "BPF programs are not known: "+err.Error())
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

// tracefs finds where it is mounted, or "".
func tracefs() string {
	for _, dir := range [...]string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		if _, err := os.Stat(dir + "/set_event"); err == nil {
			return dir
		}
	}
	return ""
}

// read gives a file's text, or notes what is missing without it.
func (h *Hooks) read(path, without string) (string, bool) {
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		return string(b), true
	case errors.Is(err, fs.ErrNotExist):
		h.Notes = append(h.Notes, without+": there is no "+path)
	default:
		h.Notes = append(h.Notes, without+": "+err.Error())
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
	t := Table{Of: &h.Hooks, Columns: []string{"KIND", "PLACE", "ENABLED", "DETAIL"}}
	for _, e := range h.Hooks {
		on := "no"
		if e.Enabled {
			on = "yes"
		}
		t.Rows = append(t.Rows, []string{e.Kind, e.Place, on, dash(e.Detail)})
	}
	return []Table{t}
}
