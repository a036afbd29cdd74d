package main

import (
	"strings"
	"testing"
)

func TestCutLines(t *testing.T) {
	text := clearScreen + "12:00 top cpu\nPID  COMM  BLAME\n1    µµµµ  somebody[2]\na sentence that goes on for longer than that\n"
	want := clearScreen + "12:00 top cpu\nPID  COMM…\n1    µµµµ…\na sentence that goes on for longer than that\n"
	if got := cutLines(text, 10); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := cutLines(text, 0); got != text {
		t.Errorf("a terminal without a width gets %q", got)
	}
	for width := 1; width < 40; width++ {
		for line := range strings.Lines(cutLines(strings.Repeat("a  b", 20)+"\n", width)) {
			if n := len([]rune(strings.TrimSpace(line))); n > width {
				t.Errorf("%d columns have %d runes", width, n)
			}
		}
	}
}
