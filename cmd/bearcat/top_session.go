package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/top"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
	"golang.org/x/sys/unix"
)

// topSession is bearcat top on a terminal: what was chosen by keys, and what is shown.
type topSession struct {
	out  *topOutput
	w    io.Writer
	keys <-chan key

	frame  *top.Frame // the last one, sorted as it came
	shown  int        // how many tables there were
	sort   string     // the column
	filter string     // only lines with it are shown
	typing bool       // the filter
	paused bool
	at     int // the line that is chosen, -1 for none
	note   string
}

// topMove is where a key leads.
type topMove int

const (
	stay topMove = iota
	leave
	into
	other
	back
)

// run shows views until the session is left. Views that were left for one process are below
// it and come again.
func (s *topSession) run(ctx context.Context, o top.Options) error {
	views := []top.Options{o}
	for {
		here := views[len(views)-1]
		next, pid, err := s.view(ctx, here)
		if err != nil && len(views) > 1 { // the process has gone, as they do
			s.note, next, err = err.Error(), back, nil
		}
		if err != nil || next == leave {
			if errors.Is(err, syscall.EPIPE) {
				err = nil
			}
			return err
		}
		switch next {
		case into:
			here.Pid = pid
			if here.View.Name == "tcp" { // its connections, one by one
				here.View, _ = top.ViewNamed("conn")
				here.Sort = ""
			}
			views = append(views, here)
		case back:
			if len(views) > 1 {
				views = views[:len(views)-1]
			}
		case other:
			here.View, here.Sort = viewAfter(here), ""
			views[len(views)-1] = here
		}
	}
}

// viewAfter is the view behind a session's one, of those that can show what is chosen.
func viewAfter(o top.Options) top.View {
	all := top.Views()
	at := slices.IndexFunc(all, func(v top.View) bool { return v.Name == o.View.Name })
	chosen := o.Pid != 0 || o.Comm != "" || o.Net != 0 || o.Cgroup != "" || o.Scope.CgroupID != 0
	for i := range all {
		if v := all[(at+1+i)%len(all)]; v.ForProcesses() || !chosen {
			return v
		}
	}
	return o.View
}

type framed struct {
	frame *top.Frame
	err   error
}

// view shows one view until a key leads elsewhere; pid is then the process that is chosen.
func (s *topSession) view(ctx context.Context, o top.Options) (next topMove, pid uint32, err error) {
	watched, err := top.Open(o)
	if err != nil {
		return leave, 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	frames := make(chan framed)
	go func() {
		defer close(frames)
		for ctx.Err() == nil {
			f, err := watched.Next(ctx, s.out.interval)
			select {
			case frames <- framed{f, err}:
			case <-ctx.Done():
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range frames { // the reading has to end before the programs do
		}
		watched.Close()
	}()
	s.frame, s.sort, s.at = nil, o.Sort, -1
	if err := s.draw(o); err != nil {
		return leave, 0, err
	}
	for {
		select {
		case <-ctx.Done():
			return leave, 0, nil
		case f, more := <-frames:
			if !more || f.err != nil {
				return leave, 0, f.err
			}
			if s.paused {
				continue
			}
			s.frame, s.note = f.frame, ""
			if s.shown++; s.out.count > 0 && s.shown >= s.out.count {
				return leave, 0, s.draw(o)
			}
		case k, more := <-s.keys:
			if !more { // the terminal has gone
				return leave, 0, nil
			}
			if next, pid = s.press(k, o); next != stay {
				return next, pid, nil
			}
		}
		if err := s.draw(o); err != nil {
			return leave, 0, err
		}
	}
}

// press does what a key asks for.
func (s *topSession) press(k key, o top.Options) (topMove, uint32) {
	if s.typing {
		s.write(k)
		return stay, 0
	}
	switch k {
	case 'q':
		return leave, 0
	case 's', 'S':
		s.nextColumn(o.View, k == 'S')
	case '/':
		s.typing, s.filter = true, ""
	case 'p', ' ':
		s.paused = !s.paused
	case keyUp, 'k':
		s.at = max(s.at-1, 0)
	case keyDown, 'j':
		s.at++
	case 'v':
		return other, 0
	case keyEnter:
		pid, ok := s.chosen()
		if ok && pid != o.Pid {
			return into, pid
		}
		s.note = "no process is chosen: choose a line with the arrows first"
	case keyEscape, keyErase:
		if s.filter == "" {
			return back, 0
		}
		s.filter = ""
	}
	return stay, 0
}

// write takes a key for the filter.
func (s *topSession) write(k key) {
	switch {
	case k == keyEnter:
		s.typing = false
	case k == keyEscape:
		s.typing, s.filter = false, ""
	case k == keyErase:
		if r := []rune(s.filter); len(r) > 0 {
			s.filter = string(r[:len(r)-1])
		}
	case k > 0 && len(s.filter) < 64:
		s.filter += string(rune(k))
	}
}

// nextColumn goes to the column right of the one that the table is sorted by, or left of it.
func (s *topSession) nextColumn(v top.View, left bool) {
	if s.sort == "" {
		s.sort = v.Columns[0]
	}
	if s.frame == nil {
		return
	}
	all := s.frame.Columns
	at := slices.Index(all, s.sort) + 1
	if left {
		at += len(all) - 2
	}
	s.sort = all[at%len(all)]
}

// lines are the frame as it is to be shown: sorted, and with the lines that the filter takes.
func (s *topSession) lines() (*top.Frame, error) {
	f := s.frame
	if s.sort != "" {
		var err error
		if f, err = f.Sorted(s.sort); err != nil {
			return nil, err
		}
	}
	shown := *f
	shown.Cells = slices.DeleteFunc(slices.Clone(f.Cells), func(row []string) bool {
		return s.filter != "" && !strings.Contains(strings.ToLower(strings.Join(row, " ")), strings.ToLower(s.filter))
	})
	return &shown, nil
}

// chosen is the process on the chosen line.
func (s *topSession) chosen() (pid uint32, ok bool) {
	if s.frame == nil || s.at < 0 {
		return 0, false
	}
	f, err := s.lines()
	if err != nil || s.at >= len(f.Cells) {
		return 0, false
	}
	column := slices.Index(f.Columns, "PID")
	if column < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(f.Cells[s.at][column], 10, 32)
	return uint32(n), err == nil && n != 0
}

// draw writes the screen.
func (s *topSession) draw(o top.Options) error {
	if s.frame == nil {
		_, err := fmt.Fprintf(s.w, "%stop %s: the first table comes in %s\n", clearScreen, o.View.Name, s.out.interval.Round(100*time.Millisecond))
		return err
	}
	f, err := s.lines()
	if err != nil {
		return err
	}
	s.at = min(s.at, len(f.Cells)-1)
	out := *s.out
	if high := heightOf(s.w); high > 0 { // the table ends where the screen does
		most := max(high-6-len(f.Notes), 3)
		if out.rows == 0 || out.rows > most {
			out.rows = most
		}
	}
	if s.at >= 0 {
		from := 0
		if out.rows > 0 { // the chosen line is in sight
			from = max(0, s.at-out.rows+1)
		}
		mark(f, s.at)
		f.Cells = f.Cells[from:]
	}
	text, err := out.text(f)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.w, cutLines(clearScreen+strings.TrimSuffix(text, "\n")+s.status(o), widthOf(s.w)))
	return err
}

// mark puts a column before the others that shows which line is chosen.
func mark(f *top.Frame, at int) {
	f.Columns = append([]string{" "}, f.Columns...)
	for i, row := range f.Cells {
		sign := " "
		if i == at {
			sign = ">"
		}
		f.Cells[i] = append([]string{sign}, row...)
	}
}

// status is the last line: what was chosen, and which keys there are.
func (s *topSession) status(o top.Options) string {
	var parts []string
	if s.paused {
		parts = append(parts, "paused")
	}
	if o.Pid != 0 {
		parts = append(parts, fmt.Sprintf("process %d", o.Pid))
	}
	switch {
	case s.typing:
		return "filter: " + termtext.String(s.filter) + "_"
	case s.filter != "":
		parts = append(parts, "lines with "+strconv.Quote(termtext.String(s.filter)))
	}
	if s.note != "" {
		parts = append(parts, termtext.String(s.note))
	}
	column := s.sort
	if column == "" {
		column = o.View.Columns[0]
	}
	parts = append(parts, "s sorted by "+column, "/ filter", "p pause", "v view", "arrows Enter one process", "Esc back", "q quit")
	return strings.Join(parts, ", ")
}

// heightOf is how many rows a terminal has, 0 where it does not say.
func heightOf(w io.Writer) int {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
