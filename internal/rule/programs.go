package rule

import (
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// programsKept bounds how many programs are remembered: between half of it and all
// of it are.
const programsKept = 4096

// programs remembers which rules the programs that are seen could satisfy. Most
// events come from few programs, and most conditions on a program are false for
// them.
type programs struct {
	young, old map[*event.Image]*program
	buf        []uint32
	text       []byte
	none       program // of processes without an image, filled anew each time
}

// program is what was found of one, as long as its process keeps its name.
type program struct {
	comm, cmdline string
	types         []*programRules
}

// programRules are the rules of one type of event that a program could satisfy,
// in rising order: those that need nothing else of the event, and the others.
type programRules struct {
	idx          *typeIndex
	alone, other []uint32
}

// has reports whether a rule that needs something else as well is among them.
func (p *programRules) has(n uint32) bool {
	if p == nil || len(p.other) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(p.other, n)
	return ok
}

func newPrograms() programs { return programs{young: map[*event.Image]*program{}} }

// rules returns the rules of idx that the event's program could satisfy.
func (p *programs) rules(idx *typeIndex, ev *event.Event) *programRules {
	g := p.of(ev.Proc)
	for _, r := range g.types {
		if r.idx == idx {
			return r
		}
	}
	p.buf = p.buf[:0]
	for _, f := range idx.program {
		p.buf = f.find(ev, p.buf, &p.text)
	}
	slices.Sort(p.buf)
	r := &programRules{idx: idx}
	for i, n := range p.buf {
		switch {
		case i > 0 && p.buf[i-1] == n:
		case idx.needsOther[n]:
			r.other = append(r.other, n)
		default:
			r.alone = append(r.alone, n)
		}
	}
	g.types = append(g.types, r)
	return r
}

// of finds what is remembered of a process's program.
func (p *programs) of(proc *event.Process) *program {
	if proc == nil || proc.Image == nil {
		p.none.types = p.none.types[:0]
		return &p.none
	}
	g := p.young[proc.Image]
	if g == nil {
		if g = p.old[proc.Image]; g == nil {
			g = &program{comm: proc.Comm, cmdline: proc.Cmdline}
		}
		if len(p.young) >= programsKept/2 {
			p.old, p.young = p.young, make(map[*event.Image]*program, programsKept/2)
		}
		p.young[proc.Image] = g
	}
	if g.comm != proc.Comm || g.cmdline != proc.Cmdline {
		g.comm, g.cmdline, g.types = proc.Comm, proc.Cmdline, g.types[:0]
	}
	return g
}
