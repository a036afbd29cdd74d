// Command bench measures what Bearcat costs. test/bench/run.sh builds and
// calls it; docs/benchmarks.md explains the figures.
//
//	bench cost  [flags]   the load without and with agents (in a guest)
//	bench idle  [flags]   what the agent uses when nothing happens (in a guest)
//	bench start [flags]   time to readiness and to the first event
//	bench flood [flags]   what becomes of a flood of opens, and of execs in it
//	bench storm [flags]   the agent's memory while everything happens at once
//	bench observe [flags] what observers cost the work that they look at
//	bench fw    [flags]   what a packet costs in the firewall
//	bench show  [flags]   how long it takes to look at a host that has much to show
//	bench micro [flags]   the packages' own benchmarks
//	bench docs  [flags]   put the results into docs/benchmarks.md
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/test/bench"
)

var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"cost": cost, "idle": idle, "start": start, "flood": flood, "storm": storm, "fw": fw, "observe": observe, "show": show, "walk": walk, "micro": micro, "docs": docs,
	}
	if len(args) > 0 && commands[args[0]] != nil {
		return commands[args[0]](ctx, args[1:])
	}
	fmt.Fprintln(os.Stderr, "usage: bench cost|idle|start|flood|storm|fw|observe|show|micro|docs [flags]; -h after any of them lists its flags")
	return errUsage
}

// common holds the flags that several commands have.
type common struct {
	set            *flag.FlagSet
	bearcat, tools string
	args           string // words for the agent
	out            string
}

func newCommon(name string) *common {
	c := &common{set: flag.NewFlagSet("bench "+name, flag.ContinueOnError)}
	c.set.StringVar(&c.out, "out", "", "write the result to `FILE`.txt and FILE.json as well")
	return c
}

func (c *common) needAgent() {
	c.set.StringVar(&c.bearcat, "bearcat", "bin/bearcat", "the agent's `binary`")
	c.set.StringVar(&c.args, "args", "", "more `arguments` for the agent, such as \"--rules DIR\"")
	c.set.StringVar(&c.tools, "tools", "bin/bench", "`directory` of the load generator")
}

func (c *common) parse(args []string) error {
	if err := c.set.Parse(args); err != nil {
		return errUsage
	}
	if c.set.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench: unexpected argument %q\n", c.set.Arg(0))
		return errUsage
	}
	return nil
}

// result is what every measurement can do.
type result interface{ WriteText(io.Writer) error }

// finish prints the result and keeps it.
func (c *common) finish(r result) error {
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	fmt.Print(text.String())
	if c.out == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	if err := os.WriteFile(c.out+".json", append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("keeping the result: %w", err)
	}
	if err := os.WriteFile(c.out+".txt", []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("keeping the result: %w", err)
	}
	return nil
}

func cost(ctx context.Context, args []string) error {
	c := newCommon("cost")
	c.needAgent()
	agents := c.set.String("agents", "none,alerts,events", "comma-separated `names` of what to measure")
	pairs := c.set.Int("pairs", 5, "`number` of pairs of runs")
	if err := c.parse(args); err != nil {
		return err
	}
	if *pairs < 1 {
		return errors.New("-pairs must be at least 1")
	}
	if err := bench.RequireGuest(); err != nil {
		return err
	}
	place, err := bench.NewPlace(c.tools, c.bearcat)
	if err != nil {
		return err
	}
	defer place.Remove()
	r, err := bench.MeasureCost(ctx, bench.CostOptions{
		Tools: place.Tools, Bearcat: place.Bearcat, Dir: place.Dir, Args: strings.Fields(c.args),
		Agents: strings.Split(*agents, ","), Pairs: *pairs, Progress: os.Stderr,
	})
	if err != nil {
		return err
	}
	return c.finish(r)
}

func fw(ctx context.Context, args []string) error {
	c := newCommon("fw")
	o := bench.FirewallOptions{Progress: os.Stderr}
	c.set.IntVar(&o.Rounds, "rounds", 11, "`number` of rounds")
	c.set.StringVar(&o.Peers, "peers", "", "`folder` below which packages of other firewalls are unpacked")
	repeat := c.set.Uint("repeat", 200_000, "`packets` in a run")
	if err := c.parse(args); err != nil {
		return err
	}
	if o.Rounds < 1 || *repeat < 1 || *repeat > 1<<30 {
		return errors.New("-rounds and -repeat must be at least 1, and -repeat at most 2^30")
	}
	o.Repeat = uint32(*repeat)
	r, err := bench.MeasureFirewall(ctx, o)
	if err != nil {
		return err
	}
	return c.finish(r)
}

func idle(ctx context.Context, args []string) error {
	c := newCommon("idle")
	c.needAgent()
	o := bench.IdleOptions{Progress: os.Stderr}
	c.set.DurationVar(&o.Time, "time", time.Minute, "how `long` to watch the agent")
	c.set.IntVar(&o.Processes, "processes", 500, "`number` of sleeping processes to keep")
	if err := c.parse(args); err != nil {
		return err
	}
	if err := bench.RequireGuest(); err != nil {
		return err
	}
	place, err := bench.NewPlace(c.tools, c.bearcat)
	if err != nil {
		return err
	}
	defer place.Remove()
	o.Place, o.Args = place, strings.Fields(c.args)
	r, err := bench.MeasureIdle(ctx, o)
	if err != nil {
		return err
	}
	return c.finish(r)
}

func start(ctx context.Context, args []string) error {
	c := newCommon("start")
	c.needAgent()
	o := bench.StartOptions{Progress: os.Stderr}
	c.set.BoolVar(&o.Scoped, "scoped", false, "let the agent look at the benchmark's own processes only; allowed outside of a guest")
	c.set.IntVar(&o.Runs, "runs", 5, "`number` of starts")
	c.set.IntVar(&o.Processes, "processes", 500, "`number` of sleeping processes to keep")
	if err := c.parse(args); err != nil {
		return err
	}
	if !o.Scoped {
		if err := bench.RequireGuest(); err != nil {
			return err
		}
	}
	place, err := bench.NewPlace(c.tools, c.bearcat)
	if err != nil {
		return err
	}
	defer place.Remove()
	o.Place, o.Args = place, strings.Fields(c.args)
	r, err := bench.MeasureStart(ctx, o)
	if err != nil {
		return err
	}
	return c.finish(r)
}

func flood(ctx context.Context, args []string) error {
	c := newCommon("flood")
	c.needAgent()
	o := bench.FloodOptions{Progress: os.Stderr}
	c.set.IntVar(&o.Opens, "opens", 1_000_000, "`number` of opens that each of two processes makes")
	c.set.IntVar(&o.Execs, "execs", 1000, "`number` of programs that are run meanwhile")
	if err := c.parse(args); err != nil {
		return err
	}
	place, err := bench.NewPlace(c.tools, c.bearcat)
	if err != nil {
		return err
	}
	defer place.Remove()
	o.Place = place
	r, err := bench.MeasureFlood(ctx, o)
	if err != nil {
		return err
	}
	return c.finish(r)
}

func storm(ctx context.Context, args []string) error {
	c := newCommon("storm")
	c.needAgent()
	o := bench.StormOptions{Progress: os.Stderr}
	c.set.DurationVar(&o.Time, "time", time.Minute, "how `long` it lasts")
	c.set.DurationVar(&o.Every, "every", time.Second, "`time` between looks at the agent's memory")
	c.set.BoolVar(&o.WholeHost, "host", false, "watch the whole host: for guests")
	c.set.BoolVar(&o.Events, "events", false, "write every event into a file")
	if err := c.parse(args); err != nil {
		return err
	}
	place, err := bench.NewPlace(c.tools, c.bearcat)
	if err != nil {
		return err
	}
	defer place.Remove()
	o.Place = place
	r, err := bench.MeasureStorm(ctx, o)
	if err != nil {
		return err
	}
	return c.finish(r)
}

func show(ctx context.Context, args []string) error {
	c := newCommon("show")
	c.needAgent()
	o := bench.ShowOptions{Progress: os.Stderr}
	c.set.IntVar(&o.Rounds, "rounds", 3, "`number` of rounds")
	c.set.IntVar(&o.Processes, "processes", 10_000, "`number` of processes to look at")
	c.set.IntVar(&o.Files, "files", 100_000, "`number` of open files to look at")
	c.set.IntVar(&o.Sockets, "sockets", 50_000, "`number` of sockets to look at")
	if err := c.parse(args); err != nil {
		return err
	}
	if min(o.Rounds, o.Processes, o.Files, o.Sockets) < 1 {
		return errors.New("-rounds, -processes, -files and -sockets must be at least 1")
	}
	place, err := bench.NewPlace(c.tools, c.bearcat)
	if err != nil {
		return err
	}
	defer place.Remove()
	o.Place = place
	r, err := bench.MeasureShow(ctx, o)
	if err != nil {
		return err
	}
	return c.finish(r)
}

// walk is one of the commands that show compares with.
func walk(_ context.Context, _ []string) error { return bench.WalkProc(os.Stdout) }

func observe(ctx context.Context, args []string) error {
	c := newCommon("observe")
	c.needAgent()
	o := bench.ObserveOptions{Progress: os.Stderr}
	c.set.IntVar(&o.Pairs, "pairs", 5, "`runs` without and with each observer")
	if err := c.parse(args); err != nil {
		return err
	}
	o.Bearcat, o.Talk = c.bearcat, filepath.Join(c.tools, "talk")
	r, err := bench.MeasureObserve(ctx, o)
	if err != nil {
		return err
	}
	return c.finish(r)
}

func micro(ctx context.Context, args []string) error {
	c := newCommon("micro")
	o := bench.MicroOptions{Progress: os.Stderr}
	c.set.DurationVar(&o.Time, "time", 500*time.Millisecond, "how `long` to run each benchmark")
	if err := c.parse(args); err != nil {
		return err
	}
	r, err := bench.MeasureMicro(ctx, o)
	if err != nil {
		return err
	}
	if err := c.finish(r); err != nil {
		return err
	}
	return r.Failure()
}

func docs(_ context.Context, args []string) error {
	c := newCommon("docs")
	results := c.set.String("results", "bin/bench", "`directory` of the results")
	page := c.set.String("page", "docs/benchmarks.md", "the `page` to change")
	if err := c.parse(args); err != nil {
		return err
	}
	changed, err := bench.UpdatePage(*page, *results)
	for _, name := range changed {
		fmt.Printf("%s: figures of %q replaced\n", *page, name)
	}
	return err
}
