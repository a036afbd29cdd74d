// Package fdgraph follows which processes hold the ends of pipes, FIFOs,
// socket pairs, pseudo terminals and internet sockets, and tells of a shell
// whether its input or output leads to an internet socket, and by which chain.
//
// In come events, in their order (Graph.Apply); out goes Event.Shell where the
// event completes such a chain: the exec of a shell, a dup onto its
// descriptors, or the connect of a process that hands on what a waiting shell
// reads or writes. The agent's pipeline calls it, on its goroutine.
//
// What events cannot tell (descriptors that were closed since, processes older
// than the agent, which terminal belongs to an open /dev/ptmx) is asked of the
// kernel through a Probe: only of the processes of a chain that events make
// likely, and at a bounded rate. Memory is bounded too. What had to be
// forgotten or was not asked is counted.
//
// Whether a descriptor is closed by exec is not followed: what a process held
// above 2 counts as held after its exec, until the Probe denies it.
package fdgraph

import (
	"slices"
	"sync/atomic"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds on what is kept and what one question may cost.
const (
	// DefaultProcesses and DefaultObjects are the bounds where Options has none.
	DefaultProcesses = 16384
	DefaultObjects   = 32768

	maxHeld     = 32 // descriptors of a process beside its first three
	maxSocks    = 8  // connections of a process; older ones are forgotten
	maxHolders  = 64 // processes of an object
	maxDepth    = 5  // processes between a shell and a socket
	maxVisited  = 64 // processes that one search looks at
	maxLineage  = 16 // ancestors among whom a terminal's other end is sought
	maxProbes   = 24 // processes that one question asks the kernel about
	maxGone     = 1024
	fresh       = 1_000_000_000 // ns in which a connection counts though it is closed again
	keepGone    = 5_000_000_000 // ns for which a process that has ended is kept
	probesBurst = 200
	probesRate  = 50 // a second
)

// Options are a graph's settings; the zero value is good.
type Options struct {
	// Probe asks the kernel; nil to go by events alone.
	Probe Probe
	// Processes and Objects bound the memory; 0 for the defaults.
	Processes, Objects int
}

// Stats is the graph's account.
type Stats struct {
	// Processes and Objects are followed at present.
	Processes, Objects int
	// Forgotten counts processes, descriptors and objects that were dropped to
	// keep within the bounds.
	Forgotten uint64
	// Asked counts likely chains, Found those that were told, Refuted those
	// that the kernel's descriptors denied, Unasked those for which the kernel
	// was not asked because it had been too often.
	Asked, Found, Refuted, Unasked uint64
}

// kind is what an object is.
type kind uint8

const (
	none kind = iota
	pipe
	fifo
	pair // one end of a socket pair
	pty  // a terminal; its other end is an open /dev/ptmx
	inet
)

func (k kind) String() string {
	return [...]string{"none", "pipe", "fifo", "socketpair", "pty", "socket"}[k]
}

// object is something that processes share. FIFOs are told apart by path too,
// as numbers of inodes repeat among file systems; terminals by number.
type object struct {
	kind kind
	id   uint64
	path string
}

// hold is an object that a process holds, and the ends that it may use. maybe
// says that an exec since may have closed it.
type hold struct {
	object
	read, write, maybe bool
}

// sock is a connection.
type sock struct {
	inode   uint64
	remote  string
	port    uint16
	proto   string
	inbound bool
	maybe   bool   // as in hold
	at      uint64 // when it was made, on the boot-time clock
}

// holder is what is known of a process.
type holder struct {
	key   event.Key
	proc  *event.Process
	stdio [3]hold
	held  []hold
	socks []sock
	// ptmx: it has opened the other end of a terminal. listens: it may have
	// accepted connections. unsure: it is older than the agent and has
	// sockets of which nothing is known.
	ptmx, listens, unsure bool
	// quiet is until when another connection to quietTo need not be followed: one
	// just before led to no shell, and a shell that comes meanwhile asks by itself.
	quiet   uint64
	quietTo sock
	// nothing is a question about this shell that led to no connection, and when
	// that was, on the boot-time clock.
	nothing   question
	nothingAt uint64
	shell     bool
	told      string          // what was told of the shell last
	in, out   *event.ShellWay // the ways among it
	gone      uint64          // when it ended, on the boot-time clock; 0 while it lives
	group     *group          // of the objects that it holds; nil where it never held one
}

// question is what the answer for a shell depends on: its input and output, and
// what else there was to find (Graph.gains).
type question struct {
	in, out object
	gains   uint64
}

// Graph is the graph. It belongs to one goroutine; Stats may be called from any.
type Graph struct {
	opts    Options
	procs   map[event.Key]*holder
	objects map[object]*ends
	peers   map[uint64]uint64 // ends of socket pairs
	// terminals are the shells whose input is a terminal.
	terminals map[event.Key]struct{}
	// gone are processes that have ended, oldest first, whose output may still be
	// in a pipe before a shell, or a process that is about to connect.
	gone []event.Key

	// gains counts connections, and ends that processes came to hold in other ways
	// than from their parent: without one of these a question that led to nothing
	// leads to nothing again.
	gains uint64

	spare   []*view // for the next searches
	tokens  float64
	refill  uint64 // when tokens were last counted, on the boot-time clock
	account struct {
		procs, objects                            atomic.Int64
		forgotten, asked, found, refuted, unasked atomic.Uint64
	}
}

// New makes an empty graph.
func New(o Options) *Graph {
	if o.Processes <= 0 {
		o.Processes = DefaultProcesses
	}
	if o.Objects <= 0 {
		o.Objects = DefaultObjects
	}
	return &Graph{
		opts: o, procs: map[event.Key]*holder{}, objects: map[object]*ends{}, peers: map[uint64]uint64{},
		terminals: map[event.Key]struct{}{}, tokens: probesBurst,
	}
}

// Types are the calls that the graph needs to see, beside the events of
// processes.
func Types() event.TypeSet {
	return event.TypesOf(event.Pipe, event.Socketpair, event.Dup, event.Connect, event.Listen, event.Open)
}

// Stats returns the account.
func (g *Graph) Stats() Stats {
	a := &g.account
	return Stats{
		Processes: int(a.procs.Load()), Objects: int(a.objects.Load()), Forgotten: a.forgotten.Load(),
		Asked: a.asked.Load(), Found: a.found.Load(), Refuted: a.refuted.Load(), Unasked: a.unasked.Load(),
	}
}

// at returns what is known of a process, and begins to know it.
func (g *Graph) at(p *event.Process) *holder {
	h := g.procs[p.Key]
	if h == nil {
		if len(g.procs) >= g.opts.Processes {
			g.forgetOne()
		}
		h = &holder{key: p.Key, shell: isShell(p.Image)}
		g.procs[p.Key] = h
	}
	h.proc = p
	return h
}

// forgetOne makes room for a process. Which one goes is left to chance, so that
// nobody can push out another on purpose.
func (g *Graph) forgetOne() {
	for key := range g.procs {
		g.account.forgotten.Add(1)
		g.drop(key)
		return
	}
}

// drop forgets a process.
func (g *Graph) drop(key event.Key) {
	h := g.procs[key]
	if h == nil {
		return
	}
	delete(g.procs, key)
	delete(g.terminals, key)
	for _, x := range h.stdio {
		g.remove(x.object, h)
	}
	for _, x := range h.held {
		g.remove(x.object, h)
	}
}

// link files a process under an object that it came to hold.
func (g *Graph) link(o object, h *holder) {
	if g.inherit(o, h) {
		g.join(o, g.objects[o], h)
	}
}

// inherit files a process under an object that it may have from its parent, whose
// group is its own; it returns false where there is nothing to file.
func (g *Graph) inherit(o object, h *holder) bool {
	if o.kind == none || o.kind == inet {
		return false
	}
	e := g.objects[o]
	if e == nil {
		if len(g.objects) >= g.opts.Objects {
			for old, e := range g.objects {
				g.account.forgotten.Add(1)
				e.in.root().leaky = true
				delete(g.objects, old)
				break
			}
		}
		if h.group == nil {
			h.group = &group{}
		}
		e = &ends{in: h.group.root()}
		g.objects[o] = e
	}
	if slices.Contains(e.holders, h) {
		return false
	}
	if len(e.holders) >= maxHolders {
		g.account.forgotten.Add(1)
		e.in.root().leaky = true
		e.holders = slices.Delete(e.holders, 0, 1)
	}
	e.holders = append(e.holders, h)
	return true
}

// unlink takes a process from an object's list, unless it still holds it.
func (g *Graph) unlink(o object, h *holder) {
	if !h.holds(o) {
		g.remove(o, h)
	}
}

// remove takes a process from an object's list.
func (g *Graph) remove(o object, h *holder) {
	e := g.objects[o]
	if e == nil {
		return
	}
	if i := slices.Index(e.holders, h); i >= 0 {
		e.holders = slices.Delete(e.holders, i, i+1)
	}
	if len(e.holders) > 0 {
		return
	}
	delete(g.objects, o)
	if o.kind == pair {
		delete(g.peers, o.id)
	}
}

func (h *holder) holds(o object) bool {
	for _, x := range h.stdio {
		if x.object == o {
			return true
		}
	}
	for _, x := range h.held {
		if x.object == o {
			return true
		}
	}
	return false
}

// empty reports whether nothing of interest is known of a process.
func (h *holder) empty() bool {
	return h.stdio == [3]hold{} && len(h.held) == 0 && len(h.socks) == 0 && !h.ptmx && !h.listens && !h.unsure
}
