// Package scan compares what the kernel holds with what the host tells of itself,
// and looks for what intruders leave behind.
//
// Each check takes a Host, a snapshot that it shares with the others, and gives
// findings: what, by which evidence, how sure, and what to do. Run looks twice, and
// tells what it found both times, so that what merely began or ended during a look is
// not told. Nothing is attached or changed. `bearcat scan` calls it.
package scan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/task"
)

// Sure says how certain a finding is.
type Sure string

// The grades: Certain cannot be otherwise, Likely has harmless reasons that are rare,
// Possible has some that are common.
const (
	Certain  Sure = "certain"
	Likely   Sure = "likely"
	Possible Sure = "possible"
)

// Finding is something that should not be.
type Finding struct {
	Check    string `json:"check"`
	What     string `json:"what"`
	Evidence string `json:"evidence"`
	Sure     Sure   `json:"sure"`
	Do       string `json:"do"`
	Pid      uint32 `json:"pid,omitempty"`
	Path     string `json:"path,omitempty"`

	// subject tells findings of one check apart, from one look to the next.
	subject string
}

// Check is one comparison.
type Check struct {
	Name string
	// Doc is a sentence on what it compares.
	Doc string
	run func(*Host) ([]Finding, error)
}

// Checks lists all checks, in the order in which they are told.
func Checks() []Check {
	return []Check{
		{"hidden-process", "processes that the kernel runs and /proc does not list", hiddenProcesses},
		{"covered-process", "folders of processes in /proc that a mount covers", coveredProcesses},
		{"hidden-socket", "sockets that one of processes' descriptors, sock_diag and /proc/net has, and another lacks", hiddenSockets},
		{"deleted-program", "processes whose program has no file any more, or never had one", deletedPrograms},
		{"replaced-library", "processes that run code of a library that was removed or replaced", replacedLibraries},
		{"listing-library", "libraries that /etc/ld.so.preload or LD_PRELOAD loads before others and that replace what lists files", listingLibraries},
		{"writable-code", "memory of processes that is writable and executable and comes from no file", writableCode},
		{"preload", "libraries that are loaded into every program, or into one that runs, by /etc/ld.so.preload and LD_PRELOAD", preloads},
		{"bpf-program", "BPF programs that can change memory, results or processes", bpfPrograms},
		{"hidden-module", "kernel modules that one of /proc/modules, /sys/module and the kernel's symbols has, and another lacks", hiddenModules},
		{"unpackaged-module", "kernel modules without a file or a package, from outside the kernel's tree, not signed or loaded by force", unpackagedModules},
		{"redirected-function", "functions of the kernel that ftrace leads to code of modules, or to code that nobody knows", redirectedFunctions},
		{"kernel-table", "system calls, and operations of /proc and its lists, that lead outside the kernel's code", kernelTables},
		{"interrupt-table", "interrupts that lead outside the kernel's code", interruptGates},
		{"kernel-text", "code of the kernel that is not as the image has it that it was started from (made only when named)", changedText},
		{"listing-hook", "probes on functions that list files, processes and connections", listingHooks},
		{"sniffer", "packet sockets of programs that are none of the usual ones, and devices that take all packets", sniffers},
		{"root-account", "accounts beside root with user id 0", rootAccounts},
		{"root-path", "folders and files that root's shells and cron run from, and that others may write", rootPaths},
		{"set-uid", "set-uid programs in folders where anybody may write", setUIDs},
	}
}

// Host is what one look sees; what several checks need is read once.
type Host struct {
	// Root is where the host's files are; "" for /.
	Root  string
	tasks *task.Snapshot
	// filesOf are open files, filesErr why there are none; see files.
	filesOf   []task.File
	filesErr  error
	filesRead bool
	memoryOf  map[uint32][]host.VMA
	hooksOf   *host.Hooks
	modsOf    *host.Modules
	imageOf   *image
	peekOf    *peek
	boot      *bootImage
	// soon says that the look is for Soon.
	soon bool
	// notes say what was not looked at, by design of the kernel and not by a failure.
	notes []string
}

func (h *Host) note(text string) { h.notes = append(h.notes, text) }

// hooks reads what is hooked into the kernel, once.
func (h *Host) hooks() (*host.Hooks, error) {
	if h.hooksOf == nil {
		all, err := host.ReadHooks()
		if err != nil {
			return nil, err
		}
		h.hooksOf = all
	}
	return h.hooksOf, nil
}

// modules reads what the kernel says of its modules, once.
func (h *Host) modules() (*host.Modules, error) {
	if h.modsOf == nil {
		all, err := host.ReadModules()
		if err != nil {
			return nil, err
		}
		h.modsOf = all
	}
	return h.modsOf, nil
}

// files reads the open files of all processes, once.
func (h *Host) files() ([]task.File, error) {
	if !h.filesRead {
		h.filesOf, h.filesErr = h.tasks.Files()
		h.filesRead = true
	}
	return h.filesOf, h.filesErr
}

// peek is what reads the kernel's memory, loaded once.
func (h *Host) peek() (*peek, error) {
	if h.peekOf == nil {
		p, err := newPeek(peekLen)
		if err != nil {
			return nil, err
		}
		h.peekOf = p
	}
	return h.peekOf, nil
}

func (h *Host) close() {
	if h.tasks != nil {
		h.tasks.Close()
	}
	if h.peekOf != nil {
		h.peekOf.close()
	}
}

// ofKernel are the checks that look at no process.
var ofKernel = []string{"bpf-program", "hidden-module", "unpackaged-module", "redirected-function", "kernel-table", "interrupt-table", "kernel-text", "listing-hook"}

// costly are the checks that take seconds or much memory, and are made only when named.
var costly = []string{"kernel-text"}

// look begins a look for checks, with a snapshot of the processes if any is about those.
func look(checks []Check) (*Host, error) {
	h := &Host{memoryOf: map[uint32][]host.VMA{}}
	if !slices.ContainsFunc(checks, func(c Check) bool { return !slices.Contains(ofKernel, c.Name) }) {
		return h, nil
	}
	var err error
	h.tasks, err = task.Take(false)
	return h, err
}

// Skipped is a check that could not be made, and why.
type Skipped struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// Report is the result of a scan.
type Report struct {
	Findings []Finding `json:"findings"`
	Skipped  []Skipped `json:"skipped,omitempty"`
	Notes    []string  `json:"notes,omitempty"`
	Checks   int       `json:"checks"`
	Took     float64   `json:"took_s"`
}

// Pause lies between the two looks.
const Pause = 300 * time.Millisecond

// Run makes the checks of the given names, or all but the costly ones, and looks twice.
func Run(ctx context.Context, only []string) (*Report, error) { return run(ctx, only, false) }

// Soon is Run for whoever wants an answer soon, again and again: it does not read the
// kernel's table of symbols each time, from which hidden modules are known also by
// other ways.
func Soon(ctx context.Context, only []string) (*Report, error) { return run(ctx, only, true) }

func run(ctx context.Context, only []string, soon bool) (*Report, error) {
	checks, err := chosen(only)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	boot := &bootImage{}
	defer boot.close()
	first, _, _, err := once(checks, soon, boot)
	if err != nil {
		return nil, err
	}
	r := &Report{Checks: len(checks), Findings: []Finding{}}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(Pause):
	}
	second, skipped, notes, err := once(checks, soon, boot)
	if err != nil {
		return nil, err
	}
	r.Findings, r.Skipped, r.Notes = both(first, second), skipped, notes
	r.Took = time.Since(begun).Seconds()
	return r, nil
}

func chosen(only []string) ([]Check, error) {
	all := Checks()
	if len(only) == 0 {
		return slices.DeleteFunc(all, func(c Check) bool { return slices.Contains(costly, c.Name) }), nil
	}
	var out []Check
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	for _, n := range only {
		i := slices.Index(names, n)
		if i < 0 {
			hint := "there are " + strings.Join(names, ", ")
			if near := event.Nearest(n, names); near != "" {
				hint = "did you mean " + near + "?"
			}
			return nil, fmt.Errorf("there is no check %q: %s", n, hint)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// once makes one look.
func once(checks []Check, soon bool, boot *bootImage) ([]Finding, []Skipped, []string, error) {
	h, err := look(checks)
	if err != nil {
		return nil, nil, nil, err
	}
	h.soon, h.boot = soon, boot
	defer h.close()
	var found []Finding
	var skipped []Skipped
	for _, c := range checks {
		list, err := c.run(h)
		if err != nil {
			skipped = append(skipped, Skipped{c.Name, err.Error()})
		}
		for _, f := range list {
			f.Check = c.Name
			found = append(found, f)
		}
	}
	if h.tasks != nil {
		h.notes = append(slices.Clone(h.tasks.Notes), h.notes...)
	}
	return found, skipped, h.notes, nil
}

// both keeps what was found in both looks, the certain first.
func both(first, second []Finding) []Finding {
	seen := map[[2]string]bool{}
	for _, f := range first {
		seen[[2]string{f.Check, f.subject}] = true
	}
	out := []Finding{}
	for _, f := range second {
		if k := [2]string{f.Check, f.subject}; seen[k] {
			out = append(out, f)
			delete(seen, k)
		}
	}
	rank := map[Sure]int{Certain: 0, Likely: 1, Possible: 2}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(rank[a.Sure], rank[b.Sure]) })
	return out
}

// name writes a process for people.
func name(p *event.Process) string { return fmt.Sprintf("%s[%d]", p.Comm, p.Pid) }
