package rule

import (
	"os"
	"strings"
	"testing"
)

// TestFalcoRules loads Falco's own rule file, where the environment names it.
func TestFalcoRules(t *testing.T) {
	path := os.Getenv("BEARCAT_FALCO_RULES")
	if path == "" {
		t.Skip("BEARCAT_FALCO_RULES names no copy of falco_rules.yaml")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set, rep := Load([]File{{Name: "falco_rules.yaml", Data: data}}, Options{})
	var b strings.Builder
	if err := rep.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if err := set.List(&b); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
	if rep.Errors() != 0 {
		t.Errorf("%d errors in Falco's rules", rep.Errors())
	}
	if len(set.Rules()) < 20 {
		t.Errorf("only %d rules loaded", len(set.Rules()))
	}
}
