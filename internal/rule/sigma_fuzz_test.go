package rule

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// FuzzSigma checks that no file makes the front end or the engine panic, and
// that a rule that loads prints as one of Falco's language that means the same.
func FuzzSigma(f *testing.F) {
	for _, detection := range []string{
		"s: {Image|endswith: [/a, /b*c?], CommandLine|contains|all: [x, y]}\ncondition: s", "a: {User: root}\nb: [x, {User|re|i: 'r.*'}]\ncondition: 1 of them and not (a or b)",
		"s: {CommandLine|windash|contains: ' -a -b', ProcessId|gte: 3}\ncondition: all of s*", "s: {CommandLine|wide|base64offset|contains: ping}\ncondition: s | count() > 3",
		"s: {User: [null, '', 3, true]}\ncondition: 2 of s*", "s: &x {User: a}\nt: *x\ncondition: [s, not t]", "s: {ParentImage|fieldref: Image, Foo: 1}\ncondition: s",
		"'s t': {CommandLine: '\\*\\\\?['}\ncondition: s t",
	} {
		f.Add([]byte(sigmaRule("r", detection)))
	}
	f.Add([]byte("title: c\ncorrelation: {type: event_count, rules: [r], group-by: [User], timespan: 5m, condition: {gte: 3}}\n---\ntitle: r\nname: r\nlogsource: {service: auditd}\ndetection: {s: {type: [SYSCALL, PATH], a0: 1, name: x}, condition: s}\n"))
	f.Add([]byte("title: r\nlogsource: {category: network_connection}\ndetection: {s: {DestinationIp|cidr: 10.0.0.0/8, Initiated: 'true', DestinationPort|startswith: 4}, condition: s}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append([]byte("title: x\nlogsource: {}\n---\n"), data...) // which makes it a Sigma file in any case
		set, rep := Load([]File{{Name: "f.yaml", Data: data}}, Options{FalcoStrict: true})
		exercise(t, set, rep)
		for _, r := range set.Rules() {
			text := r.Condition(true)
			if text == "" || len(text) > 2000 || strings.ContainsAny(text, "\x00\x85\ufeff\u2028\u2029") || r.Status() != Live {
				continue
			}
			again, rep := Load([]File{{Name: "f.yaml", Data: []byte(ruleFile("r", text))}}, Options{})
			if rep.Errors() > 0 {
				t.Fatalf("%q prints as %q, which does not load: %v", data, text, rep.Err())
			}
			if a, b := text, again.Rules()[0].Condition(true); a != b {
				t.Fatalf("%q prints as %q, and that as %q", data, a, b)
			}
		}
	})
}

// detection is a drawn detection: its YAML, and what a plain reading of the
// specification makes of an event.
type detection struct {
	yaml string
	eval func(fields map[string]string) bool
}

// drawItem draws a field with modifiers and values.
func drawItem(t *rapid.T) detection {
	field := rapid.SampledFrom([]string{"CommandLine", "ParentImage", "User", "ParentCommandLine", "ProcessId"}).Draw(t, "field")
	mod := rapid.SampledFrom([]string{"", "|contains", "|startswith", "|endswith", "|re", "|contains|all", "|cased", "|contains|cased", "|neq", "|exists"}).Draw(t, "modifier")
	if field == "ProcessId" && mod == "|exists" {
		mod = ""
	}
	if mod == "|exists" {
		want := rapid.Bool().Draw(t, "exists")
		return detection{fmt.Sprintf("%s|exists: %v", field, want), func(f map[string]string) bool { _, ok := f[field]; return ok == want }}
	}
	pool := []string{"nc", "NC -L", "4444", "-p", "/usr/bin/bash", "root", "ROO?", "*bash", "n*4", "nc*-p*4444", "200", "2*", "x", "-Bash", "?", "[a-z]", `\*`, "c -l*"}
	if mod == "|re" {
		pool = []string{"nc", "^nc", "4+$", "[a-z]{2} -", "R", "(o|x)+t", "^$", "/bin/"}
	}
	if field == "ProcessId" {
		pool = []string{"200", "7", "0", "20"}
		if mod == "" {
			pool = append(pool, "2*", "?")
		}
	}
	values := rapid.SliceOfN(rapid.SampledFrom(pool), 1, 4).Draw(t, "values")
	all := strings.Contains(mod, "all")
	yaml := make([]string, len(values))
	for i, v := range values {
		yaml[i] = "'" + v + "'"
	}
	eval := func(f map[string]string) bool {
		text, ok := f[field]
		if !ok {
			return false
		}
		n := 0
		for _, v := range values {
			if plainMatch(text, v, mod) {
				n++
			}
		}
		return n > 0 && (!all || n == len(values))
	}
	out := detection{fmt.Sprintf("%s%s: [%s]", field, mod, strings.Join(yaml, ", ")), eval}
	if mod == "|neq" {
		out.eval = func(f map[string]string) bool { return !eval(f) }
	}
	return out
}

// plainMatch compares a text with a value, by a regular expression made of it.
func plainMatch(text, value, mod string) bool {
	if mod == "|re" {
		return regexp.MustCompile(value).MatchString(text)
	}
	var re strings.Builder
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && i+1 < len(value) && strings.IndexByte(`\*?`, value[i+1]) >= 0:
			i++
			re.WriteString(regexp.QuoteMeta(value[i : i+1]))
		case c == '*':
			re.WriteString(".*")
		case c == '?':
			re.WriteString(".")
		default:
			re.WriteString(regexp.QuoteMeta(value[i : i+1]))
		}
	}
	pattern, flags := re.String(), "(?is)"
	if strings.Contains(mod, "contains") || strings.Contains(mod, "endswith") {
		pattern = ".*" + pattern
	}
	if strings.Contains(mod, "contains") || strings.Contains(mod, "startswith") {
		pattern += ".*"
	}
	if strings.Contains(mod, "cased") {
		flags = "(?s)"
	}
	return regexp.MustCompile(flags + "^(?:" + pattern + ")$").MatchString(text)
}

// drawCondition draws a condition of the selections s0 to s2.
func drawCondition(t *rapid.T, depth int) (string, func([3]bool) bool) {
	kind := 0
	if depth > 0 {
		kind = rapid.IntRange(0, 6).Draw(t, "condition")
	}
	switch kind {
	case 1, 2:
		a, x := drawCondition(t, depth-1)
		b, y := drawCondition(t, depth-1)
		if kind == 1 {
			return "(" + a + " and " + b + ")", func(s [3]bool) bool { return x(s) && y(s) }
		}
		return "(" + a + " or " + b + ")", func(s [3]bool) bool { return x(s) || y(s) }
	case 3:
		a, x := drawCondition(t, depth-1)
		return "not (" + a + ")", func(s [3]bool) bool { return !x(s) }
	case 4:
		return "1 of s*", func(s [3]bool) bool { return s[0] || s[1] || s[2] }
	case 5:
		return "all of them", func(s [3]bool) bool { return s[0] && s[1] && s[2] }
	case 6:
		return "2 of s*", func(s [3]bool) bool { return s[0] && s[1] || s[0] && s[2] || s[1] && s[2] }
	}
	i := rapid.IntRange(0, 2).Draw(t, "selection")
	return fmt.Sprintf("s%d", i), func(s [3]bool) bool { return s[i] }
}

// TestSigmaAgainstReference compares random detections with a plain evaluator
// that knows nothing of the typed form.
func TestSigmaAgainstReference(t *testing.T) {
	lone := proc(7, "NC", "/opt/NC", nil, "NC", "-L")
	lone.User = ""
	type sample struct {
		ev     *event.Event
		fields map[string]string
	}
	samples := []sample{
		{execEvent(), map[string]string{"CommandLine": "nc -l -p 4444", "ParentImage": "/usr/bin/bash", "ParentCommandLine": "-bash", "User": "root", "ProcessId": "200"}},
		{&event.Event{Type: event.Exec, Num: 2, Proc: lone, ExecInfo: &event.ExecInfo{}}, map[string]string{"CommandLine": "NC -L", "ProcessId": "7"}},
	}
	rapid.Check(t, func(t *rapid.T) {
		var yaml strings.Builder
		var evals [3]func(map[string]string) bool
		for i := range evals {
			a, b := drawItem(t), drawItem(t)
			switch form := rapid.IntRange(0, 2).Draw(t, "form"); {
			case form == 1:
				fmt.Fprintf(&yaml, "s%d: [{%s}, {%s}]\n", i, a.yaml, b.yaml)
				evals[i] = func(f map[string]string) bool { return a.eval(f) || b.eval(f) }
			case form == 2 && strings.SplitN(a.yaml, ":", 2)[0] != strings.SplitN(b.yaml, ":", 2)[0]:
				fmt.Fprintf(&yaml, "s%d: {%s, %s}\n", i, a.yaml, b.yaml)
				evals[i] = func(f map[string]string) bool { return a.eval(f) && b.eval(f) }
			default:
				fmt.Fprintf(&yaml, "s%d: {%s}\n", i, a.yaml)
				evals[i] = a.eval
			}
		}
		cond, eval := drawCondition(t, 3)
		text := sigmaRule("r", yaml.String()+"condition: "+cond)
		set, rep := Load([]File{{Name: "r", Data: []byte(text)}}, Options{})
		if err := rep.Err(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, s := range samples {
			want := eval([3]bool{evals[0](s.fields), evals[1](s.fields), evals[2](s.fields)})
			if got := len(matches(set, s.ev)) == 1; got != want {
				t.Fatalf("matches %v, the plain evaluator says %v\n%s\n%s", got, want, text, set.Rules()[0].Condition(true))
			}
		}
	})
}
