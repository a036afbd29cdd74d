package termtext

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestAppend(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, é ü 日本 🐻":  "plain text, é ü 日本 🐻",
		"\x1b[2J\r\n\t\x00\x7f": `\x1b[2J\x0d\x0a\x09\x00\x7f`,
		"\u009b1m\u0085":        `\u{9b}1m\u{85}`,
		"user\u202etxt.exe":     `user\u{202e}txt.exe`,
		"\u2066a\u2069\u200b":   `\u{2066}a\u{2069}\u{200b}`,
		"\xff\xc3(":             `\xff\xc3(`,
		"\ufffd":                "\ufffd",
		`\.php`:                 `\.php`,
		`\x41 \u{1} \\ \`:       `\\x41 \\u{1} \\\ \\`,
		"\\\x1b":                `\\\x1b`,
		"a\u00a0b\u2028":        `a\u{a0}b\u{2028}`,
	} {
		if got := String(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestAppendQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"":             `''`,
		"-rf":          `-rf`,
		"/a/b.c":       `/a/b.c`,
		"two words":    `'two words'`,
		"it's":         `'it'\''s'`,
		"$(x)":         `'$(x)'`,
		"~":            `'~'`,
		"a\nb'\\":      `$'a\nb\'\\'`,
		"\x1b]0;x\x07": `$'\x1b]0;x\x07'`,
		"é\xff":        `$'é\xff'`,
		"\u202e":       `$'\xe2\x80\xae'`,
	} {
		if got := string(AppendQuoted(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := string(AppendCommand(nil, []string{"sh", "-c", "a b"})); got != "sh -c 'a b'" {
		t.Errorf("command is %s", got)
	}
}

// TestShellReadsBack gives every byte but NUL to bash and takes it back.
func TestShellReadsBack(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	var in strings.Builder
	for i := 1; i < 256; i++ {
		in.WriteByte(byte(i))
		in.WriteString("1é")
	}
	for _, s := range []string{in.String(), "plain", "it's two", "\u202e\n"} {
		out, err := exec.Command(bash, "-c", "printf %s "+string(AppendQuoted(nil, s))).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q comes back as %q, %v", s, out, err)
		}
	}
}

// unescape undoes Append.
func unescape(s string) string {
	var out []byte
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], `\\`):
			out = append(out, '\\')
			i += 2
		case strings.HasPrefix(s[i:], `\x`):
			n, _ := strconv.ParseUint(s[i+2:i+4], 16, 8)
			out = append(out, byte(n))
			i += 4
		case strings.HasPrefix(s[i:], `\u{`):
			end := strings.IndexByte(s[i:], '}')
			n, _ := strconv.ParseUint(s[i+3:i+end], 16, 32)
			out = utf8.AppendRune(out, rune(n))
			i += end + 1
		default:
			out = append(out, s[i])
			i++
		}
	}
	return string(out)
}

func FuzzTermtext(f *testing.F) {
	for _, s := range []string{"", "\x1b[31m", "a\\x1b", "\u202e", "\xff\\", "\u009b\\\\u{41}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown, quoted := String(s), string(AppendQuoted(nil, s))
		for _, out := range []string{shown, quoted} {
			if !utf8.ValidString(out) {
				t.Fatalf("%q becomes invalid UTF-8 %q", s, out)
			}
			for _, r := range out {
				if !unicode.IsPrint(r) {
					t.Fatalf("%q keeps %U in %q", s, r, out)
				}
			}
		}
		if got := unescape(shown); got != s {
			t.Fatalf("%q is shown as %s, which reads back as %q", s, shown, got)
		}
	})
}
