package rule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected messages anew")

// TestDiagnostics compares what is said about broken files with the .txt
// beside each.
func TestDiagnostics(t *testing.T) {
	files, err := filepath.Glob("testdata/diag/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, rep := Load([]File{{Name: filepath.Base(path), Data: data}}, Options{})
			var got bytes.Buffer
			if err := rep.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			if rep.Errors() == 0 {
				t.Error("no errors")
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("messages differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReportJSON(t *testing.T) {
	_, rep := Load([]File{{Name: "a.yaml", Data: []byte(ruleFile("r", "proc.nmae = x"))}}, Options{})
	var b bytes.Buffer
	if err := rep.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want a message and a summary:\n%s", len(lines), b.String())
	}
	var d jsonDiag
	if err := json.Unmarshal([]byte(lines[0]), &d); err != nil {
		t.Fatal(err)
	}
	if d.Line != 5 || d.Col != 15 || d.Len != 9 || d.Code != "unknown-field" || d.Item != `rule "r"` {
		t.Errorf("message: %+v", d)
	}
}

func TestFalcoStrict(t *testing.T) {
	text := ruleFile("own field", "evt.type = execve and bc.proc.argc > 3") +
		ruleFile("own event", "evt.type = gap") +
		ruleFile("perl regex", `evt.type = execve and proc.name regex "\\d+"`) +
		strings.Replace(ruleFile("output", "evt.type = execve"), "output: o", "output: \"%proc.nme\"", 1) +
		ruleFile("portable", `evt.type = execve and proc.name regex "[0-9]+"`)
	_, rep := Load([]File{{Name: "a.yaml", Data: []byte(text)}}, Options{FalcoStrict: true})
	var items []string
	for _, d := range rep.Diags {
		if d.Code == "falco-strict" {
			items = append(items, d.Item)
		}
	}
	want := []string{`rule "own field"`, `rule "own event"`, `rule "perl regex"`, `rule "output"`}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Errorf("refused rules differ (-want +got):\n%s", diff)
	}
	if _, rep := Load([]File{{Name: "a.yaml", Data: []byte(text)}}, Options{}); rep.Errors() != 0 {
		t.Errorf("errors without the option: %v", rep.Err())
	}
}
