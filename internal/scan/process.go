package scan

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// hiddenProcesses compares the kernel's list of tasks with the listing of /proc.
func hiddenProcesses(h *Host) ([]Finding, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("/proc cannot be listed: %w", err)
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.Name()] = true
	}
	var out []Finding
	for _, p := range h.tasks.Processes() {
		pid := strconv.FormatUint(uint64(p.Pid), 10)
		if listed[pid] {
			continue
		}
		evidence := "the kernel's list of tasks has it, and a listing of /proc does not"
		if _, err := os.Stat("/proc/" + pid); err == nil {
			evidence += ", though /proc/" + pid + " can be opened by its name"
		}
		out = append(out, HiddenProcess(p, evidence))
	}
	return out, nil
}

// HiddenProcess is what there is to say of a process that runs and is not listed.
func HiddenProcess(p *event.Process, evidence string) Finding {
	return Finding{
		Check: "hidden-process", What: "process " + name(p) + " is hidden: it runs " + exe(p), Evidence: evidence, Sure: Certain, Pid: p.Pid, subject: p.Key.String(),
		Do: "Take the host for taken over. Look at the process with bearcat show proc " + strconv.FormatUint(uint64(p.Pid), 10) + " and at the kernel with bearcat show module and show hook.",
	}
}

func exe(p *event.Process) string {
	if p.Image == nil || p.Image.Exe.Path == "" {
		return "a program that is not known"
	}
	return p.Image.Exe.Path
}

// coveredProcesses looks for mounts on folders of processes.
func coveredProcesses(h *Host) ([]Finding, error) {
	mounts, err := host.ReadMounts("")
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, m := range mounts.Mounts {
		rest, ok := strings.CutPrefix(m.Point, "/proc/")
		pid, _, _ := strings.Cut(rest, "/")
		n, err := strconv.ParseUint(pid, 10, 32)
		if !ok || err != nil {
			continue
		}
		what := "nobody has that number now"
		if p, err := h.tasks.Find(uint32(n)); err == nil {
			what = name(p) + " runs " + exe(p)
		}
		out = append(out, Finding{
			What: "a mount covers " + m.Point + ": " + what, Evidence: fmt.Sprintf("mount %d, a %s of %s", m.ID, m.Type, m.Source), Sure: Certain,
			Pid: uint32(n), Path: m.Point, subject: m.Point,
			Do: "Look at the process with bearcat show proc " + pid + "; umount " + m.Point + " shows its folder again.",
		})
	}
	return out, nil
}

// deletedPrograms looks for programs without a file.
func deletedPrograms(h *Host) ([]Finding, error) {
	var out []Finding
	for _, p := range h.tasks.Processes() {
		i := p.Image
		if i == nil || p.KThread {
			continue
		}
		f := Finding{Pid: p.Pid, Path: i.Exe.Path, subject: p.Key.String(),
			Do: fmt.Sprintf("Keep a copy of /proc/%d/exe, see who started it with bearcat show proc %d, and restart or end it.", p.Pid, p.Pid)}
		switch {
		case i.Exe.Memfd:
			f.What, f.Sure = name(p)+" runs a program that is in memory only", Likely
			f.Evidence = "its file is " + i.Exe.Path + ", made by memfd_create"
		case i.Exe.Deleted:
			f.What, f.Sure = name(p)+" runs a program whose file was removed", Likely
			f.Evidence = i.Exe.Path + " has no name any more"
			if _, err := os.Lstat(i.Exe.Path); err == nil {
				f.Sure = Possible
				f.Evidence = i.Exe.Path + " is another file now, as after an update without a restart"
			}
		default:
			continue
		}
		out = append(out, f)
	}
	return out, nil
}
