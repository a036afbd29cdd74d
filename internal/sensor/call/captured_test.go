package call

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

// captureNames lists the records in testdata.
func captureNames() []string {
	return []string{"open", "failed", "rename", "mount", "setuid", "prctl", "setattr", "pipe", "connect", "connect_unix", "accept", "send",
		"passfd", "bpf", "query", "answer", "tcp_established", "tcp_close"}
}

// captured returns the records in testdata, which the kernel wrote: see
// TestCallCapture.
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range captureNames() {
		b, err := os.ReadFile(filepath.Join("testdata", name+".bin"))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	return out
}

func decodeOne(t *testing.T, raw []byte) event.TaskRecord {
	t.Helper()
	d := newDecoder()
	var rec event.TaskRecord
	if ok, err := d.Decode(raw, &rec); err != nil || !ok {
		t.Fatalf("decoding gives %v, %v", ok, err)
	}
	return rec
}

func TestCallDecodeCaptured(t *testing.T) {
	all := captured(t)
	call := func(name string, typ event.Type, class event.Class) *event.Call {
		t.Helper()
		r := decodeOne(t, all[name])
		if r.Type != typ || r.Class != class || r.Seq == 0 || r.Boot == 0 || r.Tid == 0 || r.Key.Pid == 0 || r.Key.Start == 0 || r.Call == nil {
			t.Errorf("%s: the header is %+v", name, r)
		}
		if r.Image != nil || r.Call.Compat || r.Call.Via != "" {
			t.Errorf("%s: %+v", name, r.Call)
		}
		return r.Call
	}
	open := call("open", event.Open, event.Bulk)
	if open.Path.Raw != "f" || !strings.HasSuffix(open.Path.Path, "/f") || !open.Path.Resolved || open.FD.Kind != event.StdioFile {
		t.Errorf("open: %+v, %+v", open.Path, open.FD)
	}
	failed := call("failed", event.Open, event.Bulk)
	if failed.Path.Path != "/none\xff\n" || failed.Path.Resolved || failed.Ret != -2 || failed.FD != nil {
		t.Errorf("a failed open: %+v, %d", failed.Path, failed.Ret)
	}
	rename := call("rename", event.Rename, event.Bulk)
	if !strings.HasSuffix(rename.Path.Path, "/f") || strings.TrimSuffix(rename.Path2.Path, "g") != strings.TrimSuffix(rename.Path.Path, "f") {
		t.Errorf("rename: %+v, %+v", rename.Path, rename.Path2)
	}
	mount := call("mount", event.Mount, event.Critical)
	if mount.Text != "nothing" || mount.Path2.Path != "/none" || mount.Path != nil {
		t.Errorf("mount: %q, %+v", mount.Text, mount.Path2)
	}
	if c := call("setuid", event.Setuid, event.Critical).NewCred; c == nil || c.UID != 0 || c.SUID != 0 || c.Effective == 0 {
		t.Errorf("setresuid: %+v", c)
	}
	if c := call("prctl", event.Prctl, event.Critical); c.Args[0] != 8 {
		t.Errorf("prctl: %+v", c.Args)
	}
	if c := call("setattr", event.Setxattr, event.Bulk); c.FD.Num != 9999 || c.FD.Kind != event.StdioClosed || c.Text != "user.x" || c.Path != nil {
		t.Errorf("fsetxattr: %+v, %q", c.FD, c.Text)
	}
	if c := call("pipe", event.Pipe, event.Bulk); c.FD.Kind != event.StdioPipe || c.FD.Inode() != c.FD2.Inode() || c.FD.Inode() == 0 {
		t.Errorf("pipe: %+v, %+v", c.FD, c.FD2)
	}
	if c := call("bpf", event.BPF, event.Critical).BPF; c.Name != "captured" || c.Insns != 3 || !slices.Equal(c.Helpers, []uint32{14}) || c.ScanCut {
		t.Errorf("bpf: %+v", c)
	}
}

func TestCallDecodeCapturedSockets(t *testing.T) {
	all := captured(t)
	connect, accept := decodeOne(t, all["connect"]).Call, decodeOne(t, all["accept"]).Call
	c, a := connect.FD.Sock, accept.FD.Sock
	if c.Remote != "127.0.0.1" || c.RemotePort != a.LocalPort || c.LocalPort != a.RemotePort || c.State != "established" || c.Proto != "tcp" {
		t.Errorf("connect %+v and accept %+v", c, a)
	}
	if connect.Addr.Remote != c.Remote || connect.Addr.RemotePort != c.RemotePort || connect.Addr.Family != "ipv4" {
		t.Errorf("the address is %+v", connect.Addr)
	}
	if accept.FD2.Sock.State != "listen" || accept.FD2.Sock.LocalPort != a.LocalPort {
		t.Errorf("the listener is %+v", accept.FD2.Sock)
	}
	if u := decodeOne(t, all["connect_unix"]).Call; u.Addr.Remote != "@bearcat\x00captured" || u.Addr.Family != "unix" || !u.Failed() {
		t.Errorf("connect to a unix socket: %+v", u.Addr)
	}
	if s := decodeOne(t, all["send"]).Call; s.Addr.RemotePort != 9 || s.FD.Sock.Proto != "udp" {
		t.Errorf("send: %+v, %+v", s.Addr, s.FD.Sock)
	}
	if p := decodeOne(t, all["passfd"]).Call; p.Spec.Name != "scm_rights" || p.Args[2] != 1 || p.FD.Inode() != p.FD2.Inode() {
		t.Errorf("passfd: %+v, %+v", p.FD, p.FD2)
	}
	first, last := decodeOne(t, all["tcp_established"]), decodeOne(t, all["tcp_close"])
	if first.Call.TCP.Old != "syn_sent" || first.Call.TCP.New != "established" || first.StreamType != event.TCP || last.Call.TCP.New != "close" {
		t.Errorf("tcp: %+v, %+v", first.Call.TCP, last.Call.TCP)
	}
	d := newDecoder()
	var q, r event.TaskRecord
	if _, err := d.Decode(all["query"], &q); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(all["answer"], &r); err != nil {
		t.Fatal(err)
	}
	if n := q.Call.DNS; n.ID != 77 || n.Name != "captured.example.com" || n.Type != "A" || n.Response || n.Cut || n.TCP {
		t.Errorf("the query is %+v", n)
	}
	if n := r.Call.DNS; n.ID != 77 || !n.Response || n.Rcode != "NOERROR" || len(n.Answers) != 1 || n.Latency <= 0 {
		t.Errorf("the answer is %+v", n)
	}
}

// Every cut of every captured record is refused or understood, never more.
func TestCallDecodeTruncated(t *testing.T) {
	fixed := int(unsafe.Sizeof(progBcCall{}))
	for name, raw := range captured(t) {
		for n := range len(raw) {
			d := newDecoder()
			var rec event.TaskRecord
			_, err := d.Decode(raw[:n], &rec)
			if n < fixed && err == nil {
				t.Fatalf("%s cut to %d of %d bytes is accepted", name, n, len(raw))
			}
			if refused := d.Refused() == 1; refused != (err != nil) {
				t.Fatalf("%s cut to %d bytes: refused %d, %v", name, n, d.Refused(), err)
			}
		}
	}
}

// sectionsOf tells where a record's sections begin.
func sectionsOf(raw []byte) []int {
	var out []int
	for at := int(unsafe.Sizeof(progBcCall{})); at+8 <= len(raw); {
		out = append(out, at)
		at += 8 + int(binary.LittleEndian.Uint32(raw[at+4:]))
		at = (at + 7) &^ 7
	}
	return out
}

// Lengths that lie are refused; whatever else a section says is survived.
func TestCallDecodeLies(t *testing.T) {
	le := binary.LittleEndian
	for name, raw := range captured(t) {
		for _, at := range sectionsOf(raw) {
			for _, n := range []uint32{uint32(len(raw) - at - 7), 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<32 - 8} {
				lie := slices.Clone(raw)
				le.PutUint32(lie[at+4:], n)
				d := newDecoder()
				var rec event.TaskRecord
				if _, err := d.Decode(lie, &rec); err == nil || d.Refused() != 1 {
					t.Errorf("%s: a section of %d bytes at %d is accepted", name, n, at)
				}
			}
			for i := at; i < len(raw); i++ {
				for _, v := range []byte{0, 1, 2, 0x7f, 0x80, 0xff} {
					lie := slices.Clone(raw)
					lie[i] = v
					d := newDecoder()
					var rec event.TaskRecord
					_, _ = d.Decode(lie, &rec)
				}
			}
		}
	}
}

func TestCallDecodeUnknown(t *testing.T) {
	raw := captured(t)["open"]
	change := func(what string, f func(h *progBcCall, b []byte)) {
		t.Helper()
		lie := slices.Clone(raw)
		f((*progBcCall)(unsafe.Pointer(&lie[0])), lie)
		d := newDecoder()
		var rec event.TaskRecord
		if _, err := d.Decode(lie, &rec); err == nil || d.Refused() != 1 {
			t.Errorf("%s is accepted", what)
		}
	}
	at := sectionsOf(raw)
	if len(at) < 3 {
		t.Fatalf("the record has %d sections", len(at))
	}
	tag := func(want byte) int {
		t.Helper()
		for _, i := range at {
			if raw[i] == want {
				return i
			}
		}
		t.Fatalf("no section %d", want)
		return 0
	}
	change("kind 99", func(h *progBcCall, _ []byte) { h.Hdr.Kind = 99 })
	change("number 1023", func(h *progBcCall, _ []byte) { h.Nr = 1023 })
	change("number 5000", func(h *progBcCall, _ []byte) { h.Nr = 5000 })
	change("operation 77", func(h *progBcCall, _ []byte) { h.Op = 77 })
	change("section 99", func(_ *progBcCall, b []byte) { b[at[0]] = 99 })
	change("descriptor 2", func(_ *progBcCall, b []byte) { b[tag(secFD)+1] = 2 })
	change("directory 2", func(_ *progBcCall, b []byte) { b[tag(secBase)+1] = 2 })
}

// The table and the list of calls agree.
func TestCallTableAgreesWithCalls(t *testing.T) {
	var all event.TypeSet
	n64, n32 := numbers64(), numbers32()
	pseudo := map[string]bool{"tcp_state": true, "dns": true, "scm_rights": true, "commit_creds": true, "module_load": true, "io_uring_op": true}
	for _, s := range event.Calls() {
		all.Add(event.TypesOf(s.Type))
		nr, ok := n64[s.Name]
		if ok == pseudo[s.Name] {
			t.Errorf("%s has a number: %v", s.Name, ok)
		}
		if ok && nr >= tableSize {
			t.Errorf("%s's number %d is beyond the table", s.Name, nr)
		}
		if !s.Type.IsCall() {
			t.Errorf("%s is of type %s", s.Name, s.Type)
		}
	}
	for what, numbers := range map[string]map[string]uint32{"64-bit": n64, "32-bit": n32} {
		seen := map[uint32]string{}
		for name, nr := range numbers {
			if seen[nr] != "" {
				t.Errorf("%s number %d is that of %s and of %s", what, nr, name, seen[nr])
			}
			seen[nr] = name
			if nets()[name] == 0 && event.CallNamed(name) == nil {
				t.Errorf("%s has a %s number and no description", name, what)
			}
		}
	}
	table := entries(all)
	first := firstLook(table)
	for _, s := range event.Calls() {
		nr, ok := n64[s.Name]
		if !ok {
			continue
		}
		d := table[nr]
		if s.Type == event.Close { // has a program of its own
			if d.Flags != 0 {
				t.Errorf("%s is told at the call's end as well: %+v", s.Name, d)
			}
			continue
		}
		if d.Flags&descWanted == 0 || d.Stream != streamCall && d.Stream != streamBulk {
			t.Errorf("%s's entry is %+v", s.Name, d)
		}
		if (d.Stream == streamCall) != (ClassOf(s.Type) == event.Critical) {
			t.Errorf("%s goes to stream %d", s.Name, d.Stream)
		}
		for i, a := range s.Args {
			index := map[event.CallArgKind]uint8{event.ArgPath: d.Path[0], event.ArgPath2: d.Path[1], event.ArgDirFD: d.Dirfd[0],
				event.ArgDirFD2: d.Dirfd[1], event.ArgFD: d.Fd[0], event.ArgFD2: d.Fd[1], event.ArgFDs: d.Fd[0], event.ArgAddr: d.Addr}
			if want, followed := index[a.Kind]; followed && d.Filter != filterNet && int(want) != i {
				t.Errorf("%s: argument %s is number %d, its entry says %d", s.Name, a.Name, i, want)
			}
		}
		if nr, ok := n32[s.Name]; ok {
			if table[tableSize+nr].Flags == 0 || first[nr] == 0 {
				t.Errorf("%s's 32-bit call %d does not get through", s.Name, nr)
			}
		}
	}
	if slices.ContainsFunc(entries(event.TypeSet{}), func(d progBcDesc) bool { return d.Flags != 0 }) {
		t.Error("a table for no types has entries")
	}
	for _, d := range entries(event.TypesOf(event.DNS)) {
		if d.Flags&descReport != 0 {
			t.Errorf("with DNS alone a call is reported: %+v", d)
		}
	}
}

func FuzzDecodeCaptured(f *testing.F) {
	for _, raw := range captured(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := newDecoder()
		var rec event.TaskRecord
		for range 2 { // the second time with what the first has left behind
			ok, err := d.Decode(raw, &rec)
			if ok && err == nil && (rec.Call == nil || rec.Call.Spec == nil || rec.Type == event.DNS && rec.Call.DNS == nil) {
				t.Errorf("a call without its parts: %+v", rec)
			}
		}
	})
}

func BenchmarkDecodeOpen(b *testing.B) {
	raw := captured(b)["open"]
	d := newDecoder()
	var rec event.TaskRecord
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(raw, &rec); err != nil {
			b.Fatal(err)
		}
	}
}
