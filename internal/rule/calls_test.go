package rule

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// callEvents are the events that testdata/calls.txt names.
func callEvents() map[string]*event.Event {
	ev := func(name string, ret int64, args ...uint64) *event.Event {
		e := execEvent()
		spec := event.CallNamed(name)
		e.Type, e.ExecInfo = spec.Type, nil
		e.Call = &event.Call{Spec: spec, Ret: ret}
		copy(e.Call.Args[:], args)
		return e
	}
	file := func(raw, path string) *event.FileRef {
		return &event.FileRef{Raw: raw, File: event.File{Path: path, Inode: 5}, Resolved: true}
	}
	const cwd = 1<<64 - 100
	out := map[string]*event.Event{"execve": execEvent()}
	fd := func(e *event.Event, f *event.FD) *event.Event { e.Call.FD = f; return e }
	path := func(e *event.Event, p, p2 *event.FileRef) *event.Event {
		e.Call.Path, e.Call.Path2 = p, p2
		return e
	}
	passwd := &event.FD{Num: 3, Kind: event.StdioFile, File: event.File{Path: "/etc/passwd", Dev: 8<<32 | 1, Inode: 5, Overlay: true, Upper: true}}
	out["openat"] = fd(path(ev("openat", 3, cwd, 0, 0o1102, 0o4755), file("passwd", "/etc/passwd"), nil), passwd)
	out["openat2"] = fd(path(ev("openat2", 3, cwd, 0, 0o100, 0o600), file("passwd", "/etc/passwd"), nil), passwd)
	out["open failed"] = path(ev("open", -2, 0, 0), file("/etc/shadow", "/etc/shadow"), nil)
	out["rename"] = path(ev("rename", 0), file("/bin/a", "/usr/bin/a"), file("b", "/root/b"))
	out["rename failed"] = path(ev("rename", -13), file("/bin/a", "/usr/bin/a"), file("b", "/root/b"))
	out["link"] = path(ev("linkat", 0, cwd, 0, cwd, 0, 0x400), file("/etc/shadow", "/etc/shadow"), file("s", "/tmp/s"))
	out["symlink"] = path(ev("symlink", 0), file("s", "/tmp/s"), nil)
	out["symlink"].Call.Text = "../etc"
	out["mount"] = path(ev("mount", 0, 0, 0, 0, 0x1001), nil, file("/mnt", "/mnt"))
	out["mount"].Call.Text = "/dev/sda1"
	out["chmod"] = path(ev("fchmodat", 0, cwd, 0, 0o4711), file("x", "/tmp/x"), nil)
	out["fchmod"] = fd(ev("fchmod", 0, 3, 0o600), passwd)

	sock := func(family, proto, local string, lport uint16, remote string, rport uint16) *event.FD {
		return &event.FD{Num: 4, Kind: event.StdioSocket, Sock: &event.Socket{Family: family, Proto: proto, Type: "stream", Local: local, LocalPort: lport, Remote: remote, RemotePort: rport}}
	}
	out["connect"] = fd(ev("connect", 0, 4), sock("ipv4", "tcp", "10.0.0.5", 40000, "192.0.2.1", 443))
	out["connect"].Call.Addr = &event.Socket{Family: "ipv4", Remote: "192.0.2.1", RemotePort: 443, RemoteName: "example.org"}
	out["connecting"] = fd(ev("connect", -115, 4), sock("ipv4", "tcp", "", 0, "", 0))
	out["connecting"].Call.Addr = out["connect"].Call.Addr
	out["connect6"] = fd(ev("connect", 0, 4), sock("ipv6", "tcp", "2001:db8::1", 40000, "2001:db8:1::2", 443))
	out["connect mapped"] = fd(ev("connect", 0, 4), sock("ipv6", "tcp", "::ffff:10.0.0.5", 40000, "::ffff:192.0.2.1", 443))
	out["connect unix"] = fd(ev("connect", -2, 4), sock("unix", "", "", 0, "", 0))
	out["connect unix"].Call.Addr = &event.Socket{Family: "unix", Remote: "/run/docker.sock"}
	out["accept"] = fd(ev("accept4", 5, 3), sock("ipv4", "tcp", "10.0.0.5", 22, "192.0.2.7", 50123))
	out["accept"].Call.FD.Num = 5
	out["sendto"] = fd(ev("sendto", 20, 4), sock("ipv4", "udp", "", 5000, "", 0))
	out["sendto"].Call.Addr = &event.Socket{Family: "ipv4", Remote: "198.51.100.9", RemotePort: 53}
	out["bind"] = fd(ev("bind", 0, 4), sock("ipv4", "tcp", "", 8080, "", 0))
	out["dup"] = fd(ev("dup2", 0, 4, 0), sock("ipv4", "tcp", "10.0.0.5", 40000, "192.0.2.1", 4444))
	out["dup"].Call.FD.Num = 0
	out["socket"] = fd(ev("socket", 4, 17, 3, 768), &event.FD{Num: 4, Kind: event.StdioSocket, Sock: &event.Socket{Family: "packet", Type: "raw"}})
	out["dns"] = fd(ev("dns", 0), sock("ipv4", "udp", "10.0.0.5", 40000, "10.0.0.1", 53))
	out["dns"].Call.DNS = &event.DNSInfo{Name: "example.org", Type: "A", Rcode: "NOERROR", Response: true, Latency: 5e6, Answers: []event.DNSAnswer{{Data: "192.0.2.1"}, {Data: "192.0.2.2"}}}

	out["ptrace"] = ev("ptrace", 0, 16, 50)
	out["ptrace"].Call.Target = out["ptrace"].Proc.Parent.Parent
	out["setuid"] = ev("setuid", 0, 0)
	out["setuid"].Call.OldCred, out["setuid"].Call.NewCred = &event.Cred{UID: 1000, EUID: 0}, &event.Cred{Effective: 1 << 21}
	out["bpf"] = ev("bpf", 4, 5)
	out["bpf"].Call.BPF = &event.BPFInfo{Cmd: "PROG_LOAD", ProgType: "kprobe", Name: "p", Helpers: []uint32{6, 36}}
	out["memfd"] = fd(ev("memfd_create", 6, 0, 1), &event.FD{Num: 6, Kind: event.StdioFile, File: event.File{Path: "memfd:x", Memfd: true}})
	out["memfd"].Call.Text = "x"
	meta := &event.ContainerMeta{
		Name: "web", Image: "r/nginx:1", ImageRepository: "r/nginx", Labels: map[string]string{"app": "shop"}, Privileged: true, PodName: "p", PodNamespace: "prod",
		Mounts: []event.ContainerMount{{Source: "/var/run", Dest: "/host/run", Mode: "rw", RW: true}},
	}
	out["container"] = ev("mkdir", 0, 0, 0o755)
	out["container"].Proc.Cgroup = &event.Cgroup{ContainerID: "0123456789ab", Meta: meta}
	out["unknown container"] = ev("mkdir", 0, 0, 0o755)
	out["unknown container"].Proc.Cgroup = &event.Cgroup{ContainerID: "0123456789ab"}
	return out
}

// TestCallConditions pins what conditions mean for system calls with
// testdata/calls.txt.
func TestCallConditions(t *testing.T) {
	data, err := os.ReadFile("testdata/calls.txt")
	if err != nil {
		t.Fatal(err)
	}
	events := callEvents()
	used := map[string]bool{}
	var ev *event.Event
	for n, line := range strings.Split(string(data), "\n") {
		word, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if rest = strings.TrimSpace(rest); !ok || word == "#" {
			continue
		}
		if word == "event" {
			if ev = events[rest]; ev == nil {
				t.Fatalf("line %d: there is no event %q", n+1, rest)
			}
			used[rest] = true
			continue
		}
		want, err := strconv.ParseBool(word)
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		for text, want := range map[string]bool{rest: want, "not (" + rest + ")": !want} {
			set := mustLoad(t, ruleFile("r", text))
			if got := len(matches(set, ev)) == 1; got != want {
				t.Errorf("line %d: %s\n\tis %v, want %v", n+1, text, got, want)
			}
		}
	}
	for name := range events {
		if !used[name] {
			t.Errorf("no condition is about the event %q", name)
		}
	}
}

// TestAddressDiagnostics wants addresses that are none to be refused.
func TestAddressDiagnostics(t *testing.T) {
	for cond, part := range map[string]string{
		"fd.net = 10.0.0.0/33":                     "10.0.0.0/33",
		"fd.net in (10.0.0.0/8, x)":                `"x", which is neither an IP address nor a network`,
		"fd.ip = 300.1.1.1":                        "300.1.1.1",
		"fd.ip contains 10":                        "operator contains works on text",
		"fd.sport = http":                          "which is not a number",
		"evt.type = open and fd.connnected = true": "did you mean fd.connected?",
	} {
		_, rep := Load([]File{{Name: "r.yaml", Data: []byte(ruleFile("r", cond))}}, Options{})
		var b strings.Builder
		if err := rep.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if rep.Errors() == 0 || !strings.Contains(b.String(), part) {
			t.Errorf("%s: %s\n\twant %q", cond, b.String(), part)
		}
	}
}

// TestMatchCallsAllocates keeps what rules commonly ask of calls free of
// allocations.
func TestMatchCallsAllocates(t *testing.T) {
	set := mustLoad(t, ruleFile("a", "evt.type in (open, openat) and fd.name startswith /x and evt.arg.flags contains O_TRUNC")+
		ruleFile("b", "evt.type = connect and fd.typechar = 4 and fd.net in (10.1.0.0/16, 172.16.0.0/12) and fd.sip = 1.2.3.4")+
		ruleFile("c", "evt.type in (rename, symlink, chmod, fchmodat) and fs.path.target startswith /x or evt.arg.mode contains S_ISGID")+
		ruleFile("d", "fd.port in (1, 2) or fd.directory = /x or evt.arg.path = y or evt.arg.fd contains zz"))
	e := NewEngine(set, MatchAll)
	for name, ev := range callEvents() {
		if name == "symlink" {
			continue // a relative target is put together
		}
		e.Match(ev, func(*Rule) {})
		if n := testing.AllocsPerRun(20, func() { e.Match(ev, func(*Rule) {}) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkMatchConnect(b *testing.B) {
	var nets []string
	for i := range 2000 {
		nets = append(nets, "172."+strconv.Itoa(i/250)+"."+strconv.Itoa(i%250)+".0/24")
	}
	e := NewEngine(mustLoad(b, ruleFile("r", "evt.type = connect and fd.net in ("+strings.Join(nets, ", ")+")")), MatchAll)
	ev := callEvents()["connect"]
	b.ReportAllocs()
	for b.Loop() {
		e.Match(ev, func(r *Rule) { b.Fatal(r.Info().Name) })
	}
}
