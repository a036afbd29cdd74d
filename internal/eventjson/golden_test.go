package eventjson

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the lines of the samples anew")

// TestLinesStay compares the lines of the samples, which have every member between
// them, byte for byte with those that were written before: what reads them must not
// have to change.
func TestLinesStay(t *testing.T) {
	e := NewEncoder("web-1", "b00t")
	var got []byte
	for range 2 { // the second time from what is remembered
		for _, ev := range samples() {
			got = e.AppendEvent(got, ev)
		}
	}
	got = e.AppendAlert(got, sampleAlert())
	file := filepath.Join("testdata", "lines.jsonl")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the lines are\n%s\nand were\n%s\nIf that is meant: go test ./internal/eventjson -update", got, want)
	}
}
