package rules

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule"
)

// mixedRules writes n rules of the kinds that people write about programs, files
// and connections, in the proportions of public collections; %d makes each of
// them one of its own, so that none matches ordinary events.
func mixedRules(n int) string {
	kinds := []string{
		`evt.type = execve and proc.name in (tool%d, helper%d) and proc.cmdline contains "--flag%d"`,
		`evt.type = execve and proc.exepath endswith /tool%d and proc.cmdline contains " -x%d"`,
		`evt.type = execve and proc.cmdline contains "secret%d" and not proc.pname in (apt, dpkg)`,
		`evt.type = execve and (proc.exepath startswith /opt/app%d/ or proc.exepath startswith /srv/app%d/) and user.uid = 0`,
		`evt.type = execve and proc.pname in (server%d, daemon%d) and proc.name in (sh, bash, dash, zsh)`,
		`evt.type = execve and proc.cmdline contains "curl%d" and proc.cmdline contains "|" and proc.cmdline contains "sh"`,
		`evt.type = execve and (proc.cmdline icontains "Invoke%d" or proc.cmdline icontains "Download%d")`,
		`evt.type in (open, openat, openat2) and evt.is_open_write = true and fd.name startswith /etc/app%d/`,
		`evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.name in (/etc/key%d, /root/.key%d) and not proc.name in (sshd, login)`,
		`evt.type in (open, openat, openat2) and fd.name endswith .ext%d`,
		`evt.type in (open, openat, openat2) and fd.name contains "/.cache%d/" and evt.is_open_write = true`,
		`evt.type in (open, openat, openat2) and proc.name in (web%d, db%d) and fd.name startswith /root`,
		`evt.type = connect and fd.sport in (%p, 6666) and not proc.name in (ssh, curl)`,
		`evt.type = connect and proc.exepath startswith /tmp/d%d/`,
		`evt.type in (rename, unlink, chmod) and evt.arg.path startswith /var/log/app%d`,
		`evt.type in (execve, connect) and proc.aname in (web%d, php%d) and proc.name = nc`,
	}
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- rule: mixed %d\n  desc: d\n  priority: INFO\n  output: o\n  condition: >\n    %s\n", i,
			strings.NewReplacer("%p", fmt.Sprint(20000+i%20000), "%d", fmt.Sprint(i)).Replace(kinds[i%len(kinds)]))
	}
	return b.String()
}

// busyHost makes what a busy host does of recorded programs: each exec is followed
// by the opens that its loader and itself make, and some connect.
func busyHost(tb testing.TB) []*event.Event {
	data, err := os.ReadFile("testdata/benign.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	paths := []string{
		"/etc/ld.so.cache", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libselinux.so.1", "/usr/lib/locale/locale-archive",
		"/proc/self/status", "/home/alice/src/project/internal/server/handler_test.go", "/usr/include/x86_64-linux-gnu/bits/types/struct_timespec.h",
		"/home/alice/src/project/.git/objects/3f/7c1a5d0e9b", "/var/log/nginx/access.log", "/etc/passwd", "/tmp/ccW3k2aB.s",
	}
	var out []*event.Event
	for c, err := range ReadCases("benign.jsonl", bytes.NewReader(data)) {
		if err != nil {
			tb.Fatal(err)
		}
		if c.Event.Type != event.Exec {
			continue
		}
		out = append(out, c.Event)
		for i, path := range paths {
			flags := uint64(0) // O_RDONLY
			if i > 7 && i != 9 {
				flags = 0o1101 // O_WRONLY|O_CREAT|O_TRUNC
			}
			out = append(out, &event.Event{Type: event.Open, Time: c.Event.Time, Proc: c.Event.Proc, Call: &event.Call{
				Spec: event.CallNamed("openat"), Ret: 3, Args: [6]uint64{0xffffff9c, 0, flags},
				Path: &event.FileRef{Raw: path, File: event.File{Path: path}, Resolved: true},
				FD:   &event.FD{Num: 3, Kind: event.StdioFile, File: event.File{Path: path, Inode: uint64(i + 1), Mode: 0o100644}},
			}})
		}
		if len(out)%3 == 0 {
			out = append(out, &event.Event{Type: event.Connect, Time: c.Event.Time, Proc: c.Event.Proc, Call: &event.Call{
				Spec: event.CallNamed("connect"), FD: &event.FD{Num: 4, Kind: event.StdioSocket, Sock: &event.Socket{
					Family: "ipv4", Proto: "tcp", Type: "stream", Local: "10.0.0.5", LocalPort: 40000, Remote: "192.0.2.7", RemotePort: 443,
				}},
			}})
		}
	}
	return out
}

// processorTime is what the program has used. Events for each second of it do not depend
// on what else the machine does, as those of a second on the wall would.
func processorTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMixedRules is the price of an event of a busy host with the shipped
// rules and others beside them. Its events/s is of one processor.
func BenchmarkMixedRules(b *testing.B) {
	shipped, err := Files()
	if err != nil {
		b.Fatal(err)
	}
	events := busyHost(b)
	for _, n := range []int{100, 1000, 10000} {
		set, rep := rule.Load(append(shipped[:len(shipped):len(shipped)], rule.File{Name: "mixed.yaml", Data: []byte(mixedRules(n))}), rule.Options{})
		if err := rep.Err(); err != nil {
			b.Fatal(err)
		}
		engine := rule.NewEngine(set, rule.MatchAll)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			begun := processorTime(b)
			for i := 0; b.Loop(); i++ {
				engine.Match(events[i%len(events)], func(*rule.Rule) {})
			}
			b.ReportMetric(float64(b.N)/(processorTime(b)-begun).Seconds(), "events/s")
		})
	}
}

// BenchmarkMixedLoad is what a reload costs: reading, checking and compiling.
func BenchmarkMixedLoad(b *testing.B) {
	shipped, err := Files()
	if err != nil {
		b.Fatal(err)
	}
	files := append(shipped[:len(shipped):len(shipped)], rule.File{Name: "mixed.yaml", Data: []byte(mixedRules(1000))})
	for b.Loop() {
		rule.Load(files, rule.Options{})
	}
}
