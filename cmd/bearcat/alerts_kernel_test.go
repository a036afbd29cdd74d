package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/alerts"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// alertSeen is what is looked at of an alert's line.
type alertSeen struct {
	Type, ID, Rule, Summary string
	Repeats                 uint64
	Event                   *struct{ Type string }
}

func alertsSeen(a *agentRun) []alertSeen {
	var out []alertSeen
	for _, l := range a.lines() {
		var x alertSeen
		if json.Unmarshal([]byte(l.text), &x) == nil && x.Type == "alert" {
			out = append(out, x)
		}
	}
	return out
}

// TestAlertsAreKept floods the agent with one alert, then asks for what is kept
// as a person would, and silences the alert with what the command writes.
func TestAlertsAreKept(t *testing.T) {
	guest.Once(t)
	const flood = 40
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--output", "json"}})
	s.repeat(flood, "/bin/true bearcat-test-mark")
	s.do("/bin/ls -d / bearcat-test-mark; true")
	a.until("the other program's alert comes", func() bool {
		for _, x := range alertsSeen(a) {
			if strings.Contains(x.Summary, "/bin/ls -d / bearcat-test-mark") {
				return true
			}
		}
		return false
	})
	bearcat := func(args ...string) string {
		t.Helper()
		out, err := command(t, "bearcat", args...).Output()
		if err != nil {
			t.Fatalf("bearcat %s: %v", strings.Join(args, " "), err)
		}
		return string(out)
	}
	var last alerts.Kept
	ids := map[string]bool{}
	for line := range strings.Lines(bearcat("alerts", "tail", "--json", "--socket", a.socket)) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatal(err)
		}
		ids[last.ID] = true
	}
	for _, x := range alertsSeen(a) {
		if !ids[x.ID] {
			t.Errorf("the alert %q was written and is not kept", x.ID)
		}
	}
	if text := bearcat("alerts", "tail", "-n", "100", "--socket", a.socket); !strings.Contains(text, last.ID) || !strings.Contains(text, "more like it)") {
		t.Errorf("tail prints\n%s", text)
	}
	text := bearcat("alerts", "show", last.ID[:8], "--socket", a.socket)
	for _, want := range []string{"rule      Test marked argument", "processes, oldest first", "what else happened there", "true[", "ls -d / bearcat-test-mark"} {
		if !strings.Contains(text, want) {
			t.Errorf("show lacks %q:\n%s", want, text)
		}
	}
	rules, err := filepath.Abs("testdata/kernel/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own.yaml")
	bearcat("rules", "suppress", last.ID, "--socket", a.socket, "--rules", rules, "--file", own)
	if b, err := os.ReadFile(own); err != nil || !strings.Contains(string(b), `"alert_`+last.ID+`"`) {
		t.Errorf("the exception is %q, %v", b, err)
	}
	if r := a.status().Rules; r.Matched != flood+1 || r.Suppressed == 0 || r.Kept == 0 {
		t.Errorf("the account of rules is %+v", r)
	}
	if code, _ := a.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("the agent ends with %d", code)
	}
	// all are told, in alerts or in counts
	told := uint64(0)
	for _, x := range alertsSeen(a) {
		told += x.Repeats
		if x.Event != nil {
			told++
		}
	}
	if told != flood+1 {
		t.Errorf("%d alerts are told of, want %d", told, flood+1)
	}
	// the agent with the exception is silent about that program
	b := start(t, runOptions{args: []string{"--scope", s.scope(), "--output", "json", "--rules", own}})
	s.do("/bin/ls -d / bearcat-test-mark; true")
	s.do("/bin/true bearcat-test-mark")
	b.until("the alert of another program comes", func() bool { return len(alertsSeen(b)) > 0 })
	for _, x := range alertsSeen(b) {
		if strings.Contains(x.Summary, "/bin/ls") {
			t.Errorf("the alert is not silenced: %s", x.Summary)
		}
	}
}
