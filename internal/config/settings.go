package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// setting is one value of the file: how it is called, read, checked and
// written.
type setting struct {
	// path is "section.name" or "section.sub.name".
	path string
	// doc is what the example says above it.
	doc string
	// set takes the value from the file; its error is about form.
	set func(*Config, *yaml.Node) error
	// check looks at the value wherever it came from.
	check func(*Config) error
	// text returns the value as YAML.
	text func(*Config) string
}

// sections are the top-level keys with their line in the example.
func sections() [][2]string {
	return [][2]string{
		{"output", "Where alerts and events go, and how they look."},
		{"rules", "Which rules are loaded."},
		{"exec", "What is taken of each program that starts."},
		{"rings", "Buffers between the kernel and the agent, each for all processors together. Larger ones survive longer bursts."},
		{"table", "What is kept of the processes on the host."},
		{"metrics", "Counters for Prometheus."},
		{"status", "Where \"bearcat status\" asks the running agent."},
		{"alerts", "How many alerts of a kind are written, and how long all are kept for \"bearcat alerts\"."},
		{"canary", "A process of the agent's own that it must see; where it does not, that is an alert. Whole hosts only."},
		{"cpu", "Processor time of the agent and its programs in the kernel."},
		{"scan", "What \"bearcat scan\" looks for, looked for again and again; what is new is an alert. Whole hosts only."},
		{"response", "What is done where a rule has a response."},
		{"log", "What the agent says of itself, on standard error."},
	}
}

// settings lists all of them, in the order of the example.
func settings() []setting {
	return append(outputSettings(), []setting{
		list("rules.files", "Rule files, read in this order; later ones may override parts of earlier ones.\nWithout any, the rules that come with bearcat are used; with files, the word builtin stands for these.",
			func(c *Config) *[]string { return &c.Rules.Files }, checkFiles),
		duration("rules.watch", "Time between two looks at the rule files; what has changed is put to use without a restart. 0s for never.",
			func(c *Config) *time.Duration { return &c.Rules.Watch }, time.Hour),
		str("rules.match", "all: every rule that matches an event gives an alert. first: only the first.",
			func(c *Config) *string { return &c.Rules.Match }, func(s string) error { return oneOf(s, "all", "first") }),
		scope("scope", "The part of the host that is watched: host, pid:N (a process and all that descend from it),\ncgroup:PATH or container:ID.",
			func(c *Config) *Scope { return &c.Scope }),
		size("exec.argv_limit", "Bytes of arguments that are read of each program, up to the kernel's 2MiB.",
			func(c *Config) *Size { return &c.Exec.ArgvLimit }, func(s Size) error { return between(s, 256, 2*MiB) }),
		size("exec.env_limit", "Bytes of environment that are searched for the variables below, up to 2MiB; 0 for none.",
			func(c *Config) *Size { return &c.Exec.EnvLimit }, func(s Size) error { return between(s, 0, 2*MiB) }),
		list("exec.env_keys", "Environment variables that are kept; * stands for any text.",
			func(c *Config) *[]string { return &c.Exec.EnvKeys }, checkVariables),
		list("exec.env_redact", "Of those, the ones whose values are replaced.",
			func(c *Config) *[]string { return &c.Exec.EnvRedact }, checkVariables),
		size("rings.critical", "For what must not be lost: exec, fork, exit. A power of two.",
			func(c *Config) *Size { return &c.Rings.Critical }, checkRing),
		size("rings.bulk", "For what can come in floods. A power of two.",
			func(c *Config) *Size { return &c.Rings.Bulk }, checkRing),
		integer("table.max_processes", "Most processes that are kept, dead ancestors included.",
			func(c *Config) *int { return &c.Table.MaxProcesses }, 1024, 1<<22),
		size("table.max_memory", "Most memory that they may take.",
			func(c *Config) *Size { return &c.Table.MaxMemory }, func(s Size) error { return between(s, 8*MiB, 1024*GiB) }),
		duration("table.keep_dead", "How long a process is kept after its end at least; longer while a living one descends from it.",
			func(c *Config) *time.Duration { return &c.Table.KeepDead }, time.Hour),
		str("metrics.listen", "Address to serve /metrics on; empty for none. \":9100\" is reachable from this host only;\nname a host, as in \"0.0.0.0:9100\", to open it to others: there is no password.",
			func(c *Config) *string { return &c.Metrics.Listen }, checkListen),
		str("status.socket", "Unix socket that only root and the agent's own user may ask; empty for none.",
			func(c *Config) *string { return &c.Status.Socket }, checkSocket),
		integer("alerts.burst", "Most alerts of a rule about the same program and target that are written in a window; the others are counted. 0 for no bound.",
			func(c *Config) *int { return &c.Alerts.Burst }, 0, 1<<20),
		integer("alerts.rule_burst", "Most alerts of a rule that are written in a window, whatever they are about.",
			func(c *Config) *int { return &c.Alerts.RuleBurst }, 1, 1<<20),
		duration("alerts.window", "The window; counts of alerts that were left out are written after it.",
			func(c *Config) *time.Duration { return &c.Alerts.Window }, 24*time.Hour),
		duration("alerts.keep", "How long alerts are kept, with what happened around them; 0s for not at all.",
			func(c *Config) *time.Duration { return &c.Alerts.Keep }, 24*time.Hour),
		duration("canary.interval", "Time between two canaries; 0s for none.",
			func(c *Config) *time.Duration { return &c.Canary.Interval }, 24*time.Hour),
		percent("cpu.limit", "Most that may be used, in percent of one processor, such as 5%; above it less is collected, and an event says what.\n0% for no limit.",
			func(c *Config) *float64 { return &c.CPU.Limit }),
		duration("scan.interval", "Time between two scans; 0s for none.",
			func(c *Config) *time.Duration { return &c.Scan.Interval }, 7*24*time.Hour),
		boolean("scan.live", "Look at once after a module was loaded, a probe set, a BPF program loaded or a library preloaded,\nand for hidden processes all the time.",
			func(c *Config) *bool { return &c.Scan.Live }),
		boolean("response.block", "Let rules with response: {block: {remote: 10m}} have the firewall of \"bearcat fw\" ban addresses.",
			func(c *Config) *bool { return &c.Response.Block }),
		str("response.pins", "Where that firewall is pinned.",
			func(c *Config) *string { return &c.Response.Pins }, checkAbs),
		str("response.state", "The folder where its lists are kept.",
			func(c *Config) *string { return &c.Response.State }, checkAbs),
		str("log.level", "debug, info, warn or error.",
			func(c *Config) *string { return &c.Log.Level }, func(s string) error { return oneOf(s, "debug", "info", "warn", "error") }),
	}...)
}

func outputSettings() []setting {
	return []setting{
		str("output.format", "text for people, json for programs, falco-json for what reads Falco's alerts.",
			func(c *Config) *string { return &c.Output.Format }, func(s string) error { return oneOf(s, "text", "json", "falco-json") }),
		str("output.file", "File to append to, as an absolute path; empty for standard output.",
			func(c *Config) *string { return &c.Output.File }, checkAbs),
		size("output.rotate.size", "Size at which the file is renamed to NAME.1 and a new one begun; 0 for never.",
			func(c *Config) *Size { return &c.Output.Rotate.Size }, checkRotate),
		integer("output.rotate.keep", "How many old files are kept.",
			func(c *Config) *int { return &c.Output.Rotate.Keep }, 0, 1000),
		boolean("output.events", "Write every event, not only alerts.",
			func(c *Config) *bool { return &c.Output.Events }),
		list("output.types", "With events: the types that are collected for it, such as [exec, open, connect]; empty for all.\nWhat the rules need is collected in any case.",
			func(c *Config) *[]string { return &c.Output.Types }, checkTypes),
		boolean("output.chain", "Print the chain of processes below each alert (text only).",
			func(c *Config) *bool { return &c.Output.Chain }),
		str("output.color", "auto (on a terminal, unless NO_COLOR is set), always or never.",
			func(c *Config) *string { return &c.Output.Color }, func(s string) error { return oneOf(s, "auto", "always", "never") }),
	}
}

func checkFiles(files []string) error {
	for _, f := range files {
		if f == "" {
			return errors.New("a file has no name")
		}
	}
	return nil
}

// checkTypes leaves to the agent which names there are.
func checkTypes(types []string) error {
	for _, t := range types {
		if t == "" {
			return errors.New("a type of event has no name")
		}
	}
	return nil
}

func checkRotate(s Size) error {
	if s == 0 {
		return nil
	}
	return between(s, 64*KiB, 1024*GiB)
}

func checkSocket(p string) error {
	if len(p) > 107 {
		return fmt.Errorf("%q is longer than the 107 bytes that a unix socket's path may have", p)
	}
	return checkAbs(p)
}

// scalar makes the setting of a single value from how it is parsed and
// written.
func scalar[T any](path, doc string, at func(*Config) *T, what string, parse func(*yaml.Node) (T, error), check func(T) error, text func(T) string) setting {
	return setting{
		path: path, doc: doc,
		set: func(c *Config, n *yaml.Node) error {
			if n.Kind != yaml.ScalarNode {
				return fmt.Errorf("expected %s, found %s", what, kindName(n))
			}
			v, err := parse(n)
			if err != nil {
				return err
			}
			*at(c) = v
			return nil
		},
		check: func(c *Config) error { return check(*at(c)) },
		text:  func(c *Config) string { return text(*at(c)) },
	}
}

func ok[T any](T) error { return nil }

func str(path, doc string, at func(*Config) *string, check func(string) error) setting {
	return scalar(path, doc, at, "text", func(n *yaml.Node) (string, error) {
		if n.Tag == "!!null" {
			return "", nil
		}
		return n.Value, nil
	}, check, quote)
}

func boolean(path, doc string, at func(*Config) *bool) setting {
	return scalar(path, doc, at, "true or false", func(n *yaml.Node) (v bool, err error) {
		if n.Tag != "!!bool" || n.Decode(&v) != nil {
			return false, fmt.Errorf("expected true or false, found %q", n.Value)
		}
		return v, nil
	}, ok, strconv.FormatBool)
}

func integer(path, doc string, at func(*Config) *int, low, high int) setting {
	return scalar(path, doc, at, "a number", func(n *yaml.Node) (int, error) {
		v, err := strconv.Atoi(n.Value)
		if err != nil {
			return 0, fmt.Errorf("expected a number, found %q", n.Value)
		}
		return v, nil
	}, func(v int) error {
		if v < low || v > high {
			return fmt.Errorf("%d is out of range: %d to %d", v, low, high)
		}
		return nil
	}, strconv.Itoa)
}

func size(path, doc string, at func(*Config) *Size, check func(Size) error) setting {
	return scalar(path, doc, at, "a size", func(n *yaml.Node) (Size, error) { return ParseSize(n.Value) }, check, Size.String)
}

func duration(path, doc string, at func(*Config) *time.Duration, most time.Duration) setting {
	return scalar(path, doc, at, "a duration", func(n *yaml.Node) (time.Duration, error) { return ParseDuration(n.Value) },
		func(d time.Duration) error {
			if d < 0 || d > most {
				return fmt.Errorf("%v is out of range: 0s to %v", d, most)
			}
			return nil
		}, time.Duration.String)
}

func percent(path, doc string, at func(*Config) *float64) setting {
	return scalar(path, doc, at, "a percentage", func(n *yaml.Node) (float64, error) { return ParsePercent(n.Value) },
		func(v float64) error {
			if v < 0 || v > 10000 {
				return fmt.Errorf("%v%% is out of range: 0%% to 10000%%", v)
			}
			return nil
		}, func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + "%" })
}

// ParsePercent reads a percentage, such as "5%" or "2.5".
func ParsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(s), "%"), 64)
	if err != nil || v != v || v < 0 {
		return 0, fmt.Errorf("expected a percentage such as 5%%, found %q", s)
	}
	return v, nil
}

func scope(path, doc string, at func(*Config) *Scope) setting {
	return scalar(path, doc, at, "a scope", func(n *yaml.Node) (Scope, error) { return ParseScope(n.Value) },
		func(s Scope) error { _, err := ParseScope(s.String()); return err },
		func(s Scope) string { return quote(s.String()) })
}

func list(path, doc string, at func(*Config) *[]string, check func([]string) error) setting {
	return setting{
		path: path, doc: doc,
		set: func(c *Config, n *yaml.Node) error {
			if n.Tag == "!!null" {
				*at(c) = nil
				return nil
			}
			if n.Kind != yaml.SequenceNode {
				return fmt.Errorf("expected a list, found %s", kindName(n))
			}
			var out []string
			for _, e := range n.Content {
				if e.Kind != yaml.ScalarNode {
					return fmt.Errorf("expected a list of texts, found %s at line %d", kindName(e), e.Line)
				}
				out = append(out, e.Value)
			}
			*at(c) = out
			return nil
		},
		check: func(c *Config) error { return check(*at(c)) },
		text: func(c *Config) string {
			var quoted []string
			for _, s := range *at(c) {
				quoted = append(quoted, quote(s))
			}
			return "[" + strings.Join(quoted, ", ") + "]"
		},
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	return fmt.Sprintf("%q", n.Value)
}

// quote writes a text as YAML: bare where nothing in it has a meaning there.
func quote(s string) string {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '-')) {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
