// Package agent builds the pipeline and runs it: rings, sensors, process
// table, rules, sinks. It alone knows all of them; each of them knows only
// the types of package event.
//
// In come a configuration and a set of rules; out go alerts and events through
// the sinks, and a status.Status on demand. `bearcat run` calls it.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/alerts"
	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/container"
	"github.com/bearcat-hids/bearcat/internal/fdgraph"
	"github.com/bearcat-hids/bearcat/internal/hostpath"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/metrics"
	table "github.com/bearcat-hids/bearcat/internal/process"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	"github.com/bearcat-hids/bearcat/internal/sensor/process"
	"github.com/bearcat-hids/bearcat/internal/status"
)

// gcPercent trades memory for time: what the agent holds is small beside what
// passes through it, and collecting half as often costs a few MiB.
const gcPercent = 200

// closeTime bounds how long the sinks may take to write out what is left.
const closeTime = 1500 * time.Millisecond

// Options are what the agent is given beside its configuration.
type Options struct {
	// Version is the agent's own, for the banner and the status.
	Version string
	// Rules are loaded and checked; Report is what loading them found out.
	Rules  *rule.Set
	Report *rule.Report
	// LoadRules reads and checks the rules again, for Reload; nil where they
	// cannot be.
	LoadRules func() (*rule.Set, *rule.Report, error)
	// Log takes what the agent says of itself; Banner the lines at start and
	// end, for people.
	Log    *slog.Logger
	Banner io.Writer
}

// Agent is a pipeline, built but not running until Run.
type Agent struct {
	cfg  *config.Config
	opts Options
	log  *slog.Logger

	host    string
	started time.Time
	boot    uint64

	transport *kernel.Transport
	sensor    *process.Sensor // the one that the process table lives on
	sensors   []sensor.Sensor // all, it among them
	calls     *call.Sensor    // nil where no call is asked for
	wanted    call.Want       // what the rules in use want of it
	proc      *table.ProcFS
	pipe      *pipeline
	out       *output

	mu       sync.Mutex
	warnings []string
	seeded   atomic.Int64
	level    atomic.Int64 // of the budget's ladder
	// metricsAddr is where metrics are served, "" for nowhere.
	metricsAddr string

	// reloading is held by the one Reload at work.
	reloading sync.Mutex
	reloads   reloadCount
}

// New builds the pipeline: it loads the programs and opens the outputs.
// Nothing is attached yet. Close must be called, also after Run.
func New(cfg *config.Config, o Options) (*Agent, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Banner == nil {
		o.Banner = io.Discard
	}
	a := &Agent{cfg: cfg, opts: o, log: o.Log, host: kernel.Hostname(), started: time.Now(), boot: kernel.BootNow()}
	if err := a.build(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Agent) build() error {
	scope, err := kernelScope(a.cfg.Scope)
	if err != nil {
		return err
	}
	env, err := table.NewEnvFilter(a.cfg.Exec.EnvKeys, a.cfg.Exec.EnvRedact)
	if err != nil {
		return fmt.Errorf("reading the environment settings: %w", err)
	}
	if a.transport, err = kernel.NewTransport(int(a.cfg.Rings.Critical), int(a.cfg.Rings.Bulk)); err != nil {
		return err
	}
	a.sensor, err = process.New(a.transport, process.Options{
		Scope:     scope,
		ArgvLimit: limit(a.cfg.Exec.ArgvLimit),
		EnvLimit:  limit(a.cfg.Exec.EnvLimit),
		Env:       func(block []byte) []string { return env.Select(block, nil) },
	})
	if err != nil {
		return err
	}
	a.sensors = []sensor.Sensor{a.sensor}
	a.wanted = a.want(a.opts.Rules)
	if !a.wanted.Types.IsZero() {
		if a.calls, err = a.newCalls(a.wanted); err != nil {
			return err
		}
		a.sensors = append(a.sensors, a.calls)
	}
	users, err := table.NewUsers("/etc/passwd", "/etc/group")
	if err != nil {
		a.warn("names of users are not known: %v", err)
	}
	a.proc = table.NewProcFS(table.ProcConfig{Env: env, Now: kernel.BootNow})
	procs := table.NewTable(table.Config{
		MaxProcesses: a.cfg.Table.MaxProcesses, MaxBytes: int64(a.cfg.Table.MaxMemory), Grace: a.cfg.Table.KeepDead,
		Users: users, Now: kernel.BootNow,
		Offset: func() time.Duration { return time.Duration(kernel.WallOffset()) },
	})
	if a.out, err = openOutput(a.cfg.Output, a.host, a.log); err != nil {
		return err
	}
	decoders := make([]decoder, len(a.sensors))
	for i, s := range a.sensors {
		decoders[i] = s
	}
	a.pipe = newPipeline(decoders, procs, rule.NewEngine(a.opts.Rules, a.mode()), a.out.sinks())
	a.pipe.resync = a.resync
	bootID, err := kernel.BootID()
	if err != nil {
		return err
	}
	a.pipe.alerts = alerts.New(alerts.Options{
		Burst: a.cfg.Alerts.Burst, RuleBurst: a.cfg.Alerts.RuleBurst, Window: a.cfg.Alerts.Window, Keep: a.cfg.Alerts.Keep,
		Host: a.host, BootID: bootID,
	})
	if followsShells(a.opts.Rules) {
		a.pipe.shells = fdgraph.New(fdgraph.Options{Probe: fdgraph.Proc{}})
	}
	a.pipe.containers = container.New(container.Options{})
	a.pipe.hosts = hostpath.New(hostpath.Options{Others: a.pipe.inNamespace})
	if every := a.cfg.Canary.Interval; every > 0 && a.cfg.Scope.Kind == config.ScopeHost {
		a.pipe.canary = newCanary(canaryTypes(a.wanted))
	}
	return nil
}

// newCalls loads the sensor for calls.
func (a *Agent) newCalls(w call.Want) (*call.Sensor, error) {
	scope, err := kernelScope(a.cfg.Scope)
	if err != nil {
		return nil, err
	}
	return call.New(a.transport, call.Options{Scope: scope, ScopeMap: a.sensor.ScopeMap(), Types: w.Types, Opens: w.Opens, Paths: w.Paths, Reuse: true,
		Connects: w.Connects, Sockets: w.Sockets, StdioDups: w.StdioDups, RelayAccepts: w.RelayAccepts})
}

// running are the sensors there are now.
func (a *Agent) running() []sensor.Sensor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sensors)
}

// limit is a configured size as the sensor takes it, for which 0 is a default.
func limit(s config.Size) int {
	if s == 0 {
		return -1
	}
	return int(s)
}

func kernelScope(s config.Scope) (kernel.Scope, error) {
	switch s.Kind {
	case config.ScopePid:
		return kernel.PidScope(int(s.Pid))
	case config.ScopeCgroup:
		return kernel.CgroupScope(s.Cgroup)
	case config.ScopeContainer:
		return kernel.ContainerScope(s.Container)
	}
	return kernel.HostScope(), nil
}

func (a *Agent) warn(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	a.log.Warn(s)
	a.mu.Lock()
	a.warnings = append(a.warnings, s)
	a.mu.Unlock()
}

// Run attaches the programs and works until ctx is done or an output that
// nobody can do without has gone, which is how a pipe into head ends and no
// error. What the kernel has sent by then is still handled.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-a.out.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	if a.pipe.respond = newResponder(ctx, a.cfg.Response, a.pipe, a.log); a.pipe.respond != nil {
		defer func() {
			cancel()
			a.pipe.respond.Wait()
		}()
	}
	for _, s := range a.sensors {
		if err := s.Attach(); err != nil {
			return err
		}
	}
	if err := a.seed(); err != nil {
		return err
	}
	a.transport.ForgetTypes()
	debug.SetGCPercent(gcPercent)
	debug.FreeOSMemory() // what loading and seeding have left behind
	go tuneMemory(ctx)
	stopServers := a.serve()
	defer stopServers()
	a.banner()
	if c := a.pipe.canary; c != nil {
		stop := make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() { c.loop(a.cfg.Canary.Interval, stop, a.pipe.raise) })
		defer done.Wait()
		defer close(stop)
	}
	watching, endWatch := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() {
		(&firewallEvents{pins: a.cfg.Response.Pins, wanted: a.wantsFirewall, emit: a.pipe.firewall, warn: a.warn}).loop(watching)
	})
	defer watched.Wait()
	defer endWatch()
	if a.cfg.Scope.Kind == config.ScopeHost {
		scanning, stop := context.WithCancel(ctx)
		wait := newScans(a.pipe, a.warn).start(scanning, a.cfg.Scan, a.pipe)
		defer wait()
		defer stop()
	}
	if a.cfg.CPU.Limit > 0 {
		stop := make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() { a.keepBudget(stop) })
		defer done.Wait()
		defer close(stop)
	}
	err := a.read(ctx)
	a.farewell()
	return err
}

// read reads the rings until ctx is done, then detaches the programs, drains
// the rings and closes the account of what was lost.
func (a *Agent) read(ctx context.Context) error {
	// Reading goes on until the programs are detached: what they have sent
	// is wanted, what they would send meanwhile is not.
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- a.transport.Read(reading, a.pipe) }()
	var err error
	select {
	case <-ctx.Done():
		err = a.detach()
		stop()
		err = errors.Join(err, <-done)
	case err = <-done: // nothing works without it
		err = errors.Join(err, a.detach())
	}
	counts, cerr := a.streams()
	if cerr != nil {
		return errors.Join(err, cerr)
	}
	a.pipe.end(counts)
	closing, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return errors.Join(err, a.out.close(closing))
}

// detach stops the flow of records.
func (a *Agent) detach() error {
	var errs []error
	for _, s := range a.running() {
		errs = append(errs, s.Detach())
	}
	return errors.Join(errs...)
}

// streams gives the kernel's counts of all sensors.
func (a *Agent) streams() ([]sensor.StreamCount, error) {
	var out []sensor.StreamCount
	for _, s := range a.running() {
		counts, err := s.Streams()
		if err != nil {
			return nil, err
		}
		out = append(out, counts...)
	}
	return out, nil
}

// serve starts the status socket and the metrics where they are wanted. What
// cannot be had is said and done without.
func (a *Agent) serve() (stop func()) {
	var stops []func()
	if path := a.cfg.Status.Socket; path != "" {
		s, err := status.Serve(path, a.Status, a.verbs())
		if err != nil {
			a.warn("bearcat status will not find this agent: %v", err)
		} else {
			stops = append(stops, func() { _ = s.Close() })
		}
	}
	if addr := a.cfg.Metrics.Addr(); addr != "" {
		s, err := metrics.Serve(addr, a.Status)
		if err != nil {
			a.warn("there are no metrics: %v", err)
		} else {
			a.metricsAddr = s.Addr().String()
			stops = append(stops, func() {
				ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
				defer cancel()
				_ = s.Close(ctx)
			})
		}
	}
	return func() {
		for _, f := range stops {
			f()
		}
	}
}

// Reopen opens the output file anew, after another program has moved it.
func (a *Agent) Reopen() error { return a.out.reopen() }

// Close releases everything that New and Run took.
func (a *Agent) Close() error {
	var errs []error
	if a.pipe != nil && a.pipe.containers != nil {
		a.pipe.containers.Close()
	}
	if a.pipe != nil && a.pipe.hosts != nil {
		errs = append(errs, a.pipe.hosts.Close())
	}
	for _, s := range slices.Backward(a.running()) {
		errs = append(errs, s.Close())
	}
	if a.transport != nil {
		a.transport.Close()
	}
	if a.out != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		errs = append(errs, a.out.close(ctx))
	}
	return errors.Join(errs...)
}
