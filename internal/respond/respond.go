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
	// Ban drops what comes from a source for a time, and says until when: one that is
	// banned for longer stays so.
	Ban(source netip.Prefix, d time.Duration) (time.Time, error)
	// Protected says why a source must stay reachable, "" for one that need not.
	Protected(source netip.Prefix) (string, error)
	// Note keeps why a source was banned.
	Note(b Ban) error
}

// Ban is what was done about an alert.
type Ban struct {
	Source netip.Prefix
	Until  time.Time
	// Alert is the name of the alert, Rule its rule's, Process the process that it is
	// about and Chain that one with those above it; the last two are empty where the
	// event has none.
	Alert, Rule, Process, Chain string
}

// Stats is the account.
type Stats struct{ Blocked, Refused uint64 }

// Responder acts on alerts, one after the other, on a goroutine of its own.
type Responder struct {
	fw     Firewall
	report func(id, text string, b *Ban)
	ask    chan request
	done   chan struct{}

	blocked, refused atomic.Uint64
	rules            map[string]*account
}

type request struct {
	ban Ban
	d   time.Duration
}

type account struct {
	since time.Time
	n     int
}

// New begins to wait for alerts, until ctx ends. report is called with an alert's
// name and what was done, or why not; b is nil where nobody was banned.
func New(ctx context.Context, fw Firewall, report func(id, text string, b *Ban)) *Responder {
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
	source, ok := Remote(a.Event)
	if !ok {
		r.refuse(a.ID, "nobody was blocked: the event has no other end with an address")
		return
	}
	q := request{Ban{Source: source, Alert: a.ID, Rule: a.Rule.Name, Chain: chain(a.Event.Proc)}, a.Rule.Block}
	q.ban.Process, _, _ = strings.Cut(q.ban.Chain, " < ")
	select {
	case r.ask <- q:
	default:
		r.refuse(a.ID, fmt.Sprintf("%s was not blocked: %d others wait for the firewall", name(source), queue))
	}
}

func (r *Responder) refuse(id, text string) {
	r.refused.Add(1)
	r.report(id, text, nil)
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
	id, who := q.ban.Alert, name(q.ban.Source)
	acc := r.rules[q.ban.Rule]
	if acc == nil || now.Sub(acc.since) >= window {
		acc = &account{since: now}
		r.rules[q.ban.Rule] = acc
	}
	if acc.n++; acc.n > perRule {
		r.refuse(id, fmt.Sprintf("%s was not blocked: the rule has had %d blocked within %s already", who, perRule, window))
		return
	}
	why, err := r.fw.Protected(q.ban.Source)
	switch {
	case err != nil:
		r.refuse(id, fmt.Sprintf("%s was not blocked: asking what must stay reachable: %v", who, err))
		return
	case why != "":
		r.refuse(id, fmt.Sprintf("%s was not blocked: it is %s", who, why))
		return
	}
	if q.ban.Until, err = r.fw.Ban(q.ban.Source, q.d); err != nil {
		r.refuse(id, fmt.Sprintf("%s was not blocked: %v", who, err))
		return
	}
	r.blocked.Add(1)
	text := fmt.Sprintf("%s is blocked for %s", who, q.d)
	if left := q.ban.Until.Sub(now); left > q.d+time.Minute {
		text = fmt.Sprintf("%s is blocked for %s already", who, left.Round(time.Second))
	}
	if err := r.fw.Note(q.ban); err != nil {
		text += fmt.Sprintf("; bearcat fw bans will not say why: %v", err)
	}
	r.report(id, text, &q.ban)
}

// name writes a source without the length of its prefix where that is one address.
func name(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// chain names a process and those above it.
func chain(p *event.Process) string {
	var out []string
	for ; p != nil && len(out) < 6; p = p.Parent {
		out = append(out, fmt.Sprintf("%s[%d]", p.Comm, p.Pid))
	}
	return strings.Join(out, " < ")
}

// Remote gives the other end of what an event is about: the source that the firewall
// tells of, else the address of the call's descriptor, of the one passed to it, of what a
// shell's input comes from, of the process's standard streams, and last of the ssh
// session that it belongs to. Addresses of this host's loopback, and those that are none,
// do not count.
func Remote(ev *event.Event) (netip.Prefix, bool) {
	var found []string
	add := func(s *event.Socket) {
		if s != nil {
			found = append(found, s.Remote)
		}
	}
	if f := ev.FirewallInfo; f != nil {
		found = append(found, f.Source)
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
		if p, err := netip.ParsePrefix(s); err == nil { // the firewall has some of IPv6
			return p.Masked(), true
		}
		a, err := netip.ParseAddr(s)
		a = a.Unmap().WithZone("")
		if err == nil && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() {
			return netip.PrefixFrom(a, a.BitLen()), true
		}
	}
	return netip.Prefix{}, false
}
