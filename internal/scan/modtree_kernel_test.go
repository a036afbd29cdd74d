package scan

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestModulesInTree finds in the kernel's tree of modules those of /proc/modules and no others.
func TestModulesInTree(t *testing.T) {
	guest.NeedKernel(t)
	guest.Require(t)
	h := &Host{}
	defer h.close()
	k, err := h.image()
	if err != nil {
		t.Fatal(err)
	}
	if k.modules == 0 {
		t.Skip("this kernel's symbols lack the tree")
	}
	tree, err := h.modulesInTree(k.modules)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Values(tree))
	b, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(line, " ")
		want = append(want, name)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the tree has %q, /proc/modules %q", got, want)
	}
	// as if the lists had been read before any of them was loaded
	if left, err := h.unlistedModules(k.modules, map[string]bool{}); err != nil || len(left) != 0 {
		t.Errorf("modules that are listed by now are hidden: %v, %v", left, err)
	}
	if _, err := h.modulesInTree(0); err == nil {
		t.Error("a tree at no address has modules")
	}
}
