package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/bearcat-hids/bearcat/rules"
	"github.com/spf13/cobra"
)

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rules", Short: "check, list, explain, test, reload and except from rules",
		Long: `Works on rule files in Falco's language. All but reload and suppress work
without a running agent and without root. Without a file they work on the rules
that come with bearcat.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(rulesCheckCommand(), rulesListCommand(), rulesExplainCommand(), rulesTestCommand(), rulesReloadCommand(), rulesSuppressCommand())
	return cmd
}

// builtin stands for the shipped rules where files are named.
const builtin = "builtin"

// loadRules reads rule files and directories; without any, the shipped packs.
func loadRules(paths []string) (*rule.Set, *rule.Report, error) {
	return loadRulesWith(paths, rule.Options{})
}

func loadRulesWith(paths []string, opts rule.Options) (*rule.Set, *rule.Report, error) {
	var files []rule.File
	if len(paths) == 0 {
		paths = []string{builtin}
	}
	for _, p := range paths {
		more, err := readRules(p)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, more...)
	}
	set, report := rule.Load(files, opts)
	return set, report, nil
}

// readRules reads a file, or all .yaml and .yml files of a directory in the
// order of their names; builtin stands for the shipped ones.
func readRules(path string) ([]rule.File, error) {
	if path == builtin {
		return rules.Files()
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	if !st.IsDir() {
		b, err := readBounded(path)
		if err != nil {
			return nil, err
		}
		return []rule.File{{Name: path, Data: b}}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	var files []rule.File
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.Type()&fs.ModeDir != 0 || ext != ".yaml" && ext != ".yml" {
			continue
		}
		more, err := readRules(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("reading rules: there is no .yaml file in %s", path)
	}
	return files, nil
}

// readBounded reads a rule file. What is longer than a rule file can be, such
// as a device, is not read to its end: the loader refuses it by its size.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, rule.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	return b, nil
}

func rulesCheckCommand() *cobra.Command {
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use: "check FILE…", Short: "look for mistakes in rule files",
		Long: `Reads rule files in the order given and prints each mistake with its place, the
offending text underlined, and what was probably meant. The summary says how
many rules are at work and what the others wait for. The exit code is 1 when
there is an error; warnings do not count.`,
		Example: "  bearcat rules check my_rules.yaml\n  bearcat rules check --json rules/ | jq .",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, report, err := loadRulesWith(args, rule.Options{FalcoStrict: strict})
			if err != nil {
				return err
			}
			write := report.WriteText
			if asJSON {
				write = report.WriteJSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if report.Errors() > 0 {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line: the messages, then a summary")
	cmd.Flags().BoolVar(&strict, "falco-strict", false, "report what Falco itself would refuse")
	return cmd
}

// ruleFlag adds --rules to a command that works on a set of rules.
func ruleFlag(cmd *cobra.Command) *[]string {
	return cmd.Flags().StringArray("rules", nil, "use rules from `FILE` or directory instead of the shipped ones, which the name builtin stands for; may be repeated")
}

// goodRules loads rules and refuses those with errors.
func goodRules(paths []string) (*rule.Set, error) {
	set, report, err := loadRules(paths)
	if err != nil {
		return nil, err
	}
	if report.Errors() > 0 {
		_ = report.WriteText(os.Stderr)
		return nil, errors.New("the rules have errors")
	}
	return set, nil
}

// ruleLine is a rule as --json prints it.
type ruleLine struct {
	Name     string   `json:"rule"`
	Priority string   `json:"priority"`
	Status   string   `json:"status"`
	Reason   string   `json:"reason,omitempty"`
	Events   []string `json:"events"`
	Tags     []string `json:"tags"`
	Desc     string   `json:"desc"`
}

func rulesListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list rules with their priority and state", Args: noArgs,
		Example: "  bearcat rules list\n  bearcat rules list --json | jq -r 'select(.status == \"live\").rule'",
	}
	paths := ruleFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		set, err := goodRules(*paths)
		if err != nil {
			return err
		}
		if !*asJSON {
			return set.List(cmd.OutOrStdout())
		}
		var lines []ruleLine
		for _, r := range set.Rules() {
			i := r.Info()
			lines = append(lines, ruleLine{i.Name, i.Priority.String(), r.Status().String(), r.Reason(), r.EventNames(), i.Tags, i.Desc})
		}
		return writeJSONLines(cmd.OutOrStdout(), lines)
	}
	return cmd
}

func rulesExplainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain RULE", Short: "show what a rule really looks at",
		Long: `Shows a rule's condition with its macros and lists filled in, the events and
fields that it looks at, and what evaluating it costs.`,
		Example: "  bearcat rules explain \"Shell reads from a network socket\"",
		Args:    usageArgs(cobra.ExactArgs(1)),
	}
	paths := ruleFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		set, err := goodRules(*paths)
		if err != nil {
			return err
		}
		r, ok := set.Rule(args[0])
		if !ok {
			return fmt.Errorf("there is no rule %q: bearcat rules list shows all", args[0])
		}
		return r.Explain(cmd.OutOrStdout())
	}
	return cmd
}

func rulesTestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "test RULES EVENTS.jsonl…", Short: "replay recorded events against rules",
		Long: `Evaluates rules for recorded events: lines that bearcat run --events --output
json has written. A line may have a member "expect": the list of the rules that
must match it, and no others, or an object with lists "match" and "no_match". A
line without one is only shown; one that begins with # is passed over. RULES is
a file, a directory, or "-" for the rules that come with bearcat. The exit code
is 1 when a line comes out otherwise than expected.`,
		Example: "  bearcat run --events --output json --scope pid:$$ --for 10s > seen.jsonl\n  bearcat rules test my.yaml seen.jsonl",
		Args:    usageArgs(cobra.MinimumNArgs(2)),
	}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object a line for each event")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		paths := args[:1]
		if args[0] == "-" {
			paths = nil
		}
		set, err := goodRules(paths)
		if err != nil {
			return err
		}
		t := replay{out: cmd.OutOrStdout(), json: *asJSON, engine: rule.NewEngine(set, rule.MatchAll)}
		for _, name := range args[1:] {
			if err := t.file(name); err != nil {
				return err
			}
		}
		return t.finish()
	}
	return cmd
}

// replay evaluates recorded events and compares with what they expect.
type replay struct {
	out    io.Writer
	json   bool
	engine *rule.Engine

	events, matched, expected, failed int
}

// replayLine is the outcome of one event as --json prints it.
type replayLine struct {
	At      string             `json:"at"`
	Type    string             `json:"type"`
	Matched []string           `json:"matched"`
	Expect  *rules.Expectation `json:"expect,omitempty"`
	OK      *bool              `json:"ok,omitempty"`
}

func (t *replay) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading events: %w", err)
	}
	defer f.Close()
	for rec, err := range rules.ReadRecorded(name, f) {
		if err != nil {
			return err
		}
		if err := t.event(rec); err != nil {
			return err
		}
	}
	return nil
}

func (t *replay) event(rec rules.Recorded) error {
	l := replayLine{At: rec.At, Type: rec.Event.Type.String(), Matched: t.match(rec.Event), Expect: rec.Expect}
	t.events++
	t.matched += len(l.Matched)
	if l.Expect != nil {
		t.expected++
		ok := l.Expect.Met(l.Matched)
		l.OK = &ok
		if !ok {
			t.failed++
		}
	}
	return t.show(l)
}

func (t *replay) match(ev *event.Event) []string {
	names := []string{}
	t.engine.Alerts(ev, func(r *rule.Rule, _ *event.Alert) { names = append(names, r.Info().Name) })
	return names
}

func (t *replay) show(l replayLine) error {
	if t.json {
		return writeJSONLines(t.out, []replayLine{l})
	}
	failed := l.OK != nil && !*l.OK
	if len(l.Matched) == 0 && !failed {
		return nil
	}
	matched := "no rule"
	if len(l.Matched) > 0 {
		matched = strings.Join(l.Matched, ", ")
	}
	mark := "match"
	if failed {
		mark = "WRONG"
		matched += "; expected " + expected(l.Expect)
	}
	_, err := fmt.Fprintf(t.out, "%s  %s  %s: %s\n", mark, termtext.String(l.At), l.Type, termtext.String(matched))
	return err
}

// expected says in words what an expectation is.
func expected(e *rules.Expectation) string {
	text := "none"
	if len(e.Match) > 0 {
		text = strings.Join(e.Match, ", ")
	}
	if len(e.NoMatch) > 0 {
		text += ", not " + strings.Join(e.NoMatch, ", ")
	}
	return text
}

func (t *replay) finish() error {
	if !t.json {
		fmt.Fprintf(t.out, "%d events, %d matches; %d expectations, %d wrong\n", t.events, t.matched, t.expected, t.failed)
	}
	if t.failed > 0 {
		return exitCode(1)
	}
	return nil
}
