// Package sink takes events and alerts to where they are kept or read. In
// come event.Event and event.Alert from the pipeline; out go lines of a
// Format (text for people, JSON, Falco's JSON) to a Target (a stream such as
// standard output, or a rotated file). Writer joins the two: it encodes on the
// caller's goroutine, writes on one of its own, and stands between them with a
// bounded buffer and exact counts of what was lost. The agent builds the sinks
// and calls them.
//
// Formats and targets live in folders of their own below this one.
package sink

import (
	"context"
	"errors"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// ErrClosed is what a target wraps when whoever reads it has gone for good,
// such as a closed pipe behind standard output. The writer then drops what
// comes, counts it, and says so once through Options.OnClosed; whether the
// agent goes on without that output is for the agent to decide.
//
// A write to a closed pipe raises SIGPIPE only for descriptors 1 and 2, which
// Stdout avoids, so the process gets the error and not the signal.
var ErrClosed = errors.New("the reader of this output has gone")

// Sink is where the pipeline puts events and alerts. Event and Alert are
// called on the pipeline's goroutine and keep nothing of what they are handed.
type Sink interface {
	// Event hands over an event. It never waits: when the sink is behind,
	// the event is dropped and counted.
	Event(*event.Event)
	// Alert hands over an alert. It waits a bounded time for a sink that is
	// behind, then drops the alert and counts it.
	Alert(*event.Alert)
	// Close writes out what is buffered until ctx ends; what Stats then still
	// says to be waiting is lost.
	Close(ctx context.Context) error
	// Stats returns the counts; it may be called at any time.
	Stats() Stats
}

// Stats counts lines, notices of losses included; an alert or event that
// found no room counts as one. In is Out plus Dropped plus Waiting.
type Stats struct {
	// In lines were made of events and alerts that were handed over.
	In uint64 `json:"in"`
	// Out lines, of Bytes bytes together, were taken by the target.
	Out   uint64 `json:"out"`
	Bytes uint64 `json:"bytes"`
	// Dropped lines are lost; DroppedAlerts alerts were among them.
	Dropped       uint64 `json:"dropped"`
	DroppedAlerts uint64 `json:"dropped_alerts"`
	// Waiting lines are in the buffer.
	Waiting uint64 `json:"waiting"`
	// Errors counts failed writes; LastError is the last one's sentence.
	Errors    uint64 `json:"errors"`
	LastError string `json:"last_error,omitempty"`
}

// Format turns events and alerts into lines. Each method appends whole lines,
// each with its newline, or nothing where the format has no such thing. A
// format is called by one goroutine at a time.
type Format interface {
	AppendEvent(dst []byte, ev *event.Event) []byte
	AppendAlert(dst []byte, a *event.Alert) []byte
	// AppendLoss appends the notice that n lines are missing at this place.
	AppendLoss(dst []byte, at time.Time, n uint64) []byte
}

// Target takes whole lines. Its methods are called by one goroutine at a time.
type Target interface {
	// WriteLines writes b, which is one or more whole lines, and returns how
	// many bytes of whole lines were taken. It leaves no half line for the
	// next one to continue. The error is ErrClosed where trying again is of
	// no use.
	WriteLines(b []byte) (int, error)
	// Close flushes and closes it.
	Close() error
}
