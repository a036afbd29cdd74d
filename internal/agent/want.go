package agent

import (
	"path/filepath"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/fdgraph"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
)

// want is what the sensor for calls is asked for: what live rules of the set can
// match, and what an output writes. Nobody asks for more, and what nobody asks
// for is not attached. No types mean that no calls are wanted.
func (a *Agent) want(set *rule.Set) call.Want {
	return call.Want{Types: a.wantTypes(set), Opens: a.wantOpens(set), Paths: a.wantPaths(set), Connects: a.wantConnects(set),
		Sockets: a.wantSockets(set), StdioDups: a.onlyShells(set, event.Dup), RelayAccepts: a.onlyShells(set, event.Accept)}
}

// followsShells reports whether a rule asks what shells lead to.
func followsShells(set *rule.Set) bool { return set.Uses("bc.shell.") }

// asksHost reports whether a rule asks where the host has files of other mount
// namespaces, which changes with their mounts.
func asksHost(set *rule.Set) bool {
	return set.Uses("bc.path.host") || set.Uses("bc.fd.host") || set.Uses("bc.proc.hostpath")
}

// onlyShells reports whether events of a type are of interest only where they
// tell what a shell leads to.
func (a *Agent) onlyShells(set *rule.Set, t event.Type) bool {
	return !a.written(t) && set.OnlyShells(t)
}

func (a *Agent) wantTypes(set *rule.Set) event.TypeSet {
	var want event.TypeSet
	add := func(t event.Type) {
		if t.IsCall() {
			want.Add(event.TypesOf(t))
		}
	}
	for _, t := range set.Types() {
		add(t)
	}
	if followsShells(set) {
		want.Add(fdgraph.Types())
	}
	if asksHost(set) {
		want.Add(event.TypesOf(event.Mount, event.Umount))
	}
	for t := event.TypeNone + 1; t < event.NumTypes; t++ {
		if a.written(t) {
			add(t)
		}
	}
	return want
}

// written reports whether an output writes all events of a type.
func (a *Agent) written(t event.Type) bool {
	return a.cfg.Output.Events && (len(a.cfg.Output.Types) == 0 || slices.Contains(a.cfg.Output.Types, t.String()))
}

// wantPaths are the files that opens are wanted of, by the kind of open: those
// that rules can be about, and the canary's.
func (a *Agent) wantPaths(set *rule.Set) map[call.Opens]*event.PathFilter {
	if a.written(event.Open) {
		return nil
	}
	o := set.OpenPaths()
	paths := map[call.Opens]*event.PathFilter{call.OpenRead: o.Read, call.OpenWrite: o.Write, call.OpenFailed: o.Failed}
	for _, f := range paths {
		if f != nil {
			f.Name(filepath.Base(canaryFile))
			f.Name(filepath.Base(canaryMissing))
		}
	}
	return paths
}

// wantConnects are the addresses that connects are wanted to: those that rules can be
// about, and the canary's. Who follows shells needs one of each process and address.
func (a *Agent) wantConnects(set *rule.Set) *event.ConnectFilter {
	if a.written(event.Connect) {
		return nil
	}
	f := set.Connects()
	if followsShells(set) {
		f.AtLeast(event.ConnectOnce)
	}
	f.Want(canaryPeer.Addr(), canaryPeer.Port(), event.ConnectOnce)
	return f
}

func (a *Agent) wantSockets(set *rule.Set) *event.SocketFilter {
	if a.written(event.MakeSocket) {
		return nil
	}
	return set.Sockets()
}

// wantOpens are the kinds of opens that somebody asks for.
func (a *Agent) wantOpens(set *rule.Set) call.Opens {
	if a.written(event.Open) {
		return call.AllOpens
	}
	var out call.Opens
	o := set.Opens()
	for kind, on := range map[call.Opens]bool{call.OpenRead: o.Read, call.OpenWrite: o.Write, call.OpenFailed: o.Failed} {
		if on {
			out |= kind
		}
	}
	if followsShells(set) {
		out |= call.OpenRelay
	}
	return out
}

// canaryTypes are the types of events that a canary makes where these are
// wanted.
func canaryTypes(w call.Want) event.TypeSet {
	expect := event.TypesOf(event.Exec, event.Exit)
	if !w.Types.IsZero() {
		if w.Types.Has(event.Open) && w.Opens&^call.OpenRelay != 0 {
			expect.Add(event.TypesOf(event.Open))
		}
		if w.Types.Has(event.Connect) {
			expect.Add(event.TypesOf(event.Connect))
		}
	}
	return expect
}
