package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// textFormat writes an event's old name as its line, and an alert's output.
type textFormat struct{}

func (textFormat) AppendEvent(dst []byte, ev *event.Event) []byte {
	return append(append(dst, ev.OldComm...), '\n')
}

func (textFormat) AppendAlert(dst []byte, a *event.Alert) []byte {
	return append(append(dst, a.Output...), '\n')
}

func (textFormat) AppendLoss(dst []byte, _ time.Time, n uint64) []byte {
	return fmt.Appendf(dst, "lost %d\n", n)
}

// fakeTarget records what is written, and fails while fail says so.
type fakeTarget struct {
	mu     sync.Mutex
	writes []string
	tries  int
	fail   func() (int, error)
	block  chan struct{}
	closed bool
}

func (f *fakeTarget) WriteLines(b []byte) (int, error) {
	if f.block != nil {
		<-f.block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.fail != nil {
		n, err := f.fail()
		if err != nil {
			f.writes = append(f.writes, string(b[:n]))
			return n, err
		}
	}
	f.writes = append(f.writes, string(b))
	return len(b), nil
}

func (f *fakeTarget) Close() error { f.closed = true; return nil }

func (f *fakeTarget) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.writes, "")
}

func (f *fakeTarget) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries
}

func (f *fakeTarget) setFail(fail func() (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func named(s string) *event.Event { return &event.Event{OldComm: s} }

func check(t *testing.T, s Stats) {
	t.Helper()
	if s.In != s.Out+s.Dropped+s.Waiting {
		t.Errorf("the counts do not add up: %+v", s)
	}
}

func TestBatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{}
		w := NewWriter("test", textFormat{}, f, Options{Events: true})
		time.Sleep(time.Hour) // idle: nothing is written
		for i := range 5 {
			w.Event(named(fmt.Sprint(i)))
		}
		time.Sleep(DefaultDelay - time.Millisecond)
		synctest.Wait()
		if f.count() != 0 {
			t.Fatalf("written too early: %q", f.writes)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if f.count() != 1 || f.text() != "0\n1\n2\n3\n4\n" {
			t.Fatalf("%d writes: %q", f.count(), f.writes)
		}
		w.Event(named("before"))
		w.Alert(&event.Alert{Output: "alert"})
		synctest.Wait()
		if f.count() != 2 || !strings.HasSuffix(f.text(), "before\nalert\n") {
			t.Fatalf("an alert does not flush: %q", f.writes)
		}
		w.Event(named(strings.Repeat("x", DefaultFlushSize)))
		synctest.Wait()
		if f.count() != 3 {
			t.Fatal("a full batch is not flushed")
		}
		w.Event(named("last"))
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := w.Stats()
		check(t, s)
		if s.In != 9 || s.Out != 9 || s.Bytes != uint64(len(f.text())) || !f.closed {
			t.Errorf("stats %+v", s)
		}
		w.Event(named("late"))
		w.Alert(&event.Alert{Output: "late"})
		if s := w.Stats(); s.Dropped != 2 || s.DroppedAlerts != 1 {
			t.Errorf("after the end: %+v", s)
		}
	})
}

// TestManyBatches: what piles up behind a slow target comes in order and whole, and
// the buffers serve again.
func TestManyBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{block: make(chan struct{})}
		w := NewWriter("test", textFormat{}, f, Options{Events: true, FlushSize: 100})
		var want strings.Builder
		for i := range 500 {
			line := fmt.Sprintf("%d %s", i, strings.Repeat("x", i%40))
			w.Event(named(line))
			want.WriteString(line + "\n")
		}
		synctest.Wait()
		if s := w.Stats(); s.Waiting != 500 || s.Out != 0 {
			t.Fatalf("stats %+v", s)
		}
		close(f.block)
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.text() != want.String() {
			t.Errorf("wrote %q", f.text())
		}
		s := w.Stats()
		check(t, s)
		if s.Out != 500 || w.waiting != 0 || len(w.spare) != spareBuffers || f.count() < 50 {
			t.Errorf("stats %+v, %d bytes wait, %d buffers are kept, %d writes", s, w.waiting, len(w.spare), f.count())
		}
	})
}

func TestEventsOff(t *testing.T) {
	f := &fakeTarget{}
	w := NewWriter("test", textFormat{}, f, Options{})
	w.Event(named("x"))
	w.Alert(&event.Alert{Output: "a"})
	if err := w.Close(t.Context()); err != nil || f.text() != "a\n" {
		t.Errorf("%v, wrote %q", err, f.text())
	}
}

func TestSlowTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{block: make(chan struct{})}
		w := NewWriter("test", textFormat{}, f, Options{Events: true, Limit: 800})
		line := strings.Repeat("e", 99)
		for range 20 {
			w.Event(named(line)) // 100 bytes each; 7 fit into seven eighths of 800
		}
		if s := w.Stats(); s.Waiting != 7 || s.Dropped != 13 {
			t.Fatalf("stats %+v", s)
		}
		// the reserve holds an alert, and the notice before it
		w.Alert(&event.Alert{Output: "one"})
		if s := w.Stats(); s.DroppedAlerts != 0 || s.Waiting != 9 {
			t.Fatalf("stats %+v", s)
		}
		start := time.Now()
		big := &event.Alert{Output: strings.Repeat("a", 300)}
		w.Alert(big)
		if waited := time.Since(start); waited != DefaultAlertWait {
			t.Errorf("an alert without room waited %v", waited)
		}
		w.Alert(big)
		if waited := time.Since(start); waited != DefaultAlertWait {
			t.Errorf("the second alert waited too: %v", waited)
		}
		if s := w.Stats(); s.DroppedAlerts != 2 || s.Dropped != 15 {
			t.Errorf("stats %+v", s)
		}
		close(f.block)
		synctest.Wait()
		w.Event(named("after"))
		if err := w.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "15 of 26 lines were lost") {
			t.Errorf("closing says %v", err)
		}
		want := strings.Repeat(line+"\n", 7) + "lost 13\none\nlost 2\nafter\n"
		if f.text() != want {
			t.Errorf("wrote %q", f.text())
		}
		check(t, w.Stats())
	})
}

func TestAlertWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{block: make(chan struct{})}
		w := NewWriter("test", textFormat{}, f, Options{Limit: 100})
		w.Alert(&event.Alert{Output: strings.Repeat("a", 90)})
		go func() {
			time.Sleep(DefaultAlertWait / 2)
			close(f.block)
		}()
		start := time.Now()
		w.Alert(&event.Alert{Output: strings.Repeat("b", 90)})
		if waited := time.Since(start); waited != DefaultAlertWait/2 {
			t.Errorf("waited %v", waited)
		}
		if err := w.Close(t.Context()); err != nil || len(f.text()) != 182 {
			t.Errorf("%v, wrote %q", err, f.text())
		}
	})
}

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		log := slog.New(slog.NewTextHandler(&said, nil))
		f := &fakeTarget{}
		w := NewWriter("test", textFormat{}, f, Options{Events: true, Limit: 64, Log: log})
		first := true
		f.setFail(func() (int, error) {
			if first { // the first of two lines still finds room
				first = false
				return 2, unix.ENOSPC
			}
			return 0, unix.ENOSPC
		})
		w.Event(named("a"))
		w.Event(named("b"))
		time.Sleep(time.Minute)
		if f.count() < 50 || f.count() > 80 {
			t.Errorf("%d tries in a minute", f.count())
		}
		for i := range 40 {
			w.Event(named(fmt.Sprint(100 + i)))
		}
		s := w.Stats()
		check(t, s)
		if s.Out != 1 || s.Dropped != 40-13 || s.Errors == 0 || !strings.Contains(s.LastError, "no space left") {
			t.Errorf("stats while full: %+v", s)
		}
		f.setFail(nil)
		time.Sleep(2 * time.Second)
		w.Event(named("z"))
		_ = w.Close(t.Context())
		if got := f.text(); !strings.HasPrefix(got, "a\nb\n100\n") || !strings.HasSuffix(got, "112\nlost 27\nz\n") {
			t.Errorf("wrote %q", got)
		}
		if n := strings.Count(said.String(), "cannot be written"); n != 1 {
			t.Errorf("the failure was said %d times:\n%s", n, said.String())
		}
		if !strings.Contains(said.String(), "can be written again") || !strings.Contains(said.String(), "lines_lost=27") {
			t.Errorf("the end was not said:\n%s", said.String())
		}
		check(t, w.Stats())
	})
}

func TestCloseOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{fail: func() (int, error) { return 0, unix.ENOSPC }}
		w := NewWriter("test", textFormat{}, f, Options{Events: true})
		w.Event(named("a"))
		time.Sleep(time.Second)
		w.Alert(&event.Alert{Output: "b"})
		err := w.Close(t.Context())
		if err == nil || !strings.Contains(err.Error(), "2 of 2 lines were lost, last error: no space left") {
			t.Errorf("closing says %v", err)
		}
		if s := w.Stats(); s.Dropped != 2 || s.DroppedAlerts != 1 || s.Waiting != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestCloseOnStuckTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{block: make(chan struct{})}
		w := NewWriter("test", textFormat{}, f, Options{})
		w.Alert(&event.Alert{Output: "a"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closing says %v", err)
		}
		if s := w.Stats(); s.Waiting != 1 {
			t.Errorf("stats %+v", s)
		}
		close(f.block) // let the goroutine end
	})
}

func TestReaderGone(t *testing.T) {
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 2)
	w := NewWriter("test", textFormat{}, NewStream(out), Options{OnClosed: func(err error) { gone <- err }})
	r.Close()
	for range 3 {
		w.Alert(&event.Alert{Output: "a"})
	}
	if err := <-gone; !errors.Is(err, ErrClosed) {
		t.Errorf("reported %v", err)
	}
	w.Alert(&event.Alert{Output: "b"})
	if err := w.Close(t.Context()); err == nil {
		t.Error("closing hides the loss")
	}
	if s := w.Stats(); s.Dropped != 4 || s.Out != 0 || len(gone) != 0 {
		t.Errorf("stats %+v, reported %d times more", s, len(gone))
	}
}

func TestDevFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full: ", err)
	}
	w := NewWriter("test", textFormat{}, NewStream(full), Options{})
	w.Alert(&event.Alert{Output: "a"})
	if err := w.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("closing says %v", err)
	}
}

// shortWriter takes what is left of its room.
type shortWriter struct {
	strings.Builder
	room int
}

func (s *shortWriter) Write(b []byte) (int, error) {
	n := min(len(b), s.room)
	s.room -= n
	s.Builder.Write(b[:n])
	if n < len(b) {
		return n, unix.ENOSPC
	}
	return n, nil
}

func TestStreamEndsHalfLines(t *testing.T) {
	out := &shortWriter{room: 5}
	s := NewStream(out)
	n, err := s.WriteLines([]byte("ab\ncd\n"))
	if n != 3 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("took %d, %v", n, err)
	}
	if n, err := s.WriteLines([]byte("cd\n")); n != 0 || err == nil {
		t.Errorf("took %d, %v without room", n, err)
	}
	out.room = 100
	if n, err := s.WriteLines([]byte("cd\n")); n != 3 || err != nil || out.String() != "ab\ncd\ncd\n" {
		t.Errorf("took %d, %v: %q", n, err, out.String())
	}
}

func TestStdout(t *testing.T) {
	s, err := Stdout()
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := s.w.(*os.File); !ok || f.Fd() <= 2 {
		t.Error("standard output has no descriptor of its own")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.WriteLines([]byte("x\n")); !errors.Is(err, ErrClosed) {
		t.Errorf("writing after the end: %v", err)
	}
}

func BenchmarkEvent(b *testing.B) {
	w := NewWriter("test", textFormat{}, &discard{}, Options{Events: true})
	ev := named(strings.Repeat("x", 1000))
	b.ReportAllocs()
	for b.Loop() {
		w.Event(ev)
	}
	_ = w.Close(context.Background())
}

type discard struct{}

func (discard) WriteLines(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                     { return nil }
