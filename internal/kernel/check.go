package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// State says how a check came out.
type State string

// The states: a Missing thing stops the agent, a Limited one costs a part of
// what it can do, an Absent one is not needed yet.
const (
	OK      State = "ok"
	Limited State = "limited"
	Absent  State = "absent"
	Missing State = "missing"
)

// Check is one thing that the agent needs or can use.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	// Advice says what to do about it; empty where all is well.
	Advice string `json:"advice,omitempty"`
	// Sources are those of an observer.
	Sources []Source `json:"sources,omitempty"`
}

// capabilities that matter, with what each is for. Any kernel that has BTF has
// the split-off CAP_BPF and CAP_PERFMON (5.8).
var capabilities = []struct {
	bit      uint
	name     string
	state    State
	use      string
	sysAdmin bool // CAP_SYS_ADMIN does as well
}{
	{unix.CAP_BPF, "CAP_BPF", Missing, "loads the programs and maps", true},
	{unix.CAP_PERFMON, "CAP_PERFMON", Missing, "lets programs read kernel memory", true},
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", Limited, "reads arguments and environment of processes that already run", false},
	{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", Limited, "reads other users' files in /proc", false},
}

// Preflight checks what the agent cannot run without, and what it would miss.
// It loads one harmless map and attaches nothing.
func Preflight() []Check {
	release := Release()
	checks := []Check{checkVersion(release), checkBTF()}
	checks = append(checks, checkCapabilities(effectiveCaps())...)
	checks = append(checks, checkLockdown(readTrim("/sys/kernel/security/lockdown")), checkJIT(readTrim("/proc/sys/net/core/bpf_jit_enable")))
	return append(checks, checkMap())
}

// Fatal returns an error that names everything that is missing, or nil.
func Fatal(checks []Check) error {
	var errs []error
	for _, c := range checks {
		if c.State == Missing {
			errs = append(errs, fmt.Errorf("%s: %s; %s", c.Name, c.Detail, c.Advice))
		}
	}
	return errors.Join(errs...)
}

func readTrim(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func checkVersion(release string) Check {
	c := Check{Name: "kernel", State: OK, Detail: release}
	if !ParseVersion(release).AtLeast(5, 10) {
		c.State = Missing
		c.Detail = release + " is too old"
		c.Advice = "bearcat needs Linux 5.10 or newer"
	}
	return c
}

func checkBTF() Check {
	c := Check{Name: "BTF", State: OK, Detail: "/sys/kernel/btf/vmlinux"}
	if _, err := btf.LoadKernelSpec(); err != nil {
		c.State = Missing
		c.Detail = "the kernel does not describe its types: " + err.Error()
		c.Advice = "use a kernel built with CONFIG_DEBUG_INFO_BTF, as all large distributions' are"
	}
	return c
}

func effectiveCaps() uint64 {
	for line := range strings.Lines(readTrim("/proc/self/status") + "\n") {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

func checkCapabilities(eff uint64) []Check {
	admin := eff>>unix.CAP_SYS_ADMIN&1 == 1
	var out []Check
	for _, k := range capabilities {
		c := Check{Name: k.name, State: OK, Detail: k.use}
		if eff>>k.bit&1 == 0 && !(k.sysAdmin && admin) {
			c.State = k.state
			c.Detail = "not held; it " + k.use
			c.Advice = "run as root, or give the binary or unit " + k.name
		}
		out = append(out, c)
	}
	return out
}

func checkLockdown(text string) Check {
	c := Check{Name: "lockdown", State: OK, Detail: "none"}
	if _, rest, ok := strings.Cut(text, "["); ok {
		c.Detail, _, _ = strings.Cut(rest, "]")
	}
	if c.Detail == "confidentiality" {
		c.State = Missing
		c.Detail = "confidentiality: the kernel lets no program read its memory"
		c.Advice = "boot with lockdown=integrity or without lockdown"
	}
	return c
}

func checkJIT(text string) Check {
	c := Check{Name: "BPF compiler", State: OK, Detail: "on"}
	if text == "0" {
		c.State = Limited
		c.Detail = "off: programs are interpreted and cost several times more"
		c.Advice = "sysctl net.core.bpf_jit_enable=1"
	}
	return c
}

func checkMap() Check {
	c := Check{Name: "bpf()", State: OK, Detail: "the kernel makes maps"}
	liftMemlock()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())})
	if err != nil {
		c.State = Missing
		c.Detail = "the kernel refuses to make a map: " + Verdict(err)
		c.Advice = "look for missing capabilities above, a seccomp filter of a container runtime, or an LSM policy"
		return c
	}
	m.Close()
	return c
}

// Rungs tries the kinds of hooks that the kernel may offer beyond those that
// every supported kernel has, each by attaching a program that does nothing
// and detaching it at once.
func Rungs() []Check {
	probes := []struct {
		name, use string
		try       func() error
	}{
		{"BPF LSM", "sees io_uring and can deny", tryLSM},
		{"fentry", "sees io_uring, costs least", tryFentry},
		{"kprobe", "as fentry, for kernels without it", tryKprobe},
	}
	var out []Check
	for _, p := range probes {
		c := Check{Name: p.name, State: OK, Detail: p.use}
		if err := p.try(); err != nil {
			c.State = Absent
			c.Detail = "not offered: " + Verdict(err)
			c.Advice = "nothing to do: all events come from BTF tracepoints"
		}
		out = append(out, c)
	}
	return out
}

// Verdict is the last line of a load's error, without the verifier's log and
// without the library's guess at memory limits, which are not the reason where
// other maps and programs load.
func Verdict(err error) string {
	s := strings.TrimSpace(err.Error())
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		s = strings.TrimSpace(s[i+1:])
	}
	s, _, _ = strings.Cut(s, " (MEMLOCK may be too low")
	return s
}

func noop(typ ebpf.ProgramType, at ebpf.AttachType, to string) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bearcat_probe", Type: typ, AttachType: at, AttachTo: to, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
}

func tryLSM() error {
	p, err := noop(ebpf.LSM, ebpf.AttachLSMMac, "userns_create")
	if err != nil { // a hook of 6.1
		p, err = noop(ebpf.LSM, ebpf.AttachLSMMac, "task_prctl")
	}
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := link.AttachLSM(link.LSMOptions{Program: p})
	if err != nil {
		return err
	}
	defer l.Close()
	if lsm := readTrim("/sys/kernel/security/lsm"); lsm != "" && !strings.Contains(","+lsm+",", ",bpf,") {
		return fmt.Errorf("bpf is not among the active security modules (%s): boot with lsm=%s,bpf", lsm, lsm)
	}
	return nil
}

func tryFentry() error {
	p, err := noop(ebpf.Tracing, ebpf.AttachTraceFEntry, "security_task_prctl")
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		return err
	}
	return l.Close()
}

func tryKprobe() error {
	p, err := noop(ebpf.Kprobe, ebpf.AttachNone, "")
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := link.Kprobe("security_task_prctl", p, nil)
	if err != nil {
		return err
	}
	return l.Close()
}
