package call

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

func TestCallChroot(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	calls := w.start(t, "chroot", dir).calls()
	if len(calls) != 8 {
		t.Fatalf("the child made %d calls", len(calls))
	}
	for i, want := range []struct{ path, root string }{
		{dir + "/none", ""}, {dir + "/jail", ""}, {dir + "/jail/sub/f", "/sub/f"}, {dir + "/jail/sub/f", "/sub/f"}, {dir + "/jail/none", "/none"},
		{dir + "/jail/made", "/made"}, {dir + "/jail", "/"}, {dir + "/jail/sub", ""},
	} {
		d := calls[i]
		if d.Name == "chroot" {
			d.Strs, d.Root = nil, ""
		}
		got := w.saw(t, d)
		if got.Path == nil {
			t.Errorf("%s has no path", d.Name)
			continue
		}
		expect(t, d.Name+": raw", got.Path.Raw, calls[i].Strs[map[bool]int{false: 0, true: 1}[d.Name == "openat"]])
		expect(t, d.Name+" "+got.Path.Raw+": path", got.Path.Path, want.path)
		if want.root != "" {
			expect(t, d.Name+" "+got.Path.Raw+": path below the root", got.Path.RootPath, want.root)
		}
	}
}

func TestCallMounts(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	made := map[string]bool{}
	for _, d := range append(w.start(t, "mounts", dir).calls(), w.start(t, "pivot", dir).calls()...) {
		t.Run(d.Name, func(t *testing.T) {
			made[d.Name] = true
			detached := d.Name == "open_tree" || d.Name == "fsmount"
			if detached {
				delete(d.FDs, -1) // a tree that hangs nowhere has no path
			}
			got := w.saw(t, d)
			if detached && !d.failed() {
				expect(t, "kind", got.FD.Kind, event.StdioDir)
				expect(t, "deleted", got.FD.File.Deleted, false)
			}
			switch d.errno() {
			case 0, unix.ENOENT, unix.EINVAL:
			case unix.ENOSYS:
				t.Skipf("this kernel has no %s", d.Name)
			default:
				t.Errorf("%s(%v) fails: %v", d.Name, d.Strs, d.errno())
			}
			switch d.Name {
			case "mount":
				expect(t, "type", got.Spec.Args[2].Name, "type")
				if got.Path2 == nil {
					t.Error("no directory")
				}
			case "move_mount":
				if got.Path2 == nil || d.Strs[3] == "c" && got.Path2.Path != dir+"/c" {
					t.Errorf("mounted at %+v", got.Path2)
				}
			case "open":
				expect(t, "path through the bind mount", got.Path.Path, dir+"/b/f")
			}
		})
	}
	for _, s := range append(event.CallsOf(event.Mount), event.CallsOf(event.Umount)...) {
		expect(t, s.Name+" is tested", made[s.Name], true)
	}
}

func TestCallOverlay(t *testing.T) {
	guest.Require(t)
	w := observe(t)
	dir := newDir(t)
	calls := w.start(t, "overlay", dir).calls()
	if len(calls) != 3 {
		t.Fatalf("the child made %d calls", len(calls))
	}
	for i, upper := range []bool{false, true, true} {
		got := w.saw(t, calls[i])
		expect(t, "path", got.Path.Path, dir+"/merged/"+[]string{"f", "g", "f"}[i])
		expect(t, "overlay", got.Path.Overlay, true)
		expect(t, "upper", got.Path.Upper, upper)
	}
}
