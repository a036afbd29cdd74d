package eventjson

import "github.com/bearcat-hids/bearcat/internal/event"

// putShell writes what a shell's input and output lead to.
func putShell(w *writer, s *event.Shell) {
	w.open("shell")
	w.putStr("chain", string(s.AppendChain(nil)))
	w.addFlag("confirmed", s.Confirmed)
	if p := s.Proc; p != nil {
		w.putUint("pid", uint64(p.Pid))
		w.putUint("start", p.Start)
		w.putStr("comm", p.Comm)
		if p.Image != nil {
			w.addStr("exe", p.Image.Exe.Path)
		}
		w.addStr("cmdline", p.Cmdline)
	}
	putWay(w, "in", s.In)
	putWay(w, "out", s.Out)
	w.close()
}

func putWay(w *writer, name string, way *event.ShellWay) {
	if way == nil {
		return
	}
	w.open(name)
	w.key("hops")
	w.b = append(w.b, '[')
	for i := range way.Hops {
		h := &way.Hops[i]
		w.sep()
		w.b = append(w.b, '{')
		w.putStr("via", h.Via)
		w.putUint("pid", uint64(h.Pid))
		w.putUint("start", h.Start)
		w.putStr("comm", h.Name)
		w.addStr("exe", h.Exe)
		w.close()
	}
	w.b = append(w.b, ']')
	w.addStr("remote", way.Remote)
	w.addUint("remote_port", uint64(way.RemotePort))
	w.addStr("proto", way.Proto)
	w.addFlag("inbound", way.Inbound)
	w.close()
}

func (d *decoder) shell() (*event.Shell, error) {
	s := new(event.Shell)
	var p event.Process
	there, exe := false, ""
	err := d.object(func(name string) (err error) {
		switch name {
		case "confirmed":
			s.Confirmed, err = d.boolean()
		case "pid":
			there = true
			err = d.uint32(&p.Pid)
		case "start":
			p.Start, err = d.unsigned(64)
		case "comm":
			p.Comm, err = d.str()
		case "exe":
			exe, err = d.str()
		case "cmdline":
			p.Cmdline, err = d.str()
		case "in":
			s.In, err = d.way()
		case "out":
			s.Out, err = d.way()
		default:
			err = d.skip() // the chain follows from the rest
		}
		return err
	})
	if err == nil && s.In == nil && s.Out == nil {
		err = d.fail("a shell leads nowhere: it needs \"in\" or \"out\"")
	}
	if there {
		p.Cred = unsetCred()
		if exe != "" {
			p.Image = (&event.Image{Exe: event.File{Path: exe}}).Seal()
		}
		s.Proc = &p
	}
	return s, err
}

func (d *decoder) way() (*event.ShellWay, error) {
	w := new(event.ShellWay)
	return w, d.object(func(name string) (err error) {
		switch name {
		case "hops":
			err = d.list(func() error {
				var h event.ShellHop
				err := d.hop(&h)
				w.Hops = append(w.Hops, h)
				return err
			})
		case "remote":
			w.Remote, err = d.str()
		case "remote_port":
			err = d.uint16(&w.RemotePort)
		case "proto":
			w.Proto, err = d.str()
		case "inbound":
			w.Inbound, err = d.boolean()
		default:
			err = d.skip()
		}
		return err
	})
}

func (d *decoder) hop(h *event.ShellHop) error {
	return d.object(func(name string) (err error) {
		switch name {
		case "via":
			h.Via, err = d.str()
		case "pid":
			err = d.uint32(&h.Pid)
		case "start":
			h.Start, err = d.unsigned(64)
		case "comm":
			h.Name, err = d.str()
		case "exe":
			h.Exe, err = d.str()
		default:
			err = d.skip()
		}
		return err
	})
}

// shellFields are the members of a shell's chain.
func shellFields() []Field {
	in := "events"
	out := []Field{
		{"shell", "object", in, true, "What the input and output of a shell lead to, in the exec, dup, connect or accept that completes a way to a socket."},
		{"shell.chain", "text", in, true, "The ways as text, such as bash[812] <-pipe- nc[811] <-tcp- 203.0.113.1:7777."},
		{"shell.confirmed", "flag", in, true, "The descriptors of the processes were looked at and agree."},
		{"shell.pid", "integer", in, true, "Pid of the shell, which is not always the event's process."},
		{"shell.start", "integer", in, false, "Start of the shell on the boot-time clock, in nanoseconds."},
		{"shell.comm", "text", in, false, "Its name."},
		{"shell.exe", "text", in, true, "Its program."},
		{"shell.cmdline", "text", in, true, "Its name and arguments."},
	}
	for _, way := range []string{"in", "out"} {
		doc := "The way that its input comes from a socket."
		if way == "out" {
			doc = "The way that its output goes to a socket."
		}
		at := "shell." + way
		out = append(out, []Field{
			{at, "object", in, true, doc},
			{at + ".hops", "list", in, false, "The processes between, nearest first; none where the socket is the shell's own."},
			{at + ".hops[].via", "text", in, false, "What joins it to the one before: pipe, fifo, socketpair or pty."},
			{at + ".hops[].pid", "integer", in, false, "Its pid."},
			{at + ".hops[].start", "integer", in, false, "Its start."},
			{at + ".hops[].comm", "text", in, false, "Its name."},
			{at + ".hops[].exe", "text", in, true, "Its program."},
			{at + ".remote", "text", in, true, "Address of the other end."},
			{at + ".remote_port", "integer", in, true, "Port of the other end."},
			{at + ".proto", "text", in, true, "tcp, udp and so on."},
			{at + ".inbound", "flag", in, true, "The connection was accepted, not made."},
		}...)
	}
	return out
}
