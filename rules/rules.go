// Package rules holds the rule packs that ship with Bearcat.
//
// The packs are compiled into the program, so that it guards a host without
// any file beside it. Out comes FS, a read-only tree of rule files; the agent
// and the rules commands load it before the files that the user names, which
// can change and switch off what is here.
//
// Each pack has recorded events beside it in testdata/, some of which every
// rule must match and others that it must not; ReadCases reads them.
package rules

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/rule"
)

//go:embed bearcat/*.yaml
var packs embed.FS

// FS returns the tree of the shipped packs: DIRECTORY/NAME.yaml.
func FS() fs.FS { return packs }

// first are the packs whose lists and macros the others use.
var first = []string{"bearcat/process.yaml", "bearcat/common.yaml"}

// Files returns the shipped rule files in the order in which they are loaded:
// those that others build on, then the rest by name. Their names begin with "builtin:", so that a message about one is not taken
// for a file of the host.
func Files() ([]rule.File, error) {
	names, err := fs.Glob(packs, "*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the built-in rules: %w", err)
	}
	names = append(slices.Clone(first), slices.DeleteFunc(names, func(n string) bool { return slices.Contains(first, n) })...)
	var out []rule.File
	for _, n := range names {
		data, err := fs.ReadFile(packs, n)
		if err != nil {
			return nil, fmt.Errorf("reading the built-in rules: %w", err)
		}
		out = append(out, rule.File{Name: "builtin:" + n, Data: data})
	}
	return out, nil
}
