package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
)

// TestPagesAreFresh compares the pages in docs with what would be written.
func TestPagesAreFresh(t *testing.T) {
	all, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		got, err := os.ReadFile(filepath.Join("../../docs", p.path))
		if err != nil {
			t.Errorf("%v: run make generate", err)
			continue
		}
		if diff := cmp.Diff(string(p.text), string(got)); diff != "" {
			t.Errorf("docs/%s is stale: run make generate (- wanted, + there)\n%s", p.path, diff)
		}
	}
}

// TestPagesHoldEverything wants each field and each member on a page.
func TestPagesHoldEverything(t *testing.T) {
	all, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	var fields, events strings.Builder
	for _, p := range all {
		if p.path == "fields.md" {
			fields.Write(p.text)
		} else {
			events.Write(p.text)
		}
	}
	for _, f := range event.Fields() {
		if !strings.Contains(fields.String(), "`"+f.Name+f.Arg.String()+"`") {
			t.Errorf("field %s is on no page", f.Name)
		}
	}
	for _, f := range eventjson.Fields() {
		if !strings.Contains(events.String(), "| `"+f.Path+"` | "+f.Type+" |") {
			t.Errorf("member %s (in %q) is on no page", f.Path, f.In)
		}
	}
}

// TestTablesAreWhole finds cells that would break their table.
func TestTablesAreWhole(t *testing.T) {
	all, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		columns := 0
		for i, line := range strings.Split(string(p.text), "\n") {
			if !strings.HasPrefix(line, "|") {
				columns = 0
				continue
			}
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if columns == 0 {
				columns = n
			}
			if n != columns {
				t.Errorf("%s:%d: %d cells where the table has %d", p.path, i+1, n-1, columns-1)
			}
		}
	}
}

func TestWriteSaysWhatFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(file); err == nil || !strings.Contains(err.Error(), "writing fields.md") {
		t.Errorf("writing into a file gave %v", err)
	}
}

// TestShortForm checks what is looked up by writing a line.
func TestShortForm(t *testing.T) {
	whole, err := members(event.Exec)
	if err != nil {
		t.Fatal(err)
	}
	short, err := members(event.Exit)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range eventjson.Fields() {
		known[f.Path] = true
	}
	for _, m := range []map[string]bool{whole, short} {
		for path := range m {
			if !known[path] {
				t.Errorf("a line has %s, which eventjson.Fields does not list", path)
			}
		}
	}
	for _, path := range []string{"process.key", "process.exe.path", "process.parent.pid", "boot_ns"} {
		if !short[path] {
			t.Errorf("the short form has no %s", path)
		}
	}
	for _, path := range []string{"ancestors[].pid", "process.argv", "process.fds[].socket.remote_port"} {
		if short[path] || !whole[path] {
			t.Errorf("%s: short %v, whole %v; want it in the whole form only", path, short[path], whole[path])
		}
	}
}

// TestCallPages wants each call on its type's page with all of its arguments
// and their values, and a head that says something.
func TestCallPages(t *testing.T) {
	all, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]string{}
	for _, p := range all {
		byPath[p.path] = string(p.text)
	}
	index := byPath["events/README.md"]
	for _, s := range event.Calls() {
		page := byPath["events/"+s.Type.String()+".md"]
		_, row, ok := strings.Cut(page, "\n| `"+s.Name+"` |")
		row, _, _ = strings.Cut(row, "\n")
		if !ok || !strings.Contains(index, s.Name) {
			t.Errorf("the call %s is not on its page, or not in the list", s.Name)
		}
		for _, a := range eventjson.CallArgs(s) {
			if !strings.Contains(row, "`"+a.Name+"` "+a.Kind.String()) {
				t.Errorf("%s: its argument %s is not in %q", s.Name, a.Name, row)
			}
			if a.Names == nil {
				continue
			}
			for _, name := range valueNames(a.Names) {
				if !strings.Contains(page, name) {
					t.Errorf("%s: no %s of %s on its page", s.Name, name, a.Name)
				}
			}
		}
	}
	for k := event.CallArgKind(0); k.String() != "unknown"; k++ {
		if kindDocs()[k] == "" {
			t.Errorf("what the kind %s is stands nowhere", k)
		}
	}
	heads, err := callHeads()
	if err != nil {
		t.Fatal(err)
	}
	for typ := event.TypeNone + 1; typ < event.NumTypes; typ++ {
		if !typ.IsCall() {
			continue
		}
		if n := strings.Count(heads[typ.String()+".md"], "\n") - 2; n < 2 || n > 8 {
			t.Errorf("the head of %s has %d lines, want 2 to 8", typ, n)
		}
		delete(heads, typ.String()+".md")
	}
	for name := range heads {
		t.Errorf("the head of %s belongs to no type", name)
	}
}
