package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/top"
)

func TestKeysOf(t *testing.T) {
	for text, want := range map[string][]key{
		"sq":                       {'s', 'q'},
		"\x1b[A\x1b[B\x1bOA":       {keyUp, keyDown, keyUp},
		"\x1b":                     {keyEscape},
		"\x1b[1;5A":                {keyUp},
		"\x1b[":                    nil,
		"\x1b[3~x":                 {'x'},
		"é\r\x7f\b":                {'é', keyEnter, keyErase, keyErase},
		"\x00\x01\xff":             nil,
		"\x1bq":                    {keyEscape, 'q'},
		"\x1b[" + "1;1;1" + "Cp\n": {'p', keyEnter},
	} {
		if got := keysOf([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func FuzzKeysOf(f *testing.F) {
	f.Add([]byte("\x1b[A/x\x7f\r"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range keysOf(b) {
			if k < keyErase || k >= 0 && k < ' ' {
				t.Errorf("%q gives the key %d", b, k)
			}
		}
	})
}

// pty is a terminal of 100 columns and 20 rows: what programs have of it, and its other end.
func pty(t *testing.T) (terminal, other *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminal can be made here: ", err)
	}
	t.Cleanup(func() { _ = other.Close() })
	fd := int(other.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 100})
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("no terminal can be made here: ", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return terminal, other
}

// TestListen takes keys one by one and unseen, and gives the terminal back.
func TestListen(t *testing.T) {
	terminal, other := pty(t)
	keys, restore, ok := listen(terminal)
	if !ok || !isTerminal(terminal) || widthOf(terminal) != 100 || heightOf(terminal) != 20 {
		t.Fatalf("a terminal is none: %d columns, %d rows", widthOf(terminal), heightOf(terminal))
	}
	for _, want := range []key{'p', keyUp, keyEnter} {
		text := map[key]string{'p': "p", keyUp: "\x1b[A", keyEnter: "\r"}[want]
		if _, err := other.WriteString(text); err != nil {
			t.Fatal(err)
		}
		select {
		case k := <-keys:
			if k != want {
				t.Errorf("%q is %d", text, k)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q is not told", text)
		}
	}
	modes := func() uint32 {
		m, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return m.Lflag & (unix.ICANON | unix.ECHO)
	}
	if modes() != 0 {
		t.Error("the terminal shows what is typed")
	}
	if restore(); modes() != unix.ICANON|unix.ECHO {
		t.Error("the terminal is not given back as it was")
	}
	if _, _, ok := listen(strings.NewReader("q")); ok {
		t.Error("a reader is a terminal")
	}
}

// TestKeysOfTop presses keys at a table of two processes.
func TestKeysOfTop(t *testing.T) {
	cpu, _ := top.ViewNamed("cpu")
	o := top.Options{View: cpu, Scope: kernel.HostScope()}
	var screen bytes.Buffer
	frame, err := cpuFrame().Sorted("")
	if err != nil {
		t.Fatal(err)
	}
	columns := frame.Columns
	s := &topSession{out: &topOutput{rows: 20, interval: time.Second}, w: &screen, frame: frame, at: -1}
	shows := func(what string, want ...string) {
		t.Helper()
		screen.Reset()
		if err := s.draw(o); err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, w := range want {
			next := strings.Index(screen.String()[at:], w)
			if next < 0 {
				t.Errorf("%s: %q is not where it belongs in\n%s", what, w, screen.String())
				return
			}
			at += next
		}
	}
	presses := func(text string) (last topMove, pid uint32) {
		for _, k := range keysOf([]byte(text)) {
			last, pid = s.press(k, o)
		}
		return last, pid
	}
	s.sort = cpu.Columns[0]
	shows("at first", "two", "=one", "sorted by ON%", "q quit")
	presses(strings.Repeat("s", slices.Index(columns, "VOL/s")-slices.Index(columns, "ON%")))
	shows("by another column", "=one", "two", "sorted by VOL/s")
	presses("S")
	if s.sort != columns[slices.Index(columns, "VOL/s")-1] {
		t.Errorf("it goes back to %s", s.sort)
	}
	if presses(strings.Repeat("S", len(columns))); s.sort != columns[slices.Index(columns, "VOL/s")-1] {
		t.Errorf("once round is %s", s.sort)
	}
	presses("/TWx\x7f")
	shows("while typing", "two", "filter: TW_")
	presses("\r")
	if shows("filtered", "two", `lines with "TW"`); strings.Contains(screen.String(), "9.5") {
		t.Errorf("the filter leaves\n%s", screen.String())
	}
	if _, pid := presses("\x1b[B\r"); pid != 2 {
		t.Errorf("process %d is chosen, want the one that the filter leaves", pid)
	}
	presses("\x1b")
	if s.filter != "" {
		t.Error("Escape leaves the filter")
	}
	presses("p")
	shows("paused", ">", "paused")
	s.at = -1
	if move, _ := presses("\r"); move != stay || s.note == "" {
		t.Errorf("Enter without a line leads to %d, and says %q", move, s.note)
	}
	for text, want := range map[string]topMove{"q": leave, "v": other, "\x1b": back, "j\r": into} {
		if move, _ := presses(text); move != want {
			t.Errorf("%q leads to %d, want %d", text, move, want)
		}
	}
	s.at = 99
	shows("a line that is not there any more", ">")
	s.frame = nil
	shows("before the first table", "the first table comes in 1s")
}

func TestViewAfter(t *testing.T) {
	last := top.Views()[len(top.Views())-1]
	if v := viewAfter(top.Options{View: last}); v.Name != top.Views()[0].Name {
		t.Errorf("behind the last is %s", v.Name)
	}
	file, _ := top.ViewNamed("file")
	if v := viewAfter(top.Options{View: file}); v.Name != "bpf" {
		t.Errorf("behind files is %s", v.Name)
	}
	if v := viewAfter(top.Options{View: file, Pid: 7}); !v.ForProcesses() {
		t.Errorf("%s cannot show one process", v.Name)
	}
}
