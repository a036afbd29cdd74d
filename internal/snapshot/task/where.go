package task

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule"
)

// Where is a condition in the rule language, for processes or for open files.
type Where struct {
	engine *rule.Engine
	hit    bool
	ev     event.Event
	call   event.Call
}

// WhereProcess compiles a condition on processes, WhereFile one on open files, where
// fd.* fields have values. The empty text is true. The error shows the place of a
// mistake.
func WhereProcess(text string) (*Where, error) { return where(text, "execve") }

// WhereFile is like WhereProcess, for open files.
func WhereFile(text string) (*Where, error) { return where(text, "dup2") }

func where(text, typ string) (*Where, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if strings.ContainsAny(text, "\n\r") {
		return nil, fmt.Errorf("a condition stands on one line")
	}
	file := "- rule: where\n  desc: d\n  priority: INFO\n  output: o\n  condition: >-\n    " + text + "\n"
	set, rep := rule.Load([]rule.File{{Name: "--where", Data: []byte(file)}}, rule.Options{})
	if rep.Errors() == 0 { // now that the text is known to be a whole condition
		file = strings.Replace(file, text, "evt.type = "+typ+" and ("+text+")", 1)
		set, rep = rule.Load([]rule.File{{Name: "--where", Data: []byte(file)}}, rule.Options{})
	}
	if rep.Errors() > 0 {
		var b strings.Builder
		if err := rep.WriteText(&b); err != nil {
			return nil, err
		}
		lines := strings.Split(strings.TrimSpace(onItsOwn(b.String())), "\n")
		return nil, fmt.Errorf("%s", strings.TrimRight(strings.Join(lines[:len(lines)-1], "\n"), "\n"))
	}
	r := set.Rules()[0]
	if r.Status() == rule.Disabled {
		return nil, fmt.Errorf("the condition %q is never true here: %s", text, r.Reason())
	}
	return &Where{engine: rule.NewEngine(set, rule.MatchFirst)}, nil
}

// placed is how a mistake in the rule that a condition is put into begins.
var placed = regexp.MustCompile(`(?m)^--where:6:(\d+): (\w+): (rule "where": )?`)

// onItsOwn makes of the places of mistakes in the rule those in the condition.
func onItsOwn(report string) string {
	const before = 4 // blanks
	return placed.ReplaceAllStringFunc(report, func(s string) string {
		m := placed.FindStringSubmatch(s)
		col, err := strconv.Atoi(m[1])
		if err != nil {
			return s
		}
		return fmt.Sprintf("--where:1:%d: %s: ", max(col-before, 1), m[2])
	})
}

// Process reports whether a process satisfies the condition; nil takes all.
func (w *Where) Process(p *event.Process) bool {
	if w == nil {
		return true
	}
	w.ev = event.Event{Type: event.Exec, Proc: p, ExecInfo: &event.ExecInfo{}}
	return w.match()
}

// File reports whether an open file satisfies the condition; nil takes all.
func (w *Where) File(f *File) bool {
	if w == nil {
		return true
	}
	w.call = event.Call{Spec: event.CallNamed("dup2"), Ret: int64(f.FD.Num), FD: f.FD}
	w.ev = event.Event{Type: event.Dup, Proc: f.Proc, Call: &w.call}
	return w.match()
}

func (w *Where) match() bool {
	w.hit = false
	w.engine.Match(&w.ev, func(*rule.Rule) { w.hit = true })
	return w.hit
}
