package event

import (
	"reflect"
	"testing"
)

// TestCloneShares nothing that a sensor may use again.
func TestCloneShares(t *testing.T) {
	if (*Call)(nil).Clone() != nil {
		t.Error("a copy of nothing")
	}
	sock := func() *Socket { return &Socket{Remote: "192.0.2.1"} }
	c := &Call{Spec: CallNamed("openat"), Path: &FileRef{Raw: "a"}, Path2: &FileRef{Raw: "b"}, FD: &FD{Num: 1, Sock: sock()}, FD2: &FD{Num: 2, Sock: sock()},
		Addr: sock(), TCP: &TCPInfo{New: "close"}}
	copied := c.Clone()
	if !reflect.DeepEqual(c, copied) {
		t.Errorf("%+v, want %+v", copied, c)
	}
	*c.Path, *c.Path2, *c.FD.Sock, *c.FD2.Sock, *c.Addr, *c.TCP = FileRef{}, FileRef{}, Socket{}, Socket{}, Socket{}, TCPInfo{}
	*c.FD, *c.FD2 = FD{}, FD{}
	if copied.Path.Raw != "a" || copied.Path2.Raw != "b" || copied.FD.Num != 1 || copied.FD.Sock.Remote == "" || copied.FD2.Num != 2 ||
		copied.FD2.Sock.Remote == "" || copied.Addr.Remote == "" || copied.TCP.New == "" {
		t.Errorf("the copy has changed with what it was made of: %+v", copied)
	}
}
