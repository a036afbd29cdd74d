package call

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// insn writes one eBPF instruction.
func insn(b []byte, code, regs byte, imm int32) []byte {
	return binary.LittleEndian.AppendUint32(append(b, code, regs, 0, 0), uint32(imm))
}

func TestCallBPF(t *testing.T) {
	w := observe(t)
	var prog []byte
	prog = insn(prog, 0x85, 0, 14) // bpf_get_current_pid_tgid
	prog = insn(prog, 0x85, 0, 5)  // bpf_ktime_get_ns
	prog = insn(prog, 0x85, 0, 5)
	for range 200 {
		prog = insn(prog, 0xb7, 0, 0)
	}
	prog = insn(prog, 0x85, 0, 8) // bpf_get_smp_processor_id, beyond the first piece
	prog = insn(prog, 0xb7, 0, 0)
	prog = insn(prog, 0x95, 0, 0)
	license := raw("GPL\x00")
	attr := make(raw, 128)
	le := binary.LittleEndian
	le.PutUint32(attr, 2) // kprobe
	le.PutUint32(attr[4:], uint32(len(prog)/8))
	le.PutUint64(attr[8:], uint64(uintptr(unsafe.Pointer(&prog[0]))))
	le.PutUint64(attr[16:], uint64(uintptr(unsafe.Pointer(&license[0]))))
	copy(attr[48:], "bearcat_test")
	d := do("bpf", 5, attr, 120)
	if d.failed() {
		t.Errorf("loading: %v", d.errno())
	}
	defer unix.Close(int(d.Ret))
	b := w.saw(t, d).BPF
	expect(t, "command", b.Cmd, "BPF_PROG_LOAD")
	expect(t, "type", b.ProgType, "kprobe")
	expect(t, "name", b.Name, "bearcat_test")
	expect(t, "instructions", int(b.Insns), len(prog)/8)
	expect(t, "the scan is cut", b.ScanCut, false)
	if !slices.Equal(b.Helpers, []uint32{14, 5, 8}) {
		t.Errorf("the helpers are %v, want 14, 5 and 8", b.Helpers)
	}
	for _, cmd := range []int{8, 9, 17, 28, 29, 34} { // those that fail here
		got := w.saw(t, do("bpf", cmd, make(raw, 64), 64))
		if got.BPF.Cmd == "" {
			t.Errorf("command %d has no name", cmd)
		}
	}
	quiet := do("bpf", 1, make(raw, 64), 32)
	pin := "/sys/fs/bpf/bearcat-test"
	if guest.Name() == "" {
		pin = "/nonesuch/bearcat-test"
	}
	name := append(raw(pin), 0)
	at := make(raw, 16)
	le.PutUint64(at, uint64(uintptr(unsafe.Pointer(&name[0]))))
	le.PutUint32(at[8:], uint32(d.Ret))
	d = do("bpf", 6, at, 16)
	expect(t, "pinned", d.failed(), guest.Name() == "")
	got := w.saw(t, d)
	expect(t, "path", got.BPF.Path, pin)
	expect(t, "command", got.BPF.Cmd, "BPF_OBJ_PIN")
	expect(t, "a lookup is reported", w.count(event.BPF, is(quiet)), 0)
	if guest.Name() != "" {
		need(t, os.Remove(pin))
	}
}

// Calls that fail before they do anything.
func TestCallHostFailures(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	need(t, os.WriteFile(dir+"/swap", nil, 0o600))
	fd := openRead(t, dir+"/swap")
	bad := &unix.Timeval{Usec: 2e6}
	badts := &unix.Timespec{Nsec: 2e9}
	for _, d := range []done{
		do("reboot", 1, 2, 3, uintptr(0)),
		do("kexec_load", 0, 99999, uintptr(0), 0xffff),
		do("kexec_file_load", 9999, 9998, 0, uintptr(0), 0xffff),
		do("swapon", dir+"/swap", 0x7fff0000),
		do("swapoff", dir+"/swap"),
		do("settimeofday", unsafe.Pointer(bad), uintptr(0)),
		do("clock_settime", 0, unsafe.Pointer(badts)),
		do("adjtimex", uintptr(8)),
		do("clock_adjtime", 0, uintptr(8)),
		do("iopl", 99),
		do("ioperm", 0xffffffff, 16, 1),
		do("init_module", uintptr(8), 16, ""),
		do("finit_module", fd, "a=b", 0x7fff0000),
		do("delete_module", "bearcat_nonesuch", 0x800),
		do("io_uring_setup", 0, uintptr(0)),
	} {
		if !d.failed() {
			t.Errorf("%s succeeds", d.Name)
		}
		t.Logf("%s: %v", d.Name, d.errno())
		w.saw(t, d)
	}
	ring := closed(do("io_uring_setup", 4, make(raw, 120)))
	got := w.saw(t, ring)
	if ring.failed() {
		t.Logf("io_uring_setup fails here: %v", ring.errno())
	} else {
		expect(t, "ring", got.FD.File.Path, "anon_inode:[io_uring]")
	}
}

func TestCallModules(t *testing.T) {
	guest.Require(t)
	w := observe(t)
	guest.Modprobe(t, "dummy")
	need(t, exec.Command("rmmod", "dummy").Run())
	b, err := exec.Command("modinfo", "-n", "dummy").Output()
	need(t, err)
	file := strings.TrimSpace(string(b))
	if !strings.HasSuffix(file, ".ko") { // finit_module takes it only as it is
		out := newDir(t) + "/dummy.ko"
		tool := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[filepath.Ext(file)]
		text, err := exec.Command(tool, "-dc", file).Output()
		if err != nil {
			t.Skipf("unpacking %s: %v", file, err)
		}
		need(t, os.WriteFile(out, text, 0o600))
		file = out
	}
	fd := openRead(t, file)
	d := ok(t, do("finit_module", fd, "numdummies=1", 0))
	got := w.saw(t, d)
	expect(t, "arguments", got.Text, "numdummies=1")
	if got.Path == nil || got.Path.Path != got.FD.File.Path {
		t.Errorf("the module's file is %+v", got.Path)
	}
	r := w.find(event.Module, "module_load", func(r *event.TaskRecord) bool { return r.Call.Spec.Name == "module_load" })
	expect(t, "module", r.Call.Text, "dummy")
	expect(t, "process", int(r.Key.Pid), os.Getpid())
	expect(t, "class", r.Class, event.Critical)
	d = ok(t, do("delete_module", "dummy", unix.O_NONBLOCK))
	expect(t, "module", w.saw(t, d).Text, "dummy")
}

func TestCallHostChanges(t *testing.T) {
	guest.Require(t)
	w := observe(t)
	tv := new(unix.Timeval)
	need(t, unix.Gettimeofday(tv))
	w.saw(t, ok(t, do("settimeofday", unsafe.Pointer(tv), uintptr(0))))
	ts := new(unix.Timespec)
	need(t, unix.ClockGettime(unix.CLOCK_REALTIME, ts))
	w.saw(t, ok(t, do("clock_settime", unix.CLOCK_REALTIME, unsafe.Pointer(ts))))
	w.saw(t, ok(t, do("adjtimex", make(raw, 208))))
	w.saw(t, ok(t, do("iopl", 0)))
}
