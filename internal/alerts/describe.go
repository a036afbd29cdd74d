package alerts

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// idLength is how many characters an alert's ID has.
const idLength = 12

// id names an alert by what it is about, so that it is the same wherever and
// whenever it is computed.
func id(boot string, a *event.Alert) string {
	h := sha256.New()
	put := func(n uint64) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], n)
		_, _ = h.Write(b[:])
	}
	_, _ = h.Write([]byte(boot + "\x00" + a.Rule.Name + "\x00"))
	if ev := a.Event; ev != nil {
		put(ev.Boot)
		put(uint64(ev.Type)<<48 | uint64(ev.CPU)<<32 | uint64(ev.Tid))
		if f := ev.FindingInfo; f != nil {
			_, _ = h.Write([]byte(f.Check + "\x00" + f.What + "\x00"))
		}
		if ev.Proc != nil {
			put(uint64(ev.Proc.Pid))
			put(ev.Proc.Start)
		}
	} else {
		put(uint64(a.Time.UnixNano()))
	}
	return hex.EncodeToString(h.Sum(nil))[:idLength]
}

// describe fills in the parts of an alert that are for people.
func describe(a *event.Alert) {
	a.Summary = summary(a.Event)
	a.Why, a.Next = split(a.Rule.Desc)
}

// summary says who did what to what, and from where.
func summary(ev *event.Event) string {
	if ev != nil && ev.FindingInfo != nil { // the process is who gave the reason to look, at most
		return ev.FindingInfo.What
	}
	if ev == nil || ev.Proc == nil {
		return ""
	}
	var b strings.Builder
	p := ev.Proc
	b.WriteString(who(p))
	b.WriteByte(' ')
	b.WriteString(what(ev))
	if from := event.SSHFrom(p); from != "" {
		b.WriteString(", from " + from + " by ssh")
	}
	if c := p.Cgroup; c != nil && c.ContainerID != "" {
		name := c.ContainerID
		if c.Meta != nil && c.Meta.Name != "" {
			name = c.Meta.Name
		}
		b.WriteString(", in container " + name)
	}
	if s := ev.Shell; s != nil {
		b.WriteString(": " + string(s.AppendChain(nil)))
	}
	return b.String()
}

// who names the user, and the one who logged in where that is another.
func who(p *event.Process) string {
	name := p.User
	if name == "" {
		name = "uid " + strconv.FormatUint(uint64(p.Cred.UID), 10)
	}
	if p.Cred.LoginUID != event.Unset && p.Cred.LoginUID != p.Cred.UID {
		login := p.LoginUser
		if login == "" {
			login = "uid " + strconv.FormatUint(uint64(p.Cred.LoginUID), 10)
		}
		name += " (logged in as " + login + ")"
	}
	return name
}

// maxCommand bounds the bytes of a command in a summary; the whole of it is in
// the event.
const maxCommand = 160

// what says what the process did, and to what.
func what(ev *event.Event) string {
	p := ev.Proc
	switch ev.Type {
	case event.Exec:
		return "ran " + command(p) + " as " + program(p) + parent(p)
	case event.Fork:
		return "forked " + program(p) + parent(p)
	case event.Exit:
		return "ended " + program(p)
	case event.Comm:
		return "renamed " + program(p) + ", before " + ev.OldComm
	}
	c := ev.Call
	if c == nil {
		return ev.Type.String() + " by " + program(p)
	}
	verb := ev.Type.String()
	if c.Spec != nil && c.Spec.Name != "" {
		verb = c.Spec.Name
	}
	s := "called " + verb
	if t := Target(ev); t != "" {
		s += " on " + t
	}
	if c.Failed() {
		s += " in vain (" + event.ErrnoName(-c.Ret) + ")"
	}
	return s + " in " + program(p) + parent(p)
}

func command(p *event.Process) string {
	if p.Image == nil {
		return p.Comm
	}
	s, args := cut(p.Image.Exe.Path, maxCommand), p.Image.Args()
	if args == "" {
		return s
	}
	return s + " " + cut(args, max(1, maxCommand-len(s)))
}

// cut bounds a text; what is cut does not hold on to the whole.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func program(p *event.Process) string {
	return p.Comm + "[" + strconv.FormatUint(uint64(p.Pid), 10) + "]"
}

func parent(p *event.Process) string {
	if p.Parent == nil {
		return ""
	}
	return " below " + program(p.Parent)
}

// Target is what an event acts on: a path, an address, a process, or what a
// shell is joined to; "" where there is none. A port is left out where it is the
// client's, which differs each time.
func Target(ev *event.Event) string {
	if f := ev.FindingInfo; f != nil {
		return f.What
	}
	if s := ev.Shell; s != nil {
		for _, w := range []*event.ShellWay{s.In, s.Out} {
			if w != nil && w.Remote != "" {
				if w.Inbound {
					return w.Remote
				}
				return address(w.Remote, w.RemotePort)
			}
		}
	}
	if ev.Type == event.Exec && ev.Proc != nil && ev.Proc.Image != nil {
		for i := range ev.Proc.Image.Stdio {
			if s := ev.Proc.Image.Stdio[i].Sock; s != nil && s.RemotePort != 0 && s.Remote != "" {
				return s.Remote
			}
		}
		return ev.Proc.Image.Script
	}
	c := ev.Call
	switch {
	case ev.FirewallInfo != nil:
		return ev.FirewallInfo.Source
	case c == nil:
		return ""
	case c.Path != nil && c.Path.Path != "":
		if c.Path2 != nil && c.Path2.Path != "" {
			return c.Path.Path + " and " + c.Path2.Path
		}
		return c.Path.Path
	case c.Addr != nil && c.Addr.Remote != "":
		return address(c.Addr.Remote, c.Addr.RemotePort)
	case c.FD != nil && c.FD.Sock != nil && c.FD.Sock.Remote != "":
		if ev.Type == event.Accept {
			return c.FD.Sock.Remote
		}
		return address(c.FD.Sock.Remote, c.FD.Sock.RemotePort)
	case c.Target != nil:
		return program(c.Target)
	case c.DNS != nil:
		return c.DNS.Name
	case c.FD != nil && c.FD.File.Path != "":
		return c.FD.File.Path
	case c.BPF != nil && c.BPF.Name != "":
		return c.BPF.Name
	}
	return c.Text
}

func address(ip string, port uint16) string {
	switch {
	case port == 0:
		return ip
	case strings.Contains(ip, ":"):
		return "[" + ip + "]:" + strconv.FormatUint(uint64(port), 10)
	}
	return ip + ":" + strconv.FormatUint(uint64(port), 10)
}

// imperatives begin the sentences of a description that say what to do.
const imperatives = " Check Save Decode Look Ask Compare Delete Find Isolate Remove Stop Verify Read Watch See "

// split takes a rule's description apart: its first sentence says why, those
// that begin with an imperative what to do next.
func split(desc string) (why, next string) {
	var todo []string
	for i, s := range sentences(desc) {
		word, _, _ := strings.Cut(s, " ")
		switch {
		case strings.Contains(imperatives, " "+word+" "):
			todo = append(todo, s)
		case i == 0:
			why = s
		}
	}
	return why, strings.Join(todo, " ")
}

// sentences splits text where a stop is followed by a blank and a capital.
func sentences(text string) []string {
	text = strings.Join(strings.Fields(text), " ")
	var out []string
	start := 0
	for i := 0; i+2 < len(text); i++ {
		if text[i] == '.' && text[i+1] == ' ' && text[i+2] >= 'A' && text[i+2] <= 'Z' {
			out = append(out, text[start:i+1])
			start = i + 2
		}
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}
