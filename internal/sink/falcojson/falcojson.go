// Package falcojson is the sink format of alerts exactly as Falco writes them
// with json_output, so that what reads Falco's alerts reads Bearcat's. In come
// alerts from a sink.Writer; out goes a line for each, with the members and
// their order as Falco has them. Falco has no form for events, so they are not
// written. The agent makes it for the output format "falco-json".
package falcojson

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
	"github.com/bearcat-hids/bearcat/internal/sink"
)

// lossRule names the alert that tells of lost lines, in the manner of Falco's
// own alerts about itself.
const lossRule = "Bearcat internal: output lines lost"

// Format is a sink.Format.
type Format struct {
	host  string
	local *time.Location
}

var _ sink.Format = Format{}

// New makes a format for a host; local is the zone of the time that begins
// the output text, as Falco has it.
func New(host string, local *time.Location) Format { return Format{host: host, local: local} }

// AppendEvent implements sink.Format: it appends nothing.
func (f Format) AppendEvent(dst []byte, _ *event.Event) []byte { return dst }

// AppendAlert implements sink.Format.
func (f Format) AppendAlert(dst []byte, a *event.Alert) []byte {
	rule := a.Rule
	if rule == nil {
		rule = &event.RuleInfo{}
	}
	at := a.Time
	if at.IsZero() && a.Event != nil {
		at = a.Event.Time
	}
	text := a.Output
	if a.Repeats > 0 { // Falco has no member for it
		text += " [" + strconv.FormatUint(a.Repeats, 10) + " more like it since " + a.Since.In(f.local).Format("15:04:05") + "]"
	}
	return f.line(dst, rule, at, text, a.Fields)
}

// AppendLoss implements sink.Format.
func (f Format) AppendLoss(dst []byte, at time.Time, n uint64) []byte {
	rule := &event.RuleInfo{Name: lossRule, Priority: event.CriticalLevel, Source: "internal"}
	text := strconv.FormatUint(n, 10) + " lines could not be written here"
	return f.line(dst, rule, at, text, []event.OutputField{{Name: "lost", IsNum: true, Num: int64(n)}})
}

func (f Format) line(dst []byte, rule *event.RuleInfo, at time.Time, text string, fields []event.OutputField) []byte {
	output := at.In(f.local).Format("15:04:05.000000000") + ": " + rule.Priority.String() + " " + text
	dst = append(dst, `{"hostname":`...)
	dst = eventjson.AppendString(dst, f.host)
	dst = append(dst, `,"output":`...)
	dst = eventjson.AppendString(dst, output)
	dst = append(dst, `,"output_fields":{`...)
	for i, field := range byName(fields) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = eventjson.AppendString(dst, field.Name)
		dst = append(dst, ':')
		dst = eventjson.AppendValue(dst, &field)
	}
	dst = append(dst, `},"priority":`...)
	dst = eventjson.AppendString(dst, rule.Priority.String())
	dst = append(dst, `,"rule":`...)
	dst = eventjson.AppendString(dst, rule.Name)
	dst = append(dst, `,"source":`...)
	dst = eventjson.AppendString(dst, rule.Source)
	dst = append(dst, `,"tags":[`...)
	for i, tag := range sortedSet(rule.Tags) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = eventjson.AppendString(dst, tag)
	}
	dst = append(dst, `],"time":"`...)
	dst = eventjson.AppendTime(dst, at)
	return append(dst, "\"}\n"...)
}

// byName returns the fields in the order of their names, as Falco's JSON
// library keeps members.
func byName(fields []event.OutputField) []event.OutputField {
	order := func(a, b event.OutputField) int { return strings.Compare(a.Name, b.Name) }
	if slices.IsSortedFunc(fields, order) {
		return fields
	}
	return slices.SortedFunc(slices.Values(fields), order)
}

// sortedSet returns the tags as the set that Falco keeps them in.
func sortedSet(tags []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(tags)))
}
