package task

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
)

// TestSocketOwners keeps the files of one process: the sockets are its own, and their
// owners are all that hold them.
func TestSocketOwners(t *testing.T) {
	held := func(pid int, num int32, inode uint64) File {
		p := &event.Process{Key: event.Key{Pid: uint32(pid), Start: 1}}
		fd := &event.FD{Num: num, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp"}}
		fd.File.Inode = inode
		return File{OpenFile: call.OpenFile{FD: fd}, Proc: p}
	}
	all := []File{held(7, 3, 100), held(8, 3, 100), held(8, 4, 200)}
	got := Sockets(all, all[:1])
	if len(got) != 1 || got[0].Inode != 100 {
		t.Fatalf("the sockets are %+v", got)
	}
	if h := got[0].Holders; len(h) != 2 || h[0].Proc.Key.Pid != 7 || h[1].Proc.Key.Pid != 8 {
		t.Errorf("the socket's holders are %+v", h)
	}
	if got := Sockets(all, nil); len(got) != 0 {
		t.Errorf("none was kept, and there are %+v", got)
	}
}
