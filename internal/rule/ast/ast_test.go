package ast

import (
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		fold, want    bool
	}{
		{"", "", false, true},
		{"*", "", false, true},
		{"*", "a/b\nc", false, true},
		{"a*", "abc", false, true},
		{"*a*b*", "xaybz", false, true},
		{"*a*b*", "xbyaz", false, false},
		{"a*a", "a", false, false},
		{"a?c", "abc", false, true},
		{"a?c", "aäc", false, true},
		{"a?c", "ac", false, false},
		{"[abc]", "b", false, true},
		{"[!abc]", "b", false, false},
		{"[^abc]", "d", false, true},
		{"[a-c]x", "bx", false, true},
		{"[]]", "]", false, true},
		{"[]-]", "-", false, true},
		{"[a\\-c]", "b", false, false},
		{"[[:digit:]]", "7", false, true},
		{"[a", "[a", false, true},
		{"\\*", "*", false, true},
		{"\\*", "x", false, false},
		{"a.c", "abc", false, false},
		{"A*", "abc", false, false},
		{"A*", "abc", true, true},
		{"+(a|b)c", "abac", false, true},
		{"?(a)c", "c", false, true},
		{"*(a|b*)", "bxx", false, true},
		{"@(a|b)", "c", false, false},
		{"(a)", "(a)", false, true},
	} {
		g, err := CompileGlob(tt.pattern, tt.fold)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if got := g.Match(tt.text); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.pattern, tt.text, got, tt.want)
		}
	}
	for _, bad := range []string{"!(a)", "@(a", "[z-a]", strings.Repeat("@(", 20), strings.Repeat("x", 5000)} {
		if _, err := CompileGlob(bad, false); err == nil {
			t.Errorf("%.20q compiles", bad)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*[!b-d]?@(x|y)", "abcx", true)
	f.Add("[[:alpha:]-\\]]", "]", false)
	f.Fuzz(func(t *testing.T, pattern, text string, fold bool) {
		g, err := CompileGlob(pattern, fold)
		if err != nil {
			return
		}
		g.Match(text)
		if lit, ok := g.Literal(); ok && !g.Match(lit) {
			t.Fatalf("%q does not match itself", pattern)
		}
	})
}

func TestParseNumber(t *testing.T) {
	for _, tt := range []struct {
		text string
		op   Op
		want int64
		ok   bool
	}{
		{"12", OpEq, 12, true}, {"-1", OpEq, -1, true}, {"+3", OpEq, 3, true}, {"0x1F", OpEq, 31, true}, {"5.0", OpEq, 5, true}, {"1e3", OpEq, 1000, true},
		{"1.5", OpEq, 0, false}, {"1.5", OpLt, 2, true}, {"1.5", OpLe, 1, true}, {"1.5", OpGt, 1, true}, {"1.5", OpGe, 2, true},
		{"-1.5", OpLt, -1, true}, {"-1.5", OpLe, -2, true}, {"-1.5", OpGt, -2, true}, {"-1.5", OpGe, -1, true},
		{"", OpEq, 0, false}, {"x", OpEq, 0, false}, {"0x", OpEq, 0, false}, {"1e400", OpEq, 0, false}, {"nan", OpEq, 0, false}, {"inf", OpLt, 0, false},
		{"9223372036854775807", OpEq, 1<<63 - 1, true}, {"9223372036854775808", OpEq, 0, false}, {"0xffffffffffffffff", OpEq, 0, false}, {"1_000", OpEq, 0, false},
	} {
		n, err := parseNumber(tt.text, tt.op)
		if (err == nil) != tt.ok || tt.ok && n != tt.want {
			t.Errorf("%s after %s is %d, %v; want %d", tt.text, tt.op, n, err, tt.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	src := NewSource("f", "ab\näö x\n")
	a := NewText("x", src, []int32{int32(strings.Index(src.Data, "x"))})
	b := NewText("ab", src, []int32{0, 1, 2})
	both := b.Append(a)
	if both.Value != "ab x" {
		t.Fatalf("joined: %q", both.Value)
	}
	for off, want := range map[int]Pos{0: {"f", 1, 1}, 1: {"f", 1, 2}, 3: {"f", 2, 4}} {
		if got := (Span{Text: both, From: off, To: off + 1}).Pos(); got != want {
			t.Errorf("byte %d is at %v, want %v", off, got, want)
		}
	}
	d := NewDiag(Error, CodeSyntax, Span{Text: a, From: 0, To: 1}, "m")
	if got, want := d.Excerpt(), "äö x\n   ^"; got != want {
		t.Errorf("excerpt %q, want %q", got, want)
	}
	if (Diag{}).Excerpt() != "" {
		t.Error("a diagnostic without a line has an excerpt")
	}
}
