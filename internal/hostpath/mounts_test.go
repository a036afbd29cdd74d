package hostpath

import (
	"strings"
	"testing"
)

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestTheMountOfAPath(t *testing.T) {
	m, err := parse(lines(
		"1 1 0:1 / / rw - rootfs rootfs rw",
		"20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
		"21 20 0:20 / /run rw - tmpfs tmpfs rw",
		`22 20 8:2 /sub /mnt/with\040blank rw - ext4 /dev/sdb rw`,
		"23 20 8:3 / /mnt/low/er rw - ext4 /dev/sdc rw",
		"24 20 8:4 / /mnt/low rw - ext4 /dev/sdd rw", // hides 23
		"25 24 8:5 / /mnt/low rw - ext4 /dev/sde rw", // on 24
		"26 20 8:6 /f /etc/file rw - ext4 /dev/sdf rw",
	), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, point string
		dev         uint64
		inner       string
	}{
		{"/", "/", 8<<32 | 1, "/"},
		{"/etc/passwd", "/", 8<<32 | 1, "/etc/passwd"},
		{"/run", "/run", 20, "/"},
		{"/run/x/y", "/run", 20, "/x/y"},
		{"/runner", "/", 8<<32 | 1, "/runner"},
		{"/mnt/with blank/a", "/mnt/with blank", 8<<32 | 2, "/sub/a"},
		{"/mnt/low/er/a", "/mnt/low", 8<<32 | 5, "/er/a"},
		{"/etc/file", "/etc/file", 8<<32 | 6, "/f"},
	} {
		got := m.at(c.path)
		if got == nil {
			t.Errorf("%s is in no mount", c.path)
			continue
		}
		if inner, ok := got.inner(c.path); got.point != c.point || got.dev != c.dev || inner != c.inner || !ok {
			t.Errorf("%s is %s of %x at %s, want %s of %x at %s", c.path, inner, got.dev, got.point, c.inner, c.dev, c.point)
		}
	}
	for _, none := range []string{"", "relative"} {
		if m.at(none) != nil {
			t.Errorf("%q is in a mount", none)
		}
	}
}

func TestMountsBelowARoot(t *testing.T) {
	m, err := parse(lines("30 20 0:5 / /proc rw - proc proc rw"), "/srv/jail")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.at("/srv/jail/proc/1"); got == nil || got.dev != 5 {
		t.Errorf("a mount within the root: %v", got)
	}
	if got := m.at("/srv/jail/etc"); got != nil {
		t.Errorf("what the list does not say: %v", got)
	}
}

// FuzzMounts holds that no list makes the search for a mount fail, and that what it
// finds holds the path.
func FuzzMounts(f *testing.F) {
	f.Add("1 1 8:1 / / rw - ext4 d rw\n2 1 0:5 /r /a rw - tmpfs t rw\n", "", "/a/b")
	f.Add("1 2 8:1 / / rw - ext4 d rw\n2 1 0:5 / / rw - tmpfs t rw\n", "/x", "/x/b/")
	f.Add("1 1 8:1 //deleted /a rw - ext4 d rw", "", "//a")
	f.Fuzz(func(t *testing.T, text, root, path string) {
		m, err := parse(text, root)
		if err != nil {
			return
		}
		m.byDevice()
		got := m.at(path)
		if got == nil {
			return
		}
		if !within(path, got.point) {
			t.Errorf("%q is not in the mount at %q", path, got.point)
		}
		if inner, ok := got.inner(path); ok && !within(inner, got.root) {
			t.Errorf("%q lies at %q, which is not in %q", path, inner, got.root)
		}
	})
}
