package ehframe

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// library finds libc, which every test machine has in one of these places.
func library(t testing.TB) string {
	for _, pattern := range []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6", "/lib/ld-musl-x86_64.so.1"} {
		if _, err := os.Stat(pattern); err == nil {
			return pattern
		}
	}
	t.Skip("there is no libc for x86-64 here")
	return ""
}

func tableOf(t testing.TB, path string) (*File, []Row) {
	t.Helper()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	f, err := Open(r)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := f.Rows()
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(rows); i++ {
		if rows[i].PC <= rows[i-1].PC {
			t.Fatalf("%s: row %d is not behind the one before: %v %v", path, i, rows[i-1], rows[i])
		}
	}
	return f, rows
}

// TestAgreesWithReadelf compares each place that readelf tells of in libc.
func TestAgreesWithReadelf(t *testing.T) {
	tool, err := exec.LookPath("readelf")
	if err != nil {
		t.Skip("there is no readelf")
	}
	path := library(t)
	f, rows := tableOf(t, path)
	out, err := exec.Command(tool, "--debug-dump=frames-interp", path).Output()
	if len(out) == 0 { // it also fails where debug files are elsewhere, and tells all the same
		t.Skipf("readelf does not read it: %v", err)
	}
	places, wrong := 0, 0
	var columns []string
	inCIE := false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		w := strings.Fields(lines.Text())
		switch {
		case len(w) < 3:
			continue
		case strings.Contains(lines.Text(), "CIE \"") || strings.Contains(lines.Text(), " FDE "):
			inCIE = !strings.Contains(lines.Text(), " FDE ")
			continue
		case w[0] == "LOC":
			columns = w
			continue
		}
		addr, err := strconv.ParseUint(w[0], 16, 64)
		if err != nil || inCIE || len(w) != len(columns) {
			continue
		}
		cells := map[string]string{}
		for i, c := range columns {
			cells[c] = w[i]
		}
		want, known := expected(cells)
		if !known {
			continue
		}
		places++
		if got := Find(rows, uint32(addr-f.Base)); described(got) != want {
			if wrong++; wrong < 10 {
				t.Errorf("%#x: %s, readelf says %s", addr, described(got), want)
			}
		}
	}
	t.Logf("%d places of %s in %d rows, %d wrong", places, path, len(rows), wrong)
	if places < 1000 {
		t.Errorf("readelf told of %d places only", places)
	}
}

// expected says what readelf's cells mean. It does not tell expressions.
func expected(cells map[string]string) (rule string, known bool) {
	if cells["ra"] == "u" {
		return "end", true
	}
	if cells["CFA"] == "exp" || cells["CFA"] == "" || cells["ra"] != "c-8" {
		return "", false
	}
	bp := "0"
	switch c := cells["rbp"]; {
	case strings.HasPrefix(c, "c-"):
		bp = c[2:]
	case c != "" && c != "u" && c != "s":
		return "", false
	}
	if !strings.HasPrefix(cells["CFA"], "rsp+") && !strings.HasPrefix(cells["CFA"], "rbp+") {
		return "unsupported", true
	}
	return cells["CFA"] + " rbp " + bp, true
}

func described(r Rule) string {
	switch r.Kind() {
	case SP, BP:
		return fmt.Sprintf("%s+%d rbp %d", kindNames[r.Kind()], r.Offset(), r.Saved())
	}
	return r.String()
}

// TestKnownPlaces looks up what libraries are known to have: entries for calls of
// others, the return from signal handlers, the beginning of threads.
func TestKnownPlaces(t *testing.T) {
	path := library(t)
	f, rows := tableOf(t, path)
	kinds := map[Kind]int{}
	for _, r := range rows {
		kinds[r.Rule.Kind()]++
	}
	t.Logf("%s, base %#x: %v", path, f.Base, kinds)
	if strings.Contains(path, "musl") {
		t.Skip("musl has no table of its own")
	}
	for _, k := range []Kind{SP, BP, PLT, Signal, End, Pointer} {
		if kinds[k] == 0 {
			t.Errorf("no row is of the kind %s", kindNames[k])
		}
	}
	if bad := kinds[Unsupported]; bad*200 > len(rows) {
		t.Errorf("%d of %d rows are not supported", bad, len(rows))
	}
}

// record puts a length before the parts of a record.
func record(id uint32, parts ...[]byte) []byte {
	body := binary.LittleEndian.AppendUint32(nil, id)
	body = append(body, bytes.Join(parts, nil)...)
	for len(body)%4 != 0 {
		body = append(body, opNop)
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
}

const testBase = 0x1000

// oneFunction is a section with a CIE and a function at testBase, 64 bytes long.
func oneFunction(instructions ...byte) *section {
	cieOf := record(0, []byte("\x01zR\x00\x01\x78\x10\x01\x03"), []byte{opDefCFA, 7, 8, opOffset<<6 | 16, 1})
	at := make([]byte, 8)
	binary.LittleEndian.PutUint32(at, testBase)
	binary.LittleEndian.PutUint32(at[4:], 64)
	fde := record(uint32(len(cieOf)+4), at, []byte{0}, instructions)
	return &section{data: append(cieOf, fde...), base: testBase, cies: map[int]*cie{}}
}

func TestInstructions(t *testing.T) {
	plt := []byte{opDefCFAExpression, 11, exprBregRSP, 8, exprBregRIP, 0, exprLit15, exprAnd, exprLit0 + 11, exprGe, exprLit3, exprShl, exprPlus}
	for name, c := range map[string]struct {
		code []byte
		want string
	}{
		"nothing":              {nil, "rsp+8+0, rbp 0"},
		"a push of rbp":        {[]byte{opDefCFAOffset, 16, opOffset<<6 | 6, 2}, "rsp+16+0, rbp 16"},
		"a frame pointer":      {[]byte{opDefCFAOffset, 16, opOffset<<6 | 6, 2, opDefCFARegister, 6}, "rbp+16+0, rbp 16"},
		"and its end":          {[]byte{opDefCFA, 6, 16, opOffset<<6 | 6, 2, opRestore<<6 | 6, opDefCFA, 7, 8}, "rsp+8+0, rbp 0"},
		"remembered":           {[]byte{opRememberState, opDefCFAOffset, 64, opUndefined, 16, opRestoreState}, "rsp+8+0, rbp 0"},
		"no caller":            {[]byte{opUndefined, 16}, "end"},
		"another register":     {[]byte{opDefCFA, 10, 0}, "unsupported"},
		"signed offsets":       {[]byte{opDefCFASigned, 7, 0x7e, opOffsetSigned, 6, 3}, "rsp+16+0, rbp 24"},
		"an odd offset":        {[]byte{opDefCFAOffset, 13}, "unsupported"},
		"a huge frame":         {[]byte{opDefCFAOffset, 0x88, 0x80, 0x04}, "rsp+65544+0, rbp 0"},
		"too huge a frame":     {[]byte{opDefCFAOffset, 0x80, 0x80, 0x80, 0x80, 0x04}, "unsupported"},
		"a call of a library":  {plt, "plt 11"},
		"an aligned stack":     {[]byte{opDefCFAExpression, 3, exprBregRBP, 0x78, exprDeref, opExpression, 6, 2, exprBregRBP, 0}, "*rbp+-8+0, rbp -1"},
		"a changed stack":      {[]byte{opDefCFAExpression, 6, exprBregRSP, 0x98, 1, exprDeref, exprPlusConst, 8}, "*rsp+152+8, rbp 0"},
		"a handler of signals": {[]byte{opDefCFAExpression, 4, exprBregRSP, 0xa0, 1, exprDeref, opExpression, 6, 3, exprBregRSP, 0xf8, 0, opExpression, 16, 3, exprBregRSP, 0xa8, 1}, "signal"},
		"an odd expression":    {[]byte{opDefCFAExpression, 1, exprDeref}, "unsupported"},
		"rbp in a register":    {[]byte{opRegister, 6, 3}, "unsupported"},
		"rbp by a value":       {[]byte{opValOffset, 6, 3}, "unsupported"},
		"unknown":              {[]byte{0x3e}, "unsupported"},
		"cut off":              {[]byte{opDefCFAExpression, 99, 1}, "unsupported"},
		"nothing remembered":   {[]byte{opRestoreState}, "unsupported"},
	} {
		s := oneFunction(c.code...)
		if err := s.read(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		rows := s.table()
		if got := Find(rows, 63).String(); got != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, got, c.want, rows)
		}
		if got := Find(rows, 64); got.Kind() != Pointer {
			t.Errorf("%s: behind the function there is %s", name, got)
		}
	}
}

// TestPlaces has a rule that changes in the course of a function.
func TestPlaces(t *testing.T) {
	s := oneFunction(opAdvance<<6|1, opDefCFAOffset, 16, opAdvance1, 40, opDefCFAOffset, 8, opAdvance2, 0xff, 0xff, opDefCFAOffset, 24)
	if err := s.read(); err != nil {
		t.Fatal(err)
	}
	rows := s.table()
	for pc, want := range map[uint32]int64{0: 8, 1: 16, 40: 16, 41: 8, 63: 8, 64: 0} {
		if got := Find(rows, pc).Offset(); got != want {
			t.Errorf("at %d rsp+%d, want %d", pc, got, want)
		}
	}
}

// TestStripped takes the sections out of a program: the index leads to the table.
func TestStripped(t *testing.T) {
	b, err := os.ReadFile(library(t))
	if err != nil {
		t.Fatal(err)
	}
	_, want := tableOf(t, library(t))
	clear(b[40:48]) // where the sections are, and how many
	clear(b[58:64])
	f, err := Open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := f.Rows()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows without sections, %d with", len(rows), len(want))
	}
}

func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	for name, b := range map[string]string{"empty": "", "script": "#!/bin/sh\n", "cut": "\x7fELF\x02\x01\x01"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(r); err == nil {
			t.Errorf("%s is taken for a program", name)
		}
		_ = r.Close()
	}
	// what Go's linker makes has no table, and is said to have none
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = self.Close() }()
	e, err := elf.NewFile(self)
	if err != nil || e.Section(".eh_frame") != nil || e.Machine != elf.EM_X86_64 {
		t.Skip("this test's program is not of that kind")
	}
	if f, err := Open(self); !errors.Is(err, ErrNoTable) || f == nil || len(f.Segments) == 0 {
		t.Errorf("%v, %v", f, err)
	}
}

// FuzzSection gives the reader anything: it must come to an end, with rows in order,
// and no more of them than there are bytes.
func FuzzSection(f *testing.F) {
	f.Add(oneFunction(opAdvance<<6|1, opDefCFAOffset, 16).data)
	f.Add(oneFunction(opRememberState, opDefCFAExpression, 3, exprBregRBP, 0x78, exprDeref, opRestoreState).data)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := section{data: b, addr: 0x2000, base: testBase, cies: map[int]*cie{}}
		if err := s.read(); err != nil {
			return
		}
		rows := s.table()
		if len(rows) > len(b) {
			t.Fatalf("%d rows of %d bytes", len(rows), len(b))
		}
		for i, r := range rows {
			_ = r.Rule.String()
			if i > 0 && r.PC <= rows[i-1].PC {
				t.Fatalf("%v is not behind %v", r, rows[i-1])
			}
		}
	})
}

// FuzzFile gives anything in the place of a program.
func FuzzFile(f *testing.F) {
	head := make([]byte, 64+2*56)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(head[16:], 3)
	binary.LittleEndian.PutUint16(head[18:], uint16(elf.EM_X86_64))
	binary.LittleEndian.PutUint32(head[20:], 1)
	binary.LittleEndian.PutUint64(head[32:], 64)
	binary.LittleEndian.PutUint16(head[54:], 56)
	binary.LittleEndian.PutUint16(head[56:], 2)
	binary.LittleEndian.PutUint32(head[64:], uint32(elf.PT_LOAD))
	binary.LittleEndian.PutUint32(head[68:], 5)
	binary.LittleEndian.PutUint64(head[64+32:], 4096)
	binary.LittleEndian.PutUint32(head[120:], uint32(elf.PT_GNU_EH_FRAME))
	binary.LittleEndian.PutUint64(head[120+8:], uint64(len(head)))
	index := append([]byte{1, 0x1b, 3, 0x3b, 8, 0, 0, 0, 0, 0, 0, 0}, oneFunction(opDefCFAOffset, 16).data...)
	f.Add(append(head, index...))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		_ = file.ID()
		rows, err := file.Rows()
		if err == nil && len(rows) > len(b) {
			t.Fatalf("%d rows of %d bytes", len(rows), len(b))
		}
	})
}

// BenchmarkRows makes libc's table; the bytes are those of .eh_frame.
func BenchmarkRows(b *testing.B) {
	r, err := os.Open(library(b))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	f, err := Open(r)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(f.data)))
	for b.Loop() {
		if _, err := f.Rows(); err != nil {
			b.Fatal(err)
		}
	}
}
