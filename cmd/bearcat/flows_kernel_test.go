package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// flow is what these tests look at in a line of JSON.
type flow struct {
	Type string `json:"type"`
	Call struct {
		Ret  int64  `json:"ret"`
		Via  string `json:"via"`
		Path struct {
			Path string `json:"path"`
		} `json:"path"`
		Addr struct {
			Remote     string `json:"remote"`
			RemotePort int    `json:"remote_port"`
			RemoteName string `json:"remote_name"`
		} `json:"addr"`
		DNS struct {
			Response bool   `json:"response"`
			Name     string `json:"name"`
			Type     string `json:"type"`
			Answers  []struct {
				Data string `json:"data"`
			} `json:"answers"`
			Latency int64 `json:"latency_ns"`
		} `json:"dns"`
	} `json:"call"`
	Process struct {
		Pid  int      `json:"pid"`
		Comm string   `json:"comm"`
		Argv []string `json:"argv"`
		Fds  []struct {
			Fd    int    `json:"fd"`
			Kind  string `json:"kind"`
			Inode uint64 `json:"inode"`
		} `json:"fds"`
	} `json:"process"`
}

// flows reads all lines that came so far.
func (a *agentRun) flows() []flow {
	a.t.Helper()
	var out []flow
	for _, l := range a.lines() {
		var f flow
		if err := json.Unmarshal([]byte(l.text), &f); err != nil {
			a.t.Fatalf("a line is not as expected: %v: %s", err, l.text)
		}
		out = append(out, f)
	}
	return out
}

// flow waits for a line.
func (a *agentRun) flow(what string, ok func(*flow) bool) flow {
	a.t.Helper()
	var found flow
	a.until(what, func() bool {
		for _, f := range a.flows() {
			if ok(&f) {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

// TestRingAndCallOpenTheSameFile opens a file by a call and through io_uring,
// each by a name of its own, and wants one path.
func TestRingAndCallOpenTheSameFile(t *testing.T) {
	guest.Once(t)
	dir := t.TempDir()
	for _, d := range []string{"real", "sub"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "real", "file")
	if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Symlink("real", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	ringOpen := linked(t, "ring-open")
	if err := exec.Command(ringOpen, file).Run(); err != nil {
		t.Skip("this kernel makes no io_uring: ", err)
	}
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--types", "open,io_uring", "--output", "json"}})
	s.do("cd " + dir + "/sub; cat ../link/file; " + ringOpen + " ../real/../link/file; cat ../real/file")
	a.flow("the call is seen", func(f *flow) bool {
		return f.Type == "open" && f.Call.Via == "" && f.Call.Path.Path == file && f.Process.Comm == "cat"
	})
	if strings.Contains(a.said(), "fentry/io_openat2") { // among the hooks
		got := a.flow("the operation is seen as an open", func(f *flow) bool { return f.Type == "open" && f.Call.Via == "io_uring" })
		if got.Call.Path.Path != file || got.Process.Comm != "ring-open" || got.Call.Ret < 0 {
			t.Errorf("through io_uring it is %+v by %s, want %s", got.Call, got.Process.Comm, file)
		}
		return
	}
	// Without programs at functions the submission is what there is. Its name
	// can be read only where the tracepoint has the request.
	got := a.flow("the submission is seen", func(f *flow) bool { return f.Type == "io_uring_op" || f.Type == "io_uring" })
	t.Logf("no programs at functions here: the ring is told by %q events", got.Type)
}

// answerTo is the answer to a query with one question: the loopback address for
// that name and type A, no records for others.
func answerTo(query []byte, name string) []byte {
	const header = 12
	if len(query) < header {
		return nil
	}
	n := bytes.IndexByte(query[header:], 0) // the name's end
	if n < 0 || header+n+5 > len(query) {
		return nil
	}
	out := bytes.Clone(query[:header+n+5])
	copy(out[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // an answer, without records
	var asked []byte
	for _, label := range strings.Split(name, ".") {
		asked = append(append(asked, byte(len(label))), label...)
	}
	if bytes.Equal(query[header:header+n], asked) && query[header+n+2] == 1 {
		out[7] = 1
		out = append(out, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return out
}

// nameServer answers for one name with the loopback address, at an address of
// its own, and returns that.
func nameServer(t *testing.T, name string) string {
	t.Helper()
	const at = "127.0.0.153"
	c, err := net.ListenPacket("udp", at+":53")
	if err != nil {
		t.Skipf("there is no %s port 53 to answer on: %v", at, err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := answerTo(b[:n], name); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return at
}

// TestNamesOfConnections looks a name up with getent and connects by name, and
// wants the query, the answer and the connection with that name.
func TestNamesOfConnections(t *testing.T) {
	guest.Once(t)
	const name = "db.bearcat.example"
	resolver := nameServer(t, name)
	port, _ := listener(t)
	dir := t.TempDir()
	conf, order := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "nsswitch.conf")
	err := errors.Join(os.WriteFile(conf, []byte("nameserver "+resolver+"\n"), 0o644), os.WriteFile(order, []byte("hosts: dns\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--types", "dns,connect", "--output", "json"}})
	s.do(fmt.Sprintf(`unshare -m sh -c 'mount --bind %s /etc/resolv.conf && mount --bind %s /etc/nsswitch.conf &&
		getent ahosts %s && exec bash -c "exec 3<>/dev/tcp/%s/%d"'`, conf, order, name, name, port))
	for _, comm := range []string{"getent", "bash"} {
		a.flow(comm+" asks", func(f *flow) bool {
			d := f.Call.DNS
			return f.Type == "dns" && f.Process.Comm == comm && !d.Response && d.Name == name && d.Type == "A"
		})
		a.flow(comm+" is answered", func(f *flow) bool {
			d := f.Call.DNS
			return f.Type == "dns" && f.Process.Comm == comm && d.Response && d.Name == name && len(d.Answers) == 1 &&
				d.Answers[0].Data == "127.0.0.1" && d.Latency > 0
		})
	}
	c := a.flow("bash connects", func(f *flow) bool {
		return f.Type == "connect" && f.Process.Comm == "bash" && f.Call.Addr.RemotePort == port
	})
	if c.Call.Addr.Remote != "127.0.0.1" || c.Call.Addr.RemoteName != name {
		t.Errorf("the connection is to %+v, want %s", c.Call.Addr, name)
	}
}

// talk accepts one connection, says what it is given, and returns the first
// line that comes.
func talk(t *testing.T, say string) (port int, heard chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	heard = make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if say != "" {
			_, _ = c.Write([]byte(say))
			return
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		heard <- line
	}()
	return l.Addr().(*net.TCPAddr).Port, heard
}

// TestPipesTellWhoFeedsWhom runs nc | sh | nc and follows the pipes from the
// connection that feeds the shell to the one that it feeds.
func TestPipesTellWhoFeedsWhom(t *testing.T) {
	guest.Once(t)
	in, _ := talk(t, "echo from the shell; exit\n")
	out, heard := talk(t, "")
	s := newStage(t)
	a := start(t, runOptions{args: []string{"--scope", s.scope(), "--types", "exec,connect", "--output", "json"}})
	s.do(fmt.Sprintf("busybox nc 127.0.0.1 %d </dev/null | /bin/sh | busybox nc 127.0.0.1 %d", in, out))
	if line := <-heard; line != "from the shell\n" {
		t.Fatalf("the shell's output came as %q", line)
	}
	pipe := func(f flow, fd int) uint64 {
		for _, d := range f.Process.Fds {
			if d.Fd == fd && d.Kind == "pipe" {
				return d.Inode
			}
		}
		t.Fatalf("descriptor %d of %v is no pipe: %+v", fd, f.Process.Argv, f.Process.Fds)
		return 0
	}
	sh := a.flow("the shell is seen", func(f *flow) bool { return f.Type == "exec" && f.Process.Argv[0] == "/bin/sh" })
	nc := func(fd int, inode uint64) flow {
		return a.flow(fmt.Sprintf("the other end of pipe %d is seen", inode), func(f *flow) bool {
			if f.Type != "exec" || f.Process.Pid == sh.Process.Pid {
				return false
			}
			for _, d := range f.Process.Fds {
				if d.Fd == fd && d.Kind == "pipe" && d.Inode == inode {
					return true
				}
			}
			return false
		})
	}
	feeds, fed := nc(1, pipe(sh, 0)), nc(0, pipe(sh, 1))
	for _, end := range []struct {
		of   flow
		port int
	}{{feeds, in}, {fed, out}} {
		c := a.flow("it connects", func(f *flow) bool { return f.Type == "connect" && f.Process.Pid == end.of.Process.Pid })
		if c.Call.Addr.RemotePort != end.port {
			t.Errorf("%v talks to port %d, want %d", end.of.Process.Argv, c.Call.Addr.RemotePort, end.port)
		}
	}
}
