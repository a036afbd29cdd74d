package alerts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

var (
	begin   = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	shellUp = &event.RuleInfo{Name: "Shell up", Priority: event.CriticalLevel,
		Desc: "A shell is up, i.e. somebody types. This is e.g. bad. Check the address.\nSave the process."}
	opened = &event.RuleInfo{Name: "File opened", Priority: event.Notice, Desc: "A file was opened."}
)

func options() Options {
	return Options{Burst: 3, RuleBurst: 10, Window: time.Minute, Keep: 10 * time.Minute, Host: "h", BootID: "b"}
}

// proc makes a process with its ancestors' session.
func proc(pid uint32, parent *event.Process, exe string, args ...string) *event.Process {
	p := &event.Process{Key: event.Key{Pid: pid, Start: uint64(pid) * 1000}, Parent: parent, Comm: exe[strings.LastIndexByte(exe, '/')+1:], User: "root", Sid: 10}
	p.Image = (&event.Image{Exe: event.File{Path: exe}, Argv: append([]string{exe}, args...)}).Seal()
	p.Cred.LoginUID = event.Unset
	return p
}

func execOf(p *event.Process, at time.Time) *event.Event {
	return &event.Event{Type: event.Exec, Time: at, Boot: uint64(at.UnixNano()), Proc: p, Tid: p.Pid}
}

func openOf(p *event.Process, path string, at time.Time) *event.Event {
	return &event.Event{Type: event.Open, Time: at, Boot: uint64(at.UnixNano()), Proc: p, Tid: p.Pid,
		Call: &event.Call{Spec: event.CallNamed("openat"), Path: &event.FileRef{File: event.File{Path: path}}}}
}

func alertOf(r *event.RuleInfo, ev *event.Event) *event.Alert {
	return &event.Alert{Rule: r, Event: ev, Time: ev.Time, Output: r.Name + " (x)"}
}

func TestDescribe(t *testing.T) {
	sh := proc(20, nil, "/usr/bin/bash")
	sh.Image.Env = []string{"SSH_CONNECTION=192.0.2.7 55123 10.0.0.5 22"}
	p := proc(21, sh, "/usr/bin/nc", "-e", "sh")
	p.Cred.LoginUID, p.LoginUser = 1000, "ada"
	p.Cgroup = &event.Cgroup{ContainerID: "0123456789ab", Meta: &event.ContainerMeta{Name: "web"}}
	ev := execOf(p, begin)
	way := &event.ShellWay{Remote: "203.0.113.1", RemotePort: 7777, Proto: "tcp"}
	ev.Shell = &event.Shell{Proc: p, In: way, Out: way}
	a := alertOf(shellUp, ev)
	if !New(options()).Alert(a) {
		t.Fatal("the first alert was left out")
	}
	const want = "root (logged in as ada) ran /usr/bin/nc -e sh as nc[21] below bash[20], from 192.0.2.7 by ssh, in container web: nc[21] <-tcp-> 203.0.113.1:7777"
	if a.Summary != want {
		t.Errorf("the summary is\n %s, want\n %s", a.Summary, want)
	}
	if a.Why != "A shell is up, i.e. somebody types." || a.Next != "Check the address. Save the process." {
		t.Errorf("why %q, next %q", a.Why, a.Next)
	}
	b := alertOf(opened, openOf(sh, "/etc/shadow", begin))
	b.Event.Call.Ret = -13
	New(options()).Alert(b)
	if want := "root called openat on /etc/shadow in vain (EACCES) in bash[20], from 192.0.2.7 by ssh"; b.Summary != want || b.Next != "" {
		t.Errorf("the summary is %q, next %q, want %q and nothing", b.Summary, b.Next, want)
	}
}

func TestIDs(t *testing.T) {
	p := proc(21, nil, "/usr/bin/nc")
	name := func(r *event.RuleInfo, at time.Time, boot string) string {
		o := options()
		o.BootID = boot
		a := alertOf(r, execOf(p, at))
		New(o).Alert(a)
		return a.ID
	}
	one := name(shellUp, begin, "b")
	if len(one) != idLength || name(shellUp, begin, "b") != one {
		t.Errorf("the same alert is %q and %q", one, name(shellUp, begin, "b"))
	}
	for _, other := range []string{name(opened, begin, "b"), name(shellUp, begin.Add(1), "b"), name(shellUp, begin, "c")} {
		if other == one {
			t.Errorf("another alert is %q too", one)
		}
	}
}

// A flood of one alert is counted, and hides neither another subject of the
// rule nor another rule.
func TestFlood(t *testing.T) {
	l := New(options())
	flooder, quiet := proc(30, nil, "/usr/bin/flood"), proc(31, nil, "/usr/bin/quiet")
	written := 0
	for i := range 1000 {
		if l.Alert(alertOf(opened, openOf(flooder, "/etc/shadow", begin.Add(time.Duration(i)*time.Millisecond)))) {
			written++
		}
	}
	if written != 3 {
		t.Errorf("%d of the flood were written, want 3", written)
	}
	if !l.Alert(alertOf(opened, openOf(quiet, "/etc/shadow", begin.Add(time.Second)))) {
		t.Error("another program's alert of the same rule is hidden")
	}
	if !l.Alert(alertOf(opened, openOf(flooder, "/etc/passwd", begin.Add(time.Second)))) {
		t.Error("an alert about another file is hidden")
	}
	if !l.Alert(alertOf(shellUp, execOf(flooder, begin.Add(time.Second)))) {
		t.Error("another rule's alert is hidden")
	}
	if got := l.Due(begin.Add(time.Second), false); len(got) > 0 {
		t.Errorf("notices before their time: %+v", got)
	}
	got := l.Due(begin.Add(2*time.Minute), false)
	if len(got) != 1 || got[0].Repeats != 997 || got[0].Event != nil || got[0].ID == "" || !strings.Contains(got[0].Summary, "/etc/shadow") {
		t.Fatalf("the notices are %+v, want one of 997", got)
	}
	if s := l.Stats(); s.Suppressed != 997 || s.Kept != 6 {
		t.Errorf("the account is %+v", s)
	}
	list := l.List(0, 0)
	if n := slices.IndexFunc(list, func(k Kept) bool { return k.ID == got[0].ID }); n < 0 || list[n].Repeats != 997 {
		t.Errorf("the kept alert does not count its repeats: %+v", list)
	}
}

// The next alert that is written says how many were left out, where no notice
// has.
func TestRepeatsWithNext(t *testing.T) {
	l := New(options())
	p := proc(30, nil, "/usr/bin/flood")
	for i := range 10 {
		l.Alert(alertOf(opened, openOf(p, "/etc/shadow", begin.Add(time.Duration(i)))))
	}
	a := alertOf(opened, openOf(p, "/etc/shadow", begin.Add(30*time.Second)))
	if !l.Alert(a) || a.Repeats != 7 || !a.Since.Equal(begin.Add(3)) {
		t.Errorf("the next one tells of %d since %v, want 7 since %v", a.Repeats, a.Since, begin.Add(3))
	}
	if got := l.Due(begin.Add(time.Hour), true); len(got) > 0 {
		t.Errorf("what has been told is told again: %+v", got)
	}
}

// Whoever makes each alert differ is held by the bound of the rule, and gets
// one notice.
func TestFloodOfSubjects(t *testing.T) {
	l := New(options())
	p := proc(30, nil, "/usr/bin/flood")
	written := 0
	const n = 2 * maxSubjects
	for i := range n {
		if l.Alert(alertOf(opened, openOf(p, fmt.Sprintf("/tmp/%d", i), begin.Add(time.Duration(i))))) {
			written++
		}
	}
	if written != 10 {
		t.Errorf("%d were written, want 10", written)
	}
	if !l.Alert(alertOf(shellUp, execOf(p, begin.Add(time.Second)))) {
		t.Error("another rule's alert is hidden")
	}
	got := l.Due(begin.Add(time.Hour), true)
	if len(got) != 1 || got[0].Repeats != n-10 {
		t.Fatalf("the notices are %+v, want one of %d", got, n-10)
	}
	if len(l.limit.groups) > maxSubjects+1 {
		t.Errorf("%d subjects are told apart", len(l.limit.groups))
	}
	l.Due(begin.Add(3*time.Hour), true)
	if len(l.limit.groups) > 0 {
		t.Errorf("%d subjects stay", len(l.limit.groups))
	}
}

func TestNoBound(t *testing.T) {
	l := New(Options{})
	p := proc(30, nil, "/usr/bin/flood")
	for i := range 1000 {
		if !l.Alert(alertOf(opened, openOf(p, "/etc/shadow", begin.Add(time.Duration(i))))) {
			t.Fatal("an alert was left out")
		}
	}
	if len(l.List(0, 0)) > 0 {
		t.Error("alerts are kept that nobody asked to keep")
	}
}

func TestAround(t *testing.T) {
	l := New(options())
	daemon := proc(5, proc(1, nil, "/sbin/init"), "/usr/sbin/daemon")
	sh := proc(20, daemon, "/usr/bin/bash")
	curl := proc(21, sh, "/usr/bin/curl", "http://x")
	stranger := proc(41, proc(40, proc(39, daemon, "/usr/bin/a"), "/usr/bin/b"), "/usr/bin/stranger")
	id := proc(22, sh, "/usr/bin/id")
	l.Event(execOf(sh, begin))
	l.Event(execOf(stranger, begin))
	l.Event(execOf(curl, begin.Add(time.Second)))
	a := alertOf(shellUp, execOf(sh, begin.Add(2*time.Second)))
	a.Event.Proc.Sid = 20
	l.Alert(a)
	l.Event(openOf(id, "/etc/passwd", begin.Add(3*time.Second)))
	l.Event(&event.Event{Type: event.Exit, Time: begin.Add(4 * time.Second), Proc: id, ExitInfo: &event.ExitInfo{Code: 3}})
	l.Event(openOf(id, "/etc/late", begin.Add(time.Minute)))
	k, n := l.Get(a.ID[:6])
	if n != 1 {
		t.Fatalf("%d alerts are found", n)
	}
	var texts []string
	for _, e := range k.Around {
		texts = append(texts, fmt.Sprintf("%v %s", e.After, e.Text))
	}
	for _, want := range []string{"false bash[20] runs /usr/bin/bash", "false curl[21] runs /usr/bin/curl http://x", "true id[22] openat /etc/passwd", "true id[22] ended with 3"} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is not among %q", want, texts)
		}
	}
	for _, not := range []string{"late", "stranger"} {
		if slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, not) }) {
			t.Errorf("what is %s is among %q", not, texts)
		}
	}
	if want := []string{"init[1] /sbin/init", "daemon[5] /usr/sbin/daemon", "bash[20] /usr/bin/bash"}; !slices.Equal(k.Lineage, want) {
		t.Errorf("the lineage is %q, want %q", k.Lineage, want)
	}
	if !json.Valid(k.Alert) || !strings.Contains(string(k.Alert), a.ID) {
		t.Errorf("the alert's JSON is %s", k.Alert)
	}
}

func TestKept(t *testing.T) {
	o := options()
	o.Burst = 0
	l := New(o)
	p := proc(30, nil, "/usr/bin/x")
	for i := range maxKept + 50 {
		l.Alert(alertOf(opened, openOf(p, "/etc/shadow", begin.Add(time.Duration(i)*time.Millisecond))))
	}
	if s := l.Stats(); s.Kept != maxKept || s.Forgotten != 50 {
		t.Errorf("the account is %+v", s)
	}
	first := alertOf(shellUp, execOf(p, begin.Add(2*time.Second)))
	l.Alert(first)
	for i := range maxKept {
		l.Alert(alertOf(opened, openOf(p, "/etc/shadow", begin.Add(3*time.Second+time.Duration(i)*time.Millisecond))))
	}
	if _, n := l.Get(first.ID); n != 1 {
		t.Error("a rule with many alerts has pushed out another's only one")
	}
	l = New(o)
	for i := range maxKept + 50 {
		l.Alert(alertOf(opened, openOf(p, "/etc/shadow", begin.Add(time.Duration(i)*time.Millisecond))))
	}
	list := l.List(0, 3)
	if len(list) != 3 || list[2].Seq != maxKept+50 || list[0].Seq != maxKept+48 {
		t.Errorf("the last three are %+v", list)
	}
	if got := l.List(maxKept+49, 0); len(got) != 1 {
		t.Errorf("after the last but one there are %d", len(got))
	}
	l.Due(begin.Add(time.Hour), false)
	if s := l.Stats(); s.Kept != 0 {
		t.Errorf("%d alerts outlive their time", s.Kept)
	}
	if _, n := l.Get("0000"); n != 0 {
		t.Errorf("%d alerts are found where there is none", n)
	}
}

// BenchmarkEvent is what an event costs that no alert is about.
func BenchmarkEvent(b *testing.B) {
	l := New(options())
	sh := proc(20, nil, "/usr/bin/bash")
	ev := openOf(proc(21, sh, "/usr/bin/cat", "x"), "/etc/hosts", begin)
	b.ReportAllocs()
	for b.Loop() {
		l.Event(ev)
	}
}

// TestBans wants bans of responses, and those that an alert tells of, beside the alert, and
// what one asker is told to stay with that one.
func TestBans(t *testing.T) {
	l := New(Options{Keep: time.Hour})
	at := time.Unix(1000, 0)
	rule := &event.RuleInfo{Name: "Banned"}
	l.Alert(&event.Alert{Rule: rule, Time: at, Event: &event.Event{Type: event.Firewall, Time: at, FirewallInfo: &event.FirewallInfo{
		Kind: "ban", Source: "192.0.2.1", Rule: "ssh connections", For: time.Minute}}})
	id := l.List(0, 1)[0].ID
	l.Respond(id, "192.0.2.1 is blocked for 10m0s", &Ban{Source: "192.0.2.1", Until: at.Add(10 * time.Minute)})
	l.Respond(id, "nobody was blocked", nil)
	k, n := l.Get(id)
	if n != 1 || len(k.Responses) != 2 || len(k.Bans) != 2 || k.Bans[0].By != "ssh connections" || !k.Bans[0].Until.Equal(at.Add(time.Minute)) || k.Bans[1].By != "" {
		t.Fatalf("%+v", k)
	}
	k.Bans[0].State = "over"
	if again, _ := l.Get(id); again.Bans[0].State != "" {
		t.Error("what one asker was told is kept")
	}
}
