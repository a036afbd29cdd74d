package console

import (
	"path"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// AppendEvent implements sink.Format.
func (f Format) AppendEvent(dst []byte, ev *event.Event) []byte {
	dst = f.clock(dst, ev.Time)
	dst = append(dst, ' ')
	dst = appendPadded(dst, ev.Type.String(), 7)
	if p := ev.Proc; p != nil {
		dst = append(dst, " pid "...)
		dst = appendPadded(dst, strconv.FormatUint(uint64(p.Pid), 10), 7)
		dst = append(dst, ' ')
		start := len(dst)
		dst = appendUser(dst, p)
		for len(dst)-start < 8 {
			dst = append(dst, ' ')
		}
		dst = append(dst, ' ')
		dst = appendProgram(dst, p, ev.Type == event.Exec)
	}
	if x := ev.ExitInfo; x != nil {
		dst = appendExit(dst, x)
	}
	if ev.Call != nil {
		dst = appendCall(dst, ev)
	}
	switch ev.Type {
	case event.Fork:
		if p := ev.Proc; p != nil && p.Parent != nil {
			dst = append(dst, "  by "...)
			dst = termtext.AppendQuoted(dst, p.Parent.Comm)
			dst = append(dst, '(')
			dst = strconv.AppendUint(dst, uint64(p.Parent.Pid), 10)
			dst = append(dst, ')')
		}
	case event.Comm:
		dst = append(dst, "  renamed "...)
		dst = termtext.AppendQuoted(dst, ev.OldComm)
		if ev.Proc != nil {
			dst = append(dst, " to "...)
			dst = termtext.AppendQuoted(dst, ev.Proc.Comm)
		}
	}
	if c := ev.CredsInfo; c != nil {
		dst = append(dst, "  became root, was uid "...)
		dst = strconv.AppendUint(dst, uint64(c.Old.UID), 10)
		dst = append(dst, ", and nothing explains it; noticed at "...)
		dst = append(dst, c.Seen.String()...)
	}
	if f := ev.FirewallInfo; f != nil {
		dst = appendFirewall(dst, f)
	}
	if f := ev.FindingInfo; f != nil {
		dst = termtext.Append(append(dst, "  "...), f.What)
		dst = termtext.Append(append(dst, " ("...), f.Evidence)
		dst = termtext.Append(append(dst, "; "...), f.Sure)
		dst = append(dst, ')')
	}
	if l := ev.LimitInfo; l != nil {
		dst = append(dst, " left out: "...)
		dst = termtext.Append(dst, l.LeftOut)
		dst = append(dst, " (used "...)
		dst = appendPermille(dst, l.Used)
		dst = append(dst, " of a processor, allowed "...)
		dst = append(appendPermille(dst, l.Allowed), ')')
	}
	if g := ev.GapInfo; g != nil {
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, g.N, 10)
		dst = append(dst, ' ')
		if g.Lost != event.TypeNone {
			dst = append(dst, g.Lost.String()...)
			dst = append(dst, ' ')
		}
		dst = append(dst, "records of class "...)
		dst = append(dst, g.Class.String()...)
		dst = append(dst, " lost on cpu "...)
		dst = strconv.AppendUint(dst, uint64(g.CPU), 10)
	}
	return append(dst, '\n')
}

// appendFirewall appends what the firewall did.
func appendFirewall(dst []byte, f *event.FirewallInfo) []byte {
	if f.Kind == "flood" {
		dst = strconv.AppendUint(append(dst, ' '), f.Rate, 10)
		dst = termtext.Append(append(dst, " packets/s are dropped, most by "...), f.Reason)
		if f.Rule != "" {
			dst = termtext.Append(append(dst, ' '), f.Rule)
		}
		return dst
	}
	dst = termtext.Append(append(dst, ' '), f.Source)
	if f.Kind == "scan" {
		dst = strconv.AppendInt(append(dst, " tried "...), int64(f.Ports), 10)
		dst = strconv.AppendInt(append(dst, " ports and "...), int64(f.Addresses), 10)
		return termtext.Append(append(dst, " addresses, the last: "...), f.Reason)
	}
	dst = append(append(dst, " is banned for "...), f.For.String()...)
	dst = termtext.Append(append(dst, " by "...), f.Rule)
	if f.Strikes > 0 {
		dst = strconv.AppendInt(append(dst, ", after "...), int64(f.Strikes), 10)
		dst = append(dst, " bans before"...)
	}
	return dst
}

// appendPermille appends thousandths as percent.
func appendPermille(dst []byte, n int) []byte {
	dst = strconv.AppendInt(dst, int64(n/10), 10)
	dst = append(dst, '.')
	return append(strconv.AppendInt(dst, int64(n%10), 10), '%')
}

func appendPadded(dst []byte, s string, width int) []byte {
	dst = append(dst, s...)
	for n := len(s); n < width; n++ {
		dst = append(dst, ' ')
	}
	return dst
}

func appendUser(dst []byte, p *event.Process) []byte {
	if p.User != "" {
		return termtext.AppendQuoted(dst, p.User)
	}
	return strconv.AppendUint(dst, uint64(p.Cred.UID), 10)
}

// appendProgram appends what runs: the path that the kernel knows, and for an
// exec the arguments. The first argument is what the caller claims the
// program to be: it is shown where it claims another name than the file's.
func appendProgram(dst []byte, p *event.Process, args bool) []byte {
	img := p.Image
	if img == nil {
		dst = append(dst, '[')
		dst = termtext.Append(dst, p.Comm)
		return append(dst, ']')
	}
	dst = termtext.AppendQuoted(dst, img.Exe.Path)
	if !args || len(img.Argv) == 0 {
		return dst
	}
	if len(img.Argv) > 1 {
		dst = append(dst, ' ')
		dst = termtext.AppendCommand(dst, img.Argv[1:])
	}
	if img.ArgvCut {
		dst = append(dst, " ..."...)
	}
	if claimed := img.Argv[0]; path.Base(claimed) != path.Base(img.Exe.Path) {
		dst = append(dst, "  argv0="...)
		dst = termtext.AppendQuoted(dst, claimed)
	}
	return dst
}

func appendExit(dst []byte, x *event.ExitInfo) []byte {
	if x.Signal != 0 {
		dst = append(dst, "  killed by "...)
		if name := unix.SignalName(unix.Signal(x.Signal)); name != "" {
			dst = append(dst, name...)
		} else {
			dst = append(dst, "signal "...)
			dst = strconv.AppendInt(dst, int64(x.Signal), 10)
		}
		if x.CoreDumped {
			dst = append(dst, " (core dumped)"...)
		}
	} else {
		dst = append(dst, "  exit "...)
		dst = strconv.AppendInt(dst, int64(x.Code), 10)
	}
	dst = append(dst, " after "...)
	return append(dst, short(x.Duration).String()...)
}

// short rounds a duration to what is worth reading.
func short(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}
