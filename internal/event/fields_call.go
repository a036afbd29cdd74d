package event

import (
	"strconv"
	"strings"
)

// callTypes are all types of calls.
func callTypes() TypeSet {
	var s TypeSet
	for t := Open; t < NumTypes; t++ {
		s.Add(TypesOf(t))
	}
	return s
}

// otherTypes are the types with a second descriptor, targetTypes those that act
// on a process.
var (
	otherTypes  = TypesOf(Dup, Pipe, Socketpair, Splice, Accept, GetFD, PassFD, Kexec)
	targetTypes = TypesOf(Ptrace, ProcessVM, Kill, PerfEvent)
)

// ownCallFields are Bearcat's own fields about calls.
func ownCallFields() []Field {
	all := callTypes()
	out := []Field{
		{Name: "bc.via", Doc: "io_uring where the operation came through a ring; absent for system calls", Events: all,
			src: pathStr(func(c *Call) (string, bool) { return nonEmpty(c.Via) })},
		{Name: "bc.compat", Type: FieldBool, Doc: "a 32-bit call was made, as int 0x80 does also in a 64-bit program", Events: all,
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
				return boolNum(ev.Call != nil && ev.Call.Compat), ev.Call != nil
			}}},
		{Name: "bc.errno", Doc: "name of the error, such as EACCES; absent where the call succeeded", Events: all,
			src: pathStr(func(c *Call) (string, bool) {
				if !c.Failed() {
					return "", false
				}
				return ErrnoName(-c.Ret), true
			})},
		{Name: "bc.text", Doc: "name that the caller passed and that is no path: of a memfd, an attribute, a module, a key", Events: all,
			src: pathStr(func(c *Call) (string, bool) { return nonEmpty(c.Text) })},
	}
	for _, f := range []struct {
		name, doc string
		get       func(*File) uint32
	}{
		{"bc.fd.owner", "owner of the file behind the descriptor", func(f *File) uint32 { return f.UID }},
		{"bc.fd.mode", "permission bits of the file behind the descriptor, as a number", func(f *File) uint32 { return f.Mode & 0o7777 }},
	} {
		out = append(out, Field{Name: f.name, Type: FieldUint, Doc: f.doc, Events: fdTypes,
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
				if ev.Call == nil || ev.Call.FD == nil || ev.Call.FD.File.Inode == 0 {
					return 0, false
				}
				return int64(f.get(&ev.Call.FD.File)), true
			}}})
	}
	out = append(out, otherFields()...)
	out = append(out, targetFields()...)
	out = append(out, dnsFields()...)
	return append(out, kernelFields()...)
}

// otherFields describe the second descriptor.
func otherFields() []Field {
	str := func(get func(*FD) string) source {
		return pathStr(func(c *Call) (string, bool) {
			if c.FD2 == nil {
				return "", false
			}
			return nonEmpty(get(c.FD2))
		})
	}
	num := func(get func(*FD) int64) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || ev.Call.FD2 == nil {
				return 0, false
			}
			return get(ev.Call.FD2), true
		}}
	}
	return []Field{
		{Name: "bc.other.fd", Type: FieldInt, Doc: "the second descriptor: the one dup'ed, the write end of a pipe, the listening socket", Events: otherTypes, src: num(func(f *FD) int64 { return int64(f.Num) })},
		{Name: "bc.other.kind", Doc: "what it is: file, pipe, socket and so on", Events: otherTypes, src: str(func(f *FD) string { return f.Kind.String() })},
		{Name: "bc.other.path", Doc: "its path", Events: otherTypes, src: str(func(f *FD) string { return f.File.Path })},
		{Name: "bc.other.inode", Type: FieldUint, Doc: "its inode; both ends of a pipe have the same", Events: otherTypes, src: num(func(f *FD) int64 { return int64(f.File.Inode) })},
		{Name: "bc.other.remote", Doc: "address of a socket's other end", Events: otherTypes, src: str(func(f *FD) string {
			if f.Sock == nil {
				return ""
			}
			return f.Sock.Remote
		})},
	}
}

// targetFields describe the process that a call acts on.
func targetFields() []Field {
	str := func(get func(*Process) string) source {
		return pathStr(func(c *Call) (string, bool) {
			if c.Target == nil {
				return "", false
			}
			return nonEmpty(get(c.Target))
		})
	}
	num := func(get func(*Process) int64) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || ev.Call.Target == nil {
				return 0, false
			}
			return get(ev.Call.Target), true
		}}
	}
	return []Field{
		{Name: "bc.target.pid", Type: FieldInt, Doc: "process that the call acts on", Events: targetTypes, src: num(func(p *Process) int64 { return int64(p.Pid) })},
		{Name: "bc.target.uid", Type: FieldUint, Doc: "its user", Events: targetTypes, src: num(func(p *Process) int64 { return int64(p.Cred.UID) })},
		{Name: "bc.target.name", Doc: "its name", Events: targetTypes, src: str(func(p *Process) string { return p.Comm })},
		{Name: "bc.target.cmdline", Doc: "its command line", Events: targetTypes, src: str(func(p *Process) string { return p.Cmdline })},
		{Name: "bc.target.exe", Doc: "path of its program", Events: targetTypes, src: str(func(p *Process) string {
			if p.Image == nil {
				return ""
			}
			return p.Image.Exe.Path
		})},
		{Name: "bc.target.is_child", Type: FieldBool, Doc: "it is a child of the caller", Events: targetTypes,
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
				if ev.Call == nil || ev.Call.Target == nil || ev.Proc == nil {
					return 0, false
				}
				return boolNum(ev.Call.Target.ParentKey == ev.Proc.Key), true
			}}},
	}
}

// dnsFields are about queries and answers.
func dnsFields() []Field {
	types := TypesOf(DNS)
	str := func(get func(*DNSInfo) string) source {
		return pathStr(func(c *Call) (string, bool) {
			if c.DNS == nil {
				return "", false
			}
			return nonEmpty(get(c.DNS))
		})
	}
	num := func(get func(*DNSInfo) (int64, bool)) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || ev.Call.DNS == nil {
				return 0, false
			}
			return get(ev.Call.DNS)
		}}
	}
	return []Field{
		{Name: "bc.dns.name", Doc: "name asked for", Events: types, src: str(func(d *DNSInfo) string { return d.Name })},
		{Name: "bc.dns.type", Doc: "type asked for, such as A or TXT", Events: types, src: str(func(d *DNSInfo) string { return d.Type })},
		{Name: "bc.dns.rcode", Doc: "result of an answer, such as NOERROR or NXDOMAIN", Events: types, src: str(func(d *DNSInfo) string { return d.Rcode })},
		{Name: "bc.dns.response", Type: FieldBool, Doc: "an answer, not a query", Events: types, src: num(func(d *DNSInfo) (int64, bool) { return boolNum(d.Response), true })},
		{Name: "bc.dns.tcp", Type: FieldBool, Doc: "over TCP", Events: types, src: num(func(d *DNSInfo) (int64, bool) { return boolNum(d.TCP), true })},
		{Name: "bc.dns.latency", Type: FieldDuration, Doc: "time from the query to this answer", Events: types, src: num(func(d *DNSInfo) (int64, bool) { return nonZero(d.Latency) })},
		{Name: "bc.dns.answers", List: true, Doc: "data of the answer's records: addresses, names, texts", Events: types, src: source{list: func(ev *Event, _ *Ref, dst []string) []string {
			if ev.Call != nil && ev.Call.DNS != nil {
				for i := range ev.Call.DNS.Answers {
					dst = append(dst, ev.Call.DNS.Answers[i].Data)
				}
			}
			return dst
		}}},
	}
}

// kernelFields are about BPF programs and TCP states.
func kernelFields() []Field {
	bpf, tcp := TypesOf(BPF), TypesOf(TCP)
	bpfStr := func(get func(*BPFInfo) string) source {
		return pathStr(func(c *Call) (string, bool) {
			if c.BPF == nil {
				return "", false
			}
			return nonEmpty(get(c.BPF))
		})
	}
	tcpStr := func(get func(*TCPInfo) string) source {
		return pathStr(func(c *Call) (string, bool) {
			if c.TCP == nil {
				return "", false
			}
			return nonEmpty(get(c.TCP))
		})
	}
	tcpNum := func(get func(*TCPInfo) int64) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || ev.Call.TCP == nil {
				return 0, false
			}
			return get(ev.Call.TCP), true
		}}
	}
	return []Field{
		{Name: "bc.bpf.cmd", Doc: "command, such as BPF_PROG_LOAD", Events: bpf, src: bpfStr(func(b *BPFInfo) string { return b.Cmd })},
		{Name: "bc.bpf.prog_type", Doc: "type of the program that is loaded, such as kprobe", Events: bpf, src: bpfStr(func(b *BPFInfo) string { return b.ProgType })},
		{Name: "bc.bpf.attach_type", Doc: "number of the attach type of the program that is loaded: 26 changes what a kernel function returns", Events: bpf, src: bpfStr(func(b *BPFInfo) string { return b.AttachType })},
		{Name: "bc.bpf.name", Doc: "name of the program that is loaded", Events: bpf, src: bpfStr(func(b *BPFInfo) string { return b.Name })},
		{Name: "bc.bpf.pin", Doc: "where an object is pinned", Events: bpf, src: bpfStr(func(b *BPFInfo) string { return b.Path })},
		{Name: "bc.bpf.helpers", Type: FieldUint, List: true, Doc: "numbers of the helpers that the program calls: 36 writes to user memory, 109 sends signals", Events: bpf,
			src: source{nums: func(ev *Event, _ *Ref, dst []int64) []int64 {
				if ev.Call != nil && ev.Call.BPF != nil {
					for _, h := range ev.Call.BPF.Helpers {
						dst = append(dst, int64(h))
					}
				}
				return dst
			}}},
		{Name: "bc.tcp.old", Doc: "state before, such as syn_sent", Events: tcp, src: tcpStr(func(t *TCPInfo) string { return t.Old })},
		{Name: "bc.tcp.new", Doc: "state now, such as established", Events: tcp, src: tcpStr(func(t *TCPInfo) string { return t.New })},
		{Name: "bc.tcp.sent", Type: FieldUint, Doc: "bytes sent, at the end of a connection", Events: tcp, src: tcpNum(func(t *TCPInfo) int64 { return int64(t.Sent) })},
		{Name: "bc.tcp.received", Type: FieldUint, Doc: "bytes received, at the end of a connection", Events: tcp, src: tcpNum(func(t *TCPInfo) int64 { return int64(t.Received) })},
		{Name: "bc.tcp.duration", Type: FieldDuration, Doc: "how long the connection lasted, at its end", Events: tcp, src: tcpNum(func(t *TCPInfo) int64 { return int64(t.Duration) })},
	}
}

// SSHFrom returns the address from which the session of a process came, "" for
// none that is known.
func SSHFrom(p *Process) string {
	from, _ := sshPeer(p)
	return from
}

// sshPeer finds the other end of the ssh connection that a process descends
// from: the socket that sshd was started with, which is the kernel's word, or
// else SSH_CONNECTION in the nearest environment that has it, which a user may
// have changed.
func sshPeer(p *Process) (addr string, port uint16) {
	for n := 0; p != nil && n < maxAncestors; n++ {
		if i := p.Image; i != nil {
			name := i.Exe.Path[strings.LastIndexByte(i.Exe.Path, '/')+1:]
			if s := i.Stdio[0].Sock; s != nil && strings.HasPrefix(name, "sshd") && s.Remote != "" && s.RemotePort != 0 {
				return s.Remote, s.RemotePort
			}
			for _, v := range i.Env {
				if rest, ok := strings.CutPrefix(v, "SSH_CONNECTION="); ok && addr == "" {
					var text string
					addr, rest, _ = strings.Cut(rest, " ")
					text, _, _ = strings.Cut(rest, " ")
					if v, err := strconv.ParseUint(text, 10, 16); err == nil {
						port = uint16(v)
					}
				}
			}
		}
		p = p.Parent
	}
	return addr, port
}

func sshFrom(ev *Event, _ *Ref) (string, bool) { return nonEmpty(SSHFrom(ev.Proc)) }

func sshPort(ev *Event, _ *Ref) (int64, bool) {
	_, port := sshPeer(ev.Proc)
	return int64(port), port != 0
}

// sshFields say from where a process's session came.
func sshFields() []Field {
	return []Field{
		{Name: "bc.ssh.from", Doc: "address that the process's ssh session came from, by the socket of the sshd that it descends from, or else by SSH_CONNECTION", src: source{str: sshFrom}},
		{Name: "bc.ssh.port", Type: FieldPort, Doc: "port that the session came from", src: source{num: sshPort}},
	}
}
