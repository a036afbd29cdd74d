package rule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// bigLists are rules on lists of n items: of words, addresses and beginnings of paths.
func bigLists(n int) []File {
	var b strings.Builder
	list := func(name, item string) {
		fmt.Fprintf(&b, "- list: %s\n  items:\n", name)
		for i := range n {
			fmt.Fprintf(&b, "    - %s\n", strings.NewReplacer("%d", fmt.Sprint(i), "%a", fmt.Sprintf("%d.%d.%d", 1+i>>16, i>>8&255, i&255)).Replace(item))
		}
	}
	list("words", "tool%d")
	list("folders", "/srv/app%d/")
	list("addresses", "203.%a")
	for name, condition := range map[string]string{
		"word":    "evt.type = execve and proc.name in (words)",
		"folder":  "evt.type = execve and proc.exepath pmatch (folders)",
		"folder2": "evt.type = execve and proc.exepath startswith anyof (folders)",
		"address": "evt.type = connect and fd.sip in (addresses)",
	} {
		fmt.Fprintf(&b, "- rule: %s\n  desc: d\n  condition: %s\n  output: o\n  priority: INFO\n", name, condition)
	}
	return []File{{Name: "big.yaml", Data: []byte(b.String())}}
}

// TestBigLists loads lists of 100,000 items in seconds, and matches the last of each.
func TestBigLists(t *testing.T) {
	const n = 100_000
	begun := time.Now()
	set, rep := Load(bigLists(n), Options{})
	if err := rep.Err(); err != nil {
		t.Fatal(err)
	}
	// many times what it takes: this is about whether it grows with the square
	if took := time.Since(begun); took > 90*time.Second {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("loaded in %v", took)
	}
	engine := NewEngine(set, MatchAll)
	matched := func(ev *event.Event) string {
		var names []string
		engine.Match(ev, func(r *Rule) { names = append(names, r.Info().Name) })
		return strings.Join(names, " ")
	}
	ran := func(comm, exe string) *event.Event {
		return &event.Event{Type: event.Exec, ExecInfo: &event.ExecInfo{}, Proc: &event.Process{Key: event.Key{Pid: 2, Start: 1}, Comm: comm, Image: (&event.Image{Exe: event.File{Path: exe}}).Seal()}}
	}
	to := func(addr string) *event.Event {
		return &event.Event{Type: event.Connect, Proc: &event.Process{Key: event.Key{Pid: 2, Start: 1}}, Call: &event.Call{Spec: event.CallNamed("connect"),
			FD: &event.FD{Num: 3, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp", Local: "10.0.0.1", LocalPort: 4000, Remote: addr, RemotePort: 443}}}}
	}
	for _, c := range []struct {
		ev   *event.Event
		want []string
	}{
		{ran(fmt.Sprintf("tool%d", n-1), "/bin/x"), []string{"word"}},
		{ran("x", fmt.Sprintf("/srv/app%d/x", n-1)), []string{"folder", "folder2"}},
		{ran(fmt.Sprintf("tool%d", n), fmt.Sprintf("/srv/app%d/x", n)), nil},
		{to("203.2.134.159"), []string{"address"}}, // 99,999 is 1<<16 + 134<<8 + 159
		{to("203.2.134.160"), nil},
	} {
		got := matched(c.ev)
		for _, name := range c.want {
			if !strings.Contains(" "+got+" ", " "+name+" ") {
				t.Errorf("%s does not match %s[%s]: only %q do", name, c.ev.Proc.Comm, c.ev.Type, got)
			}
		}
		if len(c.want) == 0 && got != "" {
			t.Errorf("what is in no list is matched by %q", got)
		}
	}
}
