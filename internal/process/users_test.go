package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func TestUsers(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	write := func(path, text string) {
		t.Helper()
		// as useradd does: a new file in the place of the old
		if err := os.WriteFile(path+"+", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+"+", path); err != nil {
			t.Fatal(err)
		}
	}
	write(passwd, "root:x:0:0:root:/root:/bin/sh\nalias:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n")
	write(group, "root:x:0:\nstaff:x:50:alice,bob\n")
	u, err := NewUsers(passwd, group)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	u.now = func() time.Time { return now }
	if u.User(0) != "root" || u.User(1000) != "alice" || u.User(1) != "" || u.User(event.Unset) != "" ||
		u.Group(50) != "staff" || u.Group(51) != "" || u.Group(event.Unset) != "" {
		t.Fatalf("%+v", u)
	}
	write(passwd, "root:x:0:0\nbob:x:1000:1000\n")
	refresh := func() {
		t.Helper()
		if err := u.Refresh(); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	if u.User(1000) != "alice" {
		t.Fatal("looked twice within a second")
	}
	now = now.Add(2 * time.Second)
	refresh()
	if u.User(1000) != "bob" {
		t.Fatal("a change was not seen")
	}
	if err := os.Remove(passwd); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	refresh()
	if u.User(1000) != "bob" {
		t.Fatal("a missing file took the names away")
	}
	if err := os.Mkdir(passwd, 0o700); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if err := u.Refresh(); err == nil || !strings.Contains(err.Error(), "regular") || u.User(1000) != "bob" {
		t.Fatalf("a directory for a file: %v", err)
	}
}

func TestUsersFillProcesses(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	if err := os.WriteFile(passwd, []byte("seven:x:7:8\nlogin:x:9:9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(group, []byte("eight:x:8:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := NewUsers(passwd, group)
	if err != nil {
		t.Fatal(err)
	}
	tab := testTable(Config{Users: u})
	rec := execRec(k(1, 1), 10, "/bin/a", "a")
	rec.Cred = event.Cred{UID: 7, GID: 8, LoginUID: 9}
	apply(t, tab, rec)
	p := apply(t, tab, forkRec(k(2, 2), k(1, 1), 20)).Proc
	if p.User != "seven" || p.Group != "eight" || p.LoginUser != "login" {
		t.Fatalf("%+v", p)
	}
}

func FuzzParseIDs(f *testing.F) {
	f.Add([]byte("root:x:0:0\n+nis::::\n#x:x:1:\n:x:2:\nneg:x:-1:\nbig:x:99999999999:\nunset:x:4294967295:\na:b\n\xff:x:5:5\nesc\x1b[:x:6:"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for id, name := range parseIDs(text) {
			if !plainName([]byte(name)) || id == event.Unset || !strings.Contains(string(text), name+":") {
				t.Fatalf("%d is called %q", id, name)
			}
		}
	})
}

func TestParseIDsTolerates(t *testing.T) {
	got := parseIDs([]byte("good:x:1:1\n+nis:x:2:\n#x:x:3:\n:x:4:\nneg:x:-5:\nbig:x:99999999999:\nunset:x:4294967295:\na:b\nesc\x1b[:x:6:\nlast:x:7"))
	if len(got) != 2 || got[1] != "good" || got[7] != "last" {
		t.Fatalf("%v", got)
	}
}
