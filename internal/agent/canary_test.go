package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func TestCanaryClaimsItsOwnOnly(t *testing.T) {
	c := newCanary(event.TypesOf(event.Exec, event.Open))
	own := &event.Process{Key: event.Key{Pid: 70}, ParentKey: event.Key{Pid: c.own}}
	other := &event.Process{Key: event.Key{Pid: 71}, ParentKey: event.Key{Pid: 1}, Comm: CanaryName,
		Image: (&event.Image{Argv: []string{CanaryName}}).Seal()}
	if !c.claims(&event.Event{Type: event.Exec, Proc: own}) {
		t.Error("the agent's child is not taken for the canary")
	}
	if c.claims(&event.Event{Type: event.Open, Proc: other}) || c.claims(&event.Event{Type: event.Gap}) {
		t.Error("another process is taken for the canary")
	}
	if c.seen != event.TypesOf(event.Exec) {
		t.Errorf("seen %s", c.seen)
	}
	if (*canary)(nil).claims(&event.Event{Proc: own}) {
		t.Error("no canary claims an event")
	}
}

func TestCanaryRaisesAlerts(t *testing.T) {
	c := newCanary(event.TypesOf(event.Exec))
	at := time.Unix(5, 0)
	if a := c.note(event.TypeSet{}, nil, at); a != nil {
		t.Errorf("all was seen, and there is an alert: %s", a.Output)
	}
	a := c.note(event.TypesOf(event.Exec, event.Open), nil, at)
	if a == nil || a.Rule.Priority != event.CriticalLevel || !strings.Contains(a.Output, "no exec, no open of the canary") {
		t.Errorf("what is missing is not said: %+v", a)
	}
	if a = c.note(event.TypeSet{}, errors.New("no memory"), at); a == nil || !strings.Contains(a.Output, "no memory") {
		t.Errorf("why it could not start is not said: %+v", a)
	}
	last, runs, failures, problem := c.account()
	if !last.Equal(at) || runs != 3 || failures != 2 || problem != "no memory" {
		t.Errorf("%v, %d runs, %d failures, %q", last, runs, failures, problem)
	}
}

// TestCanaryThatStops ends the loop before the first canary.
func TestCanaryThatStops(t *testing.T) {
	c := newCanary(event.TypesOf(event.Exec))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		c.loop(time.Millisecond, stop, func(*event.Alert) {})
		close(done)
	}()
	close(stop)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("the canary goes on when it should stop")
	}
}
