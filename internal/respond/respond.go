// Package respond does what a rule's response asks for when the rule has given an
// alert: it has the firewall ban the other end of the event's connection. Alerts go
// in; bans and a line on each go out. The agent calls it, and gives it the firewall as
// functions, so that it touches no kernel itself.
package respond

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds: a rule that is wrong must not fill the firewall.
const (
	queue   = 256
	perRule = 30 // bans of a rule in a window
	window  = time.Minute
)

// Firewall is what bans.
type Firewall interface {
	// Ban drops what comes from an address for a time.
	Ban(a netip.Addr, d time.Duration) error
	// Protected says why an address must stay reachable, "" for one that need not.
	Protected(a netip.Addr) (string, error)
	// Note keeps why an address was banned.
	Note(a netip.Addr, d time.Duration, why string) error
}

// Stats is the account.
type Stats struct{ Blocked, Refused uint64 }

// Responder acts on alerts, one after the other, on a goroutine of its own.
type Responder struct {
	fw     Firewall
	report func(id, text string)
	ask    chan request
	done   chan struct{}

	blocked, refused atomic.Uint64
	rules            map[string]*account
}

type request struct {
	id, rule, why string
	addr          netip.Addr
	d             time.Duration
}

type account struct {
	since time.Time
	n     int
}

// New begins to wait for alerts, until ctx ends. report is called with an alert's
// name and what was done, or why not.
func New(ctx context.Context, fw Firewall, report func(id, text string)) *Responder {
	r := &Responder{fw: fw, report: report, ask: make(chan request, queue), done: make(chan struct{}), rules: map[string]*account{}}
	go r.run(ctx)
	return r
}

// Stats returns the account.
func (r *Responder) Stats() Stats { return Stats{r.blocked.Load(), r.refused.Load()} }

// Wait returns when the goroutine has ended, after its context.
func (r *Responder) Wait() { <-r.done }

// Alert takes an alert whose rule asks for something. It does not wait.
func (r *Responder) Alert(a *event.Alert) {
	if a.Rule == nil || a.Rule.Block <= 0 || a.Event == nil {
		return
	}
	addr, ok := Remote(a.Event)
	if !ok {
		r.refuse(a.ID, "nobody was blocked: the event has no other end with an address")
		return
	}
	q := request{id: a.ID, rule: a.Rule.Name, addr: addr, d: a.Rule.Block}
	q.why = fmt.Sprintf("alert %s, %s: %s", a.ID, a.Rule.Name, chain(a.Event.Proc))
	select {
	case r.ask <- q:
	default:
		r.refuse(a.ID, fmt.Sprintf("%s was not blocked: %d others wait for the firewall", addr, queue))
	}
}

func (r *Responder) refuse(id, text string) {
	r.refused.Add(1)
	r.report(id, text)
}

func (r *Responder) run(ctx context.Context) {
	defer close(r.done)
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-r.ask:
			r.act(&q, time.Now())
		}
	}
}

func (r *Responder) act(q *request, now time.Time) {
	acc := r.rules[q.rule]
	if acc == nil || now.Sub(acc.since) >= window {
		acc = &account{since: now}
		r.rules[q.rule] = acc
	}
	if acc.n++; acc.n > perRule {
		r.refuse(q.id, fmt.Sprintf("%s was not blocked: the rule has had %d blocked within %s already", q.addr, perRule, window))
		return
	}
	why, err := r.fw.Protected(q.addr)
	switch {
	case err != nil:
		r.refuse(q.id, fmt.Sprintf("%s was not blocked: asking what must stay reachable: %v", q.addr, err))
		return
	case why != "":
		r.refuse(q.id, fmt.Sprintf("%s was not blocked: it is %s", q.addr, why))
		return
	}
	if err := r.fw.Ban(q.addr, q.d); err != nil {
		r.refuse(q.id, fmt.Sprintf("%s was not blocked: %v", q.addr, err))
		return
	}
	r.blocked.Add(1)
	text := fmt.Sprintf("%s is blocked for %s", q.addr, q.d)
	if err := r.fw.Note(q.addr, q.d, q.why); err != nil {
		text += fmt.Sprintf("; bearcat fw bans will not say why: %v", err)
	}
	r.report(q.id, text)
}

// chain names a process and those above it.
func chain(p *event.Process) string {
	var out []string
	for ; p != nil && len(out) < 6; p = p.Parent {
		out = append(out, fmt.Sprintf("%s[%d]", p.Comm, p.Pid))
	}
	return strings.Join(out, " < ")
}

// Remote gives the address at the other end of what an event is about: of the call's
// descriptor, of the address passed to it, of what a shell's input comes from, of the
// process's standard streams, and last of the ssh session that it belongs to.
// Addresses of this host's loopback, and those that are none, do not count.
func Remote(ev *event.Event) (netip.Addr, bool) {
	var found []string
	add := func(s *event.Socket) {
		if s != nil {
			found = append(found, s.Remote)
		}
	}
	if c := ev.Call; c != nil {
		for _, fd := range []*event.FD{c.FD, c.FD2} {
			if fd != nil {
				add(fd.Sock)
			}
		}
		add(c.Addr)
	}
	if ev.Shell != nil {
		found = append(found, ev.Shell.Peer())
	}
	if p := ev.Proc; p != nil {
		if p.Image != nil {
			for i := range p.Image.Stdio {
				add(p.Image.Stdio[i].Sock)
			}
		}
		found = append(found, event.SSHFrom(p))
	}
	for _, s := range found {
		a, err := netip.ParseAddr(s)
		a = a.Unmap().WithZone("")
		if err == nil && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() {
			return a, true
		}
	}
	return netip.Addr{}, false
}
