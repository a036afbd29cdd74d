package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/table"
)

// shapes are the tables and pages of each noun, without what depends on the host.
func shapes() map[string][]host.Table {
	parent := &event.Process{Comm: "php-fpm"}
	p := &event.Process{Key: event.Key{Pid: 812, Start: 1}, NSPid: 7, Comm: "sh", Parent: parent, Group: "www-data", NS: &event.Namespaces{Mnt: 1}, Time: time.Now(),
		Image:  &event.Image{Exe: event.File{Path: "/usr/bin/dash"}, Filename: "/bin/sh", Cwd: "/srv/www", Argv: []string{"sh"}},
		Cgroup: &event.Cgroup{Path: "/docker", ContainerID: "3f9a1c77be02"}}
	p.Cred.LoginUID = event.Unset
	r := rowOf(p)
	s := &sockRow{Family: "ipv4", Proto: "tcp", State: "established", Owners: []string{"sshd[640] fd 4"}, SocketState: &host.SocketState{TCP: &host.TCPState{}}}
	of := map[string][]host.Table{
		"proc": {procTable, processPage(p, &r)}, "tree": {treeTable}, "fd": {fdTable}, "socket": {socketTable, socketPage(s)}, "pipe": {pipeTable},
	}
	one := host.Overlay{Points: []string{"/mnt/merged"}, Lower: []string{"/1", "/2"}, Content: &host.Upper{}}
	for noun, list := range map[string][]answer{
		"mount": {&host.Mounts{}}, "overlay": {&host.Overlays{}, &host.Overlays{Detail: true, Overlays: []host.Overlay{one}}},
		"ns": {&host.Namespaces{}}, "cgroup": {&host.Cgroups{}}, "module": {&host.Modules{}}, "bpf": {&host.BPF{}}, "sched": {&host.Sched{}},
		"queue": {&host.Queues{}}, "port": {&host.Ports{}}, "hook": {&host.Hooks{}}, "vma": {&host.Memory{Name: "python3", PID: 4242}}, "timer": {&host.Timers{}},
	} {
		for _, a := range list {
			of[noun] = append(of[noun], a.Tables()...)
		}
	}
	return of
}

// example is an indented block of a section of a page, but for commands.
type example struct {
	noun, title string
	lines       []string
}

// examples finds the blocks of the sections that are about nouns, with the titles of tables.
func examples(text string, nouns map[string][]host.Table) []example {
	var out []example
	noun, open := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, is := strings.CutPrefix(line, "## "); is {
			noun = name
		}
		body, indented := strings.CutPrefix(line, "    ")
		switch {
		case !indented || nouns[noun] == nil:
			open = false
			continue
		case strings.HasPrefix(body, "bearcat ") || strings.HasPrefix(body, "$ bearcat "):
			continue
		case !open:
			out = append(out, example{noun: noun})
		}
		open = true
		x := &out[len(out)-1]
		if len(x.lines) == 0 && x.title == "" && !strings.Contains(body, "  ") {
			x.title = body
			continue
		}
		x.lines = append(x.lines, body)
	}
	return out
}

var gap = regexp.MustCompile(` {2,}`)

// is tells whether an example is of a table: with the title, and with the columns that are
// always written, with all, or with those that --wide adds, or with a page's names.
func (x *example) is(t *host.Table) bool {
	if x.title != t.Title {
		return false
	}
	head := gap.Split(x.lines[0], -1)
	if n := len(t.Columns); n > 0 {
		return slices.Equal(head, t.Columns[:n-t.More]) || slices.Equal(head, t.Columns) || t.More > 0 && slices.Equal(head, t.Columns[n-t.More:])
	}
	var names, want []string
	for _, l := range x.lines {
		names = append(names, gap.Split(l, 2)[0])
	}
	for _, r := range t.Rows {
		want = append(want, r[0])
	}
	return slices.Equal(names, want)
}

// TestShowPages holds the examples of the pages of show to the truth: each is one of its
// noun's tables as it is written today, column by column, and each table has an example.
func TestShowPages(t *testing.T) {
	nouns := shapes()
	shown := map[string]map[int]bool{}
	for _, x := range examples(page(t, "show.md")+page(t, "show-host.md"), nouns) {
		i := slices.IndexFunc(nouns[x.noun], func(of host.Table) bool { return len(x.lines) > 0 && x.is(&of) })
		if i < 0 {
			t.Errorf("show %s: no table or page of it has this shape:\n%s\n%s", x.noun, x.title, strings.Join(x.lines, "\n"))
			continue
		}
		if shown[x.noun] == nil {
			shown[x.noun] = map[int]bool{}
		}
		shown[x.noun][i] = true
		again, lines := host.Table{}, x.lines
		parts := 2 // of a page's line
		if len(nouns[x.noun][i].Columns) > 0 {
			again.Columns = gap.Split(lines[0], -1)
			lines, parts = lines[1:], -1
		}
		for _, l := range lines {
			row := gap.Split(l, parts)
			if n := len(again.Columns); n > 0 && n != len(row) {
				t.Errorf("show %s: %d cells for %d columns: %s", x.noun, len(row), n, l)
			}
			again.Rows = append(again.Rows, row)
		}
		var b strings.Builder
		if err := (&table.View{Wide: true}).Write(&b, []table.Table{again}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(x.lines, "\n") + "\n"; got != b.String() {
			t.Errorf("show %s: the page has\n%sand the command would write\n%s", x.noun, got, b.String())
		}
	}
	for noun, list := range nouns {
		for i, of := range list {
			if !shown[noun][i] {
				t.Errorf("show %s: the page has no example of %s %v", noun, of.Title, of.Columns)
			}
		}
	}
}
