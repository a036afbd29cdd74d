package call

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// record makes the bytes of a record of a call that reads as the program
// writes it.
func record(t testing.TB, h progBcCall, sections ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	h.Hdr.Kind = kindCall
	if h.Hdr.Stream == 0 {
		h.Hdr.Stream = streamBulk
	}
	if err := binary.Write(&b, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		for b.Len()%8 != 0 {
			b.WriteByte(0)
		}
		b.Write(s)
	}
	return b.Bytes()
}

// section makes one, of fixed parts and bytes.
func section(t testing.TB, tag, slot uint8, parts ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		if err := binary.Write(&b, binary.LittleEndian, p); err != nil {
			t.Fatal(err)
		}
	}
	head := []byte{tag, slot, 0, 0}
	return append(binary.LittleEndian.AppendUint32(head, uint32(b.Len())), b.Bytes()...)
}

// samples are records of different shapes.
func samples(t testing.TB) map[string][]byte {
	file := progBcFd{Num: 3, Open: 1, Fmode: fmodeCreated}
	file.File.Inode, file.File.Mode, file.File.Dev = 12, 0o100600, 8<<20|1
	file.Path.Len, file.Path.RootAt, file.Path.Flags = 11, 11, 4
	sock := progBcFd{Num: 4, Open: 1}
	sock.File.Mode = 0o140777
	sock.Sock.Family, sock.Sock.Type, sock.Sock.Proto, sock.Sock.Lport, sock.Sock.Rport = 2, 1, 6, 4000, 443
	copy(sock.Sock.Laddr[:], []byte{10, 0, 0, 5})
	copy(sock.Sock.Raddr[:], []byte{192, 0, 2, 7})
	base := progBcPath{Len: 4, RootAt: 4, Flags: 4}
	attr := make([]byte, 72)
	binary.LittleEndian.PutUint32(attr, 2)
	copy(attr[48:], "prog")
	insns := progBcInsns{Count: 2, Looked: 2, Helpers: 1}
	insns.Helper[0] = 36
	query := append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x07example\x03org\x00\x00\x01\x00\x01"...)
	return map[string][]byte{
		"open": record(t, progBcCall{Nr: unix.SYS_OPENAT, Ret: 3, Args: [6]uint64{0, 0, 0x41}},
			section(t, secText, 0, []byte("passwd")), section(t, secBase, 0, base, []byte("/etc")), section(t, secFD, 0, file, []byte("/passwd/etc"))),
		"failed": record(t, progBcCall{Nr: unix.SYS_OPENAT, Ret: -2}, section(t, secText, 0, []byte("x/../y")), section(t, secBase, 0, base, []byte("/etc"))),
		"connect": record(t, progBcCall{Nr: unix.SYS_CONNECT, Ret: -115}, section(t, secFD, 0, sock),
			section(t, secAddr, 0, []byte{2, 0, 1, 187, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0})),
		"bpf":    record(t, progBcCall{Nr: unix.SYS_BPF, Ret: 5, Args: [6]uint64{5}}, section(t, secData, 0, attr), section(t, secInsns, 0, insns)),
		"dns":    record(t, progBcCall{Op: opDNS, Ret: 29}, section(t, secFD, 0, sock), section(t, secData, 0, query)),
		"tcp":    record(t, progBcCall{Op: opTCP, Args: [6]uint64{2, 1}}, section(t, secFD, 0, sock)),
		"setuid": record(t, progBcCall{Nr: unix.SYS_SETUID}, section(t, secCred, 0, progBcCred{Euid: 1000})),
		"module": record(t, progBcCall{Op: opModule, Args: [6]uint64{4096}}, section(t, secText, 2, []byte("veth\x00\x00"))),
		"int80":  record(t, progBcCall{Nr: tableSize + 5, Ret: -2, Flags: flagCompat}, section(t, secText, 0, []byte("/x"))),
	}
}

func TestDecodeSamples(t *testing.T) {
	d := NewDecoder(false)
	got := map[string]*event.Call{}
	for name, raw := range samples(t) {
		var rec event.TaskRecord
		if ok, err := d.Decode(raw, &rec); err != nil || !ok {
			t.Fatalf("%s: %v, %v", name, ok, err)
		}
		got[name] = rec.Call
	}
	open := got["open"]
	expect(t, "path", open.Path.Path, "/etc/passwd")
	expect(t, "created", open.Path.Created, true)
	expect(t, "resolved", open.Path.Resolved, true)
	expect(t, "device", open.Path.Dev, 8<<32|1)
	expect(t, "path of what is not there", got["failed"].Path.Path, "/etc/y")
	expect(t, "remote", got["connect"].FD.Sock.Remote, "192.0.2.7")
	expect(t, "port as passed", got["connect"].Addr.RemotePort, 443)
	expect(t, "program type", got["bpf"].BPF.ProgType, "kprobe")
	expect(t, "program name", got["bpf"].BPF.Name, "prog")
	expect(t, "helpers", slices.Equal(got["bpf"].BPF.Helpers, []uint32{36}), true)
	expect(t, "name asked for", got["dns"].DNS.Name, "example.org")
	expect(t, "state", got["tcp"].TCP.New, "established")
	expect(t, "new euid", got["setuid"].NewCred.EUID, 1000)
	expect(t, "module", got["module"].Text, "veth")
	expect(t, "32-bit call", got["int80"].Spec.Name, "open")
}

// TestDecodeCut decodes every beginning of every record: that gives an error or
// a call, and never more than that.
func TestDecodeCut(t *testing.T) {
	for name, raw := range samples(t) {
		for n := range raw {
			d := NewDecoder(false)
			var rec event.TaskRecord
			_, err := d.Decode(raw[:n], &rec)
			if n < 24 && err == nil {
				t.Errorf("%s: %d bytes are taken for a record", name, n)
			}
			if (err != nil) != (d.Refused() == 1) {
				t.Errorf("%s: %d bytes: %v, and %d are counted as refused", name, n, err, d.Refused())
			}
		}
	}
}

func TestDecodeRubbish(t *testing.T) {
	long := section(t, secText, 0, []byte("x"))
	binary.LittleEndian.PutUint32(long[4:], 1<<31)
	lying := progBcFd{Open: 1}
	lying.Path.Len = 1 << 20
	named := progBcFd{Open: 1}
	named.File.Mode, named.Sock.Family, named.Sock.Llen = 0o140000, 1, 200
	for name, raw := range map[string][]byte{
		"a section longer than the record": record(t, progBcCall{Nr: 2}, long),
		"an unknown section":               record(t, progBcCall{Nr: 2}, section(t, 99, 0)),
		"a third descriptor":               record(t, progBcCall{Nr: 2}, section(t, secFD, 2, progBcFd{})),
		"a path longer than the section":   record(t, progBcCall{Nr: 2}, section(t, secFD, 0, lying)),
		"a name longer than the section":   record(t, progBcCall{Nr: 2}, section(t, secFD, 0, named)),
		"an unknown call":                  record(t, progBcCall{Nr: 500}),
		"a number beyond the table":        record(t, progBcCall{Nr: 1 << 30}),
		"an unknown operation":             record(t, progBcCall{Op: 77}),
	} {
		var rec event.TaskRecord
		if _, err := NewDecoder(false).Decode(raw, &rec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTable checks that every call has a number, and that no number has two.
func TestTable(t *testing.T) {
	pseudo := map[string]bool{"tcp_state": true, "dns": true, "scm_rights": true, "module_load": true, "io_uring_op": true}
	for what, numbers := range map[string]map[string]uint32{"64-bit": numbers64(), "32-bit": numbers32()} {
		seen := map[uint32]string{}
		for name, nr := range numbers {
			if old := seen[nr]; old != "" || nr >= tableSize {
				t.Errorf("%s: %s has the number %d of %q", what, name, nr, old)
			}
			seen[nr] = name
			if event.CallNamed(name) == nil && nets()[name] == 0 {
				t.Errorf("%s: %s is no call that there are events of", what, name)
			}
		}
	}
	for _, s := range event.Calls() {
		if _, ok := numbers64()[s.Name]; ok == pseudo[s.Name] {
			t.Errorf("%s: has a number: %v", s.Name, ok)
		}
		if s.Arg(event.ArgPath) > 5 || len(s.Args) > 6 {
			t.Errorf("%s has more arguments than registers", s.Name)
		}
	}
	if n := slices.IndexFunc(entries(event.TypeSet{}), func(d progBcDesc) bool { return d.Flags != 0 }); n >= 0 {
		t.Errorf("nothing is wanted, and call %d is", n)
	}
	only := entries(event.TypesOf(event.Rename))
	for nr, d := range only {
		if d.Flags&descReport != 0 && nr < tableSize && nr != unix.SYS_RENAME && nr != unix.SYS_RENAMEAT && nr != unix.SYS_RENAMEAT2 {
			t.Errorf("renames are wanted, and call %d is too", nr)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, raw := range samples(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := NewDecoder(false)
		var rec event.TaskRecord
		ok, err := d.Decode(raw, &rec)
		if ok && err == nil && (rec.Call == nil || rec.Call.Spec == nil || !rec.Type.IsCall()) {
			t.Errorf("a record of type %s has no call", rec.Type)
		}
	})
}
