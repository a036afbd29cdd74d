package ehframe

import "fmt"

// Rule says how a function's caller is found from one place in it. It is packed as the
// kernel program reads it: four bits of kind, eight of where the caller's rbp is, twenty
// of offset.
//
// The address to return to is always right below the CFA, the canonical frame address,
// which is what rsp will be after the return.
type Rule uint32

// Kind is how the CFA is found.
type Kind uint8

// The kinds of rules. Their numbers are the kernel program's too.
const (
	// Pointer has no rule: the frame pointer must do.
	Pointer Kind = iota
	// Unsupported has one that a Rule cannot hold: the frame pointer may do.
	Unsupported
	// End has no caller.
	End
	// SP and BP are that register and an offset.
	SP
	BP
	// PLT is rsp+8, and 8 more from the offset on in each 16 bytes of code: the entries
	// by which programs call libraries.
	PLT
	// SPDeref and BPDeref are what is in memory at the register and an offset, and a
	// bit: stacks that a function aligned or changed.
	SPDeref
	BPDeref
	// Signal is the frame that the kernel made for a handler of signals, with the
	// registers of what it interrupted.
	Signal
)

var kindNames = [...]string{"frame pointer", "unsupported", "end", "rsp", "rbp", "plt", "*rsp", "*rbp", "signal"}

const (
	word = 8
	// savedAtBP is in the place of rbp's slot when it was saved where rbp points to.
	savedAtBP   = 255
	maxSlot     = 254
	maxOffset   = 1<<20 - 1
	maxDeref    = 1<<14 - 1
	maxAdd      = 1<<6 - 1
	ruleBP      = 4
	ruleOffset  = 12
	derefAdd    = 26
	signalRSP   = 160 // of the registers in the kernel's frame for signals, from rsp
	signalRIP   = 168
	signalRBP   = 120
	registerRBP = 6
	registerRSP = 7
	registerRIP = 16
)

// Kind is how the CFA is found.
func (r Rule) Kind() Kind { return Kind(r & 15) }

// Offset is what is added to the register, and for PLT the first byte that is different.
func (r Rule) Offset() int64 {
	if k := r.Kind(); k == SPDeref || k == BPDeref {
		off := int64(r >> ruleOffset & maxDeref)
		if off > maxDeref/2 {
			off -= maxDeref + 1
		}
		return off * word
	}
	return int64(r>>ruleOffset) * word
}

// Add is what is added to what was read, for SPDeref and BPDeref.
func (r Rule) Add() int64 { return int64(r>>derefAdd) * word }

// Saved is how far below the CFA the caller's rbp was saved; 0 where rbp is still the
// caller's, and -1 where it lies at the address in rbp.
func (r Rule) Saved() int64 {
	s := int64(r >> ruleBP & 255)
	if s == savedAtBP {
		return -1
	}
	return s * word
}

func (r Rule) String() string {
	k := r.Kind()
	s := "unknown"
	if int(k) < len(kindNames) {
		s = kindNames[k]
	}
	switch k {
	case SP, BP, SPDeref, BPDeref:
		s = fmt.Sprintf("%s+%d+%d, rbp %d", s, r.Offset(), r.Add(), r.Saved())
	case PLT:
		s = fmt.Sprintf("%s %d", s, r.Offset()/word)
	}
	return s
}

// rule packs what the state says; what does not fit is Unsupported.
func (s *state) rule() Rule {
	if s.ra.how == undefined {
		return Rule(End)
	}
	if s.cfa.kind == SPDeref && s.cfa.offset == signalRSP && s.cfa.add == 0 && s.ra == (saved{inSP, signalRIP}) && s.bp == (saved{inSP, signalRBP}) {
		return Rule(Signal)
	}
	if s.ra != (saved{atCFA, -word}) {
		return Rule(Unsupported)
	}
	slot := int64(0)
	switch {
	case s.bp.how == unchanged || s.bp.how == undefined:
	case s.bp.how == atCFA && s.bp.offset%word == 0 && s.bp.offset < 0 && s.bp.offset >= -maxSlot*word:
		slot = -s.bp.offset / word
	case s.bp == (saved{inBP, 0}):
		slot = savedAtBP
	default:
		return Rule(Unsupported)
	}
	r := Rule(s.cfa.kind) | Rule(slot)<<ruleBP
	off := s.cfa.offset / word
	switch s.cfa.kind {
	case SP, BP:
		if s.cfa.offset < 0 || s.cfa.offset%word != 0 || off > maxOffset {
			return Rule(Unsupported)
		}
	case PLT:
		off = s.cfa.offset
	case SPDeref, BPDeref:
		add := s.cfa.add / word
		if s.cfa.offset%word != 0 || s.cfa.add%word != 0 || add < 0 || add > maxAdd {
			return Rule(Unsupported)
		}
		if off < 0 && off >= -maxDeref/2-1 { // as a two's complement
			off += maxDeref + 1
		} else if off < 0 || off > maxDeref/2 {
			return Rule(Unsupported)
		}
		off |= add << (derefAdd - ruleOffset)
	default:
		return Rule(Unsupported)
	}
	return r | Rule(off)<<ruleOffset
}
