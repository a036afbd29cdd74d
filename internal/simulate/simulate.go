// Package simulate sets off alerts without doing harm, so that a new user sees
// within a minute that the guard works, and what its alerts look like.
//
// Each case makes the kernel report what an attack would: a shell really has
// a connected socket as its standard input, a program really runs from memory.
// What runs is a shell told to exit, or a program of a few instructions that
// does nothing else. Nothing leaves the host: sockets are on the loopback
// interface, with both ends in this process. Files lie in a folder of their
// own, readable to its owner only, that is gone afterwards, also after a
// failure or a signal.
//
// In come names of cases; out come results. The simulate command calls it, and
// so does the test that a real kernel's events match the shipped rules.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// limit bounds each case.
const limit = 5 * time.Second

// ErrUnmet is what a case's error wraps where this host lacks what it needs;
// the case has then not run, and nothing is wrong.
var ErrUnmet = errors.New("this host lacks what the case needs")

// Case is one harmless reproduction.
type Case struct {
	// Name is what the command line calls it.
	Name string
	// Title says in a line what happens.
	Title string
	// Rule is the name of the shipped rule that alerts. Others may as well.
	Rule string
	// Technique is its id in MITRE ATT&CK.
	Technique string
	// Needs says what the case needs beyond a shell; "" for nothing.
	Needs string

	run func(context.Context, *env) error
}

// Result says how a case went.
type Result struct {
	Case Case
	// Err is nil where the case ran. Where it wraps ErrUnmet, the case was
	// passed over.
	Err error
	// Pids are the processes that the case started, without their children.
	Pids []int
	// Began and Took say when the case ran.
	Began time.Time
	Took  time.Duration
}

// Skipped reports whether the host lacks what the case needs.
func (r *Result) Skipped() bool { return errors.Is(r.Err, ErrUnmet) }

// Run runs the named cases one after the other, all of them where no name is
// given, and reports each as it ends. A name that is unknown is an error
// before anything runs. A cancelled context or a signal to end (INT, TERM,
// HUP) ends the case that runs, removes its files, and leaves out the rest.
func Run(ctx context.Context, report func(Result), names ...string) error {
	cases, err := choose(names)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	for _, c := range cases {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("running simulations: %w", context.Cause(ctx))
		}
		report(runCase(ctx, c))
	}
	return nil
}

func choose(names []string) ([]Case, error) {
	all := Cases()
	if len(names) == 0 {
		return all, nil
	}
	known := make([]string, len(all))
	for i, c := range all {
		known[i] = c.Name
	}
	var out []Case
next:
	for _, n := range names {
		for _, c := range all {
			if c.Name == n {
				out = append(out, c)
				continue next
			}
		}
		if s := event.Nearest(n, known); s != "" {
			return nil, fmt.Errorf("there is no simulation called %q: did you mean %s?", n, s)
		}
		return nil, fmt.Errorf("there is no simulation called %q: use one of %s", n, strings.Join(known, ", "))
	}
	return out, nil
}

func runCase(ctx context.Context, c Case) Result {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v and was ended", limit))
	defer cancel()
	res := Result{Case: c, Began: time.Now()}
	e := &env{}
	err := c.run(ctx, e)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if cleanErr := e.clean(); cleanErr != nil {
		err = errors.Join(err, cleanErr)
	}
	if err != nil {
		err = fmt.Errorf("simulation %s: %w", c.Name, err)
	}
	res.Err, res.Pids, res.Took = err, e.pids, time.Since(res.Began)
	return res
}
