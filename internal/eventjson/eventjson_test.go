package eventjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bearcat-hids/bearcat/internal/event"
)

var testEncoder = NewEncoder("web-1", "5f0c6d1e-0000-4000-8000-000000000001")

// recode decodes a line and encodes it again.
func recode(t interface{ Fatalf(string, ...any) }, line []byte) []byte {
	ev, err := DecodeEvent(line)
	if err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
	return testEncoder.AppendEvent(nil, ev)
}

func TestRoundTripSamples(t *testing.T) {
	for _, ev := range samples() {
		line := testEncoder.AppendEvent(nil, ev)
		if !json.Valid(line) {
			t.Fatalf("not JSON: %s", line)
		}
		if again := recode(t, line); !bytes.Equal(line, again) {
			t.Errorf("%v:\n first %s\nsecond %s", ev.Type, line, again)
		}
	}
}

func TestDecodedProcess(t *testing.T) {
	want := sampleExec()
	got, err := DecodeEvent(AppendEvent(nil, want))
	if err != nil {
		t.Fatal(err)
	}
	g, w := got.Proc, want.Proc
	if g.Cred != w.Cred || g.Tty != w.Tty || *g.NS != *w.NS || g.Image.Exe != w.Image.Exe {
		t.Errorf("process differs: %+v, want %+v", g, w)
	}
	if diff := cmp.Diff(w.Cgroup, g.Cgroup); diff != "" {
		t.Errorf("control group differs:\n%s", diff)
	}
	if g.Cmdline != "deploy.sh ./deploy.sh two words caf\xe9 " {
		t.Errorf("command line %q", g.Cmdline)
	}
	if g.Image.Argv[3] != "caf\xe9" {
		t.Errorf("argument %q lost its bytes", g.Image.Argv[3])
	}
	var names []string
	for a := g.Parent; a != nil; a = a.Parent {
		names = append(names, a.Comm)
	}
	if got := strings.Join(names, " "); got != "bash sshd systemd" {
		t.Errorf("chain %q", got)
	}
	if !got.Time.Equal(want.Time) || *g.Image.Stdio[0].Sock != *w.Image.Stdio[0].Sock {
		t.Errorf("time %v, socket %+v", got.Time, g.Image.Stdio[0].Sock)
	}
	if want := sampleTime.Add(-(88_130_000_000 - 88_120_000_000)); !g.Parent.Time.Equal(want) {
		t.Errorf("parent started %v, want %v", g.Parent.Time, want)
	}
}

func TestAlertLine(t *testing.T) {
	line := testEncoder.AppendAlert(nil, sampleAlert())
	var got struct {
		Type, Priority, Rule, Output string
		Tags                         []string
		OutputFields                 map[string]any `json:"output_fields"`
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
	f := got.OutputFields
	if got.Type != "alert" || got.Priority != "Warning" || got.Rule != "Shell \x1b[2J" || len(got.Tags) != 2 ||
		f["user.name"] != "ada" || f["proc.pid"] != -5.0 || f["proc.is_exe_upper_layer"] != true || f["fd.name"] != nil || len(f) != 4 {
		t.Errorf("unexpected alert: %+v", got)
	}
	ev, err := DecodeEvent(line)
	if err != nil || ev.Proc.Pid != 40_123 {
		t.Errorf("event within the alert: %v, %v", ev, err)
	}
	empty := testEncoder.AppendAlert(nil, &event.Alert{})
	if _, err := DecodeEvent(empty); !errors.Is(err, ErrNotEvent) || !json.Valid(empty) {
		t.Errorf("alert without event: %v\n%s", err, empty)
	}
	loss := testEncoder.AppendLoss(nil, sampleTime, 12)
	if _, err := DecodeEvent(loss); !errors.Is(err, ErrNotEvent) || !json.Valid(loss) {
		t.Errorf("loss notice: %v\n%s", err, loss)
	}
}

func TestStringRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\xc3\xa9\xed\xb2\x80\\\"\x1b\x7f\xc2\x9b")))).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "text") {
			s = rapid.String().Draw(t, "s")
		}
		enc := AppendString(nil, s)
		if !json.Valid(enc) || !utf8.Valid(enc) {
			t.Fatalf("%q becomes invalid JSON %s", s, enc)
		}
		for _, r := range string(enc) {
			if r < 0x20 || r == 0x7f || r >= 0x80 && actsOnTerminal(r) {
				t.Fatalf("%q keeps %U in %q", s, r, enc)
			}
		}
		p := parser{in: enc}
		if got, err := p.str(); err != nil || got != s {
			t.Fatalf("%q comes back as %q, %v", s, got, err)
		}
	})
}

// TestPython checks the claim of the package comment about another parser.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	all := make([]byte, 0, 512)
	for i := range 256 {
		all = append(all, byte(i), byte(i))
	}
	all = append(all, "caf\u00e9 \u202e \U0001f43b \xed\xb2\x80"...)
	ev := sampleExec()
	ev.Proc.Image.Cwd = string(all)
	cmd := exec.Command(python, "-c", `import json,sys
sys.stdout.buffer.write(json.loads(sys.stdin.buffer.read())["process"]["cwd"].encode("utf-8","surrogateescape"))`)
	cmd.Stdin = bytes.NewReader(AppendEvent(nil, ev))
	got, err := cmd.Output()
	if err != nil || !bytes.Equal(got, all) {
		t.Errorf("python reads %q, %v; want %q", got, err, all)
	}
}

func TestTime(t *testing.T) {
	const layout = "2006-01-02T15:04:05.000000000Z"
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(minSec, maxSec).Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		if got, want := string(AppendTime(nil, at)), at.Format(layout); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
	for _, day := range []string{"0000-01-01", "0000-02-29", "0000-03-01", "1900-02-28", "2000-02-29", "2024-02-29", "2100-03-01", "9999-12-31"} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(AppendTime(nil, at)), at.Format(layout); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := string(appendNanos(nil, -1)); got != "1969-12-31T23:59:59.999999999Z" {
		t.Errorf("a nanosecond before 1970 is %s", got)
	}
}

func TestTTYDevice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Uint32().Draw(t, "dev")
		if got := joinTTY(splitTTY(d)); got != d {
			t.Fatalf("%#x becomes %#x", d, got)
		}
	})
}

func TestDeepChainIsCut(t *testing.T) {
	var p *event.Process
	for i := range uint32(5000) {
		p = &event.Process{Key: event.Key{Pid: i + 1, Start: 1}, Parent: p}
	}
	line := testEncoder.AppendEvent(nil, &event.Event{Type: event.Exec, Proc: p})
	if n := bytes.Count(line, []byte(`"comm"`)); n != MaxAncestors+2 { // itself and its short parent
		t.Errorf("%d names in the line", n)
	}
	if !bytes.Contains(line, []byte(`"parent":{"pid":4871,"start":1}}]`)) {
		t.Errorf("the last ancestor does not name its parent: …%s", line[len(line)-200:])
	}
	if again := recode(t, line); !bytes.Equal(line, again) {
		t.Error("a cut chain does not round-trip")
	}
}

// TestShortForm: what is not an exec names its process and no more, an alert
// about it has everything.
func TestShortForm(t *testing.T) {
	ev := *sampleAlert().Event
	ev.Type, ev.ExecInfo, ev.ExitInfo = event.Exit, nil, &event.ExitInfo{Code: 3}
	short := testEncoder.AppendEvent(nil, &ev)
	for _, long := range []string{`"ancestors"`, `"caps"`, `"argv"`, `"env"`, `"fds"`} {
		if bytes.Contains(short, []byte(long)) {
			t.Errorf("the line of an exit has %s: %s", long, short)
		}
		if alert := testEncoder.AppendAlert(nil, &event.Alert{Event: &ev}); !bytes.Contains(alert, []byte(long)) {
			t.Errorf("an alert about an exit lacks %s", long)
		}
	}
	got, err := DecodeEvent(short)
	if err != nil || got.Proc.Key != ev.Proc.Key || got.Proc.Comm != ev.Proc.Comm || got.Proc.Image.Exe.Path != ev.Proc.Image.Exe.Path ||
		got.Proc.Parent == nil || got.Proc.Parent.Comm != ev.Proc.Parent.Comm {
		t.Errorf("the short form comes back as %+v, %v", got, err)
	}
}

// TestFieldsAreComplete holds the documentation to what is written.
func TestFieldsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				p := strings.TrimPrefix(at+"."+k, ".")
				seen[p] = true
				if p != "output_fields" && p != "event" && p != "call.args" && k != "labels" {
					walk(p, e)
				}
			}
		case []any:
			for _, e := range v {
				if _, ok := e.(map[string]any); ok {
					walk(at+"[]", e)
				}
			}
		}
	}
	lines := [][]byte{testEncoder.AppendAlert(nil, sampleAlert()), testEncoder.AppendLoss(nil, sampleTime, 1)}
	for _, ev := range samples() {
		lines = append(lines, testEncoder.AppendEvent(nil, ev))
	}
	for _, line := range lines {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		walk("", v)
	}
	for _, ev := range samples() { // an alert has all of a process, whatever the event
		var v struct{ Event any }
		if err := json.Unmarshal(testEncoder.AppendAlert(nil, &event.Alert{Event: ev}), &v); err != nil {
			t.Fatal(err)
		}
		walk("", v.Event)
	}
	documented := map[string]bool{}
	for _, f := range Fields() {
		if documented[f.Path] {
			t.Errorf("%s is documented twice", f.Path)
		}
		documented[f.Path] = true
		if !seen[f.Path] {
			t.Errorf("%s is documented but never written", f.Path)
		}
		if f.Doc == "" || f.Type == "" || f.In == "" {
			t.Errorf("%s has no doc, type or line", f.Path)
		}
	}
	for p := range seen {
		if !documented[p] {
			t.Errorf("%s is written but not documented", p)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for line, want := range map[string]string{
		``:                              "expected '{'",
		`[]`:                            "expected '{', found '['",
		`{"type":"exec"`:                "expected '}'",
		`{"type":"exec"} x`:             "more text",
		`{"type":"zap"}`:                `unknown event type "zap"`,
		`{}`:                            `unknown event type ""`,
		`{"type":"exec","num":-1}`:      "-1 is not an integer",
		`{"type":"exec","num":1.5}`:     "1.5 is not an integer",
		`{"type":"exec","cpu":65536}`:   "65536 is not an integer from 0 to 2^16-1",
		`{"type":"exec","time":"noon"}`: `"noon" is not a time`,
		`{"type":"exec","process":{"comm":"\ud800"}}`:                        "surrogate without its pair",
		`{"type":"exec","process":{"comm":"\x"}}`:                            "unknown escape",
		`{"type":"exec","process":{"caps":{"effective":"12"}}}`:              "not a number such as 0x1f",
		`{"type":"exec","process":{"fds":[{"kind":"spoon"}]}}`:               "unknown kind",
		`{"type":"exec","process":{"tty":{"dev":"4096:0"}}}`:                 "not a terminal's device",
		`{"type":"exec","process":{"exe":{"mtime":"3000-01-01T00:00:00Z"}}}`: "year 3000",
		`{"type":"open","call":{"raw":[1]}}`:                                 "expected '\"'",
		`{"type":"open","call":{"raw":["1"]}}`:                               "not a number such as 0x1f",
		`{"type":"open","call":{"fd":{"num":2147483648}}}`:                   "not an integer of 32 bits",
		`{"type":"open","call":{"fd":{"kind":"spoon"}}}`:                     "unknown kind",
		`{"type":"exec","process":{"container":{"labels":{"a":1}}}}`:         "expected '\"'",
		`{"type":"gap","gap":{"class":"x"}}`:                                 "unknown class",
		`{"type":"exec","more":` + strings.Repeat("[", 99) + `}`:             "nested more than",
	} {
		if _, err := DecodeEvent([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// TestForeignOrder decodes what tools make of a line: members sorted, blanks
// added, unknown members and nulls among them.
func TestForeignOrder(t *testing.T) {
	line := testEncoder.AppendEvent(nil, samples()[0])
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(bytes.ReplaceAll(line, []byte(`\udce9`), []byte(`e`))))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	v["new"] = []any{1.5, "x", nil, true, map[string]any{"a": false}}
	v["gap"] = nil
	sorted, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := recode(t, sorted), bytes.ReplaceAll(line, []byte(`\udce9`), []byte(`e`)); !bytes.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	for _, ev := range samples() {
		f.Add(AppendEvent(nil, ev))
	}
	f.Add(testEncoder.AppendAlert(nil, sampleAlert()))
	f.Add([]byte(`{"type":"exec","process":{"pid":1e3}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		ev, err := DecodeEvent(line)
		if err != nil {
			return
		}
		first := testEncoder.AppendEvent(nil, ev)
		if !json.Valid(first) {
			t.Fatalf("not JSON: %s", first)
		}
		if again := recode(t, first); !bytes.Equal(first, again) {
			t.Fatalf("\n first %s\nsecond %s", first, again)
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	ev, buf := sampleExec(), make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		buf = testEncoder.AppendEvent(buf[:0], ev)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeEvent(b *testing.B) {
	line := testEncoder.AppendEvent(nil, sampleExec())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEvent(line); err != nil {
			b.Fatal(err)
		}
	}
}
