package filter

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// stub is the function whose place a filter takes: int match(struct header *).
const stub = "match"

// Put puts the filter into a program, where the program has a place for it.
func (f *Filter) Put(p *ebpf.ProgramSpec) error {
	if f.root == nil {
		return nil
	}
	from, to := -1, len(p.Instructions)
	for i, ins := range p.Instructions {
		switch {
		case ins.Symbol() == stub:
			from = i
		case from >= 0 && i > from && ins.Symbol() != "":
			to = min(to, i)
		}
	}
	if from < 0 {
		return nil
	}
	code := f.compile()
	if len(code) > 1<<15-1 {
		return fmt.Errorf("the filter comes to %d instructions, more than a jump reaches: shorten it", len(code))
	}
	// the function's name and type stay with its first instruction
	code[0].Metadata = p.Instructions[from].Metadata
	all := append(asm.Instructions{}, p.Instructions[:from]...)
	p.Instructions = append(append(all, code...), p.Instructions[to:]...)
	return nil
}

// code is what a filter compiles to, with jumps to places that are not known yet.
type code struct {
	asm.Instructions
	jumps  map[int]int // of an instruction, to a place
	places []int       // of which instruction
}

func (c *code) place() int {
	c.places = append(c.places, -1)
	return len(c.places) - 1
}

func (c *code) here(place int) { c.places[place] = len(c.Instructions) }

func (c *code) jump(ins asm.Instruction, place int) {
	c.jumps[len(c.Instructions)] = place
	c.Instructions = append(c.Instructions, ins)
}

// compile returns the body of match: r1 is the header, r0 becomes 1 or 0.
func (f *Filter) compile() asm.Instructions {
	c := &code{jumps: map[int]int{}}
	yes, no := c.place(), c.place()
	c.node(f.root, yes, no)
	c.here(yes)
	c.Instructions = append(c.Instructions, asm.Mov.Imm(asm.R0, 1), asm.Return())
	c.here(no)
	c.Instructions = append(c.Instructions, asm.Mov.Imm(asm.R0, 0), asm.Return())
	for i, place := range c.jumps {
		c.Instructions[i].Offset = int16(c.places[place] - i - 1)
	}
	return c.Instructions
}

// node goes on at yes or at no.
func (c *code) node(n node, yes, no int) {
	switch n := n.(type) {
	case and:
		then := c.place()
		c.node(n.l, then, no)
		c.here(then)
		c.node(n.r, yes, no)
	case or:
		otherwise := c.place()
		c.node(n.l, yes, otherwise)
		c.here(otherwise)
		c.node(n.r, yes, no)
	case not:
		c.node(n.x, no, yes)
	case compare:
		c.compare(n, yes, no)
	}
}

func (c *code) compare(n compare, yes, no int) {
	size := map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word}[n.size]
	c.Instructions = append(c.Instructions, asm.LoadMem(asm.R2, asm.R1, int16(n.offset), size))
	if n.network && n.size > 1 {
		c.Instructions = append(c.Instructions, asm.HostTo(asm.BE, asm.R2, size))
	}
	if n.mask != 0xffffffff {
		c.Instructions = append(c.Instructions, asm.And.Imm32(asm.R2, int32(n.mask)))
	}
	op := map[operator]asm.JumpOp{equal: asm.JEq, unequal: asm.JNE, greater: asm.JGT, less: asm.JLT, greaterEqual: asm.JGE, lessEqual: asm.JLE}[n.op]
	jump := op.Imm32(asm.R2, int32(n.value), "")
	jump.Metadata = asm.Metadata{} // a place and no name
	c.jump(jump, yes)
	c.jump(asm.Instruction{OpCode: asm.Ja.Op(asm.ImmSource)}, no)
}
