// Package eventjson writes events and alerts as JSON Lines and reads them
// back: one object per line, names in snake_case that never change meaning.
//
// In come event.Event and event.Alert; out go bytes appended to a buffer that
// the caller owns. Encoding uses no reflection and allocates, but for labels and
// bits without a name, nothing but the growth of that buffer. The json sink
// calls it for every line it writes, and rule tests call DecodeEvent to replay
// recorded lines.
//
// # Absent fields
//
// A false flag, an empty text, an empty list or a number that is zero where
// zero means "unknown" is left out. Ids are always written, since 0 is root.
//
// # Bytes that are not UTF-8
//
// Linux paths and arguments are bytes, JSON strings are Unicode. A byte 0xNN
// that is not part of valid UTF-8 is written as the escape \udcNN: a lone low
// surrogate, which no valid text contains. Python reads the bytes back with
//
//	json.loads(line)["process"]["cwd"].encode("utf-8", "surrogateescape")
//
// and DecodeEvent does the same. Parsers that cannot hold a lone surrogate
// (jq, Go's encoding/json) read U+FFFD in its place and the rest unharmed.
//
// Control characters, those of the C1 range, and characters that reorder text
// are written as \u escapes as well, so that a line is safe to show on a
// terminal.
//
// # Large numbers
//
// Clocks, inodes and cgroup ids are exact integers of up to 64 bits. A parser
// that holds numbers as floating point rounds those beyond 2^53 (a boot-time
// clock passes that after 104 days); to tell processes apart with such a
// parser compare "key", which is text.
package eventjson
