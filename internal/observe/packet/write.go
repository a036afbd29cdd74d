package packet

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// Title is one line that says which packet it is.
func (l *Life) Title() string {
	var b strings.Builder
	dir := "RX"
	if l.Sent {
		dir = "TX"
	}
	fmt.Fprintf(&b, "#%d %s %s", l.ID, dir, l.Proto)
	if l.Src.IsValid() {
		fmt.Fprintf(&b, " %s > %s", end(l.Src, l.Sport), end(l.Dst, l.Dport))
	}
	if l.Flags != "" {
		fmt.Fprintf(&b, " %s", l.Flags)
	}
	fmt.Fprintf(&b, " len %d", l.Length)
	if l.Sender != nil {
		fmt.Fprintf(&b, "  %s", who(l.Sender))
	}
	if l.Reader != nil {
		fmt.Fprintf(&b, " -> %s", who(l.Reader))
	}
	if l.Device != "" {
		fmt.Fprintf(&b, "  %s", l.Device)
	}
	if l.Again {
		b.WriteString("  retransmitted")
		if l.Before != 0 {
			fmt.Fprintf(&b, ", see #%d", l.Before)
		}
	}
	return b.String()
}

func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// barWidth is of the stage that took longest.
const barWidth = 20

// WriteText writes a life as a waterfall: since the beginning, since the stage before,
// and a bar for that. Clean makes names safe for a terminal.
func (l *Life) WriteText(w io.Writer, clean func(string) string) error {
	var b strings.Builder
	b.WriteString(clean(l.Title()) + "\n")
	longest := time.Duration(1)
	if len(l.Stages) > 0 {
		longest = max(1, l.Stages[l.Longest()].Took)
	}
	for _, s := range l.Stages {
		bar := strings.Repeat("#", int(int64(s.Took)*barWidth/int64(longest)))
		fmt.Fprintf(&b, "  %10s %10s |%-*s| %-14s %s  (%s, cpu%d)\n", "+"+micro(s.At), micro(s.Took), barWidth, bar, s.Name, clean(s.Detail), s.Source, s.CPU)
	}
	if len(l.Path) > 0 {
		fmt.Fprintf(&b, "  sent by: %s\n", clean(strings.Join(l.Path, " > ")))
	}
	if len(l.Arrival) > 0 {
		fmt.Fprintf(&b, "  came by: %s\n", clean(strings.Join(l.Arrival, " > ")))
	}
	fmt.Fprintf(&b, "  %s: %s\n", micro(l.Took), clean(l.verdict()))
	_, err := io.WriteString(w, b.String())
	return err
}

// verdict says how it ended and what took longest.
func (l *Life) verdict() string {
	text := map[string]string{
		"copied": "read", "done": "sent by the device", "taken": "taken by the kernel", "dropped": "dropped",
		"open": "not over, or its end is not told",
	}[l.End]
	if l.Drop != nil {
		text += ": " + l.Drop.Reason
		if l.Drop.Advice != "" {
			text += ", " + l.Drop.Advice
		}
	}
	if len(l.Stages) > 1 && l.Took > 0 {
		s := l.Stages[l.Longest()]
		text += fmt.Sprintf("; %d%% before %q", int64(s.Took)*100/int64(l.Took), s.Name)
	}
	return text
}

// micro writes a time in microseconds.
func micro(d time.Duration) string { return fmt.Sprintf("%.1fus", float64(d)/1000) }

// Comment is what a capture says of a packet.
func (l *Life) Comment() string {
	var b strings.Builder
	b.WriteString(l.Title())
	for _, s := range l.Stages {
		fmt.Fprintf(&b, "\n+%s %s: %s", micro(s.At), s.Name, s.Detail)
	}
	fmt.Fprintf(&b, "\n%s: %s", micro(l.Took), l.verdict())
	return b.String()
}

// Frame is the packet as a capture of the link type LINUX_SLL has it: whether it was
// sent, its protocol, and the bytes that were kept.
// https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html
func (l *Life) Frame() []byte {
	b := make([]byte, 16, 16+len(l.Headers))
	if l.Sent {
		b[1] = 4
	}
	b[3] = 1 // the rest of the hardware's address is not kept
	binary.BigEndian.PutUint16(b[14:], l.family)
	return append(b, l.Headers...)
}

// Chrome writes lives in the format of Chrome's traces, which ui.perfetto.dev opens:
// each packet is a track, each stage a slice. Close must be called.
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
type Chrome struct {
	w     io.Writer
	begun bool
}

// NewChrome begins a trace.
func NewChrome(w io.Writer) *Chrome { return &Chrome{w: w} }

type chromeEvent struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"`
	At    float64        `json:"ts"` // microseconds
	Took  float64        `json:"dur,omitempty"`
	Pid   int            `json:"pid"`
	Tid   uint64         `json:"tid"`
	Args  map[string]any `json:"args,omitempty"`
}

// Life writes one life.
func (c *Chrome) Life(l *Life) error {
	pid := 2
	if l.Sent {
		pid = 1
	}
	events := []chromeEvent{{Name: "thread_name", Phase: "M", Pid: pid, Tid: l.ID, Args: map[string]any{"name": l.Title()}}}
	if !c.begun {
		for i, name := range []string{"sent packets", "received packets"} {
			events = append(events, chromeEvent{Name: "process_name", Phase: "M", Pid: i + 1, Args: map[string]any{"name": name}})
		}
	}
	begin := float64(l.At.UnixNano()) / 1000
	for i, s := range l.Stages {
		if i == 0 {
			continue // a stage lasts until it is reached, from the one before
		}
		events = append(events, chromeEvent{Name: s.Name, Phase: "X", At: begin + float64(s.At-s.Took)/1000, Took: float64(s.Took) / 1000, Pid: pid, Tid: l.ID,
			Args: map[string]any{"detail": s.Detail, "cpu": s.CPU, "source": s.Source}})
	}
	for _, e := range events {
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("writing a stage of a trace: %w", err)
		}
		before := ",\n"
		if !c.begun {
			before, c.begun = `{"displayTimeUnit":"ns","traceEvents":[`+"\n", true
		}
		if _, err := io.WriteString(c.w, before+string(b)); err != nil {
			return fmt.Errorf("writing the trace: %w", err)
		}
	}
	return nil
}

// Close ends the trace.
func (c *Chrome) Close() error {
	end := "\n]}\n"
	if !c.begun {
		end = `{"displayTimeUnit":"ns","traceEvents":[]}` + "\n"
	}
	if _, err := io.WriteString(c.w, end); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}
