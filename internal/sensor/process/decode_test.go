package process

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// captured returns the records in testdata, which the kernel wrote: see
// TestCapture.
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(files) < 6 {
		t.Fatalf("there are %d captured records in testdata: %v", len(files), err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".bin")] = b
	}
	return out
}

func keepAll(block []byte) []string { return splitArgs(block) }

func decodeOne(t *testing.T, raw []byte) event.TaskRecord {
	t.Helper()
	d := newDecoder(keepAll)
	var rec event.TaskRecord
	ok, err := d.Decode(raw, &rec)
	if err != nil || !ok {
		t.Fatalf("decoding gives %v, %v", ok, err)
	}
	return rec
}

func TestDecodeCapturedExec(t *testing.T) {
	r := decodeOne(t, captured(t)["exec"])
	if r.Type != event.Exec || r.StreamType != event.Exec || r.Class != event.Critical || r.Seq == 0 {
		t.Errorf("the header is %+v", r)
	}
	img := r.Image
	if !slices.Equal(img.Argv, []string{"captured", "a b", "\xff"}) || img.Argc != 3 || img.ArgvCut {
		t.Errorf("argv is %q of %d", img.Argv, img.Argc)
	}
	if !slices.Equal(img.Env, []string{"LD_PRELOAD=/tmp/x.so", "HOME=/"}) || img.EnvCut {
		t.Errorf("environment is %q", img.Env)
	}
	if img.Cmdline() != "captured a b \xff" || img.Args() != "a b \xff" {
		t.Errorf("joined: %q, %q", img.Cmdline(), img.Args())
	}
	if !strings.HasPrefix(img.Exe.Path, "/") || filepath.Base(img.Exe.Path) != "exe" || r.Comm != "exe" {
		t.Errorf("exe is %q, comm %q", img.Exe.Path, r.Comm)
	}
}

func TestDecodeCapturedOthers(t *testing.T) {
	raw := captured(t)
	fork, exit := decodeOne(t, raw["fork"]), decodeOne(t, raw["exit"])
	if fork.Type != event.Fork || fork.Key != exit.Key || fork.Creator != fork.Parent {
		t.Errorf("fork %+v and exit %+v", fork.Key, exit.Key)
	}
	if exit.Type != event.Exit || exit.Exit.Code != 7 || exit.Exit.Signal != 0 || exit.Exit.MaxRSS == 0 {
		t.Errorf("exit %+v", exit.Exit)
	}
	comm := decodeOne(t, raw["comm"])
	if comm.Type != event.Comm || comm.Class != event.Bulk || comm.Comm != "kworker/0:1" {
		t.Errorf("comm %+v", comm)
	}
}

// Pieces of argv wait for their exec record; what is missing is said.
func TestDecodeChunks(t *testing.T) {
	raw := captured(t)
	whole := func() []string {
		d := newDecoder(nil)
		var rec event.TaskRecord
		for _, name := range []string{"chunk1", "chunk2", "chunk3", "chunkexec"} {
			if _, err := d.Decode(raw[name], &rec); err != nil {
				t.Fatal(err)
			}
		}
		if rec.Image.ArgvCut || d.Orphaned() != 0 {
			t.Errorf("cut %v, orphaned %d", rec.Image.ArgvCut, d.Orphaned())
		}
		return rec.Image.Argv
	}()
	if len(whole) != 2 || len(whole[1]) != 40000 {
		t.Fatalf("argv has %d arguments", len(whole))
	}
	d := newDecoder(nil)
	var rec event.TaskRecord
	for _, name := range []string{"chunk1", "chunkexec"} { // the second piece is lost
		if _, err := d.Decode(raw[name], &rec); err != nil {
			t.Fatal(err)
		}
	}
	if !rec.Image.ArgvCut || rec.Image.Argc != 2 || !strings.HasPrefix(strings.Join(whole, "\x00"), strings.Join(rec.Image.Argv, "\x00")) {
		t.Errorf("with a piece lost argv is cut: %v, argc %d", rec.Image.ArgvCut, rec.Image.Argc)
	}
	d = newDecoder(nil)
	if _, err := d.Decode(raw["chunk2"], &rec); err != nil { // the first is lost
		t.Fatal(err)
	}
	if _, err := d.Decode(raw["chunkexec"], &rec); err != nil {
		t.Fatal(err)
	}
	if !rec.Image.ArgvCut || len(rec.Image.Argv) != 0 {
		t.Errorf("with the first piece lost argv is %d arguments", len(rec.Image.Argv))
	}
	// another exec on the same CPU does not get the pieces
	if _, err := d.Decode(raw["chunk1"], &rec); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(raw["exec"], &rec); err != nil || d.Orphaned() == 0 && rec.CPU == cpuOf(raw["chunk1"]) && rec.Image.Argc != 3 {
		t.Errorf("orphaned %d, %v", d.Orphaned(), err)
	}
}

func cpuOf(raw []byte) uint16 { return binary.LittleEndian.Uint16(raw[20:]) }

// Every cut of every captured record is refused or understood, never more.
func TestDecodeTruncated(t *testing.T) {
	for name, raw := range captured(t) {
		if name == "task" {
			continue // of the iterator, not of a ring
		}
		var full event.TaskRecord
		d := newDecoder(keepAll)
		if _, err := d.Decode(raw, &full); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		step := max(1, len(raw)/2000)
		for n := 0; n < len(raw); n += step {
			d := newDecoder(keepAll)
			var rec event.TaskRecord
			if ok, err := d.Decode(raw[:n], &rec); err == nil {
				t.Fatalf("%s cut to %d of %d bytes is accepted (%v)", name, n, len(raw), ok)
			}
			if d.Refused() != 1 {
				t.Fatalf("%s cut to %d bytes: refused %d", name, n, d.Refused())
			}
		}
	}
}

func TestInventoryTruncated(t *testing.T) {
	raw := captured(t)["task"]
	d := newDecoder(nil)
	n := 0
	err := d.inventory(append(slices.Clone(raw), raw...), func(rec *event.TaskRecord) {
		n++
		if rec.Comm != "kthreadd" || rec.Key.Pid != 2 || !rec.KThread || rec.Image != nil || rec.CgroupPath != "/" {
			t.Errorf("the task is %+v", rec)
		}
	})
	if err != nil || n != 2 {
		t.Errorf("two tasks give %d, %v", n, err)
	}
	for cut := 1; cut < len(raw); cut++ {
		if err := d.inventory(raw[:cut], func(*event.TaskRecord) {}); err == nil {
			t.Fatalf("a task cut to %d of %d bytes is accepted", cut, len(raw))
		}
	}
}

func TestUnknownKind(t *testing.T) {
	raw := make([]byte, 64)
	raw[22] = 99
	d := newDecoder(nil)
	var rec event.TaskRecord
	if _, err := d.Decode(raw, &rec); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("kind 99 gives %v", err)
	}
}

func TestReverse(t *testing.T) {
	d := newDecoder(nil)
	for in, want := range map[string]string{
		"": "/", "/ls/bin/usr": "/usr/bin/ls", "/x": "/x", "/a b/\n": "/\n/a b", "//x": "/x/", "x": "/x",
	} {
		if got := string(d.strings.Reverse([]byte(in), false)); got != want {
			t.Errorf("%q turned round is %q, want %q", in, got, want)
		}
	}
	if got := string(d.strings.Reverse([]byte("/ls/bin"), true)); got != ".../bin/ls" {
		t.Errorf("a cut path is %q", got)
	}
}

func TestSplitArgs(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, "a\x00": {"a"}, "a\x00b\x00": {"a", "b"}, "a\x00\x00": {"a", ""}, "\x00": {""}, "a\x00cu": {"a", "cu"},
	} {
		if got := splitArgs([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q is split into %q, want %q", in, got, want)
		}
	}
}

func TestEnvCacheIsBounded(t *testing.T) {
	picked := 0
	c := envCache{seen: map[string][]string{}, pick: func(b []byte) []string { picked++; return []string{string(b[:4])} }}
	for n := range 3000 {
		block := append(binary.BigEndian.AppendUint32(nil, uint32(n)), make([]byte, 1000)...)
		for range 3 {
			if got := c.get(block); len(got) != 1 || got[0] != string(block[:4]) {
				t.Fatalf("block %d gives %q", n, got)
			}
		}
	}
	if picked != 3000 {
		t.Errorf("%d blocks were picked from, want each once", picked)
	}
	held := 0
	for b := range c.seen {
		held += len(b)
	}
	if held > envCacheBytes || held != c.bytes {
		t.Errorf("%d bytes are held, the account says %d", held, c.bytes)
	}
	long := make([]byte, envCacheBlock+1)
	c.get(long)
	c.get(long)
	if picked != 3002 {
		t.Error("a long block was kept")
	}
}

// Go's structs and the kernel's records agree in size, so that what follows a
// record's fixed part starts where it should.
func TestLayout(t *testing.T) {
	for name, got := range map[string][2]uintptr{
		"exec": {unsafe.Sizeof(progBcExec{}), 8}, "fork": {unsafe.Sizeof(progBcFork{}), 8},
		"exit": {unsafe.Sizeof(progBcExit{}), 8}, "comm": {unsafe.Sizeof(progBcComm{}), 8}, "chunk": {unsafe.Sizeof(progBcChunk{}), 8},
	} {
		if got[0]%got[1] != 0 {
			t.Errorf("%s has %d bytes", name, got[0])
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, raw := range captured(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := newDecoder(keepAll)
		var rec event.TaskRecord
		for range 2 { // the second time with what the first has left behind
			ok, err := d.Decode(raw, &rec)
			if ok && err == nil && rec.Type == event.Exec && rec.Image == nil {
				t.Error("an exec without an image")
			}
		}
	})
}

func FuzzInventory(f *testing.F) {
	for name, raw := range captured(f) {
		if name == "task" {
			f.Add(raw)
			f.Add(append(slices.Clone(raw), raw...))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := newDecoder(nil)
		n := 0
		_ = d.inventory(raw, func(*event.TaskRecord) { n++ })
		if n > len(raw)/int(unsafe.Sizeof(progBcExec{})) {
			t.Errorf("%d tasks from %d bytes", n, len(raw))
		}
	})
}

func BenchmarkDecodeExec(b *testing.B) {
	raw := captured(b)["exec"]
	d := newDecoder(func([]byte) []string { return nil })
	var rec event.TaskRecord
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := d.Decode(raw, &rec); err != nil {
			b.Fatal(err)
		}
	}
}
