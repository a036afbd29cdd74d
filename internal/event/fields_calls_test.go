package event

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestArgText pins how arguments are written.
func TestArgText(t *testing.T) {
	passwd := &FD{Num: 3, Kind: StdioFile, File: File{Path: "/etc/passwd"}}
	conn := &FD{Num: 4, Kind: StdioSocket, Sock: &Socket{Family: "ipv6", Local: "::1", LocalPort: 5, Remote: "2001:db8::1", RemotePort: 443}}
	proc := &Process{Cred: Cred{UID: 1000, GID: 7}, User: "joe", Parent: &Process{User: "root", Group: "root"}}
	for _, tt := range []struct {
		call, arg string
		value     uint64
		set       func(*Call)
		want, raw string
	}{
		{call: "chmod", arg: "mode", value: 0o4755, want: "04755|S_ISUID|S_IRUSR|S_IWUSR|S_IXUSR|S_IRGRP|S_IXGRP|S_IROTH|S_IXOTH", raw: "2541"},
		{call: "chmod", arg: "mode", want: "00", raw: "0"},
		{call: "openat", arg: "flags", value: 0o1101, want: "O_WRONLY|O_CREAT|O_TRUNC", raw: "577"},
		{call: "openat", arg: "dirfd", value: 1<<64 - 100, want: "AT_FDCWD", raw: "-100"},
		{call: "openat", arg: "dirfd", value: 5, want: "5", raw: "5"},
		{call: "fchmod", arg: "fd", value: 3, set: func(c *Call) { c.FD = passwd }, want: "3(<f>/etc/passwd)", raw: "3"},
		{call: "fchmod", arg: "fd", value: 9, set: func(c *Call) { c.FD = passwd }, want: "9", raw: "9"},
		{call: "shutdown", arg: "fd", value: 4, set: func(c *Call) { c.FD = conn }, want: "4(<6>[::1]:5->[2001:db8::1]:443)", raw: "4"},
		{call: "dup", arg: "oldfd", value: 3, set: func(c *Call) { c.FD, c.FD2 = conn, passwd }, want: "3(<f>/etc/passwd)", raw: "3"},
		{call: "chown", arg: "uid", value: 1000, want: "joe", raw: "1000"},
		{call: "chown", arg: "uid", value: 0, want: "root", raw: "0"},
		{call: "chown", arg: "uid", value: 33, want: "33", raw: "33"},
		{call: "chown", arg: "uid", value: 0xffffffff, want: "-1", raw: "4294967295"},
		{call: "chown", arg: "gid", value: 0, want: "root", raw: "0"},
		{call: "kill", arg: "pid", value: 0xffffffff, want: "-1", raw: "-1"},
		{call: "kill", arg: "sig", value: 9, want: "SIGKILL", raw: "9"},
		{call: "ioctl", arg: "request", value: 0x5412, want: "TIOCSTI", raw: "21522"},
		{call: "unlink", arg: "path", set: func(c *Call) { c.Path = &FileRef{Raw: "../x", File: File{Path: "/x"}} }, want: "/x", raw: "../x"},
		{call: "unlink", arg: "path", set: func(c *Call) { c.Path = &FileRef{Raw: "/bin/x", File: File{Path: "/usr/bin/x"}} }, want: "/bin/x", raw: "/bin/x"},
		{call: "unlink", arg: "path", want: "", raw: ""},
		{call: "unlink", arg: "res", set: func(c *Call) { c.Ret = -13 }, want: "EACCES", raw: "-13"},
		{call: "socket", arg: "fd", set: func(c *Call) { c.Ret = 6 }, want: "6", raw: "6"},
		{call: "connect", arg: "addr", set: func(c *Call) { c.Addr = &Socket{Family: "ipv6", Remote: "::1", RemotePort: 80} }, want: "[::1]:80", raw: "[::1]:80"},
		{call: "mount", arg: "dev", set: func(c *Call) { c.Text = "/dev/sda1" }, want: "/dev/sda1", raw: "/dev/sda1"},
		{call: "mount", arg: "type", set: func(c *Call) { c.Text = "/dev/sda1" }, want: "", raw: ""},
	} {
		spec := CallNamed(tt.call)
		ev := &Event{Type: spec.Type, Proc: proc, Call: &Call{Spec: spec}}
		if i := spec.ArgNamed(tt.arg); i >= 0 {
			ev.Call.Args[i] = tt.value
		}
		if tt.set != nil {
			tt.set(ev.Call)
		}
		for name, want := range map[string]string{"evt.arg": tt.want, "evt.rawarg": tt.raw} {
			r, err := Lookup(name, tt.arg)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := r.AppendText(ev, nil)
			if string(got) != want || ok != (want != "") {
				t.Errorf("%s of %s: %s is %q %v, want %q", tt.arg, tt.call, name, got, ok, want)
			}
		}
	}
}

// TestContainsWord compares tests of bits with searches of the text.
func TestContainsWord(t *testing.T) {
	names := map[string]bool{}
	parts := []string{"O_", "SYNC", "_", "CREAT", "S_IX", "AF_IN", "EXE_"}
	for _, s := range Calls() {
		for _, a := range s.args() {
			names[a.Name] = true
			if a.Names == nil {
				continue
			}
			for _, v := range a.Names.Values {
				parts = append(parts, v)
			}
			for _, b := range a.Names.Bits {
				parts = append(parts, b.Name)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	evs := fullEvents()
	tested := map[string]bool{}
	for name := range names {
		r, err := Lookup("evt.arg", name)
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			part := parts[rnd.IntN(len(parts))]
			fold := rnd.IntN(2) == 0
			test := r.ContainsWord(part, fold)
			if test == nil {
				continue
			}
			tested[name] = true
			for _, ev := range evs {
				if ev.Call != nil {
					for i := range ev.Call.Args {
						ev.Call.Args[i] = rnd.Uint64() & rnd.Uint64() & rnd.Uint64() >> rnd.IntN(60)
					}
				}
				text, ok := r.AppendText(ev, nil)
				has, sought := string(text), part
				if fold {
					has, sought = strings.ToLower(has), strings.ToLower(sought)
				}
				if want := ok && strings.Contains(has, sought); test(ev) != want {
					t.Fatalf("%s contains %s in %q: %v", r.Name(), part, text, !want)
				}
			}
		}
	}
	for _, want := range []string{"flags", "mode", "request", "domain", "cmd", "prot", "sig", "option"} {
		if !tested[want] {
			t.Errorf("evt.arg.%s is searched as text", want)
		}
	}
	for _, arg := range []string{"name", "path", "fd", "res", "uid"} {
		if r, err := Lookup("evt.arg", arg); err != nil || r.ContainsWord("root", false) != nil {
			t.Errorf("evt.arg.%s has no words: %v", arg, err)
		}
	}
	if r, err := Lookup("evt.arg", "flags"); err != nil || r.ContainsWord("0x4", false) != nil || r.ContainsWord("O_A|O_B", false) != nil {
		t.Error("numbers and several words are looked for as bits")
	}
}

// TestCallFieldsDoNotAllocate reads what rules ask most of calls.
func TestCallFieldsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 8192)
	for _, ev := range fullEvents() {
		if ev.Call == nil || ev.Call.Ret != 0 {
			continue
		}
		for _, name := range []string{
			"fd.name", "fd.type", "fd.typechar", "fd.directory", "fd.filename", "fd.num", "fd.sip", "fd.sport", "fd.l4proto", "fd.connected",
			"fs.path.name", "fs.path.source", "evt.type", "evt.res", "evt.arg.flags", "evt.arg.mode", "evt.arg.path", "evt.arg.fd", "evt.args", "bc.target.name",
		} {
			r, err := Lookup(name, "")
			if err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(5, func() { buf, _ = r.AppendText(ev, buf[:0]) }); n != 0 {
				t.Errorf("%s of %s: %v allocations", name, ev.Call.Spec.Name, n)
			}
		}
	}
}

// TestTypesOfDescriptors pins Falco's names of what stands behind descriptors.
func TestTypesOfDescriptors(t *testing.T) {
	for _, tt := range []struct {
		fd         FD
		typ, abbrv string
	}{
		{FD{Kind: StdioFile, File: File{Path: "/x"}}, "file", "f"},
		{FD{Kind: StdioDir, File: File{Path: "/x"}}, "directory", "d"},
		{FD{Kind: StdioFile, File: File{Path: "memfd:x", Memfd: true}}, "memfd", "m"},
		{FD{Kind: StdioPipe}, "pipe", "p"},
		{FD{Kind: StdioFifo, File: File{Path: "/x"}}, "pipe", "p"},
		{FD{Kind: StdioPty, File: File{Path: "/dev/pts/1"}}, "file", "f"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:[eventfd]"}}, "event", "e"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:[eventpoll]"}}, "eventpoll", "l"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:[timerfd]"}}, "timerfd", "t"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:inotify"}}, "inotify", "i"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:bpf-map"}}, "bpf", "b"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:[io_uring]"}}, "io_uring", "r"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:[pidfd]"}}, "pidfd", "P"},
		{FD{Kind: StdioAnon, File: File{Path: "anon_inode:[perf_event]"}}, "perf_event", "o"},
		{FD{Kind: StdioSocket, Sock: &Socket{Family: "ipv4"}}, "ipv4", "4"},
		{FD{Kind: StdioSocket, Sock: &Socket{Family: "ipv6"}}, "ipv6", "6"},
		{FD{Kind: StdioSocket, Sock: &Socket{Family: "unix"}}, "unix", "u"},
		{FD{Kind: StdioSocket, Sock: &Socket{Family: "netlink"}}, "netlink", "n"},
		{FD{Kind: StdioSocket, Sock: &Socket{Family: "packet"}}, "packet", "o"},
	} {
		ev := &Event{Type: Dup, Call: &Call{Spec: CallNamed("dup"), FD: &tt.fd}}
		typ, ok := fdType(ev, nil)
		abbrv, ok2 := fdTypeChar(ev, nil)
		if !ok || !ok2 || typ != tt.typ || abbrv != tt.abbrv {
			t.Errorf("%s %s is %s %s, want %s %s", tt.fd.Kind, tt.fd.File.Path, typ, abbrv, tt.typ, tt.abbrv)
		}
	}
}

// TestServerEnd tells clients from servers.
func TestServerEnd(t *testing.T) {
	for _, tt := range []struct {
		call         string
		lport, rport uint16
		tcp          *TCPInfo
		state        string
		want         bool
	}{
		{call: "connect", lport: 22, rport: 40000},
		{call: "accept", lport: 50000, rport: 22, want: true},
		{call: "listen", lport: 80, want: true},
		{call: "bind", lport: 80, want: true},
		{call: "dup", lport: 22, rport: 40000, want: true},
		{call: "dup", lport: 40000, rport: 22},
		{call: "dup", lport: 40000, rport: 50000},
		{call: "dup", lport: 80, state: "listen", want: true},
		{call: "tcp_state", lport: 40000, rport: 40001, tcp: &TCPInfo{Old: "syn_recv", New: "established"}, want: true},
		{call: "tcp_state", lport: 22, rport: 40001, tcp: &TCPInfo{Old: "syn_sent", New: "established"}},
		{call: "tcp_state", lport: 22, rport: 40001, tcp: &TCPInfo{Old: "established", New: "close_wait"}, want: true},
		{call: "sendto", lport: 0, rport: 53},
	} {
		spec := CallNamed(tt.call)
		ev := &Event{Type: spec.Type, Call: &Call{Spec: spec, TCP: tt.tcp, FD: &FD{Kind: StdioSocket,
			Sock: &Socket{Family: "ipv4", Local: "10.0.0.1", LocalPort: tt.lport, Remote: "192.0.2.1", RemotePort: tt.rport, State: tt.state}}}}
		if e, ok := endsOf(ev); !ok || e.server != tt.want {
			t.Errorf("%s from %d to %d: server is %v", tt.call, tt.lport, tt.rport, e.server)
		}
	}
}

// TestSessionFields reads what an ancestor knows.
func TestSessionFields(t *testing.T) {
	ns := &Namespaces{Pid: 9}
	sshd := &Process{NSPid: 1, NS: ns, Comm: "bash", Time: time.Unix(100, 0), Image: (&Image{Env: []string{"A=b", "SSH_CONNECTION=192.0.2.7 50123 10.0.0.5 22"}}).Seal()}
	p := &Process{NSPid: 7, NS: ns, Comm: "id", Parent: &Process{NSPid: 5, NS: ns, Parent: sshd, Image: (&Image{}).Seal()}, Image: (&Image{Exe: File{Ctime: 40e9}}).Seal()}
	ev := &Event{Type: Exec, Proc: p, Tid: 70}
	for name, want := range map[string]string{
		"bc.ssh.from": "192.0.2.7", "bc.ssh.port": "50123", "thread.nametid": "id:70",
		"proc.pidns_init_start_ts": "100000000000", "proc.exe_ino.ctime_duration_pidns_start": "60000000000",
	} {
		r, err := Lookup(name, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := r.AppendText(ev, nil); !ok || string(got) != want {
			t.Errorf("%s is %q %v, want %q", name, got, ok, want)
		}
	}
	sshd.NS = &Namespaces{Pid: 1}
	if _, ok := pidnsStart(ev, nil); ok {
		t.Error("the first process of another namespace counts")
	}
}
