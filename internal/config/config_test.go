package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write example.yaml anew")

func TestExample(t *testing.T) {
	want := Example()
	if *update {
		if err := os.WriteFile("example.yaml", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("example.yaml is out of date: run go test ./internal/config -update\n%s", diff)
	}
	c, err := Load("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Errorf("the example does not hold the defaults:\n%s", diff)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// TestEverySection holds the list of sections to the settings.
func TestEverySection(t *testing.T) {
	known := map[string]bool{"scope": true}
	for _, s := range sections() {
		known[s[0]] = true
	}
	for _, s := range settings() {
		if section, _, _ := strings.Cut(s.path, "."); !known[section] {
			t.Errorf("%s is in a section without explanation", s.path)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bearcat.yaml")
	const text = `
output:
  format: json
  file: /var/log/bearcat.json
  rotate: {size: 10MiB, keep: 2}
  events: yes
  chain: true
rules:
  files: [/etc/bearcat/a.yaml, /etc/bearcat/b.yaml]
  match: first
  watch: 10s
scope: cgroup:/sys/fs/cgroup/system.slice/
exec: {argv_limit: 2MiB, env_limit: 0, env_keys: ["*"], env_redact: }
rings:
table: {keep_dead: 5m, max_processes: 4096}
metrics: {listen: ":9100"}
status: {socket: ""}
`
	if err := os.WriteFile(path, []byte(strings.Replace(text, "yes", "true", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Output = Output{Format: "json", File: "/var/log/bearcat.json", Rotate: Rotate{Size: 10 * MiB, Keep: 2}, Events: true, Chain: true, Color: "auto"}
	want.Rules = Rules{Files: []string{"/etc/bearcat/a.yaml", "/etc/bearcat/b.yaml"}, Match: "first", Watch: 10 * time.Second}
	want.Scope = Scope{Kind: ScopeCgroup, Cgroup: "/system.slice"}
	want.Exec = Exec{ArgvLimit: 2 * MiB, EnvKeys: []string{"*"}}
	want.Table.KeepDead, want.Table.MaxProcesses = 5*time.Minute, 4096
	want.Metrics.Listen, want.Status.Socket = ":9100", ""
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if c.Metrics.Addr() != "127.0.0.1:9100" {
		t.Errorf("listens on %s", c.Metrics.Addr())
	}
	if _, err := Load(path + ".none"); !os.IsNotExist(err) && !strings.Contains(err.Error(), "reading configuration") {
		t.Errorf("missing file: %v", err)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "~"} {
		if c, err := Parse("x", []byte(empty)); err != nil || !cmp.Equal(c, Default()) {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"outptu:\n  format: json":                        `b.yaml:1:1: outptu: unknown setting; did you mean "output"?`,
		"output:\n  formt: json":                         `b.yaml:2:3: output.formt: unknown setting; did you mean "format"?`,
		"output:\n  format: jsno":                        `b.yaml:2:11: output.format: "jsno" is not one of text, json, falco-json; did you mean "json"?`,
		"format: json":                                   `b.yaml:1:1: format: unknown setting; did you mean "output.format"?`,
		"zzzzzz: 1":                                      `expected one of output, rules, scope, exec`,
		"rings: {bulk: 3MiB}":                            `b.yaml:1:15: rings.bulk: 3MiB is not a power of two`,
		"rings: {bulk: 4 potatoes}":                      `"4 potatoes" is not a size`,
		"rings: {bulk: -1}":                              `"-1" is not a size`,
		"rings: {bulk: 2GiB}":                            `2GiB is out of range: 64KiB to 1GiB`,
		"rings: {bulk: 99999999999GiB}":                  `is not a size`,
		"exec: {argv_limit: 4MiB}":                       `exec.argv_limit: 4MiB is out of range: 256 to 2MiB`,
		"exec: {env_keys: [A=b]}":                        `"A=b" is not the name of an environment variable`,
		"exec: {env_keys: PATH}":                         `expected a list, found "PATH"`,
		"exec: {env_keys: [[A]]}":                        `expected a list of texts, found a list`,
		"output: json":                                   `b.yaml:1:9: output: expected settings such as "format: …", found "json"`,
		"[a]":                                            `expected settings such as "output: …", found a list`,
		"output: {events: maybe}":                        `expected true or false, found "maybe"`,
		"output: {format: [json]}":                       `expected text, found a list`,
		"output: {file: log}":                            `"log" is not an absolute path`,
		"output: {events: true, events: false}":          `output.events: it is set twice, first in line 1`,
		"output: &a {events: true}\nrings: *a":           `rings: expected settings such as "critical: …", found an alias`,
		"table: {max_processes: many}":                   `expected a number, found "many"`,
		"table: {max_processes: 5}":                      `5 is out of range: 1024 to 4194304`,
		"table: {keep_dead: 30}":                         `"30" is not a duration`,
		"table: {keep_dead: 48h}":                        `48h0m0s is out of range`,
		"metrics: {listen: 9100}":                        `"9100" is not an address`,
		"metrics: {listen: \":http\"}":                   `":http" is not an address`,
		"scope: pid:0":                                   `"pid:0" names no process`,
		"scope: pod:1":                                   `"pod:1" is not a scope`,
		"scope: host:1":                                  `"host:1" is not a scope`,
		"scope: cgroup:nginx":                            `names no control group`,
		"scope: container:a/b":                           `names no container`,
		"status: {socket: run}":                          `"run" is not an absolute path`,
		"a: 1\n---\nb: 2":                                `more than one YAML document`,
		"a: [":                                           `b.yaml: line 1`,
		"output: {color: sometimes}\nlog: {level: loud}": `b.yaml:2:14: log.level: "loud" is not one of`,
	} {
		if c, err := Parse("b.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		} else if c != nil {
			t.Errorf("%q: a configuration comes with the error", text)
		}
	}
	_, err := Parse("b.yaml", []byte(strings.Repeat("? [a]\n: 1\n", 1)+"x: 1"))
	if err == nil {
		t.Error("a list as a key is taken")
	}
	var many strings.Builder
	for i := range 100 {
		many.WriteString(strings.Repeat("z", i+9) + ": 1\n")
	}
	if _, err := Parse("b.yaml", []byte(many.String())); err == nil || strings.Count(err.Error(), "\n") != maxErrors || !strings.Contains(err.Error(), "more mistakes follow") {
		t.Errorf("a hundred mistakes: %v", err)
	}
}

func TestValidate(t *testing.T) {
	c := Default()
	c.Output.Format, c.Rings.Bulk = "xml", 5
	err := c.Validate()
	if err == nil || !strings.Contains(err.Error(), `output.format: "xml"`) || !strings.Contains(err.Error(), "rings.bulk: 5 is out of range") {
		t.Errorf("got %v", err)
	}
}

func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Size(rapid.Uint64Range(0, 1<<62).Draw(t, "size"))
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Fatalf("%d is written %s and read as %d, %v", uint64(s), s, uint64(got), err)
		}
	})
}

func TestScopeRoundTrip(t *testing.T) {
	for _, s := range []string{"host", "pid:1234", "cgroup:/a/b", "cgroup:/", "container:0123456789ab"} {
		got, err := ParseScope(s)
		if err != nil || got.String() != s {
			t.Errorf("%s is read as %v, %v", s, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Example()))
	f.Add([]byte("output: {format: json}\nscope: pid:7"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("fuzz", text)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("what was read does not hold: %v", err)
		}
	})
}
