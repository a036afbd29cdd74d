package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Agent is something whose cost is measured: Bearcat in one of its modes,
// another tool, several tools together, or nothing at all.
type Agent struct {
	// Name is what the command line calls it, Label what tables call it.
	Name, Label string
	// Programs are started together.
	Programs []Program
	// Needs are other programs that must be installed.
	Needs []string
	// ReadyPrefix begins the line on standard error that says the agent is at
	// work. Where it is empty, the agent counts as ready when all its programs
	// hold BPF programs and use no processor time.
	ReadyPrefix string
	// Stop is the signal that ends it in an orderly way.
	Stop syscall.Signal
	// Count reads what the agent wrote to dir; nil where it writes no events.
	Count func(dir string, t Tools) (Counts, error)
	// Status is the binary that tells how many records came to the agent; "" where nobody
	// asks.
	Status string
	// Cleanup takes away what stays in the kernel when the programs have ended;
	// nil where nothing does. It comes after Count.
	Cleanup func() error
}

// Program is one process of an agent.
type Program struct {
	Path string
	// Args gives the arguments, for an agent that writes below dir.
	Args func(dir string) []string
}

// Counts is what an agent says it saw.
type Counts struct {
	// Seen holds the events of each workload that the agent reports on.
	Seen map[string]int
	// Lost is what it says it lost, Alerts what its rules found.
	Lost, Alerts int
}

// Names of the agents.
const (
	None     = "none"
	Alerts   = "alerts"
	Secrets  = "secrets"
	AnyOpen  = "anyopen"
	Events   = "events"
	Falco    = "falco"
	FalcoAll = "falco-all"
	Three    = "three"
	Libbpf   = "libbpf-tools"
	Bpftrace = "bpftrace"
	Auditd   = "auditd"
)

// agentNames are all of them, as the command line lists them.
func agentNames() []string {
	return []string{None, Alerts, Secrets, AnyOpen, Falco, FalcoAll, Three, Events, Libbpf, Bpftrace, Auditd}
}

const outputName = "out.json"

// bearcatArgs is Bearcat's command line; extra comes last.
func bearcatArgs(extra ...string) func(dir string) []string {
	return func(dir string) []string {
		args := []string{"run", "--output", "json", "--output-file", filepath.Join(dir, outputName)}
		return append(args, extra...)
	}
}

func bearcatAgent(name, label, binary string, extra ...string) Agent {
	return Agent{
		Name: name, Label: label, ReadyPrefix: "ready", Stop: syscall.SIGTERM, Count: countJSON,
		Programs: []Program{{binary, bearcatArgs(extra...)}},
	}
}

// findAgent returns the agent of that name, or an error that says what is
// missing. Bearcat is the binary to measure, extra more arguments for it.
func findAgent(name string, t Tools, bearcat string, extra ...string) (Agent, error) {
	var a Agent
	switch name {
	case None:
		return Agent{Name: None, Label: "nothing (noise)"}, nil
	case Alerts:
		a = bearcatAgent(name, "bearcat, alerts only", bearcat, extra...)
	case Secrets:
		a = bearcatAgent(name, "bearcat, a rule on secret files", bearcat, append([]string{"--rules", t.Secrets}, extra...)...)
	case AnyOpen:
		a = bearcatAgent(name, "bearcat, a rule on any file", bearcat, append([]string{"--rules", t.AnyOpen}, extra...)...)
	case Falco, FalcoAll:
		if _, err := os.Stat(t.Falco); err != nil {
			return a, fmt.Errorf("there is no copy of Falco's rules: name one with BENCH_FALCO: %w", err)
		}
		label, files := "bearcat, Falco's rules", []string{"--rules", t.Falco}
		if name == FalcoAll { // one rule that may be about any file switches the filters off
			label, files = "the same, filters off", append(files, "--rules", t.AnyOpen)
		}
		a = bearcatAgent(name, label, bearcat, append(files, extra...)...)
		a.Status = bearcat
	case Events:
		a = bearcatAgent(name, "bearcat, every event", bearcat, append([]string{"--events"}, extra...)...)
	case Three:
		// what the three programs of libbpf-tools watch, and no rules
		a = bearcatAgent(name, "bearcat, exec + open + connect", bearcat, append([]string{"--types", "exec,open,connect", "--rules", t.NoRules}, extra...)...)
	case Libbpf:
		a = Agent{Name: name, Label: "execsnoop + opensnoop + tcpconnect", Stop: syscall.SIGINT, Count: countLibbpf}
		for _, tool := range []string{"execsnoop", "opensnoop", "tcpconnect"} {
			a.Programs = append(a.Programs, Program{tool, noArgs})
		}
	case Bpftrace:
		a = Agent{Name: name, Label: "bpftrace, three one-liners", Stop: syscall.SIGINT, Count: countBpftrace}
		a.Programs = []Program{{"bpftrace", func(string) []string { return []string{"-e", bpftraceProgram} }}}
	case Auditd:
		a = auditdAgent(t)
	default:
		return a, fmt.Errorf("there is no agent %q: choose from %s", name, strings.Join(agentNames(), ", "))
	}
	for i := range a.Programs {
		p := &a.Programs[i]
		path, err := exec.LookPath(p.Path)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			return a, fmt.Errorf("%s is not installed: %w", p.Path, err)
		}
		p.Path = path
	}
	for _, name := range a.Needs {
		if _, err := exec.LookPath(name); err != nil {
			return a, fmt.Errorf("%s is not installed: %w", name, err)
		}
	}
	return a, nil
}

func noArgs(string) []string { return nil }

const bpftraceProgram = `
tracepoint:syscalls:sys_enter_execve { printf("exec %d %s %s\n", pid, comm, str(args->filename)); }
tracepoint:syscalls:sys_enter_openat { printf("open %d %s %s\n", pid, comm, str(args->filename)); }
kprobe:tcp_connect { printf("connect %d %s\n", pid, comm); }`
