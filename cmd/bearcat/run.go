package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/agent"
	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/spf13/cobra"
)

const runHelp = `Watches this host and prints an alert for each thing that a rule finds
suspicious. The banner, warnings and the closing account go to standard error,
alerts and events to standard output or --output-file.

What cannot be seen is said at start ("missing"). What is lost on the way from
the kernel is counted exactly and shown as gap events, in bearcat status and at
the end.`

const runExample = `  bearcat run                                  # alerts, for people
  bearcat run --events --output json | jq .    # everything, for programs
  bearcat run --scope pid:$$ --events          # only this shell and what it starts
  bearcat run --types connect,dns              # who talks to whom
  bearcat run --rules my.yaml --rules /etc/bearcat/rules --for 30s`

// runFlags are the flags of run, each of which overrides the configuration.
type runFlags struct {
	config, output, file, scope, metrics, color, match, cpuLimit string
	rules, types                                                 []string
	events, chain, quiet, noStatus                               bool
	duration                                                     time.Duration
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run", Short: "watch this host and print alerts", Long: runHelp, Example: runExample,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.config, "config", "", "read settings from `FILE` (bearcat run --help-config shows one)")
	fl.StringVar(&f.output, "output", "text", "`FORMAT` of the output: text, json (one object a line) or falco-json")
	fl.StringVar(&f.file, "output-file", "", "write to `FILE`, rotated by size, instead of standard output")
	fl.StringArrayVar(&f.rules, "rules", nil, "load rules from `FILE` or directory instead of the shipped ones, which the name builtin stands for; may be repeated")
	fl.StringVar(&f.scope, "scope", "host", "what to watch: host, pid:PID with all its descendants, cgroup:PATH or container:ID")
	fl.StringVar(&f.metrics, "metrics", "", "serve Prometheus metrics on `ADDRESS`; \":9100\" listens on loopback only")
	fl.StringVar(&f.color, "color", "auto", "colour severities: auto, always or never")
	fl.StringVar(&f.match, "match", "all", "report all rules that match an event, or only the first")
	fl.BoolVar(&f.events, "events", false, "print every event too, not only alerts")
	fl.BoolVar(&f.chain, "chain", false, "print the chain of processes below each alert")
	fl.BoolVar(&f.quiet, "quiet", false, "print no banner and no closing account")
	fl.StringSliceVar(&f.types, "types", nil, "with these `TYPES` of events, such as open,connect,dns; implies --events")
	fl.StringVar(&f.cpuLimit, "cpu-limit", "0%", "use at most this `PERCENT` of one processor, and collect less where that is not enough")
	fl.BoolVar(&f.noStatus, "no-status", false, "do not answer bearcat status")
	fl.DurationVar(&f.duration, "for", 0, "stop after this `TIME`, such as 30s")
	help := fl.Bool("help-config", false, "print a commented settings file with all defaults")
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *help {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Example())
			return err
		}
		return inner(cmd, args)
	}
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

func run(cmd *cobra.Command, f *runFlags) error {
	cfg, err := settings(cmd, f)
	if err != nil {
		return err
	}
	if err := kernel.Fatal(kernel.Preflight()); err != nil {
		return fmt.Errorf("this host cannot be watched:\n%w\nRules can still be checked and tested: bearcat rules --help", err)
	}
	set, report, err := loadRules(cfg.Rules.Files)
	if err != nil {
		return err
	}
	if report.Errors() > 0 {
		_ = report.WriteText(os.Stderr)
		return fmt.Errorf("the rules have errors; nothing was started")
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return fmt.Errorf("reading log.level: %w", err)
	}
	opts := agent.Options{
		Version: version, Rules: set, Report: report,
		LoadRules: func() (*rule.Set, *rule.Report, error) { return loadSettled(cfg.Rules.Files, time.Sleep) },
		Log:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	if !f.quiet {
		opts.Banner = os.Stderr
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	a, err := agent.New(cfg, opts)
	if err != nil {
		return err
	}
	stopReloads := reloads(a, cfg, opts.Log)
	err = a.Run(ctx)
	stopReloads()
	return errors.Join(err, a.Close())
}

// settings reads the configuration and lays the flags that were given over it.
func settings(cmd *cobra.Command, f *runFlags) (*config.Config, error) {
	cfg := config.Default()
	if f.config != "" {
		var err error
		if cfg, err = config.Load(f.config); err != nil {
			return nil, err
		}
	}
	given := cmd.Flags().Changed
	if given("output") {
		cfg.Output.Format = f.output
	}
	if given("output-file") {
		cfg.Output.File = f.file
	}
	if given("events") {
		cfg.Output.Events = f.events
	}
	if given("types") {
		cfg.Output.Events, cfg.Output.Types = true, f.types
	}
	if given("chain") {
		cfg.Output.Chain = f.chain
	}
	if given("color") {
		cfg.Output.Color = f.color
	}
	if given("rules") {
		cfg.Rules.Files = f.rules
	}
	if given("match") {
		cfg.Rules.Match = f.match
	}
	if given("metrics") {
		cfg.Metrics.Listen = f.metrics
	}
	if given("cpu-limit") {
		v, err := config.ParsePercent(f.cpuLimit)
		if err != nil {
			return nil, usageError{fmt.Errorf("--cpu-limit: %w", err)}
		}
		cfg.CPU.Limit = v
	}
	if f.noStatus {
		cfg.Status.Socket = ""
	}
	if given("scope") {
		s, err := config.ParseScope(f.scope)
		if err != nil {
			return nil, usageError{err}
		}
		cfg.Scope = s
	}
	if f.duration < 0 {
		return nil, usageError{fmt.Errorf("--for %s: a time must not be negative", f.duration)}
	}
	if err := cfg.Validate(); err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

func splitLines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }
