package call

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// TestCallCapture checks that what the kernel writes today has the layout of the
// records in testdata. With BEARCAT_CAPTURE set it writes them anew.
func TestCallCapture(t *testing.T) {
	w, port := observeDNS(t)
	var mu sync.Mutex
	var all [][]byte
	w.setTap(func(raw []byte) {
		mu.Lock()
		all = append(all, raw)
		mu.Unlock()
	})
	defer w.setTap(nil)
	home, err := os.Getwd()
	need(t, err)
	dir := newDir(t)
	inDir(t, dir)
	need(t, os.WriteFile("f", nil, 0o600))
	want := map[string]done{
		"open":    ok(t, closed(do("openat", at, "f", unix.O_RDWR))),
		"failed":  do("open", "/none\xff\n", unix.O_RDONLY),
		"rename":  ok(t, do("rename", "f", dir+"/g")),
		"mount":   do("mount", "nothing", "/none", "ext4", 0, uintptr(0)),
		"setuid":  ok(t, do("setresuid", -1, -1, -1)),
		"prctl":   ok(t, do("prctl", unix.PR_SET_KEEPCAPS, 0, 0, 0, 0)),
		"setattr": do("fsetxattr", 9999, "user.x", uintptr(0), 0, 0),
	}
	fds := make(raw, 8)
	want["pipe"] = ok(t, do("pipe", fds))
	for _, i := range []int{0, 4} {
		unix.Close(int(*(*int32)(unsafe.Pointer(&fds[i]))))
	}
	captureSockets(t, want)
	insns := insn(insn(insn(nil, 0x85, 0, 14), 0xb7, 0, 0), 0x95, 0, 0)
	attr := make(raw, 120)
	*(*uint32)(unsafe.Pointer(&attr[4])) = 3
	*(*uint64)(unsafe.Pointer(&attr[8])) = uint64(uintptr(unsafe.Pointer(&insns[0])))
	copy(attr[48:], "captured")
	want["bpf"] = do("bpf", 5, attr, 120) // fails: there is no license
	udp := udpSocket(t)
	to := sockaddr("127.0.0.1:" + strconv.Itoa(int(port)))
	q := dnsQuery(77, "captured.example.com")
	ok(t, do("sendto", udp, q, len(q), 0, to, len(to)))
	ok(t, do("recvfrom", udp, make(raw, 512), 512, 0, make(raw, 16), raw{16, 0, 0, 0}))
	for name, d := range want {
		if w.wait(event.CallNamed(d.Name).Type, is(d)) == nil {
			t.Errorf("no record of %s came", name)
		}
	}
	w.find(event.DNS, "the answer", func(r *event.TaskRecord) bool { return r.Call.DNS.Response && r.Call.DNS.ID == 77 })
	w.setTap(nil)
	need(t, os.Chdir(home))

	got := map[string][]byte{}
	dec := newDecoder()
	for _, raw := range all {
		var rec event.TaskRecord
		if _, err := dec.Decode(raw, &rec); err != nil {
			t.Fatal(err)
		}
		for name, d := range want {
			if d.Name == rec.Call.Spec.Name && is(d)(&rec) {
				got[name] = raw
			}
		}
		switch rec.Type {
		case event.DNS:
			got[map[bool]string{false: "query", true: "answer"}[rec.Call.DNS.Response]] = raw
		case event.TCP: // of the listener or of the client
			got["tcp_"+rec.Call.TCP.New] = raw
		case event.PassFD:
			got["passfd"] = raw
		}
	}
	keep := captureNames()
	if os.Getenv("BEARCAT_CAPTURE") != "" {
		need(t, os.MkdirAll("testdata", 0o755))
		for _, name := range keep {
			need(t, os.WriteFile(filepath.Join("testdata", name+".bin"), got[name], 0o644))
		}
	}
	old := captured(t)
	for _, name := range keep {
		switch raw := got[name]; {
		case raw == nil:
			t.Errorf("no %s record came", name)
		case raw[22] != old[name][22], raw[23]%streams != old[name][23]%streams:
			t.Errorf("the %s record is of kind %d and stream %d, in testdata of %d and %d", name, raw[22], raw[23], old[name][22], old[name][23])
		}
	}
}

// captureSockets makes the calls of sockets.
func captureSockets(t *testing.T, want map[string]done) {
	t.Helper()
	server, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(server)
	need(t, unix.Bind(server, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	need(t, unix.Listen(server, 1))
	to := sockaddr("127.0.0.1:" + strconv.Itoa(portOf(t, server)))
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	want["connect"] = ok(t, do("connect", client, to, len(to)))
	want["accept"] = ok(t, do("accept4", server, uintptr(0), uintptr(0), unix.SOCK_CLOEXEC))
	unix.Close(int(want["accept"].Ret))
	unix.Close(client)
	name := sockaddrUnix("\x00bearcat\x00captured")
	u, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	want["connect_unix"] = do("connect", u, name, len(name))
	unix.Close(u)
	udp := udpSocket(t)
	nine := sockaddr("127.0.0.1:9")
	want["send"] = ok(t, do("sendto", udp, raw("x"), 1, 0, nine, len(nine)))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	rights := unix.UnixRights(pair[0])
	need(t, unix.Sendmsg(pair[0], []byte("x"), rights, nil, 0))
	unix.Close(pair[0])
	unix.Close(pair[1])
}
