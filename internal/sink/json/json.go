// Package json is the sink format of one JSON object per line, as package
// eventjson lays it out. In come events and alerts from a sink.Writer; out go
// their lines. The agent makes it for the output format "json".
package json

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
	"github.com/bearcat-hids/bearcat/internal/sink"
)

// Format is a sink.Format.
type Format struct{ enc *eventjson.Encoder }

var _ sink.Format = Format{}

// New makes a format whose lines name the host and the boot id.
func New(host, bootID string) Format { return Format{eventjson.NewEncoder(host, bootID)} }

// AppendEvent implements sink.Format.
func (f Format) AppendEvent(dst []byte, ev *event.Event) []byte { return f.enc.AppendEvent(dst, ev) }

// AppendAlert implements sink.Format.
func (f Format) AppendAlert(dst []byte, a *event.Alert) []byte { return f.enc.AppendAlert(dst, a) }

// AppendLoss implements sink.Format.
func (f Format) AppendLoss(dst []byte, at time.Time, n uint64) []byte {
	return f.enc.AppendLoss(dst, at, n)
}
