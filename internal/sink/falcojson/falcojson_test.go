package falcojson

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

var at = time.Date(2017, 10, 9, 23, 20, 5, 408091526, time.UTC)

func TestAlert(t *testing.T) {
	a := &event.Alert{
		Rule: &event.RuleInfo{Name: "Terminal shell in container", Priority: event.Notice, Source: "syscall",
			Tags: []string{"shell", "container", "shell"}},
		Time: at, Output: "A shell was spawned (user=root shell=bash)",
		Fields: []event.OutputField{
			{Name: "user.name", Str: "root"}, {Name: "proc.name", Str: "bash"}, {Name: "proc.tty", IsNum: true, Num: 34816},
			{Name: "proc.is_exe_writable", IsBool: true, IsNum: true}, {Name: "container.id", Null: true},
		},
	}
	const want = `{"hostname":"web-1","output":"01:20:05.408091526: Notice A shell was spawned (user=root shell=bash)",` +
		`"output_fields":{"container.id":null,"proc.is_exe_writable":false,"proc.name":"bash","proc.tty":34816,"user.name":"root"},` +
		`"priority":"Notice","rule":"Terminal shell in container","source":"syscall","tags":["container","shell"],` +
		`"time":"2017-10-09T23:20:05.408091526Z"}` + "\n"
	f := New("web-1", time.FixedZone("CEST", 2*3600))
	if got := string(f.AppendAlert(nil, a)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	a.Repeats, a.Since = 7, at.Add(-time.Minute)
	if got := string(f.AppendAlert(nil, a)); !strings.Contains(got, `shell=bash) [7 more like it since 01:19:05]"`) {
		t.Errorf("the repeats are not told: %s", got)
	}
	if a.Fields[0].Name != "user.name" || a.Rule.Tags[0] != "shell" {
		t.Error("the alert was changed")
	}
}

func TestOtherLines(t *testing.T) {
	f := New("h\x1b", time.UTC)
	if got := f.AppendEvent([]byte("x"), &event.Event{}); string(got) != "x" {
		t.Errorf("an event was written: %s", got)
	}
	empty, loss := f.AppendAlert(nil, &event.Alert{Event: &event.Event{Time: at}}), f.AppendLoss(nil, at, 4)
	for _, line := range [][]byte{empty, loss} {
		if !json.Valid(line) || !strings.HasSuffix(string(line), `"time":"2017-10-09T23:20:05.408091526Z"}`+"\n") {
			t.Errorf("unexpected line %s", line)
		}
	}
	if !strings.Contains(string(loss), "Critical 4 lines could not be written here") {
		t.Errorf("loss notice %s", loss)
	}
}
