package call

import (
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// TestPrivileges has a child give up its rights step by step.
func TestCallPrivileges(t *testing.T) {
	w := observe(t)
	calls := w.start(t, "privileges").calls()
	made := map[string]bool{}
	for _, d := range calls {
		got := w.saw(t, d)
		made[d.Name] = true
		switch got.Spec.Type {
		case event.Setuid, event.Capset, event.Unshare, event.Setns:
			if got.NewCred == nil {
				t.Errorf("%s has no credentials", d.Name)
				continue
			}
		default:
			continue
		}
		c := got.NewCred
		expect(t, d.Name+": ids", [8]uint32{c.UID, c.EUID, c.SUID, c.FSUID, c.GID, c.EGID, c.SGID, c.FSGID}, d.IDs)
		expect(t, d.Name+": capabilities", [5]uint64{c.Inheritable, c.Permitted, c.Effective, c.Bounding, c.Ambient}, d.Caps)
		expect(t, d.Name+": no new privileges", c.NoNewPrivs, d.NoNewPrivs)
		r := w.find(got.Spec.Type, d.Name, is(d))
		expect(t, d.Name+": the caller's euid", r.Cred.EUID, d.IDs[1])
		expect(t, d.Name+": the caller's capabilities", r.Cred.Effective, d.Caps[2])
	}
	for _, s := range event.Calls() {
		switch s.Type {
		case event.Setuid, event.Capset, event.Prctl, event.Setns, event.Unshare, event.Keyctl:
			expect(t, s.Name+" is tested", made[s.Name], true)
		}
	}
	expect(t, "PR_SET_NAME is reported", w.count(event.Prctl, func(r *event.TaskRecord) bool {
		return r.Call.Spec.Name == "prctl" && r.Call.Args[0] == unix.PR_SET_NAME
	}), 0)
	key := w.find(event.Keyctl, "add_key", func(r *event.TaskRecord) bool { return r.Call.Spec.Name == "add_key" })
	expect(t, "key's type", key.Call.Text, "user")
}

// The kernel ignores the upper half of a register that holds an int; so must
// what decides whether a call is of interest.
func TestCallUpperHalves(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	fd, err := unix.Open(dir+"/f", unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	need(t, err)
	defer unix.Close(fd)
	const high = 0xdead << 32
	got := w.saw(t, ok(t, do("prctl", high|unix.PR_SET_KEEPCAPS, 0, 0, 0, 0)))
	expect(t, "option", got.Args[0], unix.PR_SET_KEEPCAPS)
	w.saw(t, closed(ok(t, do("fcntl", high|fd, high|unix.F_DUPFD, 10))))
	w.saw(t, do("ioctl", high|fd, high|0x40086602, unsafe.Pointer(new(int64))))
	got = w.saw(t, do("bpf", high|5, make(raw, 64), 64))
	expect(t, "command", got.BPF.Cmd, "BPF_PROG_LOAD")
	expect(t, "program's type", got.BPF.ProgType, "unspec")
	got = w.saw(t, closed(do("openat", at, dir+"/f", high|unix.O_RDWR)))
	expect(t, "path", got.Path.Path, dir+"/f")
}

// A capability's loss shows in the sets.
func TestCallCapset(t *testing.T) {
	w := observe(t)
	calls := w.start(t, "capset").calls()
	if len(calls) != 2 {
		t.Fatalf("the child made %d calls", len(calls))
	}
	got := w.saw(t, calls[0]).NewCred
	expect(t, "CAP_SYS_MODULE", got.Effective>>unix.CAP_SYS_MODULE&1, 0)
	expect(t, "CAP_CHOWN", got.Effective>>unix.CAP_CHOWN&1, 1)
	expect(t, "error of the second", calls[1].errno(), unix.EPERM)
	w.saw(t, calls[1])
}
