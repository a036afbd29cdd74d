package vmlinux

// branch decodes a jump or call with a fixed target: its length and target; 0 where code
// begins with none. addr is where code stands.
func branch(code []byte, addr uint64) (int, uint64) {
	near := func(n int) (int, uint64) {
		if len(code) < n {
			return 0, 0
		}
		return n, addr + uint64(n) + distance(code[n-4:])
	}
	switch {
	case len(code) < 2:
		return 0, 0
	case code[0] == 0xe8 || code[0] == 0xe9:
		return near(5)
	case code[0] == 0x2e && (code[1] == 0xe8 || code[1] == 0xe9), code[0] == 0x0f && code[1]&0xf0 == 0x80:
		return near(6)
	case code[0] == 0xeb || code[0]&0xf0 == 0x70:
		return 2, addr + 2 + uint64(int64(int8(code[1])))
	}
	return 0, 0
}

// nopLen is the length of an instruction that does nothing; 0 where code begins with none.
func nopLen(code []byte) int {
	n := 0
	for n < len(code) && (code[n] == 0x66 || code[n] == 0x2e || code[n] == 0x3e) {
		n++
	}
	if n < len(code) && code[n] == 0x90 {
		return n + 1
	}
	if n+3 > len(code) || code[n] != 0x0f || code[n+1] != 0x1f || code[n+2]&0x38 != 0 {
		return 0
	}
	form := code[n+2]
	n += 3
	if form>>6 != 3 && form&7 == 4 {
		n++
	}
	switch {
	case form>>6 == 1:
		n++
	case form>>6 == 2, form>>6 == 0 && form&7 == 5:
		n += 4
	}
	if n > len(code) {
		return 0
	}
	return n
}

// isNops reports whether code is nothing but instructions that do nothing, or a jump over
// the rest of it, which the kernel writes where that is long.
func isNops(code []byte) bool {
	for len(code) > 0 {
		n := nopLen(code)
		if n == 0 {
			return jumpsOver(code)
		}
		code = code[n:]
	}
	return true
}

func jumpsOver(code []byte) bool {
	n, to := branch(code, 0)
	if n == 0 || code[0] != 0xeb && code[0] != 0xe9 || to != uint64(len(code)) {
		return false
	}
	return isTraps(code[n:])
}

// isTraps reports whether code is what fills up behind a jump or return.
func isTraps(code []byte) bool {
	for len(code) > 0 {
		n := nopLen(code)
		if code[0] == 0xcc {
			n = 1
		}
		if n == 0 {
			return false
		}
		code = code[n:]
	}
	return true
}
