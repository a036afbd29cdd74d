// Command gendocs writes the pages of the documentation that are tables: the
// fields of rules (docs/fields.md) and the JSON of each event (docs/events).
//
// In come the field tables of packages event and eventjson, and heads/, which
// holds what is written by hand above each table; out go the pages. "make
// generate" calls it; its test fails when a page is not what it would write.
package main

//go:generate go run . ../../docs
