package ehframe

// The operations that expressions of stack frames are made of: DW_OP.
const (
	exprDeref     = 0x06
	exprAnd       = 0x1a
	exprPlus      = 0x22
	exprPlusConst = 0x23
	exprShl       = 0x24
	exprGe        = 0x2a
	exprLit0      = 0x30
	exprLit3      = 0x33
	exprLit15     = 0x3f
	exprBreg0     = 0x70
	exprBregRBP   = exprBreg0 + registerRBP
	exprBregRSP   = exprBreg0 + registerRSP
	exprBregRIP   = exprBreg0 + registerRIP
)

// cfaOf recognizes the few expressions that compilers, linkers and writers of assembly
// use for the CFA. They are not computed.
func cfaOf(b []byte) cfa {
	if n, ok := pltOf(b); ok {
		return cfa{PLT, int64(n), 0}
	}
	c := cursor{b: b}
	kind := Unsupported
	switch c.u8() {
	case exprBregRBP:
		kind = BPDeref
	case exprBregRSP:
		kind = SPDeref
	}
	off := c.sleb()
	if kind == Unsupported || c.u8() != exprDeref || c.bad {
		return cfa{kind: Unsupported}
	}
	add := int64(0)
	if c.left() > 0 {
		if c.u8() != exprPlusConst {
			return cfa{kind: Unsupported}
		}
		if add = int64(c.uleb()); c.bad || c.left() > 0 {
			return cfa{kind: Unsupported}
		}
	}
	return cfa{kind, off, add}
}

// pltOf recognizes rsp + 8 + ((rip & 15) >= n) * 8.
func pltOf(b []byte) (n uint8, ok bool) {
	want := [...]uint8{exprBregRSP, word, exprBregRIP, 0, exprLit15, exprAnd, 0, exprGe, exprLit3, exprShl, exprPlus}
	if len(b) != len(want) {
		return 0, false
	}
	for i, w := range want {
		if i == 6 {
			n = b[i] - exprLit0
		} else if b[i] != w {
			return 0, false
		}
	}
	return n, n < 16
}

// placeOf recognizes where a register is kept: at another one and an offset.
func placeOf(b []byte) saved {
	c := cursor{b: b}
	h := elsewhere
	switch c.u8() {
	case exprBregRBP:
		h = inBP
	case exprBregRSP:
		h = inSP
	}
	off := c.sleb()
	if h == elsewhere || c.bad || c.left() > 0 {
		return saved{how: elsewhere}
	}
	return saved{h, off}
}
