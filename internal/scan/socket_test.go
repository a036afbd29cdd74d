package scan

import (
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/task"
)

// TestUntold holds a listener that lists which the test makes do not have.
func TestUntold(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("asking for a socket's namespace needs root")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	st, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	inode := st.Sys().(*syscall.Stat_t).Ino
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &ns); err != nil {
		t.Fatal(err)
	}
	pid := uint32(os.Getpid())
	x := &task.File{OpenFile: call.OpenFile{Key: event.Key{Pid: pid}, FD: &event.FD{
		Num: int32(file.Fd()), File: event.File{Inode: inode},
		Sock: &event.Socket{Family: "ipv4", Proto: "tcp", State: "listen", LocalPort: uint16(l.Addr().(*net.TCPAddr).Port)},
	}}, Proc: &event.Process{Key: event.Key{Pid: pid}, Comm: "test"}}
	if _, err := stillOpen(x); err != nil {
		t.Skipf("this kernel does not tell the namespace of a socket: %v", err)
	}
	holders := map[uint64]*task.File{inode: x}
	here := map[uint64]bool{ns.Ino: true}
	if got := subjects(t, untold(holders, &host.SocketLists{Spaces: here}), nil); len(got) != 1 {
		t.Errorf("found %q, want the listener", got)
	}
	if got := untold(holders, &host.SocketLists{Spaces: here, Listed: map[uint64]bool{inode: true}}); len(got) != 0 {
		t.Errorf("what is listed is told: %+v", got)
	}
	if got := untold(holders, &host.SocketLists{}); len(got) != 0 {
		t.Errorf("told of a namespace whose lists were not read: %+v", got)
	}
	_ = file.Close()
	_ = l.Close()
	if got := untold(holders, &host.SocketLists{Spaces: here}); len(got) != 0 {
		t.Errorf("what was closed is told: %+v", got)
	}
}
