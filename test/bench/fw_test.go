package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirewallTable wants a row also for a peer that is not there.
func TestFirewallTable(t *testing.T) {
	r := &Firewall{Rounds: 3, Cases: []FwCase{
		{Name: "floor", NS: []float64{10, 11, 12}}, {Name: "ours", Floor: "floor", NS: []float64{30, 31, 33}}, {Name: "theirs", Missing: true},
	}, Skipped: []string{"theirs: not installed"}}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{"ours 31.0 30.0 20.0", "theirs not there – –", "not measured: theirs: not installed"} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func TestFindPeer(t *testing.T) {
	root := t.TempDir()
	if got := findPeer("some", root); got != "" {
		t.Errorf("found %s where nothing is", got)
	}
	want := filepath.Join(root, "usr/lib/x86_64-linux-gnu/bpf/some.o")
	if err := os.MkdirAll(filepath.Dir(want), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(want, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := findPeer("some", t.TempDir(), root); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}
