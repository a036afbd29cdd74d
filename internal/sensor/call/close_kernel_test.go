package call

import (
	"os"
	"os/exec"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// TestCloseAfterWrite closes files that were opened for writing, and some that
// were not.
func TestCloseAfterWrite(t *testing.T) {
	w := observe(t)
	if w.sensor.uring.closing == nil {
		t.Skip("programs at functions are refused here: ", w.sensor.uring.fails)
	}
	dir := newDir(t)
	f, err := os.Create(dir + "/written")
	need(t, err)
	var st unix.Stat_t
	need(t, unix.Fstat(int(f.Fd()), &st))
	need(t, f.Close())
	c := w.call("close", func(c *event.Call) bool {
		return c.Spec.Name == "close" && c.FD != nil && c.FD.File.Path == dir+"/written"
	})
	expect(t, "inode", c.FD.File.Inode, st.Ino)
	expect(t, "path", c.Path.Path, dir+"/written")
	expect(t, "resolved", c.Path.Resolved, true)
	read, err := os.Open(dir + "/written")
	need(t, err)
	need(t, read.Close())
	need(t, os.Remove(dir+"/written"))
	w.call("the unlink behind it", func(c *event.Call) bool {
		return c.Spec.Type == event.Unlink && c.Path != nil && c.Path.Path == dir+"/written"
	})
	n := w.count(event.Close, func(r *event.TaskRecord) bool { return r.Call.FD.File.Path == dir+"/written" })
	expect(t, "closes told", n, 1)

	// Two descriptors of one open, and the end of a process that closes nothing.
	f, err = os.Create(dir + "/twice")
	need(t, err)
	second, err := unix.Dup(int(f.Fd()))
	need(t, err)
	need(t, f.Close())
	need(t, unix.Close(second))
	sh := exec.Command("/bin/sh", "-c", "exec 9>"+dir+"/left")
	need(t, sh.Run())
	left := w.find(event.Close, "the close at a process's end", func(r *event.TaskRecord) bool { return r.Call.FD.File.Path == dir+"/left" })
	expect(t, "pid", int(left.Key.Pid), sh.Process.Pid)
	n = w.count(event.Close, func(r *event.TaskRecord) bool { return r.Call.FD.File.Path == dir+"/twice" })
	expect(t, "closes told of two descriptors", n, 1)
}
