package rule

import (
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// The reference evaluator: it reads the typed form as the documentation of
// the language says it, with no regard to speed, and shares no code with the
// compiler.

func refEval(e ast.Expr, ev *event.Event) bool {
	switch e := e.(type) {
	case *ast.And:
		for _, x := range e.List {
			if !refEval(x, ev) {
				return false
			}
		}
		return true
	case *ast.Or:
		for _, x := range e.List {
			if refEval(x, ev) {
				return true
			}
		}
		return false
	case *ast.Not:
		return !refEval(e.X, ev)
	case *ast.Macro:
		return refEval(e.Def.Body, ev)
	}
	return refCheck(e.(*ast.Check), ev)
}

// refValues returns the texts of a field or function.
func refValues(o *ast.Operand, ev *event.Event) []string {
	switch o.Func {
	case ast.NoFunc:
		if o.List {
			var out []string
			for _, n := range o.Ref.AppendNums(ev, nil) {
				out = append(out, strconv.FormatInt(n, 10))
			}
			if o.Type == event.FieldString {
				out = o.Ref.AppendList(ev, nil)
			}
			return out
		}
		if b, ok := o.Ref.AppendText(ev, nil); ok {
			return []string{string(b)}
		}
		return nil
	case ast.FuncLen:
		vs := refValues(o.Args[0], ev)
		if o.Args[0].List && len(vs) > 0 {
			return []string{strconv.Itoa(len(vs))}
		}
		if len(vs) > 0 {
			return []string{strconv.Itoa(len(vs[0]))}
		}
		return nil
	}
	var out []string
	for _, v := range refValues(o.Args[0], ev) {
		switch o.Func {
		case ast.FuncToLower:
			v = strings.ToLower(v)
		case ast.FuncToUpper:
			v = strings.ToUpper(v)
		case ast.FuncBasename:
			v = v[strings.LastIndex(v, "/")+1:]
		}
		out = append(out, v)
	}
	return out
}

func refCheck(c *ast.Check, ev *event.Event) bool {
	left := refValues(c.Left, ev)
	if c.Op == ast.OpExists {
		return len(left) > 0
	}
	var right []string
	if c.Right != nil {
		right = refValues(c.Right, ev)
	}
	for _, v := range c.Values {
		right = append(right, v.Text)
	}
	test := func(l string) bool {
		if c.Op.TakesList() {
			for _, r := range right {
				if refOne(c, l, r) {
					return true
				}
			}
			return false
		}
		n := 0
		for _, r := range right {
			if refOne(c, l, r) {
				n++
			}
		}
		switch c.Quant {
		case ast.OneOf:
			return n == 1
		case ast.AllOf:
			return n == len(right)
		}
		return n > 0
	}
	list := c.Left.List && !strings.HasPrefix(c.Left.String(), "proc.a") && !strings.Contains(c.Left.String(), "(proc.a")
	if c.Op == ast.OpIn && list {
		for _, l := range left {
			if !test(l) {
				return false
			}
		}
		return len(left) > 0
	}
	for _, l := range left {
		if test(l) {
			return true
		}
	}
	return false
}

func refOne(c *ast.Check, l, r string) bool {
	if c.Left.Type.Numeric() {
		a, _ := strconv.ParseInt(l, 10, 64)
		b, _ := strconv.ParseInt(r, 0, 64)
		switch c.Op {
		case ast.OpNe:
			return a != b
		case ast.OpLt:
			return a < b
		case ast.OpLe:
			return a <= b
		case ast.OpGt:
			return a > b
		case ast.OpGe:
			return a >= b
		}
		return a == b
	}
	switch c.Op {
	case ast.OpNe:
		return l != r
	case ast.OpContains:
		return strings.Contains(l, r)
	case ast.OpIContains:
		return strings.Contains(strings.ToLower(l), strings.ToLower(r))
	case ast.OpBContains:
		b, _ := hex.DecodeString(r)
		return strings.Contains(l, string(b))
	case ast.OpStartsWith:
		return strings.HasPrefix(l, r)
	case ast.OpEndsWith:
		return strings.HasSuffix(l, r)
	case ast.OpGlob:
		ok, _ := path.Match(strings.ReplaceAll(r, "/", "\x01"), strings.ReplaceAll(l, "/", "\x01"))
		return ok
	case ast.OpRegex:
		return regexp.MustCompile("^(" + r + ")$").MatchString(l)
	case ast.OpPmatch:
		l, r = strings.Trim(l, "/"), strings.Trim(r, "/")
		return l == r || strings.HasPrefix(l, r+"/")
	}
	return l == r
}

// genCondition draws a condition as text.
func genCondition(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 6).Draw(t, "form") {
		case 0, 1:
			return "(" + genCondition(t, depth-1) + " and " + genCondition(t, depth-1) + ")"
		case 2, 3:
			return "(" + genCondition(t, depth-1) + " or " + genCondition(t, depth-1) + ")"
		case 4:
			return "not (" + genCondition(t, depth-1) + ")"
		case 5:
			return rapid.SampledFrom([]string{"m1", "m2", "m3"}).Draw(t, "macro")
		}
	}
	text := rapid.SampledFrom([]string{
		"proc.name", "proc.pname", "proc.cmdline", "proc.exepath", "proc.aname[2]", "proc.aname", "bc.proc.script", "bc.proc.argv", "user.name",
		"proc.cwd", "tolower(proc.name)", "basename(proc.exepath)", "toupper(bc.proc.argv)", "thread.cap_effective", "container.id", "proc.aexepath",
		"evt.arg.exe", "evt.res", "bc.gap.class",
	})
	num := rapid.SampledFrom([]string{"proc.pid", "proc.apid", "proc.apid[1]", "user.loginuid", "evt.num", "len(proc.name)", "len(bc.proc.argv)", "bc.exit.code", "proc.tty"})
	value := rapid.SampledFrom([]string{
		"nc", "bash", "sshd", "n", "-l", "/usr", "/usr/bin", "/usr/bin/nc.openbsd", "root", "x", "CAP_SYS_ADMIN", "NC", `"-p 4444"`, "openbsd", "SYSTEMD", "host", "SUCCESS", "o", "/root/", "systemd",
	})
	number := rapid.SampledFrom([]string{"0", "1", "2", "4", "7", "50", "100", "200", "-1", "0xc8", "34816"})
	list := func(g *rapid.Generator[string]) string {
		return "(" + strings.Join(rapid.SliceOfN(g, 1, 6).Draw(t, "values"), ", ") + ")"
	}
	switch rapid.IntRange(0, 9).Draw(t, "check") {
	case 0, 1:
		return text.Draw(t, "field") + " = " + value.Draw(t, "value")
	case 2:
		return text.Draw(t, "field") + " in " + list(value)
	case 3:
		return text.Draw(t, "field") + " " + rapid.SampledFrom([]string{"intersects", "pmatch"}).Draw(t, "op") + " " + list(value)
	case 4, 5:
		op := rapid.SampledFrom([]string{"!=", "contains", "icontains", "startswith", "endswith"}).Draw(t, "op")
		if rapid.Bool().Draw(t, "quantified") {
			return text.Draw(t, "field") + " " + op + " " + rapid.SampledFrom([]string{"anyof", "allof", "oneof"}).Draw(t, "q") + " " + list(value)
		}
		return text.Draw(t, "field") + " " + op + " " + value.Draw(t, "value")
	case 6:
		return num.Draw(t, "field") + " " + rapid.SampledFrom([]string{"=", "!=", "<", "<=", ">", ">="}).Draw(t, "op") + " " + number.Draw(t, "value")
	case 7:
		return num.Draw(t, "field") + " in " + list(number)
	case 8:
		return rapid.SampledFrom([]string{
			`proc.exepath glob "/usr/*"`, `proc.cmdline glob "*-p ????"`, `proc.name regex "n[a-c]|x"`, `proc.cmdline bcontains 2d6c`,
			"proc.name = val(proc.pname)", "proc.aname = val(proc.pname)", "evt.type = execve", "evt.type in (open, procexit)", "evt.type != clone", "evt.dir = <",
		}).Draw(t, "fixed")
	}
	return text.Draw(t, "field") + " exists"
}

// renamed is a process of the same program under another name.
func renamed(p *event.Process) *event.Process {
	other := *p
	other.Comm, other.Cmdline = "systemd", "systemd -l -p 4444"
	return &other
}

// TestEngineAgainstReference compares the compiled rules with the reference
// for random conditions and several events.
func TestEngineAgainstReference(t *testing.T) {
	p := execEvent().Proc
	bare := &event.Process{Key: event.Key{Pid: 2, Start: 1}, Comm: "kthreadd", KThread: true}
	events := []*event.Event{
		execEvent(),
		{Type: event.Exec, Num: 8, Proc: p.Parent, Tid: 100, ExecInfo: &event.ExecInfo{At: true}},
		{Type: event.Exec, Num: 9, Proc: renamed(p), Tid: 200, ExecInfo: &event.ExecInfo{}},
		{Type: event.Fork, Num: 50, Proc: p.Parent.Parent, Tid: 50},
		{Type: event.Exit, Num: 1, Proc: p, Tid: 200, ExitInfo: &event.ExitInfo{Code: 1}},
		{Type: event.Comm, Num: 2, Proc: bare, Tid: 2},
		{Type: event.Gap, Num: 4, GapInfo: &event.GapInfo{N: 2}},
	}
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		for i := 1; i <= 3; i++ {
			cond := "evt.num > 0"
			if i > 1 {
				cond = strings.NewReplacer("m3", "m1", "m2", "m1").Replace(genCondition(rt, 1))
			}
			fmt.Fprintf(&text, "- macro: m%d\n  condition: %q\n", i, cond)
		}
		n := rapid.IntRange(1, 5).Draw(rt, "rules")
		for i := range n {
			text.WriteString(ruleFile(fmt.Sprintf("r%d", i), genCondition(rt, 3)))
		}
		set, rep := Load([]File{{Name: "r.yaml", Data: []byte(text.String())}}, Options{})
		if err := rep.Err(); err != nil {
			rt.Fatalf("%v\n%s", err, text.String())
		}
		e := NewEngine(set, MatchAll)
		for _, ev := range events {
			var got, want []string
			e.Match(ev, func(r *Rule) { got = append(got, r.Info().Name) })
			for _, r := range set.Rules() {
				if refEval(r.src.Condition, ev) {
					want = append(want, r.Info().Name)
				}
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				rt.Fatalf("%s event: matched %v, the reference says %v\n%s", ev.Type, got, want, text.String())
			}
		}
	})
}
