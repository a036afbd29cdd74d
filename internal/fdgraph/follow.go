package fdgraph

import "github.com/bearcat-hids/bearcat/internal/event"

// Bits of open(2)'s flags.
const (
	accessMask = 3
	writeOnly  = 1
	readWrite  = 2
)

// Apply learns from an event, and sets its Shell where it completes a chain.
func (g *Graph) Apply(ev *event.Event) {
	if ev.Proc == nil {
		return
	}
	g.bury(ev.Boot)
	switch ev.Type {
	case event.Fork:
		g.fork(ev.Proc)
	case event.Exec:
		g.exec(ev)
	case event.Exit:
		g.exit(ev)
	default:
		if ev.Call != nil {
			g.call(ev)
		}
	}
	g.account.procs.Store(int64(len(g.procs)))
	g.account.objects.Store(int64(len(g.objects)))
}

// fork gives the child what the parent holds.
func (g *Graph) fork(child *event.Process) {
	parent := g.procs[child.ParentKey]
	if parent == nil || parent.empty() {
		return
	}
	if g.procs[child.Key] != nil {
		return // the inventory or a later event came first, and knows better
	}
	h := g.at(child)
	h.stdio = parent.stdio
	h.held = append([]hold(nil), parent.held...)
	h.socks = append([]sock(nil), parent.socks...)
	h.ptmx, h.listens, h.unsure, h.group = parent.ptmx, parent.listens, parent.unsure, parent.group
	for _, x := range h.stdio {
		g.inherit(x.object, h)
	}
	for _, x := range h.held {
		g.inherit(x.object, h)
	}
}

// exit forgets a process; a shell between pipes, and a relay with a connection,
// only after a while: what they wrote may still wait in a pipe.
func (g *Graph) exit(ev *event.Event) {
	h := g.procs[ev.Proc.Key]
	if h == nil || len(g.gone) >= maxGone || !h.shell && len(h.socks) == 0 || !buffers(h.stdio[0]) && !buffers(h.stdio[1]) {
		g.drop(ev.Proc.Key)
		return
	}
	h.gone = max(ev.Boot, 1)
	g.gone = append(g.gone, h.key)
}

// buffers reports whether what is written to an object can outlive the writer.
func buffers(x hold) bool { return x.kind == pipe || x.kind == fifo || x.kind == pair }

// bury forgets the processes that ended a while ago.
func (g *Graph) bury(boot uint64) {
	n := 0
	for ; n < len(g.gone); n++ {
		h := g.procs[g.gone[n]]
		if h != nil && h.gone != 0 && h.gone+keepGone > boot {
			break
		}
		g.drop(g.gone[n])
	}
	if n > 0 {
		g.gone = append(g.gone[:0], g.gone[n:]...)
	}
}

// exec takes the first three descriptors from the event. Those above stay, as
// some of them may.
func (g *Graph) exec(ev *event.Event) {
	i := ev.Proc.Image
	if i == nil {
		return
	}
	h := g.procs[ev.Proc.Key]
	shell := isShell(i)
	var stdio [3]hold
	var direct []sock
	there := shell
	for n := range i.Stdio {
		s := &i.Stdio[n]
		stdio[n] = g.stdioHold(s, n)
		if stdio[n].kind == inet {
			direct = append(direct, sockOf(s.Inode, s.Sock, false))
		}
		there = there || stdio[n].kind != none
	}
	if h == nil && !there {
		return
	}
	if h == nil {
		h = g.at(ev.Proc)
	}
	h.proc, h.shell, h.told, h.unsure, h.ptmx, h.listens = ev.Proc, shell, "", false, false, false
	h.in, h.out = nil, nil
	for n := range h.held {
		h.held[n].maybe = true
	}
	for n := range h.socks {
		h.socks[n].maybe = true
	}
	for n := range stdio {
		g.setStdio(h, n, stdio[n])
	}
	for _, s := range direct {
		g.addSock(h, s)
	}
	delete(g.terminals, h.key)
	if h.empty() {
		g.drop(h.key)
		return
	}
	if shell {
		if h.stdio[0].kind == pty {
			g.terminals[h.key] = struct{}{}
		}
		ev.Shell = g.ask(h, ev.Boot)
	}
}

// stdioHold says what descriptor n is: a pipe on 0 is read, on 1 and 2 written.
func (g *Graph) stdioHold(s *event.Stdio, n int) hold {
	x := hold{read: n == 0, write: n != 0}
	switch s.Kind {
	case event.StdioPipe:
		x.object = object{kind: pipe, id: s.Inode}
	case event.StdioFifo:
		x.object = object{kind: fifo, id: s.Inode, path: s.Path}
	case event.StdioPty:
		x.object, x.read, x.write = ptyObject(s.Path), true, true
	case event.StdioSocket:
		x.object, x.read, x.write = g.sockObject(s.Inode, s.Sock), true, true
	}
	if x.kind == none {
		return hold{}
	}
	return x
}

// sockObject is a connected internet socket or an end of a socket pair.
func (g *Graph) sockObject(inode uint64, s *event.Socket) object {
	switch {
	case s == nil:
		return object{}
	case isInet(s) && s.RemotePort != 0:
		return object{kind: inet, id: inode}
	case s.Family == "unix" && g.peers[inode] != 0:
		return object{kind: pair, id: inode}
	}
	return object{}
}

func isInet(s *event.Socket) bool { return s.Family == "ipv4" || s.Family == "ipv6" }

func sockOf(inode uint64, s *event.Socket, inbound bool) sock {
	out := sock{inode: inode, inbound: inbound}
	if s != nil {
		out.remote, out.port, out.proto = s.Remote, s.RemotePort, s.Proto
	}
	return out
}

// ptyObject makes an object of a path such as /dev/pts/3.
func ptyObject(path string) object {
	n, ok := ptyNumber(path)
	if !ok {
		return object{}
	}
	return object{kind: pty, id: n}
}

// setStdio changes what one of the first three descriptors is.
func (g *Graph) setStdio(h *holder, n int, x hold) {
	old := h.stdio[n].object
	g.widen(h, &x)
	h.stdio[n] = x
	if old != x.object {
		switch n {
		case 0:
			h.in = nil
		case 1:
			h.out = nil
		}
		g.unlink(old, h)
		g.link(x.object, h)
		if !h.shell && x.kind != none {
			g.gain(h)
		}
	}
}

// addHold notes that a process holds an object.
func (g *Graph) addHold(h *holder, x hold) {
	if x.kind == none || x.kind == inet {
		return
	}
	g.widen(h, &x)
	for i := range h.held {
		if o := &h.held[i]; o.object == x.object {
			o.read, o.write, o.maybe = o.read || x.read, o.write || x.write, false
			return
		}
	}
	if len(h.held) >= maxHeld {
		g.account.forgotten.Add(1)
		old := h.held[0].object
		h.held = append(h.held[:0], h.held[1:]...)
		g.unlink(old, h)
	}
	h.held = append(h.held, x)
	g.link(x.object, h)
	if x.kind == fifo {
		g.gain(h) // the others are new, and lead nowhere yet
	}
}

// addSock notes a connection. Questions to name servers are none that a shell
// could be talking through for long: their sockets come and go with each name.
func (g *Graph) addSock(h *holder, s sock) {
	if s.port == 0 || s.proto == "udp" && s.port == 53 {
		return
	}
	g.gain(h)
	for i := range h.socks {
		if h.socks[i].inode == s.inode {
			s.inbound = s.inbound || h.socks[i].inbound && h.socks[i].remote == s.remote && h.socks[i].port == s.port
			h.socks[i] = s
			return
		}
	}
	if len(h.socks) >= maxSocks {
		g.account.forgotten.Add(1)
		h.socks = append(h.socks[:0], h.socks[1:]...)
	}
	h.socks = append(h.socks, s)
}

// call learns from a system call.
func (g *Graph) call(ev *event.Event) {
	c := ev.Call
	if c.FD == nil || c.Failed() && !(ev.Type == event.Connect && c.Ret == event.InProgress) {
		return
	}
	switch ev.Type {
	case event.Pipe:
		if c.FD2 != nil {
			o := object{kind: pipe, id: c.FD.Inode()}
			g.addHold(g.at(ev.Proc), hold{object: o, read: true, write: true})
		}
	case event.Socketpair:
		if c.FD2 != nil && c.FD.Sock != nil && c.FD.Sock.Family == "unix" {
			a, b := c.FD.Inode(), c.FD2.Inode()
			g.peers[a], g.peers[b] = b, a
			h := g.at(ev.Proc)
			g.addHold(h, hold{object: object{kind: pair, id: a}, read: true, write: true})
			g.addHold(h, hold{object: object{kind: pair, id: b}, read: true, write: true})
		}
	case event.Connect, event.Accept:
		g.connected(ev, c)
	case event.Listen:
		if c.FD.Sock != nil && isInet(c.FD.Sock) {
			h := g.at(ev.Proc)
			h.listens = true
			g.gain(h)
		}
	case event.Dup:
		g.dup(ev, c)
	case event.Open:
		g.open(ev, c)
	}
}

func (g *Graph) connected(ev *event.Event, c *event.Call) {
	s := c.FD.Sock
	if s == nil || !isInet(s) {
		return
	}
	x := sockOf(c.FD.Inode(), s, ev.Type == event.Accept)
	if ev.Type == event.Connect {
		x.remote, x.port = c.Peer()
	}
	h := g.at(ev.Proc)
	x.at = ev.Boot
	g.addSock(h, x)
	if h.shell {
		if ev.Shell = g.ask(h, ev.Boot); ev.Shell != nil {
			return
		}
	}
	to := sock{remote: x.remote, port: x.port, proto: x.proto, inbound: x.inbound}
	if ev.Boot < h.quiet && to == h.quietTo {
		return
	}
	if ev.Shell = g.askBeyond(h, ev.Boot); ev.Shell == nil {
		h.quiet, h.quietTo = ev.Boot+quietTime, to
	}
}

// quietTime is how long a question that led to nothing is not asked again: of a
// process that connects again and again, of a shell that redirects its output.
const quietTime = 100_000_000 // ns

// dup notes what is on descriptors 0 to 2 now.
func (g *Graph) dup(ev *event.Event, c *event.Call) {
	n := int(c.FD.Num)
	h := g.procs[ev.Proc.Key]
	s := event.Stdio{Kind: c.FD.Kind, Inode: c.FD.Inode(), Path: c.FD.File.Path, Sock: c.FD.Sock}
	if n < 0 || n > 2 {
		return
	}
	x := g.stdioHold(&s, n)
	if h == nil {
		if x.kind == none {
			return
		}
		h = g.at(ev.Proc)
	}
	g.setStdio(h, n, x)
	if x.kind == inet {
		g.addSock(h, sockOf(s.Inode, s.Sock, false))
	}
	if h.shell && n < 2 && x.kind != none {
		ev.Shell = g.askAgain(h, ev.Boot)
	}
}

// askAgain asks for a shell that puts its own descriptors back, as after each
// command whose output goes to a file: not where the same question has just led
// to nothing, and nothing has come since that could change the answer. What no
// event tells, as descriptors that are passed over a socket, is found late by it.
func (g *Graph) askAgain(h *holder, boot uint64) *event.Shell {
	q := question{in: h.stdio[0].object, out: h.stdio[1].object, gains: g.gains}
	if q == h.nothing && boot < h.nothingAt+quietTime {
		return nil
	}
	found := g.ask(h, boot)
	if found == nil {
		h.nothing, h.nothingAt = q, boot
	}
	return found
}

// open notes FIFOs and the other ends of terminals.
func (g *Graph) open(ev *event.Event, c *event.Call) {
	switch {
	case c.FD.Kind == event.StdioFifo:
		mode := openFlags(c) & accessMask
		x := hold{
			object: object{kind: fifo, id: c.FD.Inode(), path: c.FD.File.Path},
			read:   mode != writeOnly, write: mode == writeOnly || mode == readWrite,
		}
		h := g.at(ev.Proc)
		if n := int(c.FD.Num); n >= 0 && n < 3 {
			g.setStdio(h, n, x)
			return
		}
		g.addHold(h, x)
	case isPtmx(c.FD.File.Path):
		h := g.at(ev.Proc)
		h.ptmx = true
		g.gain(h)
	case c.FD.Kind == event.StdioPty && c.FD.Num >= 0 && c.FD.Num < 3:
		s := event.Stdio{Kind: c.FD.Kind, Path: c.FD.File.Path}
		g.setStdio(g.at(ev.Proc), int(c.FD.Num), g.stdioHold(&s, int(c.FD.Num)))
	}
}

// openFlags finds the flags among the call's arguments. openat2's stand where
// the address of its structure was.
func openFlags(c *event.Call) uint64 {
	if c.Spec == nil {
		return 0
	}
	for _, name := range []string{"flags", "how"} {
		if i := c.Spec.ArgNamed(name); i >= 0 {
			return c.Args[i]
		}
	}
	return writeOnly // creat
}

func isPtmx(path string) bool { return path == "/dev/ptmx" || path == "/dev/pts/ptmx" }

// Prune forgets the processes that are not alive, whose end was not seen.
func (g *Graph) Prune(alive func(event.Key) bool) {
	for key, h := range g.procs {
		if h.gone == 0 && !alive(key) {
			g.drop(key)
		}
	}
}

// Seed learns of a process that is older than the agent.
func (g *Graph) Seed(p *event.Process) {
	if g.opts.Probe == nil || p == nil || p.KThread || !p.Alive() {
		return
	}
	fds, ok := g.opts.Probe.FDs(p.Pid, p.Start)
	if !ok {
		return
	}
	h := &holder{key: p.Key, proc: p, shell: isShell(p.Image)}
	for _, fd := range fds {
		x := fd.hold()
		switch {
		case fd.Ptmx:
			h.ptmx = true
		case fd.Socket:
			h.unsure = true
		case x.kind != none && fd.Num < 3:
			h.stdio[fd.Num] = x
		case x.kind != none && len(h.held) < maxHeld:
			h.held = append(h.held, x)
		}
	}
	if h.empty() {
		return
	}
	if len(g.procs) >= g.opts.Processes {
		g.forgetOne()
	}
	g.drop(p.Key)
	g.procs[p.Key] = h
	for _, x := range h.stdio {
		g.link(x.object, h)
	}
	for _, x := range h.held {
		g.link(x.object, h)
	}
	if h.shell && h.stdio[0].kind == pty {
		g.terminals[h.key] = struct{}{}
	}
}
