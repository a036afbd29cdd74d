package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// terminal opens a terminal with that many columns; read gives what came out of it.
func terminal(t *testing.T, columns uint16) (end *os.File, read func() string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	if end, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		_, _ = b.ReadFrom(master) // ends with an error when the last one has closed the terminal
		text <- strings.ReplaceAll(b.String(), "\r\n", "\n")
	}()
	return end, func() string { end.Close(); return <-text }
}

// runShow runs a noun as on a command line.
func runShow(ctx context.Context, out interface{ Write([]byte) (int, error) }, args ...string) error {
	cmd := showCommand()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	return cmd.ExecuteContext(ctx)
}

// TestShowNouns looks with each noun in each of the ways that all have.
func TestShowNouns(t *testing.T) {
	guest.Once(t)
	me := strconv.Itoa(os.Getpid())
	l, err := net.Listen("unix", t.TempDir()+"/socket") // a guest may have none
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, noun := range []struct {
		args   string
		column string   // of the table that has rows here
		stay   []string // on a terminal of 40 columns
		list   string   // of the JSON, whose rows the table has
	}{
		{"proc", "pid", []string{"PID", "NAME", "PROGRAM"}, "processes"},
		{"tree", "tree", []string{"TREE", "PROGRAM"}, "processes"},
		{"fd", "fd", []string{"PID", "PROCESS", "FD", "WHAT"}, "files"},
		{"socket", "local", []string{"LOCAL", "REMOTE", "OWNERS"}, "sockets"},
		{"pipe", "pipe", []string{"PIPE", "WRITERS", "READERS"}, "pipes"},
		{"vma " + me, "address", []string{"ADDRESS", "RIGHTS", "FILE", "NOTE"}, "vmas"},
		{"mount", "point", []string{"POINT", "TYPE", "SOURCE"}, "mounts"},
		{"overlay", "", nil, ""},
		{"ns", "ns", []string{"TYPE", "NS", "FIRST"}, "namespaces"},
		{"cgroup", "path", []string{"PATH", "MEMORY"}, "cgroups"},
		{"bpf", "", nil, ""},
		{"module", "", nil, ""},
		{"hook", "", nil, ""},
		{"timer", "", nil, ""},
		{"sched " + me, "tid", []string{"TID", "NAME", "STATE"}, "tasks"},
		{"queue", "", nil, ""},
	} {
		t.Run(noun.args, func(t *testing.T) {
			args := strings.Fields(noun.args)
			end, read := terminal(t, 40)
			err := runShow(t.Context(), end, args...)
			text := read()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				if n := termtext.Width(line); n > 40 && !strings.HasPrefix(line, "note: ") && strings.Contains(line, "  ") {
					t.Errorf("a line of %d columns on a terminal of 40: %s", n, line)
				}
			}
			for _, c := range noun.stay {
				if !strings.Contains(text, c) {
					t.Errorf("column %s is not there on a terminal of 40 columns:\n%.400s", c, text)
				}
			}
			var b bytes.Buffer
			if err := runShow(t.Context(), &b, append(args, "--wide")...); err != nil {
				t.Errorf("--wide: %v", err)
			}
			b.Reset()
			var all map[string]any
			if err := runShow(t.Context(), &b, append(args, "--json")...); err != nil || json.Unmarshal(b.Bytes(), &all) != nil {
				t.Errorf("--json: %v: %.200s", err, b.String())
			}
			if noun.column == "" {
				return
			}
			b.Reset()
			if err := runShow(t.Context(), &b, append(args, "--sort", "-"+noun.column)...); err != nil {
				t.Errorf("--sort: %v", err)
			}
			b.Reset()
			var none map[string]any
			err = runShow(t.Context(), &b, append(args, "--json", "--where", noun.column+" = no-such-thing")...)
			if err != nil || json.Unmarshal(b.Bytes(), &none) != nil {
				t.Errorf("--where: %v: %.200s", err, b.String())
			}
			if n, _ := none[noun.list].([]any); len(n) > 0 {
				t.Errorf("--where leaves %d %s", len(n), noun.list)
			}
			if n, _ := all[noun.list].([]any); len(n) == 0 {
				t.Errorf("there are no %s in %.200s", noun.list, b.String())
			}
			err = runShow(t.Context(), &b, append(args, "--sort", "no_such_column")...)
			if err == nil || !strings.Contains(err.Error(), noun.column) {
				t.Errorf("an unknown column: %v", err)
			}
		})
	}
}

// TestNarrowMistakes makes mistakes in long conditions on a terminal of 40 columns: what is
// wrong is shown above the carets, in one row.
func TestNarrowMistakes(t *testing.T) {
	guest.Once(t)
	for _, args := range [][]string{
		{"show", "mount", "--where", "point startswith /srv/data and nosuch = 1 and type != tmpfs and options contains noexec"},
		{"show", "proc", "--where", "proc.name startswith nginx and nosuch.field = 1 and proc.pid > 1 and proc.pid < 100"},
		{"trace", "tcp", "host 10.0.0.5 and port 443 and nosuch and net 10.0.0.0/8 and not port 22"},
	} {
		end, read := terminal(t, 40)
		cmd := command(t, "bearcat", args...)
		cmd.Stderr = end
		err := cmd.Run()
		lines := strings.Split(read(), "\n")
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, "^") })
		if err == nil || i < 1 {
			t.Errorf("%q: %v: %q", args, err, lines)
			continue
		}
		text, at := []rune(lines[i-1]), strings.Index(lines[i], "^")
		if len(text) > 40 || len(lines[i]) > 40 || at >= len(text) || !strings.HasPrefix(string(text[at:]), "nosuch") {
			t.Errorf("%q is shown as\n%s\n%s", args, lines[i-1], lines[i])
		}
	}
}

// TestShowWatch looks again and again at a terminal, until it is interrupted.
func TestShowWatch(t *testing.T) {
	guest.Once(t)
	end, read := terminal(t, 80)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	twice := &stopAfter{f: end, stop: cancel, left: 2}
	if err := runShow(ctx, twice, "proc", "--watch", "10ms", "--where", "pid = "+strconv.Itoa(os.Getpid())); err != nil {
		t.Errorf("an interrupted watch ends with %v", err)
	}
	if text := read(); strings.Count(text, "PROGRAM") < 2 {
		t.Errorf("the table was not shown again:\n%s", text)
	}
}

// stopAfter stops when the table's head came some times.
type stopAfter struct {
	f    *os.File
	stop func()
	left int
}

func (s *stopAfter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("PROGRAM")) {
		if s.left--; s.left == 0 {
			s.stop()
		}
	}
	return s.f.Write(b)
}
