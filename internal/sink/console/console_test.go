package console

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bearcat-hids/bearcat/internal/event"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)

func process(hostile string) *event.Process {
	root := &event.Process{Key: event.Key{Pid: 1}, Comm: "systemd"}
	sh := &event.Process{Key: event.Key{Pid: 700}, Parent: root, Comm: "my sh" + hostile}
	return &event.Process{
		Key: event.Key{Pid: 812}, Parent: sh, Comm: "curl" + hostile, User: "ada" + hostile,
		Image: &event.Image{Exe: event.File{Path: "/usr/bin/curl" + hostile}, Argv: []string{"curl" + hostile, "-H", "two words" + hostile}},
	}
}

func alert(hostile string) *event.Alert {
	return &event.Alert{
		Rule: &event.RuleInfo{Name: "Download" + hostile, Priority: event.Warning}, Time: at,
		Output: "curl ran" + hostile, Event: &event.Event{Type: event.Exec, Proc: process(hostile)},
	}
}

func events(hostile string) []*event.Event {
	p := process(hostile)
	kthread := &event.Process{Key: event.Key{Pid: 2}, Comm: "kthreadd" + hostile}
	return []*event.Event{
		{Type: event.Exec, Time: at, Proc: p},
		{Type: event.Exit, Time: at, Proc: p, ExitInfo: &event.ExitInfo{Code: 3, Duration: 1234567891}},
		{Type: event.Exit, Time: at, Proc: p, ExitInfo: &event.ExitInfo{Signal: 11, CoreDumped: true, Duration: 123456}},
		{Type: event.Fork, Time: at, Proc: p},
		{Type: event.Comm, Time: at, Proc: kthread, OldComm: "old" + hostile},
		{Type: event.Gap, Time: at, GapInfo: &event.GapInfo{Class: event.Bulk, Lost: event.Comm, CPU: 3, N: 12}},
		{Type: event.Exec, Time: at},
	}
}

func TestLines(t *testing.T) {
	f := New(Options{Chain: true})
	var out []byte
	out = f.AppendAlert(out, alert(""))
	for _, ev := range events("") {
		out = f.AppendEvent(out, ev)
	}
	out = f.AppendLoss(out, at, 9)
	const want = `05:06:07.089 WARNING   Download  curl ran
             systemd(1) > 'my sh'(700) > curl(812)
05:06:07.089 exec    pid 812     ada      /usr/bin/curl -H 'two words'
05:06:07.089 exit    pid 812     ada      /usr/bin/curl  exit 3 after 1.23s
05:06:07.089 exit    pid 812     ada      /usr/bin/curl  killed by SIGSEGV (core dumped) after 123µs
05:06:07.089 fork    pid 812     ada      /usr/bin/curl  by 'my sh'(700)
05:06:07.089 comm    pid 2       0        [kthreadd]  renamed old to kthreadd
05:06:07.089 gap     12 comm records of class bulk lost on cpu 3
05:06:07.089 exec   
05:06:07.089 LOST      9 lines could not be written here
`
	if string(out) != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestSentence(t *testing.T) {
	a := alert("")
	a.ID, a.Summary, a.Why, a.Next = "0123456789ab", "ada ran curl", "It is \x1b[2Jodd.", "Check it."
	a.Repeats, a.Since = 7, at.Add(-time.Minute)
	const want = `05:06:07.089 WARNING   Download  curl ran  [id 0123456789ab]
             7 more like it since 05:05:07 were not printed. ada ran curl. It is \x1b[2Jodd. Next: Check it.
`
	if got := string(New(Options{}).AppendAlert(nil, a)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestClaimedName(t *testing.T) {
	p := process("")
	p.Image.Argv = []string{"[kworker/0:1]"}
	p.Image.ArgvCut = true
	line := string(New(Options{}).AppendEvent(nil, &event.Event{Type: event.Exec, Time: at, Proc: p}))
	if !strings.HasSuffix(line, "/usr/bin/curl ...  argv0='[kworker/0:1]'\n") {
		t.Errorf("line %q does not show the claimed name", line)
	}
}

func TestColor(t *testing.T) {
	line := string(New(Options{Color: true}).AppendAlert(nil, alert("\x1b[0m")))
	const want = "05:06:07.089 \x1b[33mWARNING  \x1b[0m \x1b[1mDownload\\x1b[0m\x1b[0m  curl ran\\x1b[0m\n"
	if line != want {
		t.Errorf("got %q, want %q", line, want)
	}
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	for _, c := range []struct {
		mode string
		env  map[string]string
		want bool
	}{
		{"always", map[string]string{"NO_COLOR": "1"}, true},
		{"never", map[string]string{"TERM": "xterm"}, false},
		{"auto", map[string]string{"TERM": "xterm"}, false}, // no terminal behind it
	} {
		if got := UseColor(c.mode, -1, env(c.env)); got != c.want {
			t.Errorf("%s with %v: %v", c.mode, c.env, got)
		}
	}
	terminal, err := os.Open("/dev/ptmx")
	if err != nil {
		t.Skip("no terminal to be had: ", err)
	}
	defer terminal.Close()
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"TERM": "xterm"}, true},
		{map[string]string{"TERM": "dumb"}, false},
		{nil, false},
		{map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
	} {
		if got := UseColor("auto", int(terminal.Fd()), env(c.env)); got != c.want {
			t.Errorf("auto on a terminal with %v: %v", c.env, got)
		}
	}
}

func TestLongChain(t *testing.T) {
	var p *event.Process
	for i := range uint32(1000) {
		p = &event.Process{Key: event.Key{Pid: i}, Parent: p, Comm: "p"}
	}
	got := string(appendChain(nil, p))
	if !strings.HasPrefix(got, "... > p(968) > ") || !strings.HasSuffix(got, " > p(999)") {
		t.Errorf("chain %s", got)
	}
}

func TestSeverities(t *testing.T) {
	seen := map[string]bool{}
	for p := event.Emergency; p <= event.Debug; p++ {
		_, label := severity(p)
		if len(label) != 9 || seen[label] {
			t.Errorf("%v has the label %q", p, label)
		}
		seen[label] = true
	}
}

// FuzzNoControl holds whatever the text is: only the newlines that end lines,
// and nothing else that a terminal acts on.
func FuzzNoControl(f *testing.F) {
	for _, s := range []string{"\x1b]0;owned\x07", "\n12:00:00.000 NOTICE  all is well", "\u202e", "\x9b31m", "\u009b31m", "\r", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		format := New(Options{Chain: true})
		check := func(line []byte, lines int) {
			if !utf8.Valid(line) || strings.Count(string(line), "\n") != lines || line[len(line)-1] != '\n' {
				t.Fatalf("%q breaks the line %q", s, line)
			}
			for _, r := range string(line) {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Fatalf("%q brings %U into %q", s, r, line)
				}
			}
		}
		check(format.AppendAlert(nil, alert(s)), 2)
		for _, ev := range append(events(s), callEvents(s)...) {
			check(format.AppendEvent(nil, ev), 1)
		}
	})
}

// An output that begins with the rule's name says it once; one that only
// begins with the same letters is another text.
func TestNameIsSaidOnce(t *testing.T) {
	rule := &event.RuleInfo{Name: "Set-uid shell", Priority: event.Warning}
	for output, want := range map[string]string{
		"Set-uid shell (user=ada)": "Set-uid shell (user=ada)\n",
		"Set-uid shells":           "Set-uid shell  Set-uid shells\n",
		"something else":           "Set-uid shell  something else\n",
		"":                         "Set-uid shell  \n",
	} {
		line := string(New(Options{}).AppendAlert(nil, &event.Alert{Rule: rule, Output: output}))
		if _, got, _ := strings.Cut(line, "Set-uid"); "Set-uid"+got != want {
			t.Errorf("output %q gives %q, want %q", output, "Set-uid"+got, want)
		}
	}
}
