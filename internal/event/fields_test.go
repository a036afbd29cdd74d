package event

import (
	"strings"
	"testing"
	"time"
)

// fullEvents returns events in which every live field has a value somewhere.
func fullEvents() []*Event {
	img := (&Image{
		Exe:      File{Path: "/usr/bin/python3", HostPath: "/srv/usr/bin/python3", Inode: 7, Nlink: 1, Mode: 0o100755, Dev: 8 << 32, Ctime: 1e18, Mtime: 1e18, Overlay: true, Upper: true},
		Filename: "./x.py", Interp: "/usr/bin/env python3", Script: "/home/x/x.py", Argv: []string{"python3", "x.py", "-v"}, Argc: 3,
		Env: []string{"HOME=/root", "TERM=", "SSH_CONNECTION=192.0.2.7 55123 10.0.0.5 22"}, Cwd: "/home/x",
	}).Seal()
	for i := range img.Stdio {
		img.Stdio[i] = Stdio{Kind: StdioSocket, Inode: 5, Path: "/p", Sock: &Socket{
			Family: "ipv4", Proto: "tcp", Local: "10.0.0.1", Remote: "10.0.0.2", LocalPort: 22, RemotePort: 4000, State: "established",
		}}
	}
	ns := &Namespaces{1, 2, 3, 4, 5, 6, 7}
	meta := &ContainerMeta{Name: "web", Image: "r/nginx:1", ImageID: "i", ImageRepository: "r/nginx", ImageTag: "1", ImageDigest: "d",
		Labels: map[string]string{"x": "y"}, PodLabels: map[string]string{"x": "y"}, IP: "10.0.0.2", Started: time.Unix(1, 0), PodName: "p",
		PodNamespace: "n", PodUID: "u", SandboxID: "0123456789abcdef", Mounts: []ContainerMount{{"x", "x", "rw", "private", true}}}
	cg := &Cgroup{Meta: meta, ID: 3, Path: "/a", ContainerID: "0123456789ab", FullID: "0123456789abcdef", Runtime: "docker", PodUID: "u"}
	init := &Process{Key: Key{Pid: 1, Start: 1}, NSPid: 1, Comm: "systemd", Image: img, Time: time.Unix(2e9, 0), Node: "host"}
	sh := &Process{Key: Key{Pid: 10, Start: 2}, NSPid: 10, Comm: "bash", Cmdline: "bash -l", Image: img, Parent: init, ParentKey: init.Key, Time: time.Unix(2e9, 0), Sid: 10}
	p := &Process{
		Key: Key{Pid: 20, Start: 3}, Parent: sh, ParentKey: sh.Key, PPid: 1, NSPid: 20, NSPPid: 10, Sid: 10, Pgid: 20, NSPgid: 20, Comm: "python3",
		Cmdline: "python3 x.py -v", Image: img, Time: time.Unix(2e9, 0), User: "root", Group: "root", LoginUser: "joe", Tty: Tty{"pts0", 34816},
		Cgroup: cg, NS: ns, Node: "inner", Cred: Cred{Effective: 3, LoginUID: 1000},
	}
	base := func(t Type) *Event {
		ev := &Event{Type: t, Time: time.Unix(2e9, 5), Boot: 1e9, Num: 3, CPU: 1, Proc: p, Tid: 20}
		if shellTypes.Has(t) {
			way := &ShellWay{Hops: []ShellHop{{"pipe", sh.Key, "cat", "/bin/cat"}, {"fifo", init.Key, "nc", "/bin/nc"}}, Remote: "192.0.2.1", RemotePort: 80, Proto: "tcp"}
			ev.Shell = &Shell{Proc: p, In: way, Out: &ShellWay{Remote: "192.0.2.2", RemotePort: 81}}
		}
		return ev
	}
	exec, fork, exit, comm := base(Exec), base(Fork), base(Exit), base(Comm)
	exec.ExecInfo = &ExecInfo{Old: img, OldCredKnown: true}
	exit.ExitInfo = &ExitInfo{Code: 1}
	comm.OldComm = "old"
	out := []*Event{exec, fork, exit, comm, {Type: Gap, Num: 4, GapInfo: &GapInfo{N: 2}}, {Type: Limit, LimitInfo: &LimitInfo{LeftOut: "x"}}, {Type: Creds, Proc: p, CredsInfo: &CredsInfo{Seen: Exec}},
		{Type: Firewall, FirewallInfo: &FirewallInfo{Kind: "ban", Rule: "ssh connections", Source: "192.0.2.1", For: time.Minute, Strikes: 1}},
		{Type: Firewall, FirewallInfo: &FirewallInfo{Kind: "flood", Rule: "web", Reason: "rule", Rate: 5000}},
		{Type: Firewall, FirewallInfo: &FirewallInfo{Kind: "scan", Source: "192.0.2.1", Reason: "refused", Ports: 20, Addresses: 1}},
		{Type: Finding, Proc: p, FindingInfo: &FindingInfo{Check: "hidden-module", What: "x", Evidence: "y", Sure: "certain", Path: "z", After: "finit_module"}}}
	for _, s := range Calls() {
		for _, ret := range []int64{0, -2} {
			ev := base(s.Type)
			ev.Call = fullCall(s, sh, ret)
			out = append(out, ev)
		}
	}
	return out
}

// fullCall is a call of which everything is known that its type can have.
func fullCall(s *CallSpec, target *Process, ret int64) *Call {
	file := File{Path: "/etc/shadow", RootPath: "/shadow", HostPath: "/srv/etc/shadow", Dev: 8<<32 | 1, Inode: 12, Mode: 0o100600, UID: 5, Overlay: true, Upper: true}
	c := &Call{Spec: s, Ret: ret, Args: [6]uint64{1, 2, 3, 4, 5, 6}, Via: "io_uring", Text: "name"}
	if fdTypes.Has(s.Type) {
		c.FD = &FD{Num: 7, Kind: StdioFile, File: file}
	}
	if pathTypes.Or(pairTypes).Has(s.Type) {
		c.Path = &FileRef{Raw: "../etc/shadow", File: file, Resolved: true, Created: true}
		c.Path2 = c.Path
	}
	if otherTypes.Has(s.Type) {
		c.FD2 = &FD{Num: 8, Kind: StdioSocket, File: file, Sock: &Socket{Family: "ipv4", Remote: "192.0.2.9"}}
	}
	if targetTypes.Has(s.Type) {
		c.Target = target
	}
	switch s.Type {
	case DNS:
		c.DNS = &DNSInfo{Name: "a", Type: "A", Rcode: "NOERROR", Response: true, Latency: 1, Answers: []DNSAnswer{{Data: "192.0.2.1"}}}
	case BPF:
		c.BPF = &BPFInfo{Cmd: "BPF_PROG_LOAD", ProgType: "kprobe", AttachType: "26", Name: "n", Helpers: []uint32{36}, Path: "/sys/fs/bpf/x"}
	case TCP:
		c.TCP = &TCPInfo{Old: "syn_sent", New: "established", Sent: 1, Received: 2, Duration: 3}
	}
	if s.Type >= MakeSocket && s.Type <= DNS || s.Type == Socketpair {
		c.FD = &FD{Num: 7, Kind: StdioSocket, File: File{Inode: 3}, Sock: &Socket{Family: "ipv4", Proto: "tcp", Type: "stream",
			Local: "10.0.0.1", LocalPort: 443, Remote: "192.0.2.1", RemotePort: 80, State: "established", RemoteName: "example.org"}}
		c.Addr = c.FD.Sock
	}
	switch s.Type {
	case Setuid, Capset, Setns, Unshare:
		c.OldCred, c.NewCred = &Cred{UID: 1000}, &Cred{Effective: 3}
	}
	return c
}

// poorEvents lack about everything that an event can lack.
func poorEvents() []*Event {
	var out []*Event
	for t := range NumTypes + 2 {
		out = append(out, &Event{Type: t}, &Event{Type: t, Proc: &Process{}}, &Event{Type: t, Proc: &Process{Parent: &Process{}, Image: (&Image{}).Seal()}})
	}
	return out
}

func argFor(f *Field) string {
	switch {
	case f.Name == "evt.arg" || f.Name == "evt.rawarg":
		return "pid"
	case f.Name == "evt.type.is":
		return "execve"
	case f.Arg.index():
		return "1"
	case f.Name == "proc.env":
		return "HOME"
	case f.Arg.required():
		return "x"
	}
	return ""
}

// TestFields reads every field of the table from rich and poor events.
func TestFields(t *testing.T) {
	never := map[string]bool{"evt.asynctype": true, "evt.pluginname": true, "evt.plugininfo": true}
	for _, f := range Fields() {
		if f.Doc == "" || strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: doc %q", f.Name, f.Doc)
		}
		for _, arg := range []string{"", argFor(f)} {
			if arg == "" && f.Arg.required() {
				continue
			}
			r, err := Lookup(f.Name, arg)
			if err != nil {
				t.Errorf("%s[%s]: %v", f.Name, arg, err)
				continue
			}
			found := false
			for _, ev := range fullEvents() {
				got := readField(t, &r, ev)
				found = found || got
				if got && !r.Events().Has(ev.Type) {
					t.Errorf("%s has a value in %s, which its Events do not name", r.Name(), ev.Type)
				}
			}
			want := r.Waiting() == "" && !never[f.Name] && f.Events != TypesOf(TypeNone)
			if strings.HasPrefix(f.Doc, "never present") {
				want = false
			}
			if found != want {
				t.Errorf("%s: has a value %v, want %v", r.Name(), found, want)
			}
			for _, ev := range poorEvents() {
				readField(t, &r, ev)
			}
		}
	}
}

// readField calls all accessors and checks that they agree.
func readField(t *testing.T, r *Ref, ev *Event) bool {
	t.Helper()
	text, ok := r.AppendText(ev, []byte("pre"))
	if !strings.HasPrefix(string(text), "pre") {
		t.Errorf("%s overwrites what it appends to", r.Name())
	}
	out := r.OutputField(ev)
	if out.Null == ok {
		t.Errorf("%s: output is null %v, text is there %v", r.Name(), out.Null, ok)
	}
	switch typ := r.Type(); {
	case r.List() || r.AnyOf():
		if n := len(r.AppendList(ev, nil)) + len(r.AppendNums(ev, nil)); (n > 0) != ok {
			t.Errorf("%s: %d values, text is there %v", r.Name(), n, ok)
		}
	case typ.Numeric() || typ == FieldBool:
		if _, nok := r.Num(ev); nok != ok {
			t.Errorf("%s: number is there %v, text %v", r.Name(), nok, ok)
		}
	case typ == FieldFlags:
		if _, bok := r.Bits(ev); bok != ok {
			t.Errorf("%s: bits are there %v, text %v", r.Name(), bok, ok)
		}
	default:
		if s, sok := r.Str(ev); sok != ok || ok && s != string(text[3:]) {
			t.Errorf("%s: Str is %q %v, AppendText %q %v", r.Name(), s, sok, text[3:], ok)
		}
	}
	return ok
}

func TestFieldValues(t *testing.T) {
	evs := fullEvents()
	for _, tt := range []struct {
		name, arg string
		ev        int
		want      string
	}{
		{"proc.cwd", "", 0, "/home/x/"},
		{"proc.sname", "", 0, "bash"},
		{"proc.aname", "2", 0, "systemd"},
		{"proc.aname", "", 0, "(bash,systemd)"},
		{"proc.apid", "", 0, "(10,1)"},
		{"proc.aenv", "HOME", 0, "/root"},
		{"proc.aenv", "1", 0, "HOME=/root TERM= SSH_CONNECTION=192.0.2.7 55123 10.0.0.5 22"},
		{"proc.env", "TERM", 0, ""},
		{"proc.loginshellid", "", 0, "10"},
		{"proc.cmdnargs", "", 0, "2"},
		{"proc.cmdlenargs", "", 0, "6"},
		{"proc.exeline", "", 0, "python3 x.py -v"},
		{"evt.hostname", "", 0, "host"},
		{"bc.node", "", 0, "inner"},
		{"evt.type", "", 1, "clone"},
		{"evt.args", "", 2, "status=1 ret=1 sig=0 core=false"},
		{"evt.args", "", 3, "option=PR_SET_NAME name=python3"},
		{"evt.args", "", 4, "class=critical n=2"},
		{"evt.arg.flags", "", 0, "EXE_WRITABLE|EXE_UPPER_LAYER"},
		{"evt.arg.sig", "", 2, "0"},
		{"evt.type.is.clone3", "", 1, "1"},
		{"container.id", "", 0, "0123456789ab"},
		{"proc.stdin.type", "", 0, "ipv4"},
		{"proc.stdin.name", "", 0, "10.0.0.2"},
		{"bc.proc.lineage", "", 0, "systemd>bash>python3"},
		{"user.loginuid", "", 0, "1000"},
		{"proc.duration", "", 0, "999999997"},
		{"bc.gap.class", "", 4, "critical"},
		{"bc.shell.chain", "", 0, "python3[20] <-pipe- cat[10] <-fifo- nc[1] <-tcp- 192.0.2.1:80, -socket-> 192.0.2.2:81"},
		{"bc.shell.relay", "", 0, "(cat,nc)"},
		{"bc.shell.relay", "1", 0, "nc"},
		{"bc.shell.via", "", 0, "pipe"},
		{"bc.shell.remote", "", 0, "192.0.2.1:80"},
		{"bc.shell.both_ways", "", 0, "true"},
	} {
		r, err := Lookup(tt.name, tt.arg)
		if err != nil {
			t.Error(err)
			continue
		}
		b, ok := r.AppendText(evs[tt.ev], nil)
		if !ok || string(b) != tt.want {
			t.Errorf("%s is %q %v, want %q", r.Name(), b, ok, tt.want)
		}
	}
}

func TestLookupErrors(t *testing.T) {
	for _, tt := range [][3]string{
		{"proc.nmae", "", "did you mean proc.name?"},
		{"prox.name", "", "did you mean proc.name?"},
		{"proc.name", "2", "takes no argument"},
		{"proc.aname", "x", "not an index"},
		{"proc.aname", "-1", "not an index"},
		{"evt.arg", "", "needs an argument"},
		{"zzzzzzzzzzzzzz.qqqqqqqqqqqqqq", "", "see the list"},
		{strings.Repeat("proc.", 1000), "", "unknown field"},
	} {
		if _, err := Lookup(tt[0], tt[1]); err == nil || !strings.Contains(err.Error(), tt[2]) {
			t.Errorf("%s[%s]: %v, want %q", tt[0], tt[1], err, tt[2])
		}
	}
}

func TestFieldsDoNotAllocate(t *testing.T) {
	ev := fullEvents()[0]
	buf := make([]byte, 0, 8192)
	list := make([]string, 0, 64)
	nums := make([]int64, 0, 64)
	for _, f := range Fields() {
		if f.Waiting != "" || f.Name == "proc.aenv" {
			continue // proc.aenv joins each ancestor's variables
		}
		r, err := Lookup(f.Name, argFor(f))
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(10, func() {
			switch {
			case r.List() || r.AnyOf():
				list, nums = r.AppendList(ev, list[:0]), r.AppendNums(ev, nums[:0])
			case r.Composed():
				buf, _ = r.AppendText(ev, buf[:0])
			case r.Type().Numeric() || r.Type() == FieldBool:
				r.Num(ev)
			default:
				r.Str(ev)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", r.Name(), n)
		}
	}
}

func TestLoopInLineage(t *testing.T) {
	p := &Process{Comm: "loop", Node: "n"}
	p.Parent = p
	ev := &Event{Type: Exec, Proc: p}
	for _, f := range Fields() {
		if r, err := Lookup(f.Name, argFor(f)); err == nil {
			r.AppendText(ev, nil)
		}
	}
}

func TestTypeNames(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range TypeNames() {
		if seen[n] {
			t.Errorf("%s stands twice", n)
		}
		seen[n] = true
	}
	for typ := TypeNone + 1; typ < NumTypes; typ++ {
		names := NamesOf(typ)
		if len(names) == 0 {
			t.Errorf("%s: no event has this type", typ)
		}
		for _, n := range names {
			if types, ok := TypesNamed(n); !seen[n] || !ok || !types.Has(typ) {
				t.Errorf("%s: name %q is known: %v, and is of the types %s", typ, n, seen[n], types)
			}
		}
	}
}
