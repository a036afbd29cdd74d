package process

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

func inode(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// runStdio runs a tiny program with the given descriptors 0 to 2.
func runStdio(t *testing.T, w *watcher, in, out, errs *os.File) [3]event.Stdio {
	t.Helper()
	cmd := exec.Command(tiny(t, "stdio", 0))
	if in != nil { // a nil file in an interface is not a nil interface
		cmd.Stdin = in
	}
	if out != nil {
		cmd.Stdout = out
	}
	if errs != nil {
		cmd.Stderr = errs
	}
	return w.run(cmd).Image.Stdio
}

func TestStdioFiles(t *testing.T) {
	w := watch(t, watchOptions{})
	dir := tempDir(t)
	file, err := os.Create(dir + "/file")
	check(t, err)
	defer file.Close()
	d, err := os.Open(dir)
	check(t, err)
	defer d.Close()
	r, wr, err := os.Pipe()
	check(t, err)
	defer r.Close()
	defer wr.Close()
	s := runStdio(t, w, r, file, d)
	equal(t, "stdin", s[0].Kind, event.StdioPipe)
	equal(t, "stdin's inode", s[0].Inode, inode(t, r))
	equal(t, "stdin's path", s[0].Path, "")
	equal(t, "stdout", s[1].Kind, event.StdioFile)
	equal(t, "stdout's inode", s[1].Inode, inode(t, file))
	equal(t, "stdout's path", s[1].Path, dir+"/file")
	equal(t, "stderr", s[2].Kind, event.StdioDir)
	equal(t, "stderr's path", s[2].Path, dir)
}

func TestStdioSameFile(t *testing.T) {
	w := watch(t, watchOptions{})
	file, err := os.Create(tempDir(t) + "/log")
	check(t, err)
	defer file.Close()
	s := runStdio(t, w, nil, file, file)
	equal(t, "stdin", s[0].Kind, event.StdioNull)
	equal(t, "stdin's path", s[0].Path, "/dev/null")
	equal(t, "stdout's path", s[1].Path, file.Name())
	equal(t, "stderr", s[2], s[1])
}

func TestStdioClosedFifoAndAnon(t *testing.T) {
	w := watch(t, watchOptions{})
	dir := tempDir(t)
	check(t, unix.Mkfifo(dir+"/fifo", 0o600))
	fifo, err := os.OpenFile(dir+"/fifo", os.O_RDWR, 0)
	check(t, err)
	defer fifo.Close()
	efd, err := unix.Eventfd(0, 0)
	check(t, err)
	anon := os.NewFile(uintptr(efd), "eventfd")
	defer anon.Close()
	s := runStdio(t, w, fifo, anon, nil)
	equal(t, "stdin", s[0].Kind, event.StdioFifo)
	equal(t, "stdin's path", s[0].Path, dir+"/fifo")
	equal(t, "stdin's inode", s[0].Inode, inode(t, fifo))
	equal(t, "stdout", s[1].Kind, event.StdioAnon)
	equal(t, "stdout's path", s[1].Path, "anon_inode:[eventfd]")

	exe := tiny(t, "closed", 0)
	r := w.run(exec.Command("sh", "-c", "exec "+exe+" <&- >&-"))
	equal(t, "closed stdin", r.Image.Stdio[0].Kind, event.StdioClosed)
	equal(t, "closed stdout", r.Image.Stdio[1].Kind, event.StdioClosed)
	equal(t, "stderr", r.Image.Stdio[2].Kind, event.StdioNull)
}

// openPty returns the two ends of a new pseudo-terminal and the slave's number.
func openPty(t *testing.T) (master, slave *os.File, number int) {
	t.Helper()
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	check(t, err)
	t.Cleanup(func() { m.Close() })
	n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCGPTN)
	check(t, err)
	check(t, unix.IoctlSetPointerInt(int(m.Fd()), unix.TIOCSPTLCK, 0))
	s, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return m, s, n
}

func TestTty(t *testing.T) {
	w := watch(t, watchOptions{})
	master, slave, n := openPty(t)
	cmd := exec.Command(tiny(t, "ontty", 0))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, master
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	r := w.run(cmd)
	var st unix.Stat_t
	check(t, unix.Fstat(int(slave.Fd()), &st))
	equal(t, "tty name", r.Tty.Name, "pts"+strconv.Itoa(n))
	equal(t, "tty device", uint64(r.Tty.Dev), st.Rdev)
	equal(t, "stdin", r.Image.Stdio[0].Kind, event.StdioPty)
	equal(t, "stdin's path", r.Image.Stdio[0].Path, "/dev/pts/"+strconv.Itoa(n))
	equal(t, "stderr", r.Image.Stdio[2].Kind, event.StdioTty)

	cmd = exec.Command(tiny(t, "notty", 0))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r = w.run(cmd)
	equal(t, "tty name", r.Tty, event.Tty{})
}

// connect returns both ends of a TCP connection over loopback as files.
func connect(t *testing.T, network, addr string) (client, server *os.File) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skipf("this host cannot listen on %s: %v", addr, err)
	}
	defer l.Close()
	c, err := net.Dial(network, l.Addr().String())
	check(t, err)
	defer c.Close()
	s, err := l.Accept()
	check(t, err)
	defer s.Close()
	client, err = c.(*net.TCPConn).File()
	check(t, err)
	server, err = s.(*net.TCPConn).File()
	check(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func names(t *testing.T, f *os.File) (local, remote string) {
	t.Helper()
	for i, get := range []func(int) (unix.Sockaddr, error){unix.Getsockname, unix.Getpeername} {
		sa, err := get(int(f.Fd()))
		check(t, err)
		s := ""
		switch a := sa.(type) {
		case *unix.SockaddrInet4:
			s = fmt.Sprintf("%s %d", net.IP(a.Addr[:]), a.Port)
		case *unix.SockaddrInet6:
			s = fmt.Sprintf("%s %d", net.IP(a.Addr[:]), a.Port)
		}
		if i == 0 {
			local = s
		} else {
			remote = s
		}
	}
	return local, remote
}

func TestStdioTCP(t *testing.T) {
	for network, addr := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		t.Run(network, func(t *testing.T) {
			w := watch(t, watchOptions{})
			client, _ := connect(t, network, addr)
			st := runStdio(t, w, client, client, nil)
			equal(t, "kind", st[0].Kind, event.StdioSocket)
			equal(t, "inode", st[0].Inode, inode(t, client))
			equal(t, "stdout is the same socket", st[1].Sock, st[0].Sock)
			s := st[0].Sock
			if s == nil {
				t.Fatal("no socket in the record")
			}
			equal(t, "family", s.Family, "ipv"+strings.TrimPrefix(network, "tcp"))
			equal(t, "protocol", s.Proto, "tcp")
			equal(t, "type", s.Type, "stream")
			equal(t, "state", s.State, "established")
			local, remote := names(t, client)
			equal(t, "local end", fmt.Sprintf("%s %d", s.Local, s.LocalPort), local)
			equal(t, "remote end", fmt.Sprintf("%s %d", s.Remote, s.RemotePort), remote)
		})
	}
}

func TestStdioUDP(t *testing.T) {
	w := watch(t, watchOptions{})
	c, err := net.Dial("udp4", "127.0.0.1:9")
	check(t, err)
	defer c.Close()
	f, err := c.(*net.UDPConn).File()
	check(t, err)
	defer f.Close()
	s := runStdio(t, w, f, nil, nil)[0].Sock
	if s == nil {
		t.Fatal("no socket in the record")
	}
	equal(t, "protocol", s.Proto, "udp")
	equal(t, "type", s.Type, "dgram")
	equal(t, "remote end", fmt.Sprintf("%s %d", s.Remote, s.RemotePort), "127.0.0.1 9")
}

func TestStdioUnix(t *testing.T) {
	w := watch(t, watchOptions{})
	abstract := "@bearcat-test-" + strconv.Itoa(os.Getpid())
	for _, name := range []string{filepath.Join(tempDir(t), "sock"), abstract} {
		l, err := net.Listen("unix", name)
		check(t, err)
		c, err := net.Dial("unix", name)
		check(t, err)
		s, err := l.Accept()
		check(t, err)
		cf, err := c.(*net.UnixConn).File()
		check(t, err)
		sf, err := s.(*net.UnixConn).File()
		check(t, err)
		st := runStdio(t, w, cf, sf, nil)
		for i, end := range st[:2] {
			equal(t, "kind", end.Kind, event.StdioSocket)
			if end.Sock == nil {
				t.Fatal("no socket in the record")
			}
			equal(t, "family", end.Sock.Family, "unix")
			got := []string{end.Sock.Remote, end.Sock.Local}[i]
			equal(t, "name", got, name)
		}
		for _, f := range []interface{ Close() error }{l, c, s, cf, sf} {
			f.Close()
		}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	check(t, err)
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	defer a.Close()
	defer b.Close()
	s := runStdio(t, w, a, b, nil)[0].Sock
	equal(t, "unnamed socket", *s, event.Socket{Family: "unix", Type: "dgram"})
}
