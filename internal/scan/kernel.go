package scan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// dangerous are the helpers with which a BPF program changes more than it sees.
var dangerous = map[string]string{
	"probe_write_user": "writes to the memory of processes", "override_return": "changes what kernel functions return",
	"send_signal": "kills processes", "send_signal_thread": "kills threads",
}

// bpfPrograms looks at the helpers of all loaded programs.
func bpfPrograms(_ *Host) ([]Finding, error) {
	all, err := host.ReadBPF()
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, p := range all.Programs {
		for _, helper := range p.Helpers {
			does := dangerous[strings.TrimPrefix(helper, "bpf_")]
			if does == "" {
				continue
			}
			var who []string
			for _, x := range p.Held {
				who = append(who, x.String())
			}
			held := strings.Join(append(who, p.Pins...), ", ")
			if held == "" {
				held = "nobody that can be seen"
			}
			out = append(out, Finding{
				What: fmt.Sprintf("BPF program %d %q of type %s %s", p.ID, p.Name, p.Type, does), Sure: Likely, subject: strconv.FormatUint(uint64(p.ID), 10) + helper,
				Evidence: fmt.Sprintf("it calls %s; attached to %s; held by %s", helper, orNothing(strings.Join(p.Attached, ", ")), held),
				Do:       "If it is no tool of yours for security or tracing, end who holds it, remove its pins, and take what the host told meanwhile for false.",
			})
		}
	}
	return out, all.Unread()
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// hiddenModules compares the lists of modules with each other.
func hiddenModules(h *Host) ([]Finding, error) {
	all, err := h.modules()
	if err != nil {
		return nil, err
	}
	const do = "Take the host for taken over: keep its memory if you can, and install it anew."
	var out []Finding
	known := map[string]bool{}
	for _, m := range all.Modules {
		known[m.Name] = true
		if m.InProc && m.InSysfs {
			continue
		}
		has, lacks := "/proc/modules", "/sys/module"
		if m.InSysfs {
			has, lacks = lacks, has
		}
		out = append(out, Finding{What: "kernel module " + m.Name + " is hidden", Evidence: has + " has it and " + lacks + " does not", Sure: Certain, subject: m.Name, Do: do})
	}
	k, err := h.image()
	if err != nil {
		return out, err
	}
	inTree, err := h.unlistedModules(k.modules, known)
	if err == nil && h.soon { // all that have symbols are in it
		k = &image{}
	}
	if err != nil {
		h.note("the tree in which the kernel finds modules by address was not looked at: " + err.Error())
	}
	for at, name := range inTree {
		known[name] = true
		out = append(out, Finding{What: "kernel module " + name + " is hidden", Evidence: "the kernel finds its code by address, and neither /proc/modules nor /sys/module has it",
			Sure: Certain, subject: name + strconv.FormatUint(at, 16), Do: do})
	}
	for name, symbol := range k.symbols {
		if !known[name] {
			out = append(out, Finding{What: "kernel module " + name + " is hidden", Evidence: "the kernel has symbols of it, such as " + symbol + ", and neither /proc/modules nor /sys/module has it",
				Sure: Certain, subject: name, Do: do})
		}
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.subject, b.subject) })
	return out, nil
}

// listing are parts of names of functions through which files, processes, connections
// and log entries are listed.
var listing = []string{"getdents", "filldir", "iterate_dir", "proc_pid_readdir", "seq_show", "tcp4_seq_show", "tcp6_seq_show", "udp4_seq_show", "sys_kill", "packet_rcv",
	"vfs_readdir", "next_tgid", "find_ge_pid", "audit_log_start", "syslog_print"}

// listingHooks looks for probes on such functions.
func listingHooks(h *Host) ([]Finding, error) {
	all, err := h.hooks()
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, x := range all.Hooks {
		if x.Kind == "event" || x.Kind == "tracer" || x.Kind == "uprobe event" {
			continue
		}
		if !slices.ContainsFunc(listing, func(part string) bool { return strings.Contains(x.Place, part) }) {
			continue
		}
		out = append(out, Finding{
			What: "a " + x.Kind + " is on " + x.Place + ", through which the kernel lists what there is", Evidence: orNothing(x.Detail), Sure: Likely, Path: x.Place, subject: x.Kind + x.Place,
			Do: "If nobody traces the kernel, compare bearcat show proc and bearcat show module with ps and lsmod, and see who made it: bearcat show hook.",
		})
	}
	return out, all.Unread()
}
