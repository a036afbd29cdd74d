package call

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// compatELF is a static 64-bit program that waits for a byte, and then makes
// 32-bit calls through int 0x80: open and creat of two paths, unlink of the
// second. It ends with 3 where the first call is answered by ENOSYS.
func compatELF(first, second string) []byte {
	const base, headers = 0x400000, 64 + 56
	var text []byte
	// the calls' code comes first, of a length that does not depend on the
	// paths; then the paths
	code := func(p1, p2 uint32) []byte {
		le := binary.LittleEndian
		imm := func(b []byte, op byte, v uint32) []byte { return le.AppendUint32(append(b, op), v) }
		b := []byte{0x31, 0xff}                     // xor %edi, %edi
		b = append(b, 0x48, 0x89, 0xe6)             // mov %rsp, %rsi
		b = imm(b, 0xba, 1)                         // mov $1, %edx
		b = append(b, 0x31, 0xc0, 0x0f, 0x05)       // xor %eax, %eax; syscall: read(0, sp, 1)
		b = imm(b, 0xb8, 5)                         // open
		b = imm(b, 0xbb, p1)                        // ebx
		b = imm(b, 0xb9, 0)                         // ecx: O_RDONLY
		b = imm(b, 0xba, 0)                         // edx
		b = append(b, 0xcd, 0x80)                   // int $0x80
		b = append(b, 0x83, 0xf8, 0xda, 0x74, 0x26) // cmp $-38, %eax; je the end with 3
		b = imm(b, 0xb8, 8)                         // creat
		b = imm(b, 0xbb, p2)
		b = imm(b, 0xb9, 0o640)
		b = append(b, 0xcd, 0x80)
		b = imm(b, 0xb8, 10) // unlink
		b = imm(b, 0xbb, p2)
		b = append(b, 0xcd, 0x80)
		b = append(b, 0x31, 0xff) // xor %edi, %edi
		b = imm(b, 0xb8, 231)     // exit_group
		b = append(b, 0x0f, 0x05) // syscall
		b = imm(b, 0xbf, 3)
		b = imm(b, 0xb8, 231)
		return append(b, 0x0f, 0x05)
	}
	n := uint32(len(code(0, 0)))
	at := base + headers + n
	text = code(at, at+uint32(len(first))+1)
	text = append(append(append(append(text, first...), 0), second...), 0)
	return elf64(base, text)
}

// elf64 wraps code into the smallest program there is.
func elf64(base uint64, text []byte) []byte {
	const headers = 64 + 56
	size := uint64(headers + len(text))
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	le := binary.LittleEndian
	b = le.AppendUint16(b, 2)  // ET_EXEC
	b = le.AppendUint16(b, 62) // x86-64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+headers) // entry
	b = le.AppendUint64(b, 64)           // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // r-x
	for _, v := range []uint64{0, base, base, size, size, 4096} {
		b = le.AppendUint64(b, v)
	}
	return append(b, text...)
}

// 32-bit calls in a 64-bit program are seen for what they are.
func TestCallCompatCalls(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	exe := dir + "/compat"
	need(t, os.WriteFile(exe, compatELF("/dev/null", "made32"), 0o755))
	cmd := exec.Command(exe)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	need(t, err)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	need(t, cmd.Start())
	need(t, w.sensor.ScopeAdd(uint32(cmd.Process.Pid)))
	_, err = in.Write([]byte("x"))
	need(t, err)
	err = cmd.Wait()
	switch state := cmd.ProcessState; {
	case state.ExitCode() == 3:
		t.Skip("this kernel makes no 32-bit calls: int 0x80 gives ENOSYS (IA32 emulation is off)")
	case state.Sys().(interface{ Signaled() bool }).Signaled():
		t.Skipf("this kernel makes no 32-bit calls: int 0x80 ends the process (%v)", err)
	case err != nil:
		t.Fatalf("the program ended with %v", err)
	}
	pid := cmd.Process.Pid
	for _, c := range []struct {
		typ        event.Type
		name, path string
		arg1       uint64
	}{
		{event.Open, "open", "/dev/null", unix.O_RDONLY}, {event.Open, "creat", dir + "/made32", 0o640}, {event.Unlink, "unlink", dir + "/made32", 0o640},
	} {
		r := w.find(c.typ, c.name, func(r *event.TaskRecord) bool { return int(r.Key.Pid) == pid && r.Call.Spec.Name == c.name })
		expect(t, c.name+": 32 bits", r.Call.Compat, true)
		expect(t, c.name+": path", r.Call.Path.Path, c.path)
		expect(t, c.name+": second argument", r.Call.Args[1], c.arg1)
		if c.typ == event.Open && (r.Call.Ret < 0 || r.Call.FD == nil || int64(r.Call.FD.Num) != r.Call.Ret) {
			t.Errorf("%s gives %d and %+v", c.name, r.Call.Ret, r.Call.FD)
		}
	}
	expect(t, "other calls of the program", w.count(event.Mkdir, func(r *event.TaskRecord) bool { return int(r.Key.Pid) == pid }), 0)
}
