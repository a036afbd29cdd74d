package kernel

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAccountsWaits(t *testing.T) {
	for text, want := range map[string]bool{"1 708690 12\n": true, "0 0 0\n": false, "": false, "1 2": false} {
		file := filepath.Join(t.TempDir(), "schedstat")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := accountsWaits(file); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if accountsWaits(filepath.Join(t.TempDir(), "none")) {
		t.Error("a kernel without schedstat keeps times")
	}
}
