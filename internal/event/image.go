package event

import (
	"path"
	"strings"
)

// Cmdline returns comm-independent text of the whole argument vector: the
// arguments joined by blanks. Boundaries are lost in it: compare Argv where
// they matter.
func (i *Image) Cmdline() string { return i.cmdline }

// Args returns the arguments after the first, joined by blanks.
func (i *Image) Args() string { return i.args }

// Seal computes what readers ask for again and again. Whoever builds an
// Image calls it once, before publishing it.
func (i *Image) Seal() *Image {
	i.cmdline = strings.Join(i.Argv, " ")
	if len(i.Argv) > 1 {
		// the tail of cmdline, so that both share their bytes
		i.args = i.cmdline[len(i.Argv[0])+1:]
	}
	i.invoked = i.Filename
	if i.invoked != "" && i.invoked[0] != '/' && i.Cwd != "" {
		i.invoked = path.Join(i.Cwd, i.invoked)
	}
	return i
}
