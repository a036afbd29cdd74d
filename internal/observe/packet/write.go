package packet

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
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

// WriteText writes a life as a waterfall: since the beginning, since the stage before,
// and a bar for that. Clean makes names safe for a terminal.
func (l *Life) WriteText(w io.Writer, clean func(string) string) error {
	var b strings.Builder
	b.WriteString(clean(l.Title()) + "\n")
	waterfall.Text(&b, l.Stages, clean)
	if len(l.Path) > 0 {
		fmt.Fprintf(&b, "  sent by: %s\n", clean(strings.Join(l.Path, " > ")))
	}
	if len(l.Arrival) > 0 {
		fmt.Fprintf(&b, "  came by: %s\n", clean(strings.Join(l.Arrival, " > ")))
	}
	fmt.Fprintf(&b, "  %s: %s\n", waterfall.Micro(l.Took), clean(l.verdict()))
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
	if share := waterfall.Share(l.Stages, l.Took); share != "" {
		text += "; " + share
	}
	return text
}

// Comment is what a capture says of a packet.
func (l *Life) Comment() string {
	var b strings.Builder
	b.WriteString(l.Title())
	for _, s := range l.Stages {
		fmt.Fprintf(&b, "\n+%s %s: %s", waterfall.Micro(s.At), s.Name, s.Detail)
	}
	fmt.Fprintf(&b, "\n%s: %s", waterfall.Micro(l.Took), l.verdict())
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
