package task

import (
	"os"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestTakeBrief compares what the short way tells with what the long one does.
func TestTakeBrief(t *testing.T) {
	guest.NeedKernel(t)
	child := sleeper(t)
	brief, err := TakeBrief()
	if err != nil {
		t.Fatal(err)
	}
	defer brief.Close()
	if len(brief.Notes) > 0 {
		t.Errorf("the short list lacks something: %q", brief.Notes)
	}
	whole := take(t, false)
	same := 0
	for _, p := range whole.Processes() {
		b, err := brief.Find(p.Pid)
		if err != nil || b.Start != p.Start || b.Comm != p.Comm || b.Cgroup == nil || b.NS == nil {
			continue // began meanwhile, is from /proc, or is another by now
		}
		same++
		if b.User != p.User || b.LoginUser != p.LoginUser || b.PPid != p.PPid || b.Cgroup.Path != p.Cgroup.Path || b.Cgroup.ContainerID != p.Cgroup.ContainerID || b.NS.Net != p.NS.Net {
			t.Errorf("the short list has %+v with %+v\nfor %+v with %+v", b, b.Cgroup, p, p.Cgroup)
		}
		if d := b.Time.Sub(p.Time).Abs(); d.Seconds() > 1 {
			t.Errorf("process %d began %v apart", p.Pid, d)
		}
	}
	for _, pid := range []int{1, os.Getpid(), child.Process.Pid} {
		if _, err := brief.Find(uint32(pid)); err != nil {
			t.Errorf("the short list lacks process %d: %v", pid, err)
		}
	}
	if same < 3 {
		t.Errorf("%d processes are in both lists, of %d", same, len(brief.Processes()))
	}
}
