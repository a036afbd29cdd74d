package vmlinux

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// made is an image whose code is what the test says, and which runs 2 MB higher.
func made(text []byte, sites ...site) *Image {
	m := &Image{Base: 0xffffffff81000000, Text: text, delta: 2 << 20, sites: sites}
	for _, s := range sites {
		m.longest = max(m.longest, uint32(s.len))
	}
	return m
}

// to is a jump or call from an offset to another.
func to(op byte, from, target int) []byte {
	return binary.LittleEndian.AppendUint32([]byte{op}, uint32(target-from-5))
}

func put(text []byte, at int, code []byte) []byte {
	out := bytes.Clone(text)
	copy(out[at:], code)
	return out
}

var nop5 = []byte{0x0f, 0x1f, 0x44, 0, 0}

// TestCompare holds code beside the image's that was changed in each way.
func TestCompare(t *testing.T) {
	text := bytes.Repeat([]byte{0x55}, 512)
	text = put(text, 16, to(0xe8, 16, 400))                           // ftrace's
	text = put(text, 32, nop5)                                        // a jump label to 100
	text = put(text, 48, to(0xe8, 48, 404))                           // a static call
	text = put(text, 64, to(0xe9, 64, 408))                           // a return
	text = put(text, 80, to(0xe8, 80, 412))                           // by a register
	text = put(text, 96, []byte{0xf0})                                // a lock
	text = put(text, 112, []byte{0xe8, 1, 1, 0, 0, 0x90, 0x90, 0x90}) // an alternative
	m := made(text, site{16, 5, traced, 0}, site{32, 5, jumpLabel, 100}, site{48, 5, staticCall, 0}, site{64, 5, returning, 0}, site{80, 5, retpoline, 0},
		site{96, 1, locked, 0}, site{112, 8, alternate, 0})
	// the replacement stands 0x1000 behind, and calls offset 420
	m.alts = []alternative{{addr: m.Base + 0x1000, code: to(0xe8, 0x1000, 420)}}
	const program, module, nowhere = 1 << 24, 1 << 25, 1 << 26
	run := m.Base + m.delta
	owner := func(addr uint64) Owner {
		return map[uint64]Owner{run + program: Program, run + module: Module}[addr]
	}
	for _, c := range []struct {
		name  string
		at    int
		code  []byte
		bad   bool
		place bool
	}{
		{"ftrace off", 16, nop5, false, false},
		{"ftrace on", 16, to(0xe8, 16, 200), false, false},
		{"a BPF program at the begin", 16, to(0xe8, 16, program), false, false},
		{"a module's code called at the begin", 16, to(0xe8, 16, module), true, true},
		{"a jump to nowhere at the begin", 16, to(0xe9, 16, nowhere), true, true},
		{"a jump within the kernel at the begin", 16, to(0xe9, 16, 200), true, true},
		{"a jump label on", 32, to(0xe9, 32, 100), false, false},
		{"a jump label that leads elsewhere", 32, to(0xe9, 32, 104), true, true},
		{"a static call of a module", 48, to(0xe8, 48, module), false, false},
		{"a static call of nobody", 48, nop5, false, false},
		{"a static call that warns", 48, []byte{0x67, 0x48, 0x0f, 0xb9, 0x3a}, false, false},
		{"a static call that opens a lock", 48, []byte{0x3e, 0x3e, 0xc6, 0x07, 0x00}, false, false},
		{"the opening of a lock where nothing changes", 300, []byte{0x3e, 0x3e, 0xc6, 0x07, 0x00}, true, false},
		{"a static call to nowhere", 48, to(0xe8, 48, nowhere), true, true},
		{"a return", 64, []byte{0xc3, 0xcc, 0xcc, 0xcc, 0xcc}, false, false},
		{"a return to nowhere", 64, to(0xe9, 64, nowhere), true, true},
		{"a call by a register", 80, []byte{0xff, 0xd0, 0x0f, 0x1f, 0x00}, false, false},
		{"a call to a module", 80, to(0xe8, 80, module), true, true},
		{"no lock", 96, []byte{0x3e}, false, false},
		{"something for the lock", 96, []byte{0xcc}, true, true},
		{"the other code", 112, append(to(0xe8, 112, 420), 0x0f, 0x1f, 0x00), false, false},
		{"the other code, another function", 112, append(to(0xe8, 112, nowhere), 0x0f, 0x1f, 0x00), true, true},
		{"neither code", 112, []byte{1, 2, 3, 4, 5, 6, 7, 8}, true, true},
		{"code where nothing changes", 300, to(0xe9, 300, module), true, false},
		{"one byte where nothing changes", 300, []byte{0xcc}, true, false},
	} {
		got := m.Compare(0, put(text, c.at, c.code), owner)
		if c.bad != (len(got) == 1) || c.bad && (got[0].Place != c.place || got[0].Off < c.at || got[0].End > c.at+len(c.code)) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	hook := put(text, 300, append([]byte{0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 0xff, 0xe0))
	diffs := m.Compare(0, hook, owner)
	if len(diffs) != 1 {
		t.Fatalf("%+v", diffs)
	}
	if lead, _, ok := m.Lead(diffs[0], 0, hook); !ok || lead != 0x0807060504030201 {
		t.Errorf("it leads to %#x, %v", lead, ok)
	}
	if got := m.Compare(len(text), []byte{1}, owner); got != nil {
		t.Errorf("beyond the end: %+v", got)
	}
}

// TestLZ4 unpacks a block whose copy runs into itself, and refuses broken ones.
func TestLZ4(t *testing.T) {
	out := make([]byte, 32)
	block := []byte{0x32, 'a', 'b', 'c', 3, 0, 0x10, '!'}
	if n, err := lz4Block(block, out); err != nil || string(out[:n]) != "abcabcabc!" {
		t.Errorf("%q, %v", out[:n], err)
	}
	for _, b := range [][]byte{{0x32, 'a', 'b', 'c', 4, 0}, {0x32, 'a', 'b', 'c', 0, 0}, {0xf0}, {0xf0, 255, 255}, {0x30, 'a'}, {0x32, 'a', 'b', 'c', 3}, {0x3f, 'a', 'b', 'c', 3, 0, 255, 10}} {
		if _, err := lz4Block(b, out); err == nil {
			t.Errorf("%x is taken", b)
		}
	}
}

// TestRelocs splits the list behind a kernel, in its older form and its newer.
func TestRelocs(t *testing.T) {
	words := func(list ...uint32) (b []byte) {
		for _, w := range list {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	for _, c := range []struct {
		in            []byte
		w64, inv, w32 int
	}{{nil, 0, 0, 0}, {words(0, 1, 2, 0, 3), 2, 0, 1}, {words(0, 1, 0, 2, 3, 0, 4, 5, 6), 1, 2, 3}} {
		m := &Image{}
		if err := m.splitRelocs(c.in); err != nil || len(m.relocs.words64) != 4*c.w64 || len(m.relocs.inverse32) != 4*c.inv || len(m.relocs.words32) != 4*c.w32 {
			t.Errorf("%x: %v, %+v", c.in, err, m.relocs)
		}
	}
	if err := (&Image{}).splitRelocs(words(0, 1)); err == nil {
		t.Error("one list alone is taken")
	}
}

// TestParavirt reads a table whose last entry ends where its use does.
func TestParavirt(t *testing.T) {
	const base = 0xffffffff81000000
	text := bytes.Repeat([]byte{0x55}, 64)
	table := binary.LittleEndian.AppendUint64(nil, base+8)
	table = append(table, 1, 7, 0, 0, 0, 0, 0, 0)
	table = append(binary.LittleEndian.AppendUint64(table, base+32), 1, 6)
	m := &Image{Base: base, Text: text, sections: []section{{".text", base, text, true}, {".parainstructions", base + 4096, table, false}}}
	if err := m.findSites(); err != nil {
		t.Fatal(err)
	}
	if want := []site{{8, 7, paravirt, 0}, {32, 6, paravirt, 0}}; !slices.Equal(m.sites, want) {
		t.Errorf("%+v, want %+v", m.sites, want)
	}
}

// TestRefused gives files that are no images.
func TestRefused(t *testing.T) {
	image := make([]byte, 4096)
	copy(image[magicAt:], "HdrS")
	binary.LittleEndian.PutUint16(image[protocolAt:], 0x20f)
	image[setupSectors] = 1
	binary.LittleEndian.PutUint32(image[payloadLenAt:], 1024)
	xz := put(image, 1024, []byte("\xfd7zXZ\x00"))
	binary.LittleEndian.PutUint32(xz[2044:], 4096)
	short := bytes.Clone(image)
	binary.LittleEndian.PutUint32(short[payloadLenAt:], 1<<20)
	for want, b := range map[string][]byte{"bzImage": make([]byte, 4096), "cut off": short, "xz": xz, "has 0 bytes": image} {
		path := filepath.Join(t.TempDir(), "vmlinuz")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// TestInstructions decodes what does nothing, and what jumps.
func TestInstructions(t *testing.T) {
	for _, b := range [][]byte{{0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0}, nop5, {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, {0x66, 0x66, 0x66, 0x66, 0x90}, {0xeb, 2, 0xcc, 0xcc}} {
		if !isNops(b) {
			t.Errorf("%x does nothing", b)
		}
	}
	for _, b := range [][]byte{{0x55}, {0x0f, 0x1f}, {0x0f, 0x1f, 0x44}, {0x0f, 0x1f, 0x08}, {0xeb, 2, 0xcc, 0x55}, {0xeb, 9}} {
		if isNops(b) {
			t.Errorf("%x does something", b)
		}
	}
	if n, at := branch(to(0xe9, 0, 100), 1000); n != 5 || at != 1100 {
		t.Errorf("%d, %d", n, at)
	}
}

func FuzzImage(f *testing.F) {
	image := make([]byte, 4096)
	copy(image[magicAt:], "HdrS")
	binary.LittleEndian.PutUint16(image[protocolAt:], 0x20f)
	image[setupSectors] = 1
	binary.LittleEndian.PutUint32(image[payloadLenAt:], 3000)
	for _, magic := range []string{"\x7fELF\x02\x01\x01", "\x02\x21\x4c\x18\x05\x00\x00\x00\x32abc", "\x1f\x8b", "\x28\xb5\x2f\xfd"} {
		b := put(image, 1024, []byte(magic))
		binary.LittleEndian.PutUint32(b[1024+2996:], 2996)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(b, func(n int) ([]byte, error) { return make([]byte, min(n, 1<<20)), nil }, func([]byte) error { return nil })
		if err != nil {
			return
		}
		m.Relocate(2 << 20)
		m.Compare(0, make([]byte, len(m.Text)), func(uint64) Owner { return Nobody })
		m.Close()
	})
}
