package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// The defaults of Options.
const (
	DefaultLimit     = 8 << 20
	DefaultFlushSize = 64 << 10
	DefaultDelay     = 20 * time.Millisecond
	DefaultAlertWait = 250 * time.Millisecond

	// maxBackoff is how long a failing target is left alone at most.
	maxBackoff = time.Second
	minBackoff = 50 * time.Millisecond
	// quiet is how long nothing is logged of further failures.
	quiet = 10 * time.Second
	// spareBuffers is how many buffers are kept for later, each a batch long.
	spareBuffers = 16
)

// Options are a writer's settings; the zero value has the defaults.
type Options struct {
	// Events says that events are written, not only alerts.
	Events bool
	// Limit bounds the bytes that wait or are being written. Events may fill
	// seven eighths of it; the rest is kept for alerts.
	Limit int
	// FlushSize and Delay say when a batch is written: at that size, or that
	// long after its first line, or at once for an alert.
	FlushSize int
	Delay     time.Duration
	// AlertWait is how long an alert waits for room.
	AlertWait time.Duration
	// Log is told once when writing begins to fail and once when it works
	// again. Nil for none.
	Log *slog.Logger
	// OnClosed is called once, on the writer's goroutine, when the target
	// reports ErrClosed. Nil for none. It must not call Close.
	OnClosed func(error)
}

func (o Options) withDefaults() Options {
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.FlushSize <= 0 {
		o.FlushSize = DefaultFlushSize
	}
	if o.Delay <= 0 {
		o.Delay = DefaultDelay
	}
	if o.AlertWait <= 0 {
		o.AlertWait = DefaultAlertWait
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Writer is the Sink that joins a format and a target.
type Writer struct {
	name   string
	format Format
	target Target
	opts   Options

	timer *time.Timer   // fires Delay after a batch's first line; idle otherwise
	kick  chan struct{} // the batch shall be written now
	space chan struct{} // a batch has been written, or closing has begun
	stop  chan struct{} // closed by Close
	done  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	full    []batch // those that wait to be written, oldest first
	batch           // the one that is being filled
	spare   [][]byte
	armed   bool // timer has been set for the batch
	waiting int  // bytes in full, and those being written
	// dropping is set when an event found no room, until half of it is free:
	// one long hole says more than many short ones.
	dropping bool
	// unsaid counts dropped lines that no notice in the output tells of yet.
	unsaid uint64
	// stalled is set when an alert has waited in vain, until there is
	// progress: a dead target must not hold up the pipeline alert by alert.
	stalled bool
	closing bool
	gone    bool // the target reported ErrClosed
	stats   Stats

	// Of the goroutine alone: when a failure was last logged, and whether
	// its end has not been yet.
	saidAt time.Time
	said   bool
}

var _ Sink = (*Writer)(nil)

// NewWriter starts a writer, which is called name in what it logs. Close ends
// it.
func NewWriter(name string, f Format, t Target, opts Options) *Writer {
	w := &Writer{
		name: name, format: f, target: t, opts: opts.withDefaults(),
		timer: time.NewTimer(time.Hour), kick: make(chan struct{}, 1), space: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	w.timer.Stop()
	go w.run()
	return w
}

// Name returns the name given to NewWriter.
func (w *Writer) Name() string { return w.name }

// Event implements Sink.
func (w *Writer) Event(ev *event.Event) {
	if !w.opts.Events {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	limit := w.opts.Limit - w.opts.Limit/8
	if w.dropping && w.fits(limit/2) {
		w.dropping = false
	}
	if w.dropping || w.put(ev, nil, limit) > 0 {
		w.dropping = true
		w.drop(held{lines: 1})
	}
}

// Alert implements Sink.
func (w *Writer) Alert(a *event.Alert) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		need := w.put(nil, a, w.opts.Limit)
		if need == 0 {
			return
		}
		// the need is exact once there has been room to format the line
		if !w.awaitRoom(need) {
			w.drop(held{lines: 1, alerts: 1})
			return
		}
	}
}

// batch is whole lines, and their count.
type batch struct {
	buf  []byte
	held held
}

// held counts the lines and alerts in a stretch of output.
type held struct{ lines, alerts uint64 }

// fits reports whether all that is held is within limit. Callers hold mu.
func (w *Writer) fits(limit int) bool { return len(w.buf)+w.waiting <= limit }

// put adds the line of an event or an alert, with a notice of earlier losses
// before it. Where that does not fit, it adds nothing and returns how many
// bytes it needs. Callers hold mu.
func (w *Writer) put(ev *event.Event, a *event.Alert, limit int) (need int) {
	if w.closing || w.gone || !w.fits(limit-1) {
		return 1
	}
	start := len(w.buf)
	w.appendLoss()
	line := len(w.buf)
	var h held
	if a != nil {
		w.buf = w.format.AppendAlert(w.buf, a)
		h.alerts = 1
	} else {
		w.buf = w.format.AppendEvent(w.buf, ev)
	}
	if len(w.buf) == line { // the format has no such line
		w.buf = w.buf[:start]
		return 0
	}
	if !w.fits(limit) {
		need = len(w.buf) - start
		w.buf = w.buf[:start]
		return need
	}
	w.unsaid = 0
	w.account(start, h)
	if len(w.buf) >= w.opts.FlushSize {
		w.turn()
	}
	switch {
	case a != nil || len(w.buf) == 0:
		signal(w.kick)
	case !w.armed:
		w.armed = true
		w.timer.Reset(w.opts.Delay)
	}
	return 0
}

// turn puts the batch to those that wait and begins another. Batches of one size
// serve again and again, where one that grows would be copied as it does.
func (w *Writer) turn() {
	w.full = append(w.full, w.batch)
	w.waiting += len(w.buf)
	w.batch = batch{}
	if n := len(w.spare); n > 0 {
		w.buf, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		w.buf = make([]byte, 0, w.opts.FlushSize+w.opts.FlushSize/8)
	}
}

// appendLoss appends the notice of losses that have not been told, if any.
func (w *Writer) appendLoss() {
	if w.unsaid > 0 {
		w.buf = w.format.AppendLoss(w.buf, time.Now(), w.unsaid)
	}
}

// account counts what has been appended after position start.
func (w *Writer) account(start int, h held) {
	h.lines = uint64(bytes.Count(w.buf[start:], newline))
	w.stats.In += h.lines
	w.held.lines += h.lines
	w.held.alerts += h.alerts
}

// drop counts lines that never were in the buffer. Callers hold mu.
func (w *Writer) drop(h held) {
	w.stats.In += h.lines
	w.lost(h)
}

func (w *Writer) lost(h held) {
	w.stats.Dropped += h.lines
	w.stats.DroppedAlerts += h.alerts
	w.unsaid += h.lines
}

// awaitRoom gives up mu until there is room for need bytes, and reports
// whether there is.
func (w *Writer) awaitRoom(need int) bool {
	if w.closing || w.gone || w.stalled || need > w.opts.Limit {
		return false
	}
	signal(w.kick)
	deadline := time.NewTimer(w.opts.AlertWait)
	defer deadline.Stop()
	for timeout := false; !timeout; {
		w.mu.Unlock()
		select {
		case <-w.space:
		case <-deadline.C:
			timeout = true
		}
		w.mu.Lock()
		if w.closing || w.gone {
			return false
		}
		if w.fits(w.opts.Limit - need) {
			return true
		}
	}
	w.stalled = true
	return false
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close implements Sink. A target that is stuck in a write (a pipe that no one
// reads) is left behind when ctx ends.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	first := !w.closing
	if first {
		if start := len(w.buf); !w.gone {
			w.appendLoss()
			w.account(start, held{})
		}
		w.closing = true
		close(w.stop)
	}
	w.mu.Unlock()
	signal(w.space)
	select {
	case <-w.done:
	case <-ctx.Done():
		return fmt.Errorf("closing output %s: %w: it took no more lines", w.name, ctx.Err())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stats.Dropped > 0 && first {
		return fmt.Errorf("closing output %s: %d of %d lines were lost, last error: %s",
			w.name, w.stats.Dropped, w.stats.In, orNone(w.stats.LastError))
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none (it was too slow)"
	}
	return s
}

// Stats implements Sink.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Waiting = s.In - s.Out - s.Dropped
	return s
}

// run is the writer's goroutine.
func (w *Writer) run() {
	defer close(w.done)
	for stopping := false; !stopping; {
		select {
		case <-w.timer.C:
		case <-w.kick:
		case <-w.stop:
			stopping = true
		}
		for {
			b, ok := w.take()
			if !ok {
				break
			}
			w.write(b.buf, b.held)
			w.mu.Lock()
			if len(w.spare) < spareBuffers && cap(b.buf) <= 2*w.opts.FlushSize {
				w.spare = append(w.spare, b.buf[:0])
			}
			w.mu.Unlock()
		}
	}
	if err := w.target.Close(); err != nil && !errors.Is(err, ErrClosed) {
		w.mu.Lock()
		w.failed(err)
		w.mu.Unlock()
		w.opts.Log.Error("closing an output failed: its last lines may be missing", "output", w.name, "error", err)
	}
}

// take gives the next batch to write, and the one that is being filled after all
// others; false where nothing waits.
func (w *Writer) take() (batch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.full) == 0 && len(w.buf) > 0 {
		w.turn()
	}
	if len(w.full) == 0 {
		w.armed = false
		w.timer.Stop()
		return batch{}, false
	}
	b := w.full[0]
	copy(w.full, w.full[1:])
	w.full[len(w.full)-1] = batch{}
	w.full = w.full[:len(w.full)-1]
	if w.gone {
		w.waiting -= len(b.buf)
		w.lost(b.held)
		b = batch{buf: b.buf[:0]}
	}
	return b, true
}

// write writes a batch, trying again until it is written, the target is gone,
// or the writer is closed and one more try has failed.
func (w *Writer) write(batch []byte, h held) {
	if len(batch) == 0 {
		return
	}
	backoff, lostBefore := minBackoff, uint64(0)
	for tries := 0; ; tries++ {
		n, err := w.target.WriteLines(batch)
		wrote := h.lines
		if n < len(batch) {
			wrote = uint64(bytes.Count(batch[:n], newline))
		}
		batch, h.lines = batch[n:], h.lines-wrote
		gone := errors.Is(err, ErrClosed)

		w.mu.Lock()
		w.stats.Out += wrote
		w.stats.Bytes += uint64(n)
		w.waiting -= n
		w.stalled = w.stalled && n == 0
		if tries == 0 {
			lostBefore = w.stats.Dropped
		}
		giveUp := gone || err != nil && w.closing
		if err != nil {
			w.failed(err)
		}
		if giveUp {
			w.gone = w.gone || gone
			w.waiting -= len(batch)
			// which of the lines were alerts is not kept
			h.alerts = min(h.alerts, h.lines)
			w.lost(h)
		}
		lost := w.stats.Dropped - lostBefore
		w.mu.Unlock()
		signal(w.space)

		w.report(err, gone, giveUp, tries, lost)
		if err == nil || giveUp {
			return
		}
		select {
		case <-time.After(backoff):
		case <-w.stop:
		}
		backoff = min(backoff*2, maxBackoff)
	}
}

// report says what a try to write came to, where that is news: the first
// failure and the end of it, but a target that fails on and off only every so
// often.
func (w *Writer) report(err error, gone, giveUp bool, tries int, lost uint64) {
	log := w.opts.Log.With("output", w.name)
	switch {
	case gone:
		log.Error("an output was closed by its reader: what would go there is lost from now on", "error", err)
		if w.opts.OnClosed != nil {
			w.opts.OnClosed(err)
		}
	case giveUp:
		log.Error("an output could not be written before the end", "lines_lost", lost, "error", err)
	case err != nil && tries == 0 && time.Since(w.saidAt) > quiet:
		w.saidAt, w.said = time.Now(), true
		log.Error("an output cannot be written: lines are kept while there is room and then lost; it is tried again each second", "error", err)
	case err == nil && tries > 0 && w.said:
		w.said = false
		log.Warn("an output can be written again", "lines_lost", lost)
	}
}

var newline = []byte{'\n'}

// failed counts a failed write. Callers hold mu.
func (w *Writer) failed(err error) {
	w.stats.Errors++
	w.stats.LastError = err.Error()
}
