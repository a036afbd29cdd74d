package eventjson

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

var sampleTime = time.Date(2026, 3, 4, 5, 6, 7, 89012345, time.UTC)

// sampleExec is an exec as a busy host has it: curl from a script in a
// session over ssh, with every member set that can be at once.
func sampleExec() *event.Event {
	proc := func(pid uint32, start uint64, parent *event.Process, comm, exe string, argv ...string) *event.Process {
		p := &event.Process{
			Key: event.Key{Pid: pid, Start: start}, Parent: parent, Comm: comm, NSPid: pid,
			Image: (&event.Image{Exe: event.File{Path: exe}, Argv: argv, Argc: len(argv)}).Seal(),
		}
		if parent != nil {
			p.ParentKey = parent.Key
		}
		return p
	}
	init := proc(1, 30_000_000, nil, "systemd", "/usr/lib/systemd/systemd", "/sbin/init")
	sshd := proc(812, 9_120_000_000, init, "sshd", "/usr/sbin/sshd", "/usr/sbin/sshd", "-D")
	bash := proc(40_100, 88_120_000_000, sshd, "bash", "/usr/bin/bash", "-bash")
	bash.Cred.UID, bash.Cred.NoNewPrivs = 1000, true
	p := proc(40_123, 88_129_123_456, bash, "deploy.sh", "/usr/bin/bash", "/bin/bash", "./deploy.sh", "two words", "caf\xe9", "")
	p.PPid, p.NSPid, p.NSPPid, p.Sid, p.Pgid, p.NSSid, p.NSPgid = 40_100, 23, 1, 40_100, 40_123, 1, 23
	p.Cred = event.Cred{
		UID: 1000, GID: 1000, EUID: 0, EGID: 1000, SUID: 0, SGID: 1000, FSUID: 0, FSGID: 1000,
		LoginUID: 1000, SessionID: 4, Effective: 0x1ffffffffff, Permitted: 0x1ffffffffff, Bounding: 0x1ffffffffff,
		Inheritable: 1, Ambient: 1, NoNewPrivs: true,
	}
	p.User, p.Group, p.LoginUser, p.Node = "ada", "ada", "ada", "box"
	p.Tty = event.Tty{Name: "pts3", Dev: 136<<8 | 3}
	p.Cgroup = &event.Cgroup{ID: 7731, Path: "/system.slice/docker-0123.scope", ContainerID: "0123456789ab",
		FullID: "0123456789abcdef", Runtime: "docker", PodUID: "11-22", Meta: sampleMeta()}
	p.NS = &event.Namespaces{Pid: 4026531836, Mnt: 4026531841, Net: 4026531840, Uts: 4026531838, User: 4026531837, Cgroup: 4026531835, IPC: 4026531839}
	p.Time, p.ExecBoot = sampleTime.Add(-time.Millisecond), 88_130_000_000
	i := p.Image
	i.Exe = event.File{Path: "/usr/bin/bash", RootPath: "/bin/bash", HostPath: "/srv/c/bin/bash", Dev: 8<<32 | 1, Inode: 262_401, Nlink: 1, Mode: 0o100755,
		Mtime: 1_700_000_000_123_456_789, Ctime: 1_700_000_100_000_000_001, Overlay: true, Upper: true,
		Unreachable: true, PathCut: true, Memfd: true, Deleted: true}
	i.Filename, i.Interp, i.Script, i.Cwd = "./deploy.sh", "/bin/bash", "/srv/app/deploy.sh", "/srv/app"
	i.Env = []string{"PATH=/usr/bin:/bin", "HOME=/home/ada", "API_TOKEN=<redacted>", "SSH_CONNECTION=192.0.2.7 55123 10.0.0.5 22"}
	i.ArgvCut, i.EnvCut, i.SetUID, i.SetGID, i.FileCaps, i.SecureExec = true, true, true, true, true, true
	i.Stdio = [3]event.Stdio{
		{Kind: event.StdioSocket, Inode: 99123, Sock: &event.Socket{Family: "ipv4", Proto: "tcp", Type: "stream",
			Local: "10.0.0.5", LocalPort: 22, Remote: "192.0.2.7", RemotePort: 55123, RemoteName: "peer", State: "established"}},
		{Kind: event.StdioPipe, Inode: 99124},
		{Kind: event.StdioPty, Inode: 6, Path: "/dev/pts/3"},
	}
	return &event.Event{
		Type: event.Exec, Time: sampleTime, Boot: 88_130_000_000, Num: 1234, CPU: 3, Seq: 77, Proc: p, Tid: 40_123,
		ExecInfo: &event.ExecInfo{At: true, OldTid: 40_124, Old: bash.Image, OldCredKnown: true, OldCred: bash.Cred},
	}
}

// samples hold, between them, every member that a line can have.
func samples() []*event.Event {
	exec := sampleExec()
	p := exec.Proc
	exit := &event.Event{Type: event.Exit, Time: sampleTime, Boot: 88_200_000_000, Num: 1235, Proc: p, Tid: p.Pid,
		ExitInfo: &event.ExitInfo{Code: 3, Signal: 9, CoreDumped: true, Duration: time.Second, CPUTime: 5, User: 3, System: 2, MaxRSS: 1 << 20}}
	worker := &event.Process{Key: event.Key{Pid: 2, Start: 1}, Comm: "kthreadd", KThread: true, Seeded: true,
		ParentKey: event.Key{Pid: 0, Start: 1}, ExitBoot: 12}
	orphan := &event.Process{Key: event.Key{Pid: 70, Start: 9}, Parent: worker, Comm: "new\nname",
		Image: (&event.Image{Argv: []string{"a", string(make([]byte, MaxAncestorArgs)), "b"}, Argc: 3}).Seal()}
	child := &event.Process{Key: event.Key{Pid: 71, Start: 10}, Parent: orphan, Comm: "child"}
	call := fullCall(p)
	way := &event.ShellWay{Hops: []event.ShellHop{{Via: "pipe", Key: worker.Key, Name: "nc\xff", Exe: "/bin/nc"}}, Remote: "192.0.2.7", RemotePort: 443, Proto: "tcp", Inbound: true}
	call.Shell = &event.Shell{Proc: &event.Process{Key: event.Key{Pid: 90, Start: 91}, Comm: "sh", Cmdline: "sh -i", Image: (&event.Image{Exe: event.File{Path: "/bin/sh"}}).Seal()},
		In: way, Out: way, Confirmed: true}
	call.Shell.Proc.Cred.LoginUID, call.Shell.Proc.Cred.SessionID = event.Unset, event.Unset
	return []*event.Event{
		exec, exit, call,
		{Type: event.Fork, Time: sampleTime, Proc: worker},
		{Type: event.Fork, Time: sampleTime, Proc: child},
		{Type: event.Comm, Time: sampleTime, Proc: orphan, OldComm: "old"},
		{Type: event.Limit, Time: sampleTime, LimitInfo: &event.LimitInfo{Level: 2, LeftOut: "much", Used: 71, Allowed: 50}},
		{Type: event.Firewall, Time: sampleTime, FirewallInfo: &event.FirewallInfo{Kind: "ban", Rule: "ssh connections", Source: "192.0.2.1", For: time.Minute, Strikes: 2, Reason: "rule", Rate: 1500, Ports: 20, Addresses: 3}},
		{Type: event.Finding, Time: sampleTime, Proc: p, FindingInfo: &event.FindingInfo{Check: "hidden-module", What: "kernel module \"x\" is hidden", Evidence: "a list", Do: "Look.", Sure: "certain", Path: "x", After: "finit_module"}},
		{Type: event.Creds, Time: sampleTime, Proc: p, CredsInfo: &event.CredsInfo{Old: event.Cred{UID: 1000, EUID: 1001, Bounding: 1, LoginUID: 1000, SessionID: 3, NoNewPrivs: true}, Seen: event.Open}},
		{Type: event.Gap, Time: sampleTime, GapInfo: &event.GapInfo{Class: event.Bulk, Lost: event.Comm, CPU: 2, N: 3, From: 7, To: 9}},
	}
}

func sampleAlert() *event.Alert {
	return &event.Alert{
		Rule: &event.RuleInfo{Name: "Shell \x1b[2J", Priority: event.Warning, Source: "syscall", Tags: []string{"shell", "mitre_execution"}},
		ID:   "0123456789ab", Summary: "ada ran it", Why: "It is odd.", Next: "Check it.", Repeats: 7, Since: sampleTime,
		Trail: []event.TrailEntry{{Time: sampleTime, Rule: "Base", Output: "once", Num: 3, Pid: 4}}, TrailLeftOut: 2,
		Event: sampleExec(), Time: sampleTime, Output: "shell by \"ada\"\x9b",
		Fields: []event.OutputField{
			{Name: "user.name", Str: "ada"}, {Name: "proc.pid", IsNum: true, Num: -5},
			{Name: "proc.is_exe_upper_layer", IsNum: true, IsBool: true, Num: 1}, {Name: "fd.name", Null: true},
		},
	}
}

// sampleMeta has every member that a container can have.
func sampleMeta() *event.ContainerMeta {
	return &event.ContainerMeta{
		Name: "web", Image: "registry.example/web:1.2@sha256:abc", ImageID: "sha256:123", ImageRepository: "registry.example/web", ImageTag: "1.2",
		ImageDigest: "sha256:abc", Labels: map[string]string{"b": "", "a\"\xe9": "caf\xe9"}, Privileged: true, HostPID: true, HostNetwork: true, HostIPC: true,
		Mounts: []event.ContainerMount{{Source: "/var/run/docker.sock", Dest: "/s", Mode: "z", Propagation: "rprivate", RW: true}, {Dest: "/data"}},
		IP:     "172.17.0.2", Started: sampleTime.Add(-time.Hour), PodName: "web-0", PodNamespace: "shop", PodUID: "11-22", SandboxID: "ffff",
		PodLabels: map[string]string{"app": "web"},
	}
}

// fullCall has every member that a call can have.
func fullCall(p *event.Process) *event.Event {
	file := p.Image.Exe
	file.Mtime, file.Ctime = 0, 0
	sock := &event.Socket{Family: "ipv4", Proto: "tcp", Type: "stream", Local: "10.0.0.5", LocalPort: 40000, Remote: "192.0.2.7", RemotePort: 443,
		RemoteName: "example.org", State: "syn_sent"}
	cred := p.Cred
	return &event.Event{Type: event.Connect, Time: sampleTime, Boot: 88_210_000_000, Num: 1236, Proc: p, Tid: p.Pid, Call: &event.Call{
		Spec: event.CallNamed("connect"), Ret: -115, Args: [6]uint64{5, 1 << 63, 16}, Via: "io_uring", Compat: true,
		Path: &event.FileRef{Raw: "../x\xff", RawCut: true, Resolved: true, Created: true, File: file}, Path2: &event.FileRef{Raw: "y", RawCut: true, Resolved: true, Created: true, File: file},
		FD: &event.FD{Num: 5, Kind: event.StdioSocket, File: file, Sock: sock}, FD2: &event.FD{Num: -1, Kind: event.StdioPipe, File: file, Sock: sock},
		Addr: sock, Target: p.Parent, Text: "name", Text2: "other",
		DNS: &event.DNSInfo{ID: 7, Response: true, Name: "example.org", Type: "A", Rcode: "NOERROR", Latency: 5, TCP: true, Cut: true,
			Answers: []event.DNSAnswer{{Name: "example.org", Type: "A", Data: "192.0.2.7", TTL: 60}}},
		BPF: &event.BPFInfo{Cmd: "BPF_PROG_LOAD", ProgType: "kprobe", AttachType: "0", Name: "n", Insns: 3, Helpers: []uint32{36, 109}, ScanCut: true, Path: "/p"},
		TCP: &event.TCPInfo{Old: "syn_sent", New: "established", Sent: 1, Received: 2, Duration: 3}, OldCred: &cred, NewCred: &cred,
	}}
}
