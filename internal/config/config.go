// Package config reads bearcat.yaml. In comes a file; out goes one typed
// Config with defaults filled in and every value checked, or errors that name
// line and column. The commands load it, let flags override it, call Validate
// and hand it to the agent.
//
// The settings are one table (see settings.go): reading, checking, suggestions
// for misspelt names, and the commented example all come from it.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Config is all that can be configured.
type Config struct {
	Output  Output
	Rules   Rules
	Scope   Scope
	Exec    Exec
	Rings   Rings
	Table   Table
	Metrics Metrics
	Status  Status
	Alerts  Alerts
	Canary  Canary
	CPU     CPU
	// Scan says how often the host is scanned.
	Scan Scan
	// Response says what rules may have done.
	Response Response
	Log      Log
}

// Output says where alerts and events go, and how.
type Output struct {
	// Format is "text", "json" or "falco-json".
	Format string
	// File is the path to write to; empty for standard output.
	File   string
	Rotate Rotate
	// Events writes events, not only alerts.
	Events bool
	// Types are the types of events that Events collects; empty for all.
	Types []string
	// Chain prints the chain of processes below each alert as text.
	Chain bool
	// Color is "auto", "always" or "never".
	Color string
}

// Rotate says how File is rotated.
type Rotate struct {
	// Size is the size that no file exceeds; 0 for no rotation.
	Size Size
	// Keep is how many old files are kept.
	Keep int
}

// Rules says which rules are loaded.
type Rules struct {
	Files []string
	// Match is "all" or "first": whether the rules after the first that
	// matches are tried too.
	Match string
	// Watch is how often Files are looked at for changes; 0 for never.
	Watch time.Duration
}

// Exec says what is taken of each program that starts.
type Exec struct {
	// ArgvLimit and EnvLimit are how many bytes of arguments and environment
	// are read.
	ArgvLimit, EnvLimit Size
	// EnvKeys names the variables that are kept; EnvRedact those of them
	// whose values are not. "*" stands for any text.
	EnvKeys, EnvRedact []string
}

// Rings holds the sizes of the buffers between kernel and agent.
type Rings struct{ Critical, Bulk Size }

// Table bounds the process table.
type Table struct {
	MaxProcesses int
	MaxMemory    Size
	// KeepDead is how long a process is kept after its end at least.
	KeepDead time.Duration
}

// Metrics says where Prometheus may read.
type Metrics struct {
	// Listen is "HOST:PORT", or ":PORT" for the loopback address; empty for
	// none. See Addr.
	Listen string
}

// Status says where "bearcat status" asks.
type Status struct {
	// Socket is the path of a unix socket; empty for none.
	Socket string
}

// Alerts says how many alerts are written, and how long they are kept.
type Alerts struct {
	// Burst alerts of a rule about one subject, and RuleBurst of a rule, are
	// written in a Window; with Burst 0 all are.
	Burst, RuleBurst int
	Window           time.Duration
	// Keep is how long they are kept; 0 for not at all.
	Keep time.Duration
}

// Scan says how often the agent does what bearcat scan does.
type Scan struct {
	// Interval lies between two scans; 0 for none.
	Interval time.Duration
	// Live makes those checks at once that something has just given a reason for.
	Live bool
}

// Response says what the agent does where a rule's response asks for it.
type Response struct {
	// Block lets rules have the firewall ban addresses.
	Block bool
	// Pins is where the firewall is pinned, State the folder of its lists.
	Pins, State string
}

// Canary says how often the agent makes sure that it sees what it does itself.
type Canary struct {
	// Interval is the time between two canaries; 0 for none.
	Interval time.Duration
}

// CPU says how much processor time the agent may use.
type CPU struct {
	// Limit is in percent of one processor; 0 for no limit.
	Limit float64
}

// Log is about what the agent says of itself on standard error.
type Log struct {
	// Level is "debug", "info", "warn" or "error".
	Level string
}

// maxFile bounds a configuration file; a real one has a few kilobytes.
const maxFile = 1 << 20

// Default returns the configuration without a file.
func Default() *Config {
	return &Config{
		Output: Output{Format: "text", Color: "auto", Rotate: Rotate{Size: 100 * MiB, Keep: 5}},
		Rules:  Rules{Match: "all", Watch: 2 * time.Second},
		Scope:  Scope{Kind: ScopeHost},
		Exec: Exec{
			ArgvLimit: 64 * KiB, EnvLimit: 64 * KiB,
			// What can change how a program behaves, where it came from, or
			// whether a shell keeps its history. TERM, HOME and their like
			// say what kind of session it is.
			EnvKeys: []string{"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "PATH",
				"PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PERL5LIB", "PERL5OPT",
				"NODE_OPTIONS", "RUBYOPT", "JAVA_TOOL_OPTIONS", "GIT_SSH_COMMAND",
				"BASH_ENV", "ENV", "PROMPT_COMMAND",
				"HISTFILE", "HISTSIZE", "HISTFILESIZE", "HISTCONTROL", "HISTIGNORE",
				"SSH_*", "SUDO_*", "TERM", "HOME", "USER", "LOGNAME", "SHELL", "PWD",
				"*_proxy", "KUBERNETES_SERVICE_HOST", "container"},
			EnvRedact: []string{"*TOKEN*", "*SECRET*", "*PASS*", "*CREDENTIAL*",
				"*APIKEY*", "*_KEY", "*_KEY_*"},
		},
		Rings:    Rings{Critical: 8 * MiB, Bulk: 4 * MiB},
		Table:    Table{MaxProcesses: 131072, MaxMemory: 256 * MiB, KeepDead: 30 * time.Second},
		Status:   Status{Socket: "/run/bearcat/bearcat.sock"},
		Alerts:   Alerts{Burst: 5, RuleBurst: 60, Window: time.Minute, Keep: 30 * time.Minute},
		Canary:   Canary{Interval: time.Minute},
		Scan:     Scan{Interval: time.Hour, Live: true},
		Response: Response{Block: true, Pins: "/sys/fs/bpf/bearcat/fw", State: "/var/lib/bearcat/fw"},
		Log:      Log{Level: "info"},
	}
}

// Load reads the file at path over the defaults.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("reading configuration: %s is larger than 1 MiB: is it the right file?", path)
	}
	return Parse(path, text)
}

// Validate checks what flags or code have set as Load checks a file. It
// reports all that is wrong.
func (c *Config) Validate() error {
	var errs []error
	for _, s := range settings() {
		if err := s.check(c); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.path, err))
		}
	}
	return errors.Join(errs...)
}
