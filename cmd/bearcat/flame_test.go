package main

import (
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/observe/flame"
)

func TestFlameFooterSaysHowStacksEnd(t *testing.T) {
	r := &flame.Result{Samples: 12, Took: 1, Sources: []string{"a clock"}}
	if got := flameFooter(r); strings.Contains(got, "stacks of programs") {
		t.Errorf("nothing was unwound by tables: %s", got)
	}
	r.User = &flame.Unwound{Whole: 7, Cut: []flame.Ends{{Why: "deep", Count: 2}, {Why: "lost", Count: 1}}, Pointers: []flame.Ends{{Why: "early", Count: 2}}, Files: 3, Rows: 9, Over: 1}
	want := "stacks of programs: 7 whole, 3 cut short (2 deep, 1 lost), 2 by frame pointers only (2 early); tables of 3 files with 9 rows, 1 files found no room\n12 samples"
	if got := flameFooter(r); !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}
