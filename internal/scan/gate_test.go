package scan

import (
	"encoding/binary"
	"strings"
	"testing"
)

// TestGates judges a table in which one gate leads elsewhere, one to what is left from the
// start, and most are not there.
func TestGates(t *testing.T) {
	const start = 0xffffffff81000000
	k := &image{start: start, end: start + 0x1000000, early: start + 0x3000000}
	table := make([]byte, gates*gateLen)
	if _, err := judgeGates(k, table, nil); err == nil {
		t.Error("an empty table is taken")
	}
	gate := func(n int, addr uint64) {
		b := table[n*gateLen:]
		binary.LittleEndian.PutUint16(b, uint16(addr))
		binary.LittleEndian.PutUint16(b[6:], uint16(addr>>16))
		binary.LittleEndian.PutUint32(b[8:], uint32(addr>>32))
		b[5] = 0x8e
	}
	gate(14, start+0x1000)
	gate(30, k.early+30*9)
	gate(128, 0xffffffffc0001000)
	gate(200, k.early+30*9) // none of the processor's own
	found, err := judgeGates(k, table, nil)
	if err != nil || len(found) != 2 || found[0].Path != "interrupt 128" || found[1].Path != "interrupt 200" || found[0].Sure != Certain || !strings.Contains(found[0].Evidence, "0xffffffffc0001000") {
		t.Errorf("%v, %+v", err, found)
	}
}
