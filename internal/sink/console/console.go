// Package console is the sink format for people: a line of text per alert or
// event. In come events and alerts from a sink.Writer; out goes text in which
// everything of unknown origin is escaped, so that no name, path or argument
// can move the cursor, recolour, reorder or break a line. The agent makes it
// for the output format "text".
//
// Lines are not cut to the terminal's width: what a line hides, an attacker
// uses.
package console

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sink"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// maxChain is how many processes of a chain are shown; of a longer one, the
// oldest are left out.
const maxChain = 32

// Options are a format's settings.
type Options struct {
	// Color turns escape sequences for colour on; see UseColor.
	Color bool
	// Chain prints the chain of processes below each alert.
	Chain bool
	// Local is the zone of the times shown; nil means UTC.
	Local *time.Location
}

// Format is a sink.Format.
type Format struct{ opts Options }

var _ sink.Format = Format{}

// New makes a format.
func New(opts Options) Format {
	if opts.Local == nil {
		opts.Local = time.UTC
	}
	return Format{opts}
}

// UseColor decides about colour. Mode is "always", "never" or "auto"; auto
// asks for a terminal behind fd, no NO_COLOR in the environment, and a TERM
// that is set and not "dumb".
func UseColor(mode string, fd int, getenv func(string) string) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	if term := getenv("TERM"); getenv("NO_COLOR") != "" || term == "" || term == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// severity returns the colour and the label of a priority; labels are equally
// long so that what follows lines up.
func severity(p event.Priority) (color, label string) {
	switch p {
	case event.Emergency:
		return "\x1b[1;41;97m", "EMERGENCY"
	case event.AlertLevel:
		return "\x1b[1;41;97m", "ALERT    "
	case event.CriticalLevel:
		return "\x1b[1;31m", "CRITICAL "
	case event.ErrorLevel:
		return "\x1b[31m", "ERROR    "
	case event.Warning:
		return "\x1b[33m", "WARNING  "
	case event.Notice:
		return "\x1b[36m", "NOTICE   "
	case event.Informational:
		return "\x1b[32m", "INFO     "
	}
	return "\x1b[2m", "DEBUG    "
}

func (f Format) clock(dst []byte, at time.Time) []byte {
	return at.In(f.opts.Local).AppendFormat(dst, "15:04:05.000")
}

func (f Format) colored(dst []byte, color, text string) []byte {
	if !f.opts.Color {
		return append(dst, text...)
	}
	dst = append(dst, color...)
	dst = append(dst, text...)
	return append(dst, "\x1b[0m"...)
}

// AppendAlert implements sink.Format.
func (f Format) AppendAlert(dst []byte, a *event.Alert) []byte {
	rule := a.Rule
	if rule == nil {
		rule = &event.RuleInfo{Priority: event.Debug}
	}
	dst = f.clock(dst, a.Time)
	dst = append(dst, ' ')
	color, label := severity(rule.Priority)
	dst = f.colored(dst, color, label)
	dst = append(dst, ' ')
	if f.opts.Color {
		dst = append(dst, "\x1b[1m"...)
	}
	dst = termtext.Append(dst, rule.Name)
	if f.opts.Color {
		dst = append(dst, "\x1b[0m"...)
	}
	// Most outputs begin with the rule's name, as Falco's do; once is enough.
	if rest, ok := strings.CutPrefix(a.Output, rule.Name); ok && strings.HasPrefix(rest, " ") {
		dst = termtext.Append(dst, rest)
	} else {
		dst = append(dst, "  "...)
		dst = termtext.Append(dst, a.Output)
	}
	if a.Event != nil {
		if from := event.SSHFrom(a.Event.Proc); from != "" {
			dst = append(dst, "  [from "...)
			dst = append(termtext.Append(dst, from), ']')
		}
	}
	if a.ID != "" {
		dst = append(dst, "  [id "...)
		dst = append(termtext.Append(dst, a.ID), ']')
	}
	dst = append(dst, '\n')
	dst = f.appendSentence(dst, a)
	if f.opts.Chain && a.Event != nil && a.Event.Proc != nil {
		dst = append(dst, margin...)
		dst = appendChain(dst, a.Event.Proc)
		dst = append(dst, '\n')
	}
	return dst
}

// margin puts what follows below the severity.
const margin = "             "

// appendSentence appends the line for people: who did what, why that matters,
// what to do, and how many like it were left out.
func (f Format) appendSentence(dst []byte, a *event.Alert) []byte {
	start := len(dst)
	dst = append(dst, margin...)
	if a.Repeats > 0 {
		dst = strconv.AppendUint(dst, a.Repeats, 10)
		dst = append(dst, " more like it since "...)
		dst = a.Since.In(f.opts.Local).AppendFormat(dst, "15:04:05")
		dst = append(dst, " were not printed. "...)
	}
	for i, s := range []string{a.Summary, a.Why, a.Next} {
		if s == "" {
			continue
		}
		if i == 2 {
			dst = append(dst, "Next: "...)
		}
		dst = termtext.Append(dst, s)
		if i == 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, ' ')
	}
	if len(dst) == start+len(margin) {
		return dst[:start]
	}
	dst[len(dst)-1] = '\n'
	return dst
}

// appendChain appends the processes from the oldest ancestor to p.
func appendChain(dst []byte, p *event.Process) []byte {
	var first [maxChain]*event.Process // p and its nearest ancestors
	n := 0
	for ; p != nil && n < maxChain; p, n = p.Parent, n+1 {
		first[n] = p
	}
	if p != nil {
		dst = append(dst, "... > "...)
	}
	for n--; n >= 0; n-- {
		dst = termtext.AppendQuoted(dst, first[n].Comm)
		dst = append(dst, '(')
		dst = strconv.AppendUint(dst, uint64(first[n].Pid), 10)
		dst = append(dst, ')')
		if n > 0 {
			dst = append(dst, " > "...)
		}
	}
	return dst
}

// AppendLoss implements sink.Format.
func (f Format) AppendLoss(dst []byte, at time.Time, n uint64) []byte {
	dst = f.clock(dst, at)
	dst = append(dst, ' ')
	dst = f.colored(dst, "\x1b[1;31m", "LOST     ")
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, n, 10)
	return append(dst, " lines could not be written here\n"...)
}
