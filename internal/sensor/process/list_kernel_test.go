package process

import (
	"os"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestListBrief compares the short list with the inventory.
func TestListBrief(t *testing.T) {
	guest.NeedKernel(t)
	transport, err := kernel.NewTransport(4096, 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	brief := map[event.Key]*Brief{}
	all, err := ListBrief(transport, func(b *Brief) { brief[b.Key] = b })
	if err != nil {
		t.Fatalf("%+v", err)
	}
	if int(all) < len(brief) || len(brief) == 0 {
		t.Errorf("there were %d processes, and %d are listed", all, len(brief))
	}
	same := 0
	err = ListTasks(transport, func(rec *event.TaskRecord) {
		b := brief[rec.Key]
		if b == nil || b.Comm != rec.Comm {
			return // began meanwhile, or is another by now
		}
		same++
		if b.PPid != rec.PPid || b.Tty != rec.Tty || b.KThread != rec.KThread || b.CgroupID != rec.CgroupID || b.CgroupPath != rec.CgroupPath ||
			b.NS.Mnt != rec.NS.Mnt || b.NS.Net != rec.NS.Net || b.Cred.UID != rec.Cred.UID || b.Cred.EUID != rec.Cred.EUID || b.Cred.LoginUID != rec.Cred.LoginUID {
			t.Errorf("the short list has %+v\nfor %+v", b, rec)
		}
		if (b.Image == nil) != (rec.Image == nil) {
			t.Errorf("process %d has image %+v, and %+v in the inventory", b.Pid, b.Image, rec.Image)
		} else if x := b.Image; x != nil && (x.Exe.Path != rec.Image.Exe.Path || x.Exe.Inode != rec.Image.Exe.Inode || x.Exe.Deleted != rec.Image.Exe.Deleted) {
			t.Errorf("process %d runs %+v, and %+v in the inventory", b.Pid, x.Exe, rec.Image.Exe)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if b := brief[event.Key{}]; b != nil || same < 2 {
		t.Errorf("%d processes are the same in both lists, of %d", same, len(brief))
	}
	for k := range brief {
		if k.Pid == uint32(os.Getpid()) {
			return
		}
	}
	t.Error("this process is not in the list")
}
