package console

import (
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func ref(path string) *event.FileRef { return &event.FileRef{File: event.File{Path: path}} }

func pipeFD(n int32) *event.FD {
	return &event.FD{Num: n, Kind: event.StdioPipe, File: event.File{Inode: 77}}
}

func web() *event.Socket {
	return &event.Socket{Family: "ipv4", Proto: "tcp", Local: "10.0.0.5", LocalPort: 4000, Remote: "192.0.2.7", RemotePort: 443, RemoteName: "example.org"}
}

func sockFD(n int32, s *event.Socket) *event.FD {
	return &event.FD{Num: n, Kind: event.StdioSocket, Sock: s}
}

// checkCalls holds the part of each line that tells of the call to what is
// wanted.
func checkCalls(t *testing.T, lines map[string]event.Call, names map[string]string) {
	t.Helper()
	const head = "00:00:00.000 open    pid 812     root     /usr/bin/cat  "
	p := &event.Process{Key: event.Key{Pid: 812}, User: "root", Comm: "cat", Image: (&event.Image{Exe: event.File{Path: "/usr/bin/cat"}}).Seal()}
	for want, c := range lines {
		name, _, _ := strings.Cut(want, " ")
		if full := names[want]; full != "" {
			name = full
		}
		if c.Spec = event.CallNamed(name); c.Spec == nil {
			t.Fatalf("there is no call %q", name)
		}
		typ := c.Spec.Type
		head := strings.Replace(head, "open   ", (typ.String() + "       ")[:max(7, len(typ.String()))], 1)
		want = strings.TrimPrefix(want, typ.String()+" ")
		if want == "" {
			head = strings.TrimRight(head, " ")
		}
		got := string(New(Options{Local: time.UTC}).AppendEvent(nil, &event.Event{Type: typ, Time: time.Unix(0, 0), Proc: p, Call: &c}))
		if got != head+want+"\n" {
			t.Errorf("\n got %q\nwant %q", got, head+want+"\n")
		}
	}
}

func TestFileCalls(t *testing.T) {
	made := ref("/a\x1b[2J")
	made.Created = true
	unread := &event.FileRef{Raw: "x/y", RawCut: true}
	checkCalls(t, map[string]event.Call{
		"openat /etc/shadow flags=O_RDONLY  EACCES":                                      {Ret: -13, Path: ref("/etc/shadow"), Args: [6]uint64{0, 0, 0, 0x7f}},
		"openat $'/a\\x1b[2J' (new) flags=O_WRONLY|O_CREAT mode=0600  fd 3 via io_uring": {Ret: 3, Via: "io_uring", Args: [6]uint64{0, 0, 0x41, 0o600}, Path: made},
		"openat2 /b flags=O_RDWR  fd 3 (32-bit call)":                                    {Ret: 3, Compat: true, Args: [6]uint64{0, 0, 2, 0}, Path: ref("/b")},
		"creat x/y... mode=0644  ENAMETOOLONG":                                           {Ret: -36, Args: [6]uint64{0, 0o644}, Path: unread},
		"rename /a -> /b":                                                                {Path: ref("/a"), Path2: ref("/b")},
		"symlink /tmp/x -> /etc/passwd":                                                  {Path: ref("/tmp/x"), Text: "/etc/passwd"},
		"fchownat /a uid=-1 gid=0":                                                       {Path: ref("/a"), Args: [6]uint64{0, 0, 0xffffffff, 0}},
		"setxattr security.capability /a":                                                {Path: ref("/a"), Text: "security.capability"},
		"truncate /var/log/wtmp length=0":                                                {Path: ref("/var/log/wtmp")},
		"mknod /tmp/f mode=010644":                                                       {Path: ref("/tmp/f"), Args: [6]uint64{0, 0o10644, 0}},
		"mount /dev/sda1 -> /mnt type ext4 flags=MS_RDONLY":                              {Text: "/dev/sda1", Text2: "ext4", Path2: ref("/mnt"), Args: [6]uint64{0, 0, 0, 1}},
		"unlinkat /a":                            {Path: ref("/a")},
		"splice /etc/passwd -> fd 4 pipe[77]":    {Path: ref("/etc/passwd"), FD: &event.FD{Num: 3, Kind: event.StdioFile, File: event.File{Path: "/etc/passwd"}}, FD2: pipeFD(4)},
		"memfd_create x flags=MFD_CLOEXEC  fd 3": {Text: "x", Ret: 3, Args: [6]uint64{0, 1}},
	}, nil)
}

func TestSocketCalls(t *testing.T) {
	bound := &event.Socket{Family: "ipv6", Proto: "udp", Local: "::1", LocalPort: 53}
	name := func(s *event.Socket) *event.Socket {
		return &event.Socket{Family: s.Family, Remote: s.Local, RemotePort: s.LocalPort}
	}
	checkCalls(t, map[string]event.Call{
		"connect fd 5 ipv4/tcp 10.0.0.5:4000->192.0.2.7:443 (example.org)":                      {FD: sockFD(5, web()), Addr: web()},
		"connect fd 5 ipv4/tcp to 192.0.2.7:443  EINPROGRESS":                                   {Ret: -115, FD: sockFD(5, &event.Socket{Family: "ipv4", Proto: "tcp"}), Addr: web()},
		"bind fd 4 ipv6/udp [::1]:53":                                                           {FD: sockFD(4, bound), Addr: name(bound)},
		"listen fd 4 ipv6/udp [::1]:53 backlog=128":                                             {FD: sockFD(4, bound), Args: [6]uint64{4, 128}},
		"socket domain=AF_PACKET type=SOCK_RAW proto=768  EPERM":                                {Ret: -1, Args: [6]uint64{17, 3, 0x300}},
		"accept4 fd 6 ipv4/tcp 10.0.0.5:4000->192.0.2.7:443 (example.org) <- fd 3 socket  fd 6": {Ret: 6, FD: sockFD(6, web()), FD2: sockFD(3, &event.Socket{})},
		"tcp 10.0.0.5:4000->192.0.2.7:443 last_ack -> close  sent 5, received 6 bytes in 2s":    {FD: sockFD(-1, web()), TCP: &event.TCPInfo{Old: "last_ack", New: "close", Sent: 5, Received: 6, Duration: 2 * time.Second}},
		"dns query A example.org to 192.0.2.7:443":                                              {FD: sockFD(3, web()), DNS: &event.DNSInfo{Name: "example.org", Type: "A"}},
		"dns query NS .": {DNS: &event.DNSInfo{Type: "NS"}},
		"dns query that is no DNS message to 192.0.2.7:443":            {Addr: web(), DNS: &event.DNSInfo{Cut: true}},
		"dns answer A example.org NOERROR 192.0.2.7 192.0.2.8 in 12ms": {DNS: &event.DNSInfo{Response: true, Name: "example.org", Type: "A", Rcode: "NOERROR", Latency: 12 * time.Millisecond, Answers: []event.DNSAnswer{{Data: "192.0.2.7"}, {Data: "192.0.2.8"}}}},
		"pipe fd 3 pipe[77] <- fd 4 pipe[77]":                          {FD: pipeFD(3), FD2: pipeFD(4)},
		"dup2 fd 0 ipv4/tcp 10.0.0.5:4000->192.0.2.7:443 (example.org) <- fd 5 ipv4/tcp 10.0.0.5:4000->192.0.2.7:443 (example.org)  fd 0": {FD: sockFD(0, web()), FD2: sockFD(5, web())},
	}, map[string]string{
		"tcp 10.0.0.5:4000->192.0.2.7:443 last_ack -> close  sent 5, received 6 bytes in 2s": "tcp_state",
	})
}

func TestOtherCalls(t *testing.T) {
	bash := &event.Process{Key: event.Key{Pid: 9}, Comm: "bash"}
	user, root := &event.Cred{UID: 1000, EUID: 1000, GID: 5, Effective: 1}, &event.Cred{GID: 5, Effective: 6}
	checkCalls(t, map[string]event.Call{
		"ptrace bash(9) request=PTRACE_ATTACH":                      {Args: [6]uint64{16, 9}, Target: bash},
		"kill pid=-1 sig=SIGKILL":                                   {Args: [6]uint64{0xffffffff, 9}},
		"kill bash(9) sig=SIGTERM  EPERM":                           {Ret: -1, Args: [6]uint64{9, 15}, Target: bash},
		"setuid uid=0 uid 1000->0 euid 1000->0 caps +0x6 caps -0x1": {OldCred: user, NewCred: root},
		"setuid uid=0  EPERM":                                       {Ret: -1, OldCred: user, NewCred: user},
		"capset ":                                                   {NewCred: root},
		"prctl option=PR_SET_DUMPABLE arg2=0x0":                     {Args: [6]uint64{4, 0, 0x7f}},
		"unshare flags=CLONE_NEWNS|CLONE_NEWUSER":                   {Args: [6]uint64{0x10020000}},
		"setns fd 3 'mnt:[4026531841]'":                             {FD: &event.FD{Num: 3, Kind: event.StdioFile, File: event.File{Path: "mnt:[4026531841]"}}},
		"mprotect length=4096 prot=PROT_READ|PROT_EXEC":             {Args: [6]uint64{0x7f00, 4096, 5}},
		"bpf BPF_PROG_LOAD kprobe 'a b'":                            {Args: [6]uint64{5}, BPF: &event.BPFInfo{Cmd: "BPF_PROG_LOAD", ProgType: "kprobe", Name: "a b"}},
		"delete_module loop  EAGAIN":                                {Ret: -11, Text: "loop"},
		"kexec_file_load /boot/vmlinuz with fd 4 /initrd":           {Path: ref("/boot/vmlinuz"), FD: pipeFD(3), FD2: &event.FD{Num: 4, Kind: event.StdioFile, File: event.File{Path: "/initrd"}}},
		"iopl level=3":                                              {Args: [6]uint64{3}},
		"add_key user 'my key'":                                     {Text: "user", Text2: "my key"},
		"io_uring_op opcode=IORING_OP_OPENAT via io_uring":          {Via: "io_uring", Args: [6]uint64{18}},
	}, nil)
}

// callEvents have hostile text wherever a call has text.
func callEvents(hostile string) []*event.Event {
	sock := &event.Socket{Family: hostile, Proto: hostile, Local: hostile, Remote: "a" + hostile, RemotePort: 1, RemoteName: hostile}
	addr := &event.Socket{Remote: hostile, RemotePort: 2}
	file := &event.FileRef{Raw: hostile, File: event.File{Path: hostile}, RawCut: true}
	whole := event.Call{Spec: &event.CallSpec{Name: hostile}, Via: hostile, Path: file, Path2: file, Addr: addr, Text: hostile, Text2: hostile,
		FD: sockFD(1, sock), FD2: &event.FD{File: event.File{Path: hostile}}, Target: &event.Process{Comm: hostile},
		BPF: &event.BPFInfo{Cmd: hostile, ProgType: hostile, Name: hostile}}
	sockets := whole
	sockets.Path = nil
	dns, tcp := sockets, sockets
	dns.DNS = &event.DNSInfo{Name: hostile, Type: hostile, Rcode: hostile, Cut: true, Answers: []event.DNSAnswer{{Data: hostile}}}
	tcp.TCP = &event.TCPInfo{Old: hostile, New: hostile}
	var out []*event.Event
	for _, c := range []*event.Call{&whole, &sockets, &dns, &tcp} {
		out = append(out, &event.Event{Type: event.Symlink, Time: at, Call: c}, &event.Event{Type: event.Open, Time: at, Call: c})
	}
	return out
}

// TestEveryCallHasALine writes each call there is, with all of its parts, with
// none, and without a description.
func TestEveryCallHasALine(t *testing.T) {
	f := New(Options{})
	for _, s := range append(event.Calls(), nil) {
		typ := event.Open
		if s != nil {
			typ = s.Type
		}
		for _, v := range []uint64{0, 1 << 31, ^uint64(0)} {
			for _, ev := range append(callEvents("x"), &event.Event{Call: &event.Call{}}) {
				c := *ev.Call
				c.Spec, c.Args, c.Ret = s, [6]uint64{v, v, v, v, v, v}, int64(v)
				line := string(f.AppendEvent(nil, &event.Event{Type: typ, Time: at, Call: &c}))
				if strings.Count(line, "\n") != 1 || strings.HasSuffix(line, "=\n") || strings.Contains(strings.TrimRight(line[len("00:00:00.000 open   "):], " \n"), "   ") {
					t.Errorf("%v: %q", s, line)
				}
			}
		}
	}
}
