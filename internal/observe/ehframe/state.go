package ehframe

// state is what instructions have said so far of the registers that matter.
type state struct {
	cfa cfa
	bp  saved
	ra  saved
}

// cfa is where the frame ends.
type cfa struct {
	kind        Kind
	offset, add int64
}

// saved is where the caller's value of a register is.
type saved struct {
	how    how
	offset int64
}

type how uint8

const (
	unchanged how = iota
	undefined
	atCFA // in memory, at the CFA and an offset
	inSP  // in memory, at a register and an offset
	inBP
	elsewhere
)

// maxRemembered is how many states are kept within each other.
const maxRemembered = 16

// machine runs the instructions of one function.
type machine struct {
	state
	initial    state
	remembered [maxRemembered]state
	depth      int
	codeAlign  uint64
	dataAlign  int64
	encoding   uint8
	dirty      bool
}

// register returns where a register is kept, nil for those of no interest.
func (m *machine) register(n uint64) *saved {
	switch n {
	case registerRBP:
		return &m.bp
	case registerRIP:
		return &m.ra
	}
	return nil
}

func (m *machine) set(n uint64, s saved) {
	if r := m.register(n); r != nil {
		*r, m.dirty = s, true
	}
}

func (m *machine) restore(n uint64) {
	switch n {
	case registerRBP:
		m.set(n, m.initial.bp)
	case registerRIP:
		m.set(n, m.initial.ra)
	}
}

func (m *machine) define(register uint64, offset int64) {
	m.dirty = true
	m.cfa = cfa{Unsupported, offset, 0}
	switch register {
	case registerRSP:
		m.cfa.kind = SP
	case registerRBP:
		m.cfa.kind = BP
	}
}

// The instructions: DW_CFA.
const (
	opAdvance          = 1 // in the two highest bits, with an operand in the others
	opOffset           = 2
	opRestore          = 3
	opNop              = 0x00
	opSetLoc           = 0x01
	opAdvance1         = 0x02
	opAdvance2         = 0x03
	opAdvance4         = 0x04
	opOffsetExtended   = 0x05
	opRestoreExtended  = 0x06
	opUndefined        = 0x07
	opSameValue        = 0x08
	opRegister         = 0x09
	opRememberState    = 0x0a
	opRestoreState     = 0x0b
	opDefCFA           = 0x0c
	opDefCFARegister   = 0x0d
	opDefCFAOffset     = 0x0e
	opDefCFAExpression = 0x0f
	opExpression       = 0x10
	opOffsetSigned     = 0x11
	opDefCFASigned     = 0x12
	opDefCFAOffSigned  = 0x13
	opValOffset        = 0x14
	opValOffsetSigned  = 0x15
	opValExpression    = 0x16
	opAdvance8         = 0x1d
	opArgsSize         = 0x2e
	opNegativeOffset   = 0x2f
)

// step runs one instruction. It returns how far the place in the code advances, in
// bytes. It is false where the instruction is not known.
func (m *machine) step(c *cursor, addr uint64, loc uint64) (advance uint64, ok bool) {
	op := c.u8()
	low := uint64(op & 0x3f)
	switch op >> 6 {
	case opAdvance:
		return low * m.codeAlign, true
	case opOffset:
		m.set(low, saved{atCFA, int64(c.uleb()) * m.dataAlign})
		return 0, true
	case opRestore:
		m.restore(low)
		return 0, true
	}
	switch op {
	case opSetLoc:
		to := c.pointer(m.encoding, addr)
		return to - loc, to >= loc
	case opAdvance1:
		return uint64(c.u8()) * m.codeAlign, true
	case opAdvance2:
		return uint64(c.u16()) * m.codeAlign, true
	case opAdvance4:
		return uint64(c.u32()) * m.codeAlign, true
	case opAdvance8:
		return c.u64() * m.codeAlign, true
	case opDefCFA, opDefCFARegister, opDefCFAOffset, opDefCFAExpression, opDefCFASigned, opDefCFAOffSigned:
		m.defineCFA(c, op)
		return 0, true
	}
	return 0, m.registers(c, op)
}

func (m *machine) defineCFA(c *cursor, op uint8) {
	m.dirty = true
	switch op {
	case opDefCFA:
		r := c.uleb()
		m.define(r, int64(c.uleb()))
	case opDefCFASigned:
		r := c.uleb()
		m.define(r, c.sleb()*m.dataAlign)
	case opDefCFARegister:
		m.define(c.uleb(), m.cfa.offset)
	case opDefCFAOffset:
		m.cfa.offset = int64(c.uleb())
	case opDefCFAOffSigned:
		m.cfa.offset = c.sleb() * m.dataAlign
	case opDefCFAExpression:
		m.cfa = cfaOf(c.take(c.uleb()))
	}
}

// registers runs the instructions on where registers are kept.
func (m *machine) registers(c *cursor, op uint8) bool {
	switch op {
	case opNop:
	case opOffsetExtended:
		r := c.uleb()
		m.set(r, saved{atCFA, int64(c.uleb()) * m.dataAlign})
	case opOffsetSigned:
		r := c.uleb()
		m.set(r, saved{atCFA, c.sleb() * m.dataAlign})
	case opNegativeOffset:
		r := c.uleb()
		m.set(r, saved{atCFA, -int64(c.uleb()) * m.dataAlign})
	case opRestoreExtended:
		m.restore(c.uleb())
	case opUndefined:
		m.set(c.uleb(), saved{how: undefined})
	case opSameValue:
		m.set(c.uleb(), saved{how: unchanged})
	case opRegister, opValOffset:
		r := c.uleb()
		c.uleb()
		m.set(r, saved{how: elsewhere})
	case opValOffsetSigned:
		r := c.uleb()
		c.sleb()
		m.set(r, saved{how: elsewhere})
	case opExpression:
		r := c.uleb()
		m.set(r, placeOf(c.take(c.uleb())))
	case opValExpression:
		r := c.uleb()
		c.take(c.uleb())
		m.set(r, saved{how: elsewhere})
	case opArgsSize:
		c.uleb()
	case opRememberState:
		if m.depth == maxRemembered {
			return false
		}
		m.remembered[m.depth] = m.state
		m.depth++
	case opRestoreState:
		if m.depth == 0 {
			return false
		}
		m.depth--
		m.state, m.dirty = m.remembered[m.depth], true
	default:
		return false
	}
	return true
}
