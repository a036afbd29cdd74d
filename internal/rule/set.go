// Package rule is the rule language: it loads rules, checks them, compiles
// them and finds those that an event satisfies.
//
// In come rule files (package falco turns them into the typed form of package
// ast) and events; out come the rules that match and their alerts. Load makes
// an immutable Set and a Report of everything wrong with the files, each with
// its place; an Engine evaluates a set, one goroutine at a time. The agent and
// the rules commands call it. It does no I/O.
//
// Conditions are compiled once for each type of event, to closures: what the
// type decides is folded away, equal parts of all rules are shared and
// remembered during an event, and rules that need a field to have one of some
// values are filed under these, so that most are never looked at.
package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/falco"
	"github.com/bearcat-hids/bearcat/internal/rule/sigma"
)

// File is a rule file: its name for messages, and its contents.
type File = falco.File

// MaxFileSize is the size in bytes up to which a rule file is read.
const MaxFileSize = falco.MaxFileSize

// Options change how rules are loaded.
type Options struct {
	// FalcoStrict adds an error for each rule that Falco would refuse.
	FalcoStrict bool
}

// Set is a set of loaded rules. It does not change, and any number of engines
// can use it at the same time.
type Set struct {
	rules   []*Rule
	indexes [event.NumTypes]*typeIndex
	memos   int
	slots   *slots
	opens   [numOpenKinds]bool
	// paths are the files that opens are wanted of, unless anyPath is set.
	paths   [numOpenKinds]event.PathFilter
	anyPath [numOpenKinds]bool
	plain   event.TypeSet // types that rules look at also without a shell
	// connects are the conditions of live rules on connects, sockets those on sockets
	// that are made.
	connects []connectRule
	sockets  []*node

	// correlations are the live ones; feeds has for each rule where its matches go,
	// and silent those that tell nothing by themselves.
	correlations []*correlation
	feeds        [][]feed
	silent       []bool
}

// Rules lists all rules in the order of their definition.
func (s *Set) Rules() []*Rule { return s.rules }

// Rule finds a rule by name.
func (s *Set) Rule(name string) (*Rule, bool) {
	for _, r := range s.rules {
		if r.info.Name == name {
			return r, true
		}
	}
	return nil, false
}

// Types are the types of events that live rules look at.
func (s *Set) Types() []event.Type {
	var out []event.Type
	for t, idx := range s.indexes {
		if idx != nil && len(idx.rules) > 0 {
			out = append(out, event.Type(t))
		}
	}
	return out
}

// Uses reports whether a live rule's condition or output names a field that
// begins with a prefix.
func (s *Set) Uses(prefix string) bool {
	for _, r := range s.rules {
		if r.status != Live {
			continue
		}
		for _, name := range r.Fields() {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		for _, p := range r.output.fields {
			if strings.HasPrefix(p.name, prefix) {
				return true
			}
		}
	}
	for _, c := range s.correlations {
		for _, m := range c.members {
			for _, ref := range append(m.group[:len(m.group):len(m.group)], m.field) {
				if ref.Field() != nil && strings.HasPrefix(ref.Name(), prefix) {
					return true
				}
			}
		}
	}
	return false
}

// Load reads rule files in their order: later ones replace and change the
// definitions of earlier ones. The set holds the rules without errors; the
// report says what is wrong with the others. Both are never nil.
func Load(files []File, opts Options) (*Set, *Report) {
	prog := load(files)
	set := compile(prog.Rules)
	set.correlateRules(func(d ast.Diag) { prog.Diags = append(prog.Diags, d) })
	rep := &Report{Diags: prog.Diags, Set: set}
	for _, r := range set.rules {
		if r.anyEvt && r.src.WarnAllEvents && r.status == Live {
			d := ast.NewDiag(ast.Warning, ast.CodeAllEvents, r.src.At, "the condition does not restrict evt.type: the rule is evaluated for every event")
			d.Item = fmt.Sprintf("rule %q", r.info.Name)
			rep.Diags = append(rep.Diags, d)
		}
		if opts.FalcoStrict {
			rep.Diags = append(rep.Diags, strict(r)...)
		}
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	ast.SortDiags(rep.Diags, names)
	return set, rep
}

// load reads the files, each in the language that it is in. Sigma's come first:
// files in Falco's language can change their rules.
func load(files []File) *ast.Program {
	var falcos, sigmas []File
	for _, f := range files {
		if sigma.Is(f.Data) {
			sigmas = append(sigmas, f)
		} else {
			falcos = append(falcos, f)
		}
	}
	foreign := &ast.Program{}
	if len(sigmas) > 0 {
		opts := sigma.Options{Placeholder: falco.Lists(falcos)}
		for _, f := range sigmas {
			sigma.Load(f.Name, f.Data, foreign, opts)
		}
	}
	prog := falco.Load(falcos, foreign.Rules)
	prog.Diags = append(foreign.Diags, prog.Diags...)
	return prog
}

// compile makes a set of rules in the typed form.
func compile(rules []*ast.Rule) *Set {
	set := &Set{slots: newSlots()}
	reaches := map[*ast.MacroDef]reach{}
	for i, src := range rules {
		r := &Rule{info: src.RuleInfo, index: i, src: src}
		set.rules = append(set.rules, r)
		r.output = compileOutput(src.Output)
		switch {
		case src.Foreign:
			r.status, r.reason = Waiting, "source "+src.Source
		case src.Skipped != "":
			r.status, r.reason = Disabled, src.Skipped
		}
		if src.Condition != nil && !src.Foreign {
			yes := reachOf(src.Condition, reaches).yes
			r.names = yes.list()
			r.anyEvt = len(r.names) > maxNamed
			for _, n := range r.names {
				types, _ := event.TypesNamed(n)
				r.reach.Add(types)
			}
		}
	}
	lives := make([]liveness, len(rules))
	for t := event.TypeNone + 1; t < event.NumTypes; t++ {
		set.compileType(t, lives)
	}
	for i, r := range set.rules {
		r.settle(&lives[i])
	}
	return set
}

// maxNamed is the number of event names from which a condition counts as not
// restricting them.
const maxNamed = 100

// liveness collects what the event types say about a rule.
type liveness struct {
	types event.TypeSet // those it can be evaluated for
	waits []string      // what the others wait for
}

// compileType compiles all rules for one type of event.
func (s *Set) compileType(t event.Type, lives []liveness) {
	b := newBuilder(t, s.slots)
	var rules []*Rule
	var roots []*node
	for i, r := range s.rules {
		if r.reach.And(event.TypesOf(t)).IsZero() {
			continue // there is no condition, or it is false for the type
		}
		n := b.build(r.src.Condition)
		r.cost = max(r.cost, n.cost)
		switch {
		case n == b.no:
		case len(n.waits) > 0:
			for _, w := range n.waits {
				if !slices.Contains(lives[i].waits, w) {
					lives[i].waits = append(lives[i].waits, w)
				}
			}
		default:
			lives[i].types.Add(event.TypesOf(t))
			if r.src.Enabled {
				rules, roots = append(rules, r), append(roots, n)
				s.notePlain(t, n)
				switch t {
				case event.Open:
					s.noteOpens(n)
				case event.Connect:
					s.connects = append(s.connects, connectRule{r, n})
				case event.MakeSocket:
					s.sockets = append(s.sockets, n)
				}
			}
		}
	}
	s.indexes[t] = newTypeIndex(b, rules, roots)
	s.memos = max(s.memos, b.memos)
}

// settle decides a rule's status.
func (r *Rule) settle(l *liveness) {
	switch {
	case r.status == Waiting || r.status == Disabled:
	case !r.src.Enabled:
		r.status, r.reason = Disabled, "enabled is false"
	case r.src.Correlation != nil: // decided by the rules that it names
	case !l.types.IsZero():
		r.types = l.types
	case len(l.waits) > 0:
		r.status, r.reason = Waiting, strings.Join(l.waits, ", ")
	default:
		r.settleNames()
	}
}

// settleNames handles a rule that no event of today can satisfy.
func (r *Rule) settleNames() {
	missing := r.NotYet()
	switch {
	case len(missing) == 0:
		r.status, r.reason = Disabled, "its condition is never true"
	case len(missing) > 12:
		r.status, r.reason = Waiting, fmt.Sprintf("events %s and %d more", strings.Join(missing[:12], ", "), len(missing)-12)
	default:
		r.status, r.reason = Waiting, "events "+strings.Join(missing, ", ")
	}
}
