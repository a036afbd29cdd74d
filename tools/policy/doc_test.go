// Package policy holds the tests of the project's own rules: who may import
// whom, what every package's comment must say, and what may not stand in code.
//
// It has no code beside its tests. They read the tree from the outside, through
// the go command and the parser; the data that they check against is in
// imports.txt and in the tables at the top of each file. A failure names the
// rule, the place and the reason.
package policy
