package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/observe/flame"
	"github.com/bearcat-hids/bearcat/internal/observe/hist"
	"github.com/bearcat-hids/bearcat/internal/observe/top"
)

// TestOneLiners holds docs/one-liners.md to the truth: each command that it names is
// there, with its flags and kinds, and each kind of the observers is named.
func TestOneLiners(t *testing.T) {
	named := map[string]bool{}
	commands := regexp.MustCompile("`bearcat ([^`]+)`").FindAllStringSubmatch(page(t, "one-liners.md"), -1)
	if len(commands) < 30 {
		t.Errorf("the page names %d commands", len(commands))
	}
	for _, m := range commands {
		cmd := called(t, strings.Fields(m[1]))
		if cmd == nil {
			continue
		}
		args := cmd.Flags().Args()
		if cmd.HasSubCommands() {
			t.Errorf("bearcat %s: there is no such command", m[1])
		}
		if len(args) == 0 {
			continue
		}
		named[cmd.Name()+" "+args[0]] = true
		_, notHist := histKind(args[0])
		_, isFlame := flame.KindNamed(args[0])
		_, isView := top.ViewNamed(args[0])
		if cmd.Name() == "hist" && notHist != nil || cmd.Name() == "flame" && !isFlame || cmd.Name() == "top" && !isView {
			t.Errorf("bearcat %s: there is no kind %s", m[1], args[0])
		}
	}
	for _, k := range hist.Kinds() {
		if !named["hist "+k.Name] {
			t.Errorf("the page does not name bearcat hist %s", k.Name)
		}
	}
	for _, k := range flame.Kinds() {
		if !named["flame "+k.Name] {
			t.Errorf("the page does not name bearcat flame %s", k.Name)
		}
	}
	for _, v := range top.Views() {
		if !named["top "+v.Name] {
			t.Errorf("the page does not name bearcat top %s", v.Name)
		}
	}
}
