package agent

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
)

// reloadCount is the account of reloads, read by Status at any time.
type reloadCount struct {
	done, refused atomic.Uint64
	last          atomic.Int64 // ns since 1970, of the last that was done
}

// Reload reads the rules anew and puts them in place of those that are matched,
// with no event missed between: while both may be needed, what either needs is
// collected. Rules with errors are refused and change nothing. It returns a
// sentence for people.
func (a *Agent) Reload() (string, error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	begun := time.Now()
	set, err := a.loadAgain()
	if err == nil {
		err = a.put(set)
	}
	if err != nil {
		a.reloads.refused.Add(1)
		return "", fmt.Errorf("the rules stay as they were: %w", err)
	}
	a.reloads.done.Add(1)
	a.reloads.last.Store(time.Now().UnixNano())
	st := a.ruleStatus()
	return fmt.Sprintf("%d rules are live, %d wait, %d are disabled; reloaded in %d ms", st.Live, st.Waiting, st.Disabled, time.Since(begun).Milliseconds()), nil
}

func (a *Agent) loadAgain() (*rule.Set, error) {
	if a.opts.LoadRules == nil {
		return nil, errors.New("this agent was started without a way to read them")
	}
	set, report, err := a.opts.LoadRules()
	if err != nil {
		return nil, err
	}
	if report.Errors() > 0 {
		return nil, report.Err()
	}
	return set, nil
}

// put makes a set the one that is matched.
func (a *Agent) put(set *rule.Set) error {
	before, after := a.wanted, a.want(set)
	both := call.Want{Types: before.Types.Or(after.Types), Opens: before.Opens | after.Opens,
		StdioDups: before.StdioDups && after.StdioDups, RelayAccepts: before.RelayAccepts && after.RelayAccepts}
	if !both.Types.IsZero() {
		if err := a.retarget(both); err != nil {
			return err
		}
	}
	if followsShells(set) {
		a.pipe.followShells()
	}
	a.pipe.swap(rule.NewEngine(set, a.mode()))
	a.wanted = after
	if c := a.pipe.canary; c != nil {
		c.await(canaryTypes(after))
	}
	if a.calls == nil {
		return nil
	}
	if err := a.retarget(after); err != nil {
		// the rules are in place; more is collected than they need
		a.warn("after the rules were reloaded: %v", err)
	}
	return nil
}

// retarget makes the sensor for calls collect something else, and loads it where
// nobody has asked for calls before.
func (a *Agent) retarget(w call.Want) error {
	defer a.transport.ForgetTypes()
	if a.calls != nil {
		return a.calls.Retarget(w)
	}
	calls, err := a.newCalls(w)
	if err != nil {
		return err
	}
	if err := calls.Attach(); err != nil {
		return err
	}
	a.pipe.decoders(calls)
	a.mu.Lock()
	a.sensors, a.calls = append(a.sensors, calls), calls
	a.mu.Unlock()
	return nil
}

// mode says how many rules may match an event.
func (a *Agent) mode() rule.Matching {
	if a.cfg.Rules.Match == "first" {
		return rule.MatchFirst
	}
	return rule.MatchAll
}
