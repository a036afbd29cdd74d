package record

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a file of three records and returns its text.
func write(t testing.TB) (path, text string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "r")
	w, err := Create(path, Header{View: "top", Args: []string{"cpu"}, Began: time.Unix(1, 0).UTC(), Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	w.Progress = func() { calls++ }
	for _, piece := range []string{"{\"a\":1}\n{\"b\"", ":2}\n", "{\"records\":3}\n"} {
		if _, err := io.WriteString(w, piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if calls != 3 || w.Records != 3 || w.Bytes != uint64(len(b)) {
		t.Errorf("%d records, %d bytes, %d calls", w.Records, w.Bytes, calls)
	}
	return path, string(b)
}

// all reads what there is, up to an error other than the end.
func all(text string) ([]string, error) {
	r, err := NewReader(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	var out []string
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, string(line))
	}
}

func TestRoundTrip(t *testing.T) {
	path, text := write(t)
	got, err := all(text)
	if err != nil || strings.Join(got, " ") != `{"a":1} {"b":2} {"records":3}` {
		t.Errorf("%q, %v", got, err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := Create(path, Header{}); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a file that is there: %v", err)
	}
	if after, _ := os.ReadFile(path); string(after) != text {
		t.Error("it was written over")
	}
	r, err := NewReader(strings.NewReader(text))
	if err != nil || r.Header.View != "top" || r.Header.Args[0] != "cpu" || r.Header.Version != Version {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestCut cuts a file at each of its bytes: what was whole is read, and the rest is told.
func TestCut(t *testing.T) {
	_, text := write(t)
	head := strings.IndexByte(text, '\n') + 1
	for n := head; n < len(text); n++ {
		got, err := all(text[:n])
		var cut *CutError
		if !errors.As(err, &cut) || int(cut.Records) != len(got) || len(got) != strings.Count(text[head:n], "\n") {
			t.Fatalf("cut at %d of %d: %q, %v", n, len(text), got, err)
		}
	}
}

func TestBad(t *testing.T) {
	_, text := write(t)
	head, rest, _ := strings.Cut(text, "\n")
	last := text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]
	for _, x := range []struct{ text, want string }{
		{"", "is empty"},
		{"hello\n", "no record of bearcat"},
		{"{}\n", "no record of bearcat"},
		{strings.Replace(text, `"bearcat_record":1`, `"bearcat_record":2`, 1), "has version 2"},
		{strings.Replace(text, `"view":"top"`, `"view":7`, 1), "cannot be read"},
		{head + "\n{\n" + rest, "is no JSON"},
		{head + "\n" + last, "has 0 tables and its last line says 3"},
		{text + "{}\n", "follows the last line"},
		{head + "\n" + strings.Repeat("x", LineMax+1), "longer than"},
	} {
		if _, err := all(x.text); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%.40q: %v, want %q", x.text, err, x.want)
		}
	}
	w, err := Create(filepath.Join(t.TempDir(), "r"), Header{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "no JSON\n"); err == nil {
		t.Error("it keeps what is no JSON")
	}
	if _, err := Create("/nowhere/r", Header{}); err == nil {
		t.Error("a file where there is no directory")
	}
}

func FuzzReader(f *testing.F) {
	_, text := write(f)
	f.Add(text)
	f.Add(text[:len(text)-5])
	f.Add("{\"bearcat_record\":1}\n{\"ended\":\"2026-01-01T00:00:00Z\",\"records\":0}\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := all(text)
		if err == nil && len(got)+2 != strings.Count(text, "\n") {
			t.Errorf("%d records of %d lines", len(got), strings.Count(text, "\n"))
		}
	})
}
