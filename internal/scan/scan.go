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
		{"writable-code", "memory of processes that is writable and executable and comes from no file", writableCode},
		{"preload", "libraries that are loaded into every program, or into one that runs, by /etc/ld.so.preload and LD_PRELOAD", preloads},
		{"bpf-program", "BPF programs that can change memory, results or processes", bpfPrograms},
		{"hidden-module", "kernel modules that one of /proc/modules, /sys/module and the kernel's symbols has, and another lacks", hiddenModules},
		{"unpackaged-module", "kernel modules without a file or a package, from outside the kernel's tree, not signed or loaded by force", unpackagedModules},
		{"redirected-function", "functions of the kernel that ftrace leads to code of modules, or to code that nobody knows", redirectedFunctions},
		{"kernel-table", "system calls, and operations of /proc and its lists, that lead outside the kernel's code", kernelTables},
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
	files []task.File
	// filesErr says why there are no files.
	filesErr error
	memoryOf map[uint32][]host.VMA
	hooksOf  *host.Hooks
	modsOf   *host.Modules
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

// look takes a snapshot.
func look() (*Host, error) {
	s, err := task.Take(false)
	if err != nil {
		return nil, err
	}
	h := &Host{tasks: s, memoryOf: map[uint32][]host.VMA{}}
	h.files, h.filesErr = s.Files()
	return h, nil
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

// pause lies between the two looks.
const pause = 300 * time.Millisecond

// Run makes the checks of the given names, or all, and looks twice.
func Run(ctx context.Context, only []string) (*Report, error) {
	checks, err := chosen(only)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	first, _, _, err := once(checks)
	if err != nil {
		return nil, err
	}
	r := &Report{Checks: len(checks), Findings: []Finding{}}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(pause):
	}
	second, skipped, notes, err := once(checks)
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
		return all, nil
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
func once(checks []Check) ([]Finding, []Skipped, []string, error) {
	h, err := look()
	if err != nil {
		return nil, nil, nil, err
	}
	defer h.tasks.Close()
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
	return found, skipped, append(h.tasks.Notes, h.notes...), nil
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
